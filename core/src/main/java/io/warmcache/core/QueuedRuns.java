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

    private final CachedFile file;
    private final int mostPages;
    private final long[] firsts;
    private final int[] counts;
    private final int[][] frames;
    private final long[][][] leaves;
    private final long[][] words;
    private final Events.Fault[] events;
    private final boolean[] ended;
    private final @Nullable Throwable[] failures;
    private int size;
    private int pages;

    QueuedRuns(CachedFile file, int most) {
        this.file = file;
        mostPages = Math.max(1, file.frames.capacity() / 8);
        firsts = new long[most];
        counts = new int[most];
        frames = new int[most][];
        leaves = new long[most][][];
        words = new long[most][];
        events = new Events.Fault[most];
        ended = new boolean[most];
        failures = new Throwable[most];
    }

    int size() {
        return size;
    }

    /** Whether so many pages more are no more than one call may take of a cache. */
    boolean hasRoom(int count) {
        return size == 0 || (size < firsts.length && pages + count <= mostPages);
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

    /** Why a run was not read, null if it was; after {@link #fill}. */
    @Nullable Throwable failure(int index) {
        return failures[index];
    }

    /** Reads all that was added, publishes what was read, and gives the rest up. */
    void fill() {
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
                if (!ended[i]) {
                    ended(i, failure != null ? failure : new IllegalStateException("the back end left out a run"));
                }
            } catch (Throwable t) {
                first = first == null ? t : first;
            }
        }
        if (first != null) {
            throw CachedFile.sneaky(first);
        }
    }

    @Override
    public void ended(int run, @Nullable Throwable failure) {
        ended[run] = true;
        failures[run] = failure;
        if (failure != null) {
            file.bulkIo.giveUp(firsts[run], leaves[run], words[run], frames[run], counts[run]);
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
