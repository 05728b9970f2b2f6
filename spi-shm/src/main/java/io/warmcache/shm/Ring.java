/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * An io_uring that reads files, for one thread at a time ({@code docs/internals.md}, section 16). The owner lock's open
 * file is registered with it before anything is submitted, so that a dead process's lock is held until the last of its
 * reads has ended. All that is needed to wait for reads was allocated with it.
 *
 * <p>How many are under way is what the kernel has taken less what was reaped here: both words of shared memory that
 * are right whatever was thrown in between.
 */
final class Ring {
    /** Reads at once. */
    static final int ENTRIES = 64;

    private static final int PARAMS_SIZE = 120;
    private static final int PARAMS_FEATURES = 20;
    private static final int PARAMS_SQ = 40;
    private static final int PARAMS_CQ = 80;

    /** One mapping of both queues, none lost, entries copied at submission; and, by the last, IORING_OP_READ. */
    private static final int FEATURES = 1 | 2 | 4 | 8;

    private static final long OFFSET_SQES = 0x1000_0000L;
    private static final int SQE_SIZE = 64;
    private static final int CQE_SIZE = 16;
    private static final byte OP_READV = 1;
    private static final byte OP_READ = 22;
    private static final int VECTOR_SIZE = 16;

    private static final int EBUSY_PAUSE_NANOS = 100_000;

    /** Calls within each other that take more stack than {@link #drain} does, be it interpreted. */
    private static final int SPARE_CALLS = 512;

    private static final VarHandle TAKEN;

    static {
        try {
            TAKEN = MethodHandles.lookup().findVarHandle(Ring.class, "taken", boolean.class);
        } catch (ReflectiveOperationException e) {
            throw new ExceptionInInitializerError(e);
        }
    }

    private final RingCalls calls;
    private final int fd;
    private final Arena arena;
    private final MemorySegment queues;
    private final MemorySegment sqes;
    private final MemorySegment vectors;
    private final MemorySegment state;
    private final long sqHead;
    private final long sqTail;
    private final int sqMask;
    private final long cqHead;
    private final long cqTail;
    private final int cqMask;
    private final long cqes;

    /**
     * Whether a thread has it; for good once it is closed. U9: that thread sets it to false, itself, so that no call
     * can fail, when the ring is not {@link #begun}.
     */
    volatile boolean taken = true;

    /** Something may have been submitted since nothing was under way. Of the thread that has the ring. */
    boolean begun;

    /** Bit i: slot i is not in use. */
    private long free = -1;

    private int result;

    private Ring(RingCalls calls, int fd, Arena arena, MemorySegment params, String what) throws IOException {
        this.calls = calls;
        this.fd = fd;
        this.arena = arena;
        long sq = PARAMS_SQ;
        long cq = PARAMS_CQ;
        int sqEntries = params.get(Layout.INT, 0);
        int cqEntries = params.get(Layout.INT, 4);
        long array = params.get(Layout.INT, sq + 24);
        cqes = params.get(Layout.INT, cq + 20);
        long length = Math.max(array + 4L * sqEntries, cqes + (long) CQE_SIZE * cqEntries);
        queues = Libc.map(fd, length, arena, what);
        sqes = Libc.map(fd, OFFSET_SQES, (long) SQE_SIZE * sqEntries, arena, what);
        vectors = arena.allocate((long) ENTRIES * Libc.MAX_VECTORS * VECTOR_SIZE, 8);
        state = arena.allocate(RingCalls.Kernel.STATE);
        sqHead = params.get(Layout.INT, sq);
        sqTail = params.get(Layout.INT, sq + 4);
        sqMask = queues.get(Layout.INT, params.get(Layout.INT, sq + 8));
        cqHead = params.get(Layout.INT, cq);
        cqTail = params.get(Layout.INT, cq + 4);
        cqMask = queues.get(Layout.INT, params.get(Layout.INT, cq + 8));
        for (int i = 0; i < sqEntries; i++) {
            queues.set(Layout.INT, array + 4L * i, i);
        }
    }

    /**
     * G1 to G3. The thread that calls this has the ring.
     *
     * @param owner the descriptor that holds the owner lock
     * @throws IOException if the kernel has no such thing for this process, or no more of it
     */
    @SuppressWarnings("MustBeClosedChecker") // closed with the ring
    static Ring open(RingCalls calls, int owner, @Nullable StepHook hook) throws IOException {
        String what = "a queue of reads";
        Arena arena = Arena.ofShared();
        int fd = -1;
        boolean done = false;
        try {
            MemorySegment params = arena.allocate(PARAMS_SIZE, 8);
            fd = checked(calls.setup(ENTRIES, params), "io_uring_setup", what);
            step(hook, "ring.made");
            if ((params.get(Layout.INT, PARAMS_FEATURES) & FEATURES) != FEATURES
                    || params.get(Layout.INT, 0) < ENTRIES) {
                throw new IOException("the kernel's io_uring is too old");
            }
            MemorySegment files = arena.allocate(4, 4);
            files.set(Layout.INT, 0, owner);
            var _ = checked(calls.registerFiles(fd, files, 1), "io_uring_register", what);
            step(hook, "ring.registered");
            Ring ring = new Ring(calls, fd, arena, params, what);
            var _ = checked(calls.enter(fd, 0, 0, ring.state), "io_uring_enter", what);
            step(hook, "ring.mapped");
            done = true;
            return ring;
        } finally {
            if (!done) {
                if (fd >= 0) {
                    Libc.close(fd);
                }
                arena.close();
            }
        }
    }

    private static int checked(int result, String call, String what) throws ErrnoException {
        if (result < 0) {
            throw new ErrnoException(call, what, -result);
        }
        return result;
    }

    private static void step(@Nullable StepHook hook, String name) {
        if (hook != null) {
            hook.at(name);
        }
    }

    // ---- whose it is -----------------------------------------------------------------------------------------------

    boolean tryTake() {
        return TAKEN.compareAndSet(this, false, true);
    }

    /** The caller has it, nothing is under way, and nobody will take it again. */
    void close() {
        try {
            calls.close(fd);
        } finally {
            arena.close();
        }
    }

    /** G4: throws {@link StackOverflowError} if the stack would not do for reads and {@link #drain}. */
    static void requireStack() {
        var _ = deeper(SPARE_CALLS);
    }

    private static int deeper(int calls) {
        return calls == 0 ? 0 : 1 + deeper(calls - 1);
    }

    // ---- the thread that has it ------------------------------------------------------------------------------------

    /**
     * Before the first read: nothing is under way and all slots are free. Makes the calls of {@link #drain}, so that
     * what cannot be done of it fails before anything depends on it.
     */
    void begin() {
        var _ = calls.enter(fd, 0, 0, state);
        drain();
        free = -1;
        begun = true;
    }

    private int get(long offset) {
        return (int) Layout.INT_VAR.getAcquire(queues, offset);
    }

    private void set(long offset, int value) {
        Layout.INT_VAR.setRelease(queues, offset, value);
    }

    /** A slot for a read, or -1: at most {@link #ENTRIES} are prepared or under way. */
    int slot() {
        return free == 0 ? -1 : Long.numberOfTrailingZeros(free);
    }

    /** Sets buffer {@code index} of a slot's read. */
    void vector(int slot, int index, long address, long length) {
        long at = ((long) slot * Libc.MAX_VECTORS + index) * VECTOR_SIZE;
        vectors.set(Layout.LONG, at, address);
        vectors.set(Layout.LONG, at + 8, length);
    }

    /** U3: a read into the first {@code count} buffers of the slot, which is in use from here on. */
    void add(int slot, int file, long position, int count) {
        int tail = get(sqTail);
        long sqe = (long) (tail & sqMask) * SQE_SIZE;
        long buffers = (long) slot * Libc.MAX_VECTORS * VECTOR_SIZE;
        boolean single = count == 1;
        sqes.asSlice(sqe, SQE_SIZE).fill((byte) 0);
        sqes.set(JAVA_BYTE, sqe, single ? OP_READ : OP_READV);
        sqes.set(Layout.INT, sqe + 4, file);
        sqes.set(Layout.LONG, sqe + 8, position);
        sqes.set(
                Layout.LONG,
                sqe + 16,
                single ? vectors.get(Layout.LONG, buffers) : vectors.address() + buffers);
        sqes.set(Layout.INT, sqe + 24, single ? (int) vectors.get(Layout.LONG, buffers + 8) : count);
        sqes.set(Layout.LONG, sqe + 32, slot);
        free &= ~(1L << slot);
        set(sqTail, tail + 1);
    }

    /** Whether there are reads that were added and not submitted. */
    boolean isPrepared() {
        return get(sqTail) != get(sqHead);
    }

    /**
     * U4: gives the kernel what was added. It may take less than all of it.
     *
     * @param complete how many completions to wait for
     */
    void enter(int complete) {
        int result = calls.enter(fd, get(sqTail) - get(sqHead), complete, state);
        if (result < 0 && result != -Libc.EINTR && complete > 0) {
            // Not to be waited for in the kernel: the reads end all the same, and their completions are seen.
            LockSupport.parkNanos(EBUSY_PAUSE_NANOS);
        }
    }

    /** Takes back the last read that was added and not taken by the kernel; returns its slot, now free, or -1. */
    int withdraw() {
        int tail = get(sqTail);
        if (tail == get(sqHead)) {
            return -1;
        }
        int slot = (int) sqes.get(Layout.LONG, (long) (tail - 1 & sqMask) * SQE_SIZE + 32);
        set(sqTail, tail - 1);
        free |= 1L << slot;
        return slot;
    }

    /** U5: the slot of a read that has ended, now free, or -1 if there is none; {@link #result} tells what of it. */
    int reap() {
        int head = get(cqHead);
        if (head == get(cqTail)) {
            return -1;
        }
        long cqe = cqes + (long) (head & cqMask) * CQE_SIZE;
        int slot = (int) queues.get(Layout.LONG, cqe);
        int read = queues.get(Layout.INT, cqe + 8);
        set(cqHead, head + 1);
        free |= 1L << slot;
        result = read;
        return slot;
    }

    /** Bytes read, or minus an errno. */
    int result(int slot) {
        return calls.result(slot, result);
    }

    /** Whether no memory is read into by the kernel: each read that it took has one completion. */
    boolean isIdle() {
        return get(sqHead) == get(cqHead);
    }

    /**
     * U8: returns when nothing is under way, whatever happens. What was not submitted is not. Not to be called by who
     * may have no stack for it, and nothing under way.
     */
    void drain() {
        boolean idle = false;
        while (!idle) {
            try {
                while (withdraw() >= 0) {
                    idle = false;
                }
                while (reap() >= 0) {
                    idle = false;
                }
                idle = isIdle();
                if (!idle) {
                    enter(1);
                }
            } catch (Throwable t) {
                idle = false; // heap or stack may be exhausted: what was submitted ends without them
            }
        }
        begun = false;
    }
}
