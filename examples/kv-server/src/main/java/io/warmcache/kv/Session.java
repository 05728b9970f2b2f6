/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What the server knows of one client, and the client's way to the data. For one thread at a time.
 *
 * <p>It notes which commit a reply must wait for: the one that holds what the command changed, and equally what it saw,
 * since with {@link Durability#ALWAYS} no reply may show what a crash could still take back.
 */
final class Session {
    private final Server server;
    private final long id;
    private final String address;
    private final ReplyWriter reply;
    private final boolean waitsForCommits;

    private Keyspace keyspace;
    private volatile boolean authenticated;
    private String name = "";
    private boolean closing;
    /** Whether the running command changed something. */
    private boolean written;
    /** The newest ticket of all that the running command changed or saw. */
    private long seenTicket;

    /** Changes keys inside the {@link WriteGate}. */
    @FunctionalInterface
    interface WriteAction<T extends @Nullable Object> {
        T run(WriteGate.Scope scope) throws CommandException;
    }

    Session(Server server, long id, String address, ReplyWriter reply) {
        this.server = server;
        this.id = id;
        this.address = address;
        this.reply = reply;
        keyspace = server.storage().keyspace(0);
        authenticated = !server.config().needsPassword();
        waitsForCommits = server.config().durability() == Durability.ALWAYS;
    }

    Server server() {
        return server;
    }

    long id() {
        return id;
    }

    String address() {
        return address;
    }

    ReplyWriter reply() {
        return reply;
    }

    String name() {
        return name;
    }

    void setName(String value) {
        name = value;
    }

    boolean isAuthenticated() {
        return authenticated;
    }

    void setAuthenticated() {
        authenticated = true;
    }

    Keyspace keyspace() {
        return keyspace;
    }

    void select(int database) {
        keyspace = server.storage().keyspace(database);
    }

    boolean isClosing() {
        return closing;
    }

    /** Closes the connection once every reply was sent. */
    void closeAfterReplies() {
        closing = true;
    }

    /** The live entry of {@code key}. */
    @Nullable Entry get(byte[] key) {
        Entry entry = Entry.live(keyspace.get(key), now());
        saw(key);
        return entry;
    }

    /** {@link #get}, counted as a hit or a miss of the keyspace. */
    @Nullable Entry lookUp(byte[] key) {
        Entry entry = get(key);
        server.stats().lookedUp(entry != null);
        return entry;
    }

    /** Runs {@code action} with the right to change {@code key} and nothing else. */
    <T extends @Nullable Object> T change(byte[] key, WriteAction<T> action) throws CommandException {
        WriteGate.Scope scope = server.storage().gate().enter(keyspace.number(), key);
        try {
            return action.run(scope);
        } finally {
            scope.close();
            changed(scope);
            saw(key);
        }
    }

    /** Runs {@code action} with the right to change all of {@code keys}: others see all of its changes or none. */
    <T extends @Nullable Object> T change(List<byte[]> keys, WriteAction<T> action) throws CommandException {
        WriteGate.Scope scope = server.storage().gate().enter(keyspace.number(), keys);
        try {
            return action.run(scope);
        } finally {
            scope.close();
            changed(scope);
            keys.forEach(this::saw);
        }
    }

    /** Empties databases, while nobody else writes. */
    void clear(List<Keyspace> databases) {
        try (WriteGate.Scope scope = server.storage().gate().enterAlone()) {
            for (Keyspace each : databases) {
                each.clear(scope);
            }
            changed(scope);
        }
    }

    void put(WriteGate.Scope scope, byte[] key, Entry entry) throws CommandException {
        checkKey(key);
        keyspace.put(scope, key, entry);
    }

    /** Refuses keys that are too long, before any of several is written. */
    void checkKeys(List<byte[]> keys) throws CommandException {
        for (byte[] key : keys) {
            checkKey(key);
        }
    }

    private void checkKey(byte[] key) throws CommandException {
        int limit = server.config().limits().keyBytes();
        if (key.length > limit) {
            throw new CommandException("ERR key is longer than the " + limit + " bytes that --max-key allows");
        }
    }

    void remove(WriteGate.Scope scope, byte[] key) {
        keyspace.remove(scope, key);
    }

    long now() {
        return System.currentTimeMillis();
    }

    /** To be called by commands whose reply depends on many keys. */
    void sawEverything() {
        if (waitsForCommits) {
            seenTicket = Math.max(seenTicket, server.storage().gate().newestTicket());
        }
    }

    /** The ticket that the reply to the command just run must wait for; 0 for none. */
    long replyTicket() {
        return seenTicket;
    }

    /** Whether the command just run changed something. */
    boolean hasWritten() {
        return written;
    }

    void startCommand() {
        seenTicket = 0;
        written = false;
    }

    private void saw(byte[] key) {
        if (waitsForCommits) {
            seenTicket = Math.max(seenTicket, server.storage().gate().ticketOf(keyspace.number(), key));
        }
    }

    private void changed(WriteGate.Scope scope) {
        if (scope.ticket() != 0) {
            written = true;
            if (waitsForCommits) {
                seenTicket = Math.max(seenTicket, scope.ticket());
            }
            server.storage().committer().changed();
        }
    }
}
