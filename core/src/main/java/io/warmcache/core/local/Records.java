/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core.local;

import io.warmcache.spi.FrameRecord;
import io.warmcache.spi.FrameState;
import java.util.Arrays;
import java.util.concurrent.atomic.AtomicReferenceArray;

/**
 * What each frame holds. As the cache calls no two verbs for one frame at once, only the state is written in a way that
 * orders what was written before it.
 */
final class Records {
    private final int blocks;
    private final AtomicReferenceArray<FrameState> states;
    private final long[] files;
    private final long[] pages;
    private final int[] generations;
    private final long[] checksums;

    Records(int frames, int blocks) {
        this.blocks = blocks;
        states = new AtomicReferenceArray<>(frames);
        files = new long[frames];
        pages = new long[frames];
        generations = new int[frames];
        checksums = new long[frames * blocks];
        for (int frame = 0; frame < frames; frame++) {
            states.setPlain(frame, FrameState.FREE);
        }
    }

    FrameState state(int frame) {
        return states.getAcquire(frame);
    }

    void state(int frame, FrameState state) {
        states.setRelease(frame, state);
    }

    int generation(int frame) {
        return generations[frame];
    }

    void read(int frame, FrameRecord into) {
        into.state = state(frame);
        into.fileId = files[frame];
        into.page = pages[frame];
        into.generation = generations[frame];
        System.arraycopy(checksums, frame * blocks, into.checksums, 0, blocks);
    }

    /** {@code FREE} to {@code FILLING}. */
    void begin(int frame, long fileId, long page) {
        FrameState state = state(frame);
        if (state != FrameState.FREE) {
            throw new IllegalStateException("frame " + frame + " is " + state + " and cannot be filled");
        }
        files[frame] = fileId;
        pages[frame] = page;
        generations[frame]++;
        state(frame, FrameState.FILLING);
    }

    /**
     * Takes the record of a {@code CLEAN} or {@code WRITTEN} frame over into that of a {@code FREE} one, which is
     * {@code FILLING} until its bytes are there.
     *
     * @return the state of {@code from}
     */
    FrameState beginMove(int from, int to) {
        require(from, FrameState.CLEAN, FrameState.WRITTEN);
        require(to, FrameState.FREE);
        files[to] = files[from];
        pages[to] = pages[from];
        generations[to] = generations[from];
        System.arraycopy(checksums, from * blocks, checksums, to * blocks, blocks);
        state(to, FrameState.FILLING);
        return state(from);
    }

    void markDirty(int frame) {
        require(frame, FrameState.CLEAN, FrameState.WRITTEN, FrameState.DIRTY);
        state(frame, FrameState.DIRTY);
    }

    void require(int frame, FrameState... allowed) {
        FrameState state = state(frame);
        if (!Arrays.asList(allowed).contains(state)) {
            throw new IllegalStateException(
                    "frame " + frame + " is " + state + ", which must be one of " + Arrays.toString(allowed));
        }
    }

    void require(int frame, long fileId, long page, FrameState... allowed) {
        require(frame, allowed);
        if (files[frame] != fileId || pages[frame] != page) {
            throw new IllegalStateException("frame " + frame + " holds page " + pages[frame] + " of file "
                    + files[frame] + ", not page " + page + " of file " + fileId);
        }
    }

    void checksum(int frame, int block, long value) {
        checksums[frame * blocks + block] = value;
    }
}
