/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core.evict;

/**
 * The pages evicted last: for each a fingerprint of its key and the time it was last known to be in use. A
 * set-associative table without links; the oldest entry of a full set gives way. A fingerprint may stand for another
 * key (once in about 2^29 lookups), which costs one wrong guess of the policy and nothing else.
 */
final class Ghosts {
    private static final int WAYS = 8;

    /** Fingerprint in the high half, time in the low half; 0 is an empty slot. */
    private final long[] entries;

    private final int sets;

    /** The slot that the last call of {@link #add} or of a {@link #take} with success changed. */
    private int changed;

    Ghosts(int capacity) {
        sets = Math.max(1, (capacity + WAYS - 1) / WAYS);
        entries = new long[sets * WAYS];
    }

    /** Notes that the page of {@code keyHash}, last in use at {@code time}, was evicted at {@code now}. */
    void add(long keyHash, int time, int now) {
        int set = set(keyHash);
        int fingerprint = fingerprint(keyHash);
        int slot = set;
        long oldest = -1;
        for (int i = set; i < set + WAYS; i++) {
            if (entries[i] == 0 || (int) (entries[i] >>> 32) == fingerprint) {
                slot = i;
                break;
            }
            long age = Integer.toUnsignedLong(now - (int) entries[i]);
            if (age > oldest) {
                oldest = age;
                slot = i;
            }
        }
        entries[slot] = ((long) fingerprint << 32) | Integer.toUnsignedLong(time);
        changed = slot;
    }

    /** Takes the page of {@code keyHash} out; how long ago it was in use, or -1 if it is not here. */
    long take(long keyHash, int now) {
        int set = set(keyHash);
        int fingerprint = fingerprint(keyHash);
        for (int i = set; i < set + WAYS; i++) {
            if ((int) (entries[i] >>> 32) == fingerprint) {
                long age = Integer.toUnsignedLong(now - (int) entries[i]);
                entries[i] = 0;
                changed = i;
                return age;
            }
        }
        return -1;
    }

    int changed() {
        return changed;
    }

    int slots() {
        return entries.length;
    }

    long entry(int slot) {
        return entries[slot];
    }

    void entry(int slot, long entry) {
        entries[slot] = entry;
    }

    private int set(long keyHash) {
        return (int) ((Integer.toUnsignedLong((int) keyHash) * sets) >>> 32) * WAYS;
    }

    private static int fingerprint(long keyHash) {
        int fingerprint = (int) (keyHash >>> 32);
        return fingerprint != 0 ? fingerprint : 1;
    }
}
