/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

import io.warmcache.kv.Command.Flag;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** The commands on values. */
final class StringCommands {
    private StringCommands() {}

    static void register(CommandTable table) {
        table.addKeyed("get", 2, StringCommands::get, Flag.READONLY, Flag.FAST);
        table.addKeyed("set", -3, StringCommands::set, Flag.WRITE);
        table.addKeyed("setnx", 3, StringCommands::setnx, Flag.WRITE, Flag.FAST);
        table.addKeyed("getdel", 2, StringCommands::getdel, Flag.WRITE, Flag.FAST);
        table.addManyKeyed("mget", -2, 1, StringCommands::mget, Flag.READONLY, Flag.FAST);
        table.addManyKeyed("mset", -3, 2, StringCommands::mset, Flag.WRITE);
        table.addKeyed("incr", 2, (session, request) -> add(session, request.bytes(1), 1), Flag.WRITE, Flag.FAST);
        table.addKeyed("decr", 2, (session, request) -> add(session, request.bytes(1), -1), Flag.WRITE, Flag.FAST);
        table.addKeyed(
                "incrby", 3, (session, request) -> add(session, request.bytes(1), request.integer(2)), Flag.WRITE,
                Flag.FAST);
        table.addKeyed("decrby", 3, StringCommands::decrby, Flag.WRITE, Flag.FAST);
        table.addKeyed("append", 3, StringCommands::append, Flag.WRITE, Flag.FAST);
        table.addKeyed("strlen", 2, StringCommands::strlen, Flag.READONLY, Flag.FAST);
    }

    private static byte @Nullable [] value(@Nullable Entry entry) {
        return entry == null ? null : entry.value();
    }

    private static void get(Session session, Request request) {
        session.reply().bulk(value(session.lookUp(request.bytes(1))));
    }

    private static void mget(Session session, Request request) {
        List<byte @Nullable []> values = new ArrayList<>();
        for (byte[] key : request.from(1)) {
            values.add(value(session.lookUp(key)));
        }
        session.reply().array(values.size());
        values.forEach(session.reply()::bulk);
    }

    private static void strlen(Session session, Request request) {
        Entry entry = session.lookUp(request.bytes(1));
        session.reply().integer(entry == null ? 0 : entry.value().length);
    }

    private static void set(Session session, Request request) throws CommandException {
        SetOptions options = SetOptions.parse(session, request);
        byte[] key = request.bytes(1);
        boolean[] written = new boolean[1];
        Entry previous = session.<@Nullable Entry>change(key, scope -> {
            Entry before = Entry.live(session.keyspace().get(key), session.now());
            if (before == null ? options.onlyIfPresent() : options.onlyIfAbsent()) {
                return before;
            }
            long expireAt = options.keepExpiry() && before != null ? before.expireAt() : options.expireAt();
            session.put(scope, key, new Entry(request.bytes(2), expireAt));
            written[0] = true;
            return before;
        });
        if (options.returnPrevious()) {
            session.server().stats().lookedUp(previous != null);
            session.reply().bulk(value(previous));
        } else if (written[0]) {
            session.reply().ok();
        } else {
            session.reply().nothing();
        }
    }

    private static void setnx(Session session, Request request) throws CommandException {
        byte[] key = request.bytes(1);
        boolean written = session.change(key, scope -> {
            if (Entry.live(session.keyspace().get(key), session.now()) != null) {
                return false;
            }
            session.put(scope, key, new Entry(request.bytes(2), Entry.NEVER));
            return true;
        });
        session.reply().integer(written ? 1 : 0);
    }

    private static void getdel(Session session, Request request) throws CommandException {
        byte[] key = request.bytes(1);
        Entry removed = session.<@Nullable Entry>change(key, scope -> {
            Entry before = Entry.live(session.keyspace().get(key), session.now());
            if (before != null) {
                session.remove(scope, key);
            }
            return before;
        });
        session.server().stats().lookedUp(removed != null);
        session.reply().bulk(value(removed));
    }

    private static void mset(Session session, Request request) throws CommandException {
        if (request.size() % 2 == 0) {
            throw CommandException.wrongArity("mset");
        }
        List<byte[]> keys = new ArrayList<>();
        for (int i = 1; i < request.size(); i += 2) {
            keys.add(request.bytes(i));
        }
        session.checkKeys(keys);
        session.<@Nullable Void>change(keys, scope -> {
            for (int i = 1; i < request.size(); i += 2) {
                session.put(scope, request.bytes(i), new Entry(request.bytes(i + 1), Entry.NEVER));
            }
            return null;
        });
        session.reply().ok();
    }

    private static void decrby(Session session, Request request) throws CommandException {
        long amount = request.integer(2);
        if (amount == Long.MIN_VALUE) {
            throw new CommandException("ERR decrement would overflow");
        }
        add(session, request.bytes(1), -amount);
    }

    private static void add(Session session, byte[] key, long amount) throws CommandException {
        long sum = session.change(key, scope -> {
            Entry before = Entry.live(session.keyspace().get(key), session.now());
            long value = before == null ? 0 : Numbers.parse(before.value());
            long result;
            try {
                result = Math.addExact(value, amount);
            } catch (ArithmeticException e) {
                throw new CommandException("ERR increment or decrement would overflow");
            }
            long expireAt = before == null ? Entry.NEVER : before.expireAt();
            session.put(scope, key, new Entry(Numbers.format(result), expireAt));
            return result;
        });
        session.reply().integer(sum);
    }

    private static void append(Session session, Request request) throws CommandException {
        byte[] key = request.bytes(1);
        byte[] tail = request.bytes(2);
        int limit = session.server().config().limits().bulkBytes();
        long length = session.change(key, scope -> {
            Entry before = Entry.live(session.keyspace().get(key), session.now());
            if (before == null) {
                session.put(scope, key, new Entry(tail, Entry.NEVER));
                return (long) tail.length;
            }
            byte[] head = before.value();
            if ((long) head.length + tail.length > limit) {
                throw new CommandException("ERR string exceeds maximum allowed size (proto-max-bulk-len)");
            }
            if (tail.length > 0) {
                byte[] joined = Arrays.copyOf(head, head.length + tail.length);
                System.arraycopy(tail, 0, joined, head.length, tail.length);
                session.put(scope, key, new Entry(joined, before.expireAt()));
            }
            return (long) head.length + tail.length;
        });
        session.reply().integer(length);
    }
}
