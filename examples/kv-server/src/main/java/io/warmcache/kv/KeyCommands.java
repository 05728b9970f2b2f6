/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

import io.warmcache.kv.Command.Flag;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** The commands on keys, whatever their value. */
final class KeyCommands {
    private static final int DEFAULT_SCAN_COUNT = 10;
    /** COUNT is a hint; a larger one is served in steps of this size. */
    private static final int MAX_SCAN_COUNT = 10_000;

    private KeyCommands() {}

    static void register(CommandTable table) {
        table.addManyKeyed("del", -2, 1, KeyCommands::delete, Flag.WRITE);
        table.addManyKeyed("unlink", -2, 1, KeyCommands::delete, Flag.WRITE, Flag.FAST);
        table.addManyKeyed("exists", -2, 1, KeyCommands::exists, Flag.READONLY, Flag.FAST);
        table.addKeyed("type", 2, KeyCommands::type, Flag.READONLY, Flag.FAST);
        table.addKeyed("expire", -3, (session, request) -> expire(session, request, 1000), Flag.WRITE, Flag.FAST);
        table.addKeyed("pexpire", -3, (session, request) -> expire(session, request, 1), Flag.WRITE, Flag.FAST);
        table.addKeyed("ttl", 2, (session, request) -> timeToLive(session, request, 1000), Flag.READONLY, Flag.FAST);
        table.addKeyed("pttl", 2, (session, request) -> timeToLive(session, request, 1), Flag.READONLY, Flag.FAST);
        table.addKeyed("persist", 2, KeyCommands::persist, Flag.WRITE, Flag.FAST);
        table.add("keys", 2, KeyCommands::keys, Flag.READONLY, Flag.SLOW);
        table.add("scan", -2, KeyCommands::scan, Flag.READONLY, Flag.SLOW);
        table.add("dbsize", 1, KeyCommands::size, Flag.READONLY, Flag.FAST);
        table.add("flushdb", -1, KeyCommands::flushDatabase, Flag.WRITE, Flag.SLOW);
        table.add("flushall", -1, KeyCommands::flushAll, Flag.WRITE, Flag.SLOW);
    }

    private static void delete(Session session, Request request) throws CommandException {
        List<byte[]> keys = request.from(1);
        long removed = session.change(keys, scope -> {
            long now = session.now();
            long count = 0;
            for (byte[] key : keys) {
                if (Entry.live(session.keyspace().get(key), now) != null) {
                    session.remove(scope, key);
                    count++;
                }
            }
            return count;
        });
        session.reply().integer(removed);
    }

    private static void exists(Session session, Request request) {
        long count = 0;
        for (byte[] key : request.from(1)) {
            if (session.lookUp(key) != null) {
                count++;
            }
        }
        session.reply().integer(count);
    }

    private static void type(Session session, Request request) {
        session.reply().simple(session.get(request.bytes(1)) == null ? "none" : "string");
    }

    private static void expire(Session session, Request request, long unitMillis) throws CommandException {
        String command = request.word(0);
        ExpireCondition condition = ExpireCondition.parse(request);
        byte[] key = request.bytes(1);
        long now = session.now();
        long expireAt;
        try {
            expireAt = Math.addExact(now, Math.multiplyExact(request.integer(2), unitMillis));
        } catch (ArithmeticException e) {
            throw CommandException.invalidExpire(command);
        }
        boolean done = session.change(key, scope -> {
            Entry entry = Entry.live(session.keyspace().get(key), now);
            if (entry == null || !condition.allows(entry, expireAt)) {
                return false;
            }
            if (expireAt <= now) {
                session.remove(scope, key);
            } else {
                session.put(scope, key, new Entry(entry.value(), expireAt));
            }
            return true;
        });
        session.reply().integer(done ? 1 : 0);
    }

    private static void timeToLive(Session session, Request request, long unitMillis) {
        long now = session.now();
        Entry entry = session.get(request.bytes(1));
        if (entry == null) {
            session.reply().integer(-2);
        } else if (!entry.expires()) {
            session.reply().integer(-1);
        } else {
            session.reply().integer((Math.max(0, entry.expireAt() - now) + unitMillis / 2) / unitMillis);
        }
    }

    private static void persist(Session session, Request request) throws CommandException {
        byte[] key = request.bytes(1);
        boolean done = session.change(key, scope -> {
            Entry entry = Entry.live(session.keyspace().get(key), session.now());
            if (entry == null || !entry.expires()) {
                return false;
            }
            session.put(scope, key, new Entry(entry.value(), Entry.NEVER));
            return true;
        });
        session.reply().integer(done ? 1 : 0);
    }

    private static void keys(Session session, Request request) {
        byte[] pattern = request.bytes(1);
        boolean all = Glob.matchesAll(pattern);
        long now = session.now();
        List<byte[]> found = new ArrayList<>();
        session.keyspace().scan(null, (key, entry) -> {
            if (entry.liveAt(now) && (all || Glob.matches(pattern, key))) {
                found.add(key);
            }
            return true;
        });
        session.sawEverything();
        session.reply().array(found.size());
        found.forEach(session.reply()::bulk);
    }

    private static void scan(Session session, Request request) throws CommandException {
        long cursor = cursor(request.text(1));
        byte[] pattern = null;
        int count = DEFAULT_SCAN_COUNT;
        boolean strings = true;
        for (int i = 2; i < request.size(); i += 2) {
            if (i + 1 == request.size()) {
                throw CommandException.syntax();
            }
            switch (request.word(i)) {
                case "match" -> pattern = request.bytes(i + 1);
                case "count" -> {
                    long wanted = request.integer(i + 1);
                    if (wanted < 1) {
                        throw CommandException.syntax();
                    }
                    count = (int) Math.min(wanted, MAX_SCAN_COUNT);
                }
                case "type" -> strings = request.word(i + 1).equals("string");
                default -> throw CommandException.syntax();
            }
        }
        scan(session, cursor, pattern, count, strings);
    }

    private static long cursor(String text) throws CommandException {
        try {
            return Long.parseUnsignedLong(text);
        } catch (NumberFormatException e) {
            throw new CommandException("ERR invalid cursor");
        }
    }

    private static void scan(Session session, long cursor, byte @Nullable [] pattern, int count, boolean strings)
            throws CommandException {
        ScanCursors cursors = session.server().scanCursors();
        int database = session.keyspace().number();
        byte[] from = null;
        if (cursor != 0) {
            byte[] last = cursors.last(database, cursor);
            if (last == null) {
                throw new CommandException("ERR invalid cursor: not one of this database since the server started, or"
                        + " not used for long; begin again with SCAN 0");
            }
            // the least key above the last one visited
            from = Arrays.copyOf(last, last.length + 1);
        }
        ScanStep step = new ScanStep(session.now(), pattern, count, strings);
        session.keyspace().scan(from, step::visit);
        session.sawEverything();
        byte[] last = step.last;
        long next = step.finished() || last == null ? 0 : cursors.remember(database, last);
        ReplyWriter reply = session.reply();
        reply.array(2);
        reply.bulk(Long.toUnsignedString(next));
        reply.array(step.found.size());
        step.found.forEach(reply::bulk);
    }

    /** Collects up to {@code count} keys, and looks one key further to know whether there are more. */
    private static final class ScanStep {
        private final long now;
        private final byte @Nullable [] pattern;
        private final int count;
        private final boolean strings;
        private final List<byte[]> found = new ArrayList<>();
        private byte @Nullable [] last;
        private int visited;
        private boolean more;

        ScanStep(long now, byte @Nullable [] pattern, int count, boolean strings) {
            this.now = now;
            this.pattern = pattern;
            this.count = count;
            this.strings = strings;
        }

        boolean visit(byte[] key, Entry entry) {
            if (visited == count) {
                more = true;
                return false;
            }
            visited++;
            last = key;
            if (strings && entry.liveAt(now) && (pattern == null || Glob.matches(pattern, key))) {
                found.add(key);
            }
            return true;
        }

        boolean finished() {
            return !more;
        }
    }

    private static void size(Session session, Request request) {
        session.sawEverything();
        session.reply().integer(session.keyspace().size());
    }

    private static void flushDatabase(Session session, Request request) throws CommandException {
        requireFlushMode(request);
        session.clear(List.of(session.keyspace()));
        session.reply().ok();
    }

    private static void flushAll(Session session, Request request) throws CommandException {
        requireFlushMode(request);
        session.clear(session.server().storage().keyspaces());
        session.reply().ok();
    }

    private static void requireFlushMode(Request request) throws CommandException {
        // both are done before the reply: ASYNC only allows, and does not demand, that it is later
        boolean known = request.size() == 1
                || (request.size() == 2 && List.of("async", "sync").contains(request.word(1)));
        if (!known) {
            throw CommandException.syntax();
        }
    }
}
