/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import io.warmcache.spi.FrameRecord;
import io.warmcache.spi.FrameState;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.VarHandle;
import org.jspecify.annotations.Nullable;

/**
 * The records of a segment, one a frame, each at a multiple of 64 bytes:
 *
 * <pre>
 *  offset  bytes  what
 *  0       8      state, one of five constants
 *  8       8      self-check over incarnation, frame, and everything from offset 16 on but the hint; 0 unless the
 *                 record is whole
 *  16      8      file id
 *  24      8      page in the file
 *  32      4      generation: how often the frame was filled
 *  36      4      hint of the replacement policy, not covered by the self-check
 *  40      8 * n  checksums of the n blocks
 * </pre>
 * A record is only worth what its state says, so every method below writes the state last when a record gets better,
 * and first when it gets worse. The order of the other stores does not matter to a reader that checks the self-check.
 */
final class Ledger {
    static final int SELF_CHECK = 8;
    static final int FILE_ID = 16;
    static final int PAGE = 24;
    static final int GENERATION = 32;
    static final int HINT = 36;
    static final int CHECKSUMS = 40;

    /*
     * Numbers without structure, more than 16 bits from each other and from 0 and -1, so that no flipped bit and no
     * torn or cleared word turns one state into another.
     */
    static final long FREE = 0x5A1C_93E7_0B64_D28FL;
    static final long FILLING = 0xC3D8_4F15_A6E9_703BL;
    static final long CLEAN = 0x17F6_2AB9_D450_8E6CL;
    static final long WRITTEN = 0xE882_B54E_619B_3DD5L;
    static final long DIRTY = 0x2E4B_D871_3F97_C4A2L;

    private final MemorySegment memory;
    private final Geometry geometry;
    private final long incarnation;
    private final @Nullable StepHook hook;

    Ledger(MemorySegment memory, Geometry geometry, long incarnation, @Nullable StepHook hook) {
        this.memory = memory;
        this.geometry = geometry;
        this.incarnation = incarnation;
        this.hook = hook;
    }

    private void step(String name) {
        if (hook != null) {
            hook.at(name);
        }
    }

    /** Makes the records from {@code from} on free. */
    void format(int from) {
        for (int frame = from; frame < geometry.frames(); frame++) {
            long base = geometry.record(frame);
            memory.asSlice(base, geometry.recordSize()).fill((byte) 0);
            memory.set(Layout.LONG, base, FREE);
        }
    }

    static @Nullable FrameState stateOf(long word) {
        if (word == FREE) {
            return FrameState.FREE;
        } else if (word == FILLING) {
            return FrameState.FILLING;
        } else if (word == CLEAN) {
            return FrameState.CLEAN;
        } else if (word == WRITTEN) {
            return FrameState.WRITTEN;
        } else if (word == DIRTY) {
            return FrameState.DIRTY;
        }
        return null;
    }

    long stateWord(int frame) {
        return (long) Layout.LONG_VAR.getAcquire(memory, geometry.record(frame));
    }

    private void setState(long base, long state) {
        Layout.LONG_VAR.setRelease(memory, base, state);
    }

    long fileId(int frame) {
        return memory.get(Layout.LONG, geometry.record(frame) + FILE_ID);
    }

    long page(int frame) {
        return memory.get(Layout.LONG, geometry.record(frame) + PAGE);
    }

    int generation(int frame) {
        return memory.get(Layout.INT, geometry.record(frame) + GENERATION);
    }

    /**
     * To {@code FILLING} under a new key and generation; the frame may be written to after this.
     *
     * @return the generation
     * @throws IllegalStateException if the frame holds something
     */
    int begin(int frame, long fileId, long page) {
        long base = geometry.record(frame);
        long state = memory.get(Layout.LONG, base);
        if (state == CLEAN || state == WRITTEN || state == DIRTY || state == FILLING) {
            throw new IllegalStateException("frame " + frame + " is " + stateOf(state) + ", not FREE");
        }
        step("begin");
        memory.set(Layout.LONG, base + SELF_CHECK, 0);
        memory.set(Layout.LONG, base + FILE_ID, fileId);
        memory.set(Layout.LONG, base + PAGE, page);
        int generation = memory.get(Layout.INT, base + GENERATION) + 1;
        memory.set(Layout.INT, base + GENERATION, generation);
        step("begin.keyed");
        setState(base, FILLING);
        // The stores of a fill, be they the kernel's or a store's own, must not be seen before the state.
        VarHandle.fullFence();
        step("begin.filling");
        return generation;
    }

    /**
     * Requires a record of this page and returns its generation.
     *
     * @throws IllegalStateException if the record is another page's or in neither of the states
     */
    int require(int frame, long fileId, long page, long stateA, long stateB) {
        long base = geometry.record(frame);
        long state = stateWord(frame);
        if (state != stateA && state != stateB) {
            throw new IllegalStateException("frame " + frame + " is " + stateOf(state) + ", not " + stateOf(stateA)
                    + (stateA == stateB ? "" : " or " + stateOf(stateB)));
        }
        if (fileId(frame) != fileId || page(frame) != page) {
            throw new IllegalStateException("frame " + frame + " is recorded for page " + page(frame) + " of file "
                    + fileId(frame) + ", not for page " + page + " of file " + fileId);
        }
        return memory.get(Layout.INT, base + GENERATION);
    }

    /** Only in state {@code FILLING} or {@code DIRTY}, and before {@link #publish}. */
    void checksum(int frame, int block, long value) {
        memory.set(Layout.LONG, geometry.record(frame) + CHECKSUMS + 8L * block, value);
    }

    /** Completes the self-check and sets the state. */
    void publish(int frame, long state) {
        long base = geometry.record(frame);
        step("publish");
        memory.set(Layout.LONG, base + SELF_CHECK, selfCheck(frame));
        step("publish.checked");
        setState(base, state);
        step("publish.done");
    }

    /** To {@code DIRTY}, ordered before every later store of this thread to the frame. */
    void dirty(int frame) {
        long base = geometry.record(frame);
        if (memory.get(Layout.LONG, base) != DIRTY) {
            step("dirty");
            Layout.LONG_VAR.setOpaque(memory, base, DIRTY);
        }
        VarHandle.storeStoreFence();
        step("dirty.done");
    }

    /** To {@code FREE}, ordered before every later store and load. */
    void free(int frame) {
        long base = geometry.record(frame);
        step("free");
        setState(base, FREE);
        step("free.state");
        Layout.LONG_VAR.setRelease(memory, base + SELF_CHECK, 0L);
        VarHandle.fullFence();
        step("free.done");
    }

    /**
     * Moves the page of a {@code CLEAN} or {@code WRITTEN} frame to a free one. The generation goes along, since the
     * checksums depend on it and are not to be computed anew.
     *
     * @param frames the memory of all frames
     * @return false, with nothing done, if the record is not whole
     * @throws IllegalStateException if a frame is in another state
     */
    boolean move(int from, int to, MemorySegment frames) {
        long source = geometry.record(from);
        long target = geometry.record(to);
        long state = stateWord(from);
        FrameState sourceState = stateOf(state);
        FrameState targetState = stateOf(stateWord(to));
        // A word that is no state was overwritten: such a frame holds nothing, and has nothing to be moved.
        boolean free = targetState == null || targetState == FrameState.FREE;
        boolean good = sourceState == null || sourceState == FrameState.CLEAN || sourceState == FrameState.WRITTEN;
        if (!good || !free) {
            throw new IllegalStateException("frame " + from + " is " + sourceState + " and frame " + to + " "
                    + targetState + ": only a CLEAN or WRITTEN one can be moved, to a FREE one");
        }
        if (sourceState == null || !isWhole(from)) {
            return false;
        }
        step("move");
        memory.set(Layout.LONG, target + SELF_CHECK, 0);
        MemorySegment.copy(memory, source + PAGE, memory, target + PAGE, geometry.recordSize() - PAGE);
        // Of no file as long as the source is valid: a death until then leaves the page in one record.
        memory.set(Layout.LONG, target + FILE_ID, 0);
        step("move.keyed");
        setState(target, FILLING);
        VarHandle.fullFence();
        step("move.filling");
        int pageSize = geometry.pageSize();
        MemorySegment.copy(frames, (long) from * pageSize, frames, (long) to * pageSize, pageSize);
        step("move.copied");
        free(from);
        memory.set(Layout.LONG, target + FILE_ID, memory.get(Layout.LONG, source + FILE_ID));
        publish(to, state);
        return true;
    }

    void forced(int frame) {
        // A compare-and-set, though nobody else changes the state: a late call must not raise a frame from any other
        // state.
        var _ = Layout.LONG_VAR.compareAndSet(memory, geometry.record(frame), WRITTEN, CLEAN);
        step("forced");
    }

    void hint(int frame, int hint) {
        Layout.INT_VAR.setOpaque(memory, geometry.record(frame) + HINT, hint);
    }

    int hint(int frame) {
        return (int) Layout.INT_VAR.getOpaque(memory, geometry.record(frame) + HINT);
    }

    private long selfCheck(int frame) {
        return selfCheck(memory, geometry.record(frame), frame, geometry.blocks(), incarnation);
    }

    private static long selfCheck(MemorySegment m, long base, int frame, int blocks, long incarnation) {
        long h = WordHash.mix(incarnation, frame);
        h = WordHash.mix(h, m.get(Layout.LONG, base + FILE_ID));
        h = WordHash.mix(h, m.get(Layout.LONG, base + PAGE));
        h = WordHash.mix(h, m.get(Layout.INT, base + GENERATION));
        for (int b = 0; b < blocks; b++) {
            h = WordHash.mix(h, m.get(Layout.LONG, base + CHECKSUMS + 8L * b));
        }
        return WordHash.finish(h);
    }

    /** Whether the self-check of the record of {@code frame}, found at {@code base} of {@code m}, matches. */
    static boolean isWhole(MemorySegment m, long base, int frame, int blocks, long incarnation) {
        return m.get(Layout.LONG, base + SELF_CHECK) == selfCheck(m, base, frame, blocks, incarnation);
    }

    boolean isWhole(int frame) {
        return isWhole(memory, geometry.record(frame), frame, geometry.blocks(), incarnation);
    }

    /** Copies a record; a free one is whole and has no key. */
    boolean read(int frame, FrameRecord into) {
        long base = geometry.record(frame);
        FrameState state = stateOf(stateWord(frame));
        if (state == null) {
            return false;
        }
        into.state = state;
        if (state == FrameState.FREE) {
            into.fileId = 0;
            into.page = -1;
            into.generation = generation(frame);
            return true;
        }
        into.fileId = fileId(frame);
        into.page = page(frame);
        into.generation = generation(frame);
        MemorySegment.copy(memory, Layout.LONG, base + CHECKSUMS, into.checksums, 0, geometry.blocks());
        return isWhole(frame);
    }
}
