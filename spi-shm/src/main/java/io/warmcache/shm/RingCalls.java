/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.VarHandle;

/**
 * The three system calls of io_uring, which the C library has no functions for. Each returns what the kernel does: a
 * result, or minus an errno. Tests put others in their place.
 */
interface RingCalls {
    int IORING_REGISTER_FILES = 2;
    int IORING_ENTER_GETEVENTS = 1;

    /**
     * Makes a ring; returns its descriptor.
     *
     * @param params a {@code struct io_uring_params}
     */
    int setup(int entries, MemorySegment params);

    /** Registers files, by an array of descriptors. */
    int registerFiles(int ring, MemorySegment descriptors, int count);

    /**
     * Submits entries, and waits until there are so many completions.
     *
     * @param state native memory of {@link Kernel#STATE} for this call
     */
    int enter(int ring, int submit, int complete, MemorySegment state);

    /** Closes a ring. */
    default void close(int ring) {
        Libc.close(ring);
    }

    /** What became of a read, in bytes, as the kernel tells. */
    default int result(int slot, int result) {
        return result;
    }

    /** The kernel's. {@link NativeAccess#require} first. */
    final class Kernel implements RingCalls {
        static final MemoryLayout STATE = Linker.Option.captureStateLayout();

        private static final VarHandle ERRNO = STATE.varHandle(MemoryLayout.PathElement.groupElement("errno"));

        // The same on x86-64 and aarch64, as those of all calls since.
        private static final long SETUP = 425;
        private static final long ENTER = 426;
        private static final long REGISTER = 427;

        private static final MethodHandle SYSCALL = bind();

        @SuppressWarnings("restricted")
        private static MethodHandle bind() {
            Linker linker = Linker.nativeLinker();
            MemorySegment symbol = linker.defaultLookup()
                    .find("syscall")
                    .orElseThrow(() -> new UnsatisfiedLinkError("the C library has no syscall"));
            return linker.downcallHandle(
                    symbol,
                    FunctionDescriptor.of(
                            JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG),
                    Linker.Option.captureCallState("errno"),
                    Linker.Option.firstVariadicArg(1));
        }

        private static int call(MemorySegment state, long number, long a, long b, long c, long d) {
            try {
                long result = (long) SYSCALL.invokeExact(state, number, a, b, c, d, 0L, 0L);
                return (int) (result < 0 ? -(int) ERRNO.get(state, 0L) : result);
            } catch (RuntimeException | Error t) {
                throw t;
            } catch (Throwable t) {
                throw new IllegalStateException(t);
            }
        }

        @Override
        public int setup(int entries, MemorySegment params) {
            return call(Libc.callState(), SETUP, entries, params.address(), 0, 0);
        }

        @Override
        public int registerFiles(int ring, MemorySegment descriptors, int count) {
            return call(Libc.callState(), REGISTER, ring, IORING_REGISTER_FILES, descriptors.address(), count);
        }

        @Override
        public int enter(int ring, int submit, int complete, MemorySegment state) {
            return call(state, ENTER, ring, submit, complete, IORING_ENTER_GETEVENTS);
        }
    }
}
