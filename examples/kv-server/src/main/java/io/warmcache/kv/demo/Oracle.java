/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv.demo;

import java.util.Arrays;

/**
 * Knows which states each key may be in, from what was asked and what was acknowledged alone. A key's states are
 * numbered: version 0 is its absence before any write, and every write sent makes the next one.
 *
 * <p>While the server lives, a key written in this life has exactly the version last sent: each key has a connection
 * of its own to which requests about it go in order. Over a kill a key keeps at least the newest version that was
 * acknowledged and whose promise had come due, and may have any version sent after it: what was pending may have
 * happened or not. What is then read settles it, and the versions that turned out lost may never come back.
 *
 * <p>For one thread.
 */
final class Oracle {
    private static final int NOT_WRITTEN = -1;

    /** The newest version that a kill cannot take back. */
    private final int[] floor;
    /** Versions from here to {@link #last} may also be there after a kill; an earlier one, but the floor, may not. */
    private final int[] first;
    /** The version last sent. */
    private final int[] last;
    /** The version last sent in this life of the server, or {@link #NOT_WRITTEN}. */
    private final int[] live;

    /** How long after its acknowledgement a write may still be lost. */
    private long windowNanos;

    // acknowledged writes whose promise has not come due, a ring in order of time
    private int[] dueKey = new int[1024];
    private int[] dueVersion = new int[1024];
    private long[] dueTime = new long[1024];
    private int dueHead;
    private int dueCount;

    private long acknowledged;
    private long uncertain;

    /** What one read may find: {@code floor}, or anything from {@code first} to {@code last}. */
    record Allowed(int floor, int first, int last) {
        boolean contains(int version) {
            return version == floor || (version >= first && version <= last);
        }

        /** Whether there is but one answer. */
        boolean exact() {
            return first > last;
        }

        @Override
        public String toString() {
            return exact() ? "version " + floor : "version " + floor + " or " + first + " to " + last;
        }
    }

    Oracle(int keys) {
        floor = new int[keys];
        first = new int[keys];
        last = new int[keys];
        live = new int[keys];
        Arrays.fill(first, 1);
        Arrays.fill(live, NOT_WRITTEN);
    }

    /**
     * A server started.
     *
     * @param window how long after its acknowledgement this server may still lose a write, in ns; 0 for not at all
     */
    void serverStarted(long window) {
        windowNanos = window;
    }

    /** What a read of {@code key} that is sent now may find. */
    Allowed allowed(int key) {
        int version = live[key];
        return version == NOT_WRITTEN
                ? new Allowed(floor[key], first[key], last[key])
                : new Allowed(version, version + 1, version);
    }

    /**
     * Whether the next state of a key can be told from the write alone, even if the write builds on the state before.
     */
    boolean settled(int key) {
        return live[key] != NOT_WRITTEN || first[key] > last[key];
    }

    /** A write of {@code key} is sent now; the version it makes. */
    int written(int key) {
        int version = ++last[key];
        live[key] = version;
        return version;
    }

    /** The server said at {@code now} that it took this write. */
    void acknowledged(int key, int version, long now) {
        acknowledged++;
        if (windowNanos == 0) {
            raise(key, version);
            return;
        }
        if (dueCount == dueKey.length) {
            grow();
        }
        int at = (dueHead + dueCount) & (dueKey.length - 1);
        dueKey[at] = key;
        dueVersion[at] = version;
        dueTime[at] = now;
        dueCount++;
        comeDue(now);
    }

    /**
     * A read found this version, one of those allowed when it was sent.
     *
     * @param builds whether writes of this key build on the state before, so that lost versions are made anew
     */
    void found(int key, int version, Allowed allowed, boolean builds) {
        if (allowed.exact() || live[key] != NOT_WRITTEN) {
            return;
        }
        floor[key] = version;
        first[key] = allowed.last + 1;
        if (builds) {
            first[key] = version + 1;
            last[key] = version;
        }
    }

    /** The server was killed at {@code now}; no acknowledgement from it is left unread. */
    void serverKilled(long now) {
        comeDue(now);
        dueCount = 0;
        uncertain = 0;
        for (int key = 0; key < live.length; key++) {
            live[key] = NOT_WRITTEN;
            if (first[key] <= last[key]) {
                uncertain++;
            }
        }
    }

    /** The server was stopped cleanly, after it had answered everything: all that was acknowledged is kept. */
    void serverStopped() {
        for (; dueCount > 0; dueCount--) {
            raise(dueKey[dueHead], dueVersion[dueHead]);
            dueHead = (dueHead + 1) & (dueKey.length - 1);
        }
        serverKilled(0);
    }

    /** Writes acknowledged so far. */
    long acknowledgedWrites() {
        return acknowledged;
    }

    /** Keys of which the last kill left more than one state possible. */
    long uncertainKeys() {
        return uncertain;
    }

    private void comeDue(long now) {
        while (dueCount > 0 && now - dueTime[dueHead] > windowNanos) {
            raise(dueKey[dueHead], dueVersion[dueHead]);
            dueHead = (dueHead + 1) & (dueKey.length - 1);
            dueCount--;
        }
    }

    private void raise(int key, int version) {
        if (version > floor[key]) {
            floor[key] = version;
            first[key] = version + 1;
        }
    }

    private void grow() {
        int size = dueKey.length;
        int[] keys = new int[2 * size];
        int[] versions = new int[2 * size];
        long[] times = new long[2 * size];
        for (int i = 0; i < dueCount; i++) {
            int from = (dueHead + i) & (size - 1);
            keys[i] = dueKey[from];
            versions[i] = dueVersion[from];
            times[i] = dueTime[from];
        }
        dueKey = keys;
        dueVersion = versions;
        dueTime = times;
        dueHead = 0;
    }
}
