/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.function.BiPredicate;
import org.h2.mvstore.Cursor;
import org.h2.mvstore.MVMap;
import org.h2.mvstore.MVStore;
import org.jspecify.annotations.Nullable;

/**
 * One numbered database: a map of keys to entries, and an index of the keys that expire, ordered by when. Reads need no
 * lock; changes need a {@link WriteGate.Scope} that covers the key, which keeps map and index in step.
 */
final class Keyspace {
    private final int number;
    private final MVStore store;
    private final MVMap<byte[], Entry> entries;
    private final MVMap<byte[], Boolean> expiries;

    Keyspace(int number, MVStore store, MVMap<byte[], Entry> entries, MVMap<byte[], Boolean> expiries) {
        this.number = number;
        this.store = store;
        this.entries = entries;
        this.expiries = expiries;
    }

    int number() {
        return number;
    }

    /** The entry stored under {@code key}, expired or not. */
    @Nullable Entry get(byte[] key) {
        MVStore.TxCounter usage = store.registerVersionUsage();
        try {
            return entries.get(key);
        } finally {
            release(usage);
        }
    }

    /** Keys stored, expired ones included until they are swept. */
    long size() {
        return entries.sizeAsLong();
    }

    /** Keys stored that have an expiry. */
    long expiring() {
        return expiries.sizeAsLong();
    }

    void put(WriteGate.Scope scope, byte[] key, Entry entry) {
        scope.changing();
        Entry previous = entries.put(key, entry);
        long before = previous == null ? Entry.NEVER : previous.expireAt();
        if (before != entry.expireAt()) {
            if (entry.expires()) {
                expiries.put(expiryKey(entry.expireAt(), key), Boolean.TRUE);
            }
            if (before != Entry.NEVER) {
                expiries.remove(expiryKey(before, key));
            }
        }
    }

    void remove(WriteGate.Scope scope, byte[] key) {
        scope.changing();
        Entry previous = entries.remove(key);
        if (previous != null && previous.expires()) {
            expiries.remove(expiryKey(previous.expireAt(), key));
        }
    }

    /** Removes every key. The scope must be {@linkplain WriteGate#enterAlone alone}. */
    void clear(WriteGate.Scope scope) {
        if (!entries.isEmpty() || !expiries.isEmpty()) {
            scope.changing();
            entries.clear();
            expiries.clear();
        }
    }

    /**
     * Visits keys in ascending order in one snapshot, from {@code from} (the least key if null) until {@code visitor}
     * returns false. The snapshot keeps its space in the file from being reused: visitors should be brief.
     */
    void scan(byte @Nullable [] from, BiPredicate<byte[], Entry> visitor) {
        MVStore.TxCounter usage = store.registerVersionUsage();
        try {
            Cursor<byte[], Entry> cursor = entries.cursor(from);
            while (cursor.hasNext()) {
                byte[] key = cursor.next();
                if (!visitor.test(key, cursor.getValue())) {
                    return;
                }
            }
        } finally {
            release(usage);
        }
    }

    /** Removes up to {@code limit} entries that are dead at {@code now}, the longest dead first. Returns how many. */
    int sweep(WriteGate gate, long now, int limit) {
        byte[][] due = dueAt(now, limit);
        int removed = 0;
        for (byte[] expiryKey : due) {
            byte[] key = Arrays.copyOfRange(expiryKey, Long.BYTES, expiryKey.length);
            try (WriteGate.Scope scope = gate.enter(number, key)) {
                Entry entry = entries.get(key);
                if (entry != null && !entry.liveAt(now)) {
                    remove(scope, key);
                    removed++;
                }
            }
        }
        return removed;
    }

    private byte[][] dueAt(long now, int limit) {
        MVStore.TxCounter usage = store.registerVersionUsage();
        try {
            byte[][] due = new byte[limit][];
            int count = 0;
            Cursor<byte[], Boolean> cursor = expiries.cursor(null);
            while (count < limit && cursor.hasNext()) {
                byte[] expiryKey = cursor.next();
                if (ByteBuffer.wrap(expiryKey).getLong() > now) {
                    break;
                }
                due[count++] = expiryKey;
            }
            return Arrays.copyOf(due, count);
        } finally {
            release(usage);
        }
    }

    /**
     * The space of a version may be reused once nobody is registered with it. Deregistering may take MVStore's store
     * lock to drop versions, which the next commit does anyway.
     */
    private void release(MVStore.TxCounter usage) {
        store.decrementVersionUsageCounter(usage);
    }

    private static byte[] expiryKey(long expireAt, byte[] key) {
        return ByteBuffer.allocate(Long.BYTES + key.length)
                .putLong(expireAt)
                .put(key)
                .array();
    }
}
