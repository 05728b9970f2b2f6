/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import io.warmcache.spi.BackendFile;
import org.jspecify.annotations.Nullable;

/**
 * Runs of EMPTY pages of one file whose words one thread owns, a frame for each page, to be read by one call of the
 * back end (Q2a of {@code docs/internals.md}, section 15). {@link #fill} ends the ownership of all, whatever happens.
 */
final class QueuedRuns implements BackendFile.RunFilled {
    /** Runs read by one call: twice what a back end reads at once, so that it always has some left to begin. */
    static final int MOST_RUNS = 128;

    /** Bytes read by one call: what a truncate, or the close of a file, has to wait for at most. */
    private static final long MOST_BYTES = 16 << 20;

    private final CachedFile file;
    private final int mostPages;
    private final long[] firsts;
    private final int[] counts;
    private final int[][] frames;
    private final long[][][] leaves;
    private final long[][] words;
    private final Events.Fault[] events;
    private final boolean[] ended;
    private final boolean[] leftOut;
    private final @Nullable Throwable[] failures;
    private int size;
    private int pages;
    private int reserved;
    private int told;

    QueuedRuns(CachedFile file, int most) {
        this.file = file;
        mostPages = Math.clamp(MOST_BYTES >>> file.pageShift, 1, Math.max(1, file.frames.capacity() / 8));
        firsts = new long[most];
        counts = new int[most];
        frames = new int[most][];
        leaves = new long[most][][];
        words = new long[most][];
        events = new Events.Fault[most];
        ended = new boolean[most];
        leftOut = new boolean[most];
        failures = new Throwable[most];
    }

    int size() {
        return size;
    }

    /**
     * Whether so many pages more are no more than one call, and all calls together, may take of a cache. They are
     * reserved then, until they are {@linkplain #add added} and {@linkplain #fill read}, or {@linkplain #settle not
     * had}.
     */
    boolean reserve(int count) {
        boolean fits = size == 0 || (size < firsts.length && pages + count <= mostPages);
        if (!fits || !file.frames.reserveQueued(count)) {
            return false;
        }
        reserved += count;
        return true;
    }

    /** Gives back what is reserved beyond what was added. */
    void settle() {
        file.frames.unreserveQueued(reserved - pages);
        reserved = pages;
    }

    /** Takes over the words and frames of a run, or throws and takes none. */
    void add(long first, long[][] runLeaves, long[] runWords, int[] run, int count) {
        Events.Fault event = new Events.Fault();
        event.begin();
        firsts[size] = first;
        counts[size] = count;
        frames[size] = run;
        leaves[size] = runLeaves;
        words[size] = runWords;
        events[size] = event;
        size++;
        pages += count;
    }

    /** Pages of a run that was added. */
    int count(int index) {
        return counts[index];
    }

    /** Why a run could not be read, null if it was read or left out; after {@link #fill}. */
    @Nullable Throwable failure(int index) {
        return failures[index];
    }

    /** Whether a run is yet to be read; after {@link #fill}. */
    boolean isLeftOut(int index) {
        return leftOut[index];
    }

    /** Whether all that was added was left out; after {@link #fill}. */
    boolean isAllLeftOut() {
        return size > 0 && told == 0;
    }

    /** Reads all that was added, publishes what was read, and gives the rest up. */
    void fill() {
        try {
            fillAll();
        } finally {
            file.frames.unreserveQueued(reserved);
            reserved = 0;
        }
    }

    private void fillAll() {
        Throwable failure = null;
        try {
            if (size > 0) {
                long[] written = new long[size];
                for (int i = 0; i < size; i++) {
                    written[i] = file.sets.refill(firsts[i], counts[i]);
                }
                file.backing().fillRuns(size, firsts, frames, counts, written, file.size, this);
            }
        } catch (Throwable t) {
            failure = t;
        }
        Throwable first = null;
        for (int i = 0; i < size; i++) {
            try {
                if (!ended[i] && failure != null) {
                    ended(i, failure);
                } else if (!ended[i]) {
                    ended[i] = true;
                    leftOut[i] = true;
                    giveUp(i);
                }
            } catch (Throwable t) {
                first = first == null ? t : first;
            }
        }
        if (first != null) {
            throw CachedFile.sneaky(first);
        }
    }

    private void giveUp(int run) {
        file.bulkIo.giveUp(firsts[run], leaves[run], words[run], frames[run], counts[run]);
    }

    /** Who closes the file or the cache waits for what was begun. */
    @Override
    public boolean goesOn() {
        return file.open && !file.cache.closing;
    }

    @Override
    public void ended(int run, @Nullable Throwable failure) {
        ended[run] = true;
        failures[run] = failure;
        told++;
        if (file.cache.closing) {
            file.cache.ending.moved();
        }
        if (failure != null) {
            giveUp(run);
            return;
        }
        file.bulkIo.arrived(firsts[run], leaves[run], words[run], frames[run], counts[run]);
        try {
            Events.Fault event = events[run];
            if (event.shouldCommit()) {
                event.of(file, firsts[run], (long) counts[run] << file.pageShift, "absent");
                event.commit();
            }
        } catch (Throwable t) {
            return; // the pages are there, and nobody else may be kept from hearing of his for want of an event
        }
    }
}
