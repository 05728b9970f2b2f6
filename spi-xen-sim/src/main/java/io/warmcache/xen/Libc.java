/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.VarHandle;

/** The system calls behind machine memory, for Linux on x86-64 and aarch64. {@link NativeAccess#require} first. */
@SuppressWarnings("restricted")
final class Libc {
    private static final int PROT_READ_WRITE = 3;
    private static final int MAP_SHARED = 1;
    private static final int MAP_PRIVATE = 2;
    private static final int MAP_FIXED = 0x10;
    private static final int MAP_ANONYMOUS = 0x20;
    private static final int MAP_NORESERVE = 0x4000;
    private static final int MFD_CLOEXEC = 1;
    private static final int MFD_ALLOW_SEALING = 2;
    private static final int F_DUPFD_CLOEXEC = 1030;
    private static final int F_ADD_SEALS = 1033;
    private static final int F_SEAL_SEAL = 1;
    private static final int F_SEAL_SHRINK = 2;
    private static final int FALLOC_FL_KEEP_SIZE = 1;
    private static final int FALLOC_FL_PUNCH_HOLE = 2;
    private static final int O_RDWR = 2;
    private static final int O_DIRECT =
            System.getProperty("os.arch", "").equals("aarch64") ? 0x10000 : 0x4000;
    private static final int O_CREAT = 0x40;
    private static final int O_CLOEXEC = 0x80000;
    private static final int LOCK_EX_NB = 2 | 4;
    private static final int SEEK_END = 2;
    private static final int MADV_DONTDUMP = 16;
    /** The same number on every architecture. */
    private static final long SYS_PIDFD_OPEN = 434;

    private static final short POLLIN = 1;
    private static final int ESRCH = 3;
    private static final int EINTR = 4;
    private static final int EAGAIN = 11;

    private static final Linker LINKER = Linker.nativeLinker();
    private static final MemoryLayout STATE = Linker.Option.captureStateLayout();
    private static final VarHandle ERRNO = STATE.varHandle(MemoryLayout.PathElement.groupElement("errno"));
    private static final MethodHandle MEMFD = call("memfd_create", JAVA_INT, ADDRESS, JAVA_INT);
    private static final MethodHandle FTRUNCATE = call("ftruncate", JAVA_INT, JAVA_INT, JAVA_LONG);
    private static final MethodHandle MMAP =
            call("mmap", JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_LONG);
    private static final MethodHandle MUNMAP = call("munmap", JAVA_INT, JAVA_LONG, JAVA_LONG);
    private static final MethodHandle MADVISE = call("madvise", JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_INT);
    private static final MethodHandle PREAD = call("pread", JAVA_LONG, JAVA_INT, ADDRESS, JAVA_LONG, JAVA_LONG);
    private static final MethodHandle PWRITE = call("pwrite", JAVA_LONG, JAVA_INT, ADDRESS, JAVA_LONG, JAVA_LONG);
    private static final MethodHandle FSYNC = call("fsync", JAVA_INT, JAVA_INT);
    private static final MethodHandle FLOCK = call("flock", JAVA_INT, JAVA_INT, JAVA_INT);
    private static final MethodHandle LSEEK = call("lseek", JAVA_LONG, JAVA_INT, JAVA_LONG, JAVA_INT);
    private static final MethodHandle OPEN = LINKER.downcallHandle(
            LINKER.defaultLookup().findOrThrow("open"),
            FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_INT, JAVA_INT),
            Linker.Option.captureCallState("errno"),
            Linker.Option.firstVariadicArg(2));
    private static final MethodHandle FCNTL = LINKER.downcallHandle(
            LINKER.defaultLookup().findOrThrow("fcntl"),
            FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT),
            Linker.Option.captureCallState("errno"),
            Linker.Option.firstVariadicArg(2));
    private static final MethodHandle FALLOCATE = call("fallocate", JAVA_INT, JAVA_INT, JAVA_INT, JAVA_LONG, JAVA_LONG);
    private static final MethodHandle SYSCALL = LINKER.downcallHandle(
            LINKER.defaultLookup().findOrThrow("syscall"),
            FunctionDescriptor.of(JAVA_LONG, JAVA_LONG, JAVA_INT, JAVA_INT),
            Linker.Option.captureCallState("errno"),
            Linker.Option.firstVariadicArg(1));
    private static final MethodHandle POLL = call("poll", JAVA_INT, ADDRESS, JAVA_LONG, JAVA_INT);
    private static final MethodHandle CLOSE = call("close", JAVA_INT, JAVA_INT);

    private Libc() {}

    static MethodHandle call(String name, MemoryLayout result, MemoryLayout... arguments) {
        return LINKER.downcallHandle(
                LINKER.defaultLookup().findOrThrow(name),
                FunctionDescriptor.of(result, arguments),
                Linker.Option.captureCallState("errno"));
    }

    private static IOException failed(String what, MemorySegment state) {
        return new IOException(what + " failed with errno " + (int) ERRNO.get(state, 0L));
    }

    private static RuntimeException unexpected(Throwable t) {
        return new IllegalStateException("a downcall threw", t);
    }

    /** An anonymous file of {@code bytes} zeros that lives as long as its descriptor and mappings. */
    static int memory(String name, long bytes) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(STATE);
            int fd;
            int rc;
            try {
                fd = (int) MEMFD.invokeExact(state, arena.allocateFrom(name), MFD_CLOEXEC);
                if (fd < 0) {
                    throw failed("memfd_create", state);
                }
                rc = (int) FTRUNCATE.invokeExact(state, fd, bytes);
            } catch (IOException e) {
                throw e;
            } catch (Throwable t) {
                throw unexpected(t);
            }
            if (rc != 0) {
                IOException e = failed("ftruncate to " + bytes + " bytes", state);
                close(fd);
                throw e;
            }
            return fd;
        }
    }

    /**
     * An anonymous file that can never be shortened, neither by those who are handed its descriptor: whoever maps it
     * need not fear a fault. It holds nothing yet; {@link #grow} gives it memory.
     */
    static int sealedMemory(String name) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment text = arena.allocateFrom(name);
            int fd = (int) succeed(
                    "memfd_create", name, s -> (int) MEMFD.invokeExact(s, text, MFD_CLOEXEC | MFD_ALLOW_SEALING));
            boolean done = false;
            try {
                var _ = succeed(
                        "sealing",
                        name,
                        s -> (int) FCNTL.invokeExact(s, fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_SEAL));
                done = true;
                return fd;
            } finally {
                if (!done) {
                    close(fd);
                }
            }
        }
    }

    /** Allocates memory, zeros, for a range of a file, lengthening it where needed. */
    static void grow(int fd, long offset, long length, String file) throws IOException {
        var _ = succeed(
                "allocating " + length + " bytes", file, s -> (int) FALLOCATE.invokeExact(s, fd, 0, offset, length));
    }

    /** Gives the memory of a range back. */
    static void punch(int fd, long offset, long length, String file) throws IOException {
        var _ = succeed(
                "giving back " + length + " bytes",
                file,
                s -> (int) FALLOCATE.invokeExact(
                        s, fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, offset, length));
    }

    /** Another descriptor of the same file. */
    static int duplicate(int fd, String file) throws IOException {
        return (int) succeed("duplicating", file, s -> (int) FCNTL.invokeExact(s, fd, F_DUPFD_CLOEXEC, 0));
    }

    static void close(int fd) {
        try (Arena arena = Arena.ofConfined()) {
            var _ = (int) CLOSE.invokeExact(arena.allocate(STATE), fd);
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    private static long mmap(long address, long length, int flags, int fd, long offset) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(STATE);
            long got;
            try {
                got = (long) MMAP.invokeExact(state, address, length, PROT_READ_WRITE, flags, fd, offset);
            } catch (Throwable t) {
                throw unexpected(t);
            }
            if (got == -1) {
                throw failed("mmap of " + length + " bytes", state);
            }
            keepOutOfCoreDumps(got, length, state);
            return got;
        }
    }

    /** Memory files count as anonymous memory, which is dumped. If this fails dumps are larger, and nothing else. */
    private static void keepOutOfCoreDumps(long address, long length, MemorySegment state) {
        try {
            var _ = (int) MADVISE.invokeExact(state, address, length, MADV_DONTDUMP);
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    /** A mapping of all of a file. */
    static MemorySegment map(int fd, long length, Arena arena) throws IOException {
        return map(fd, 0, length, arena);
    }

    /** A mapping of a part of a file. */
    static MemorySegment map(int fd, long offset, long length, Arena arena) throws IOException {
        return segment(mmap(0, length, MAP_SHARED, fd, offset), length, arena);
    }

    /** Private zeros, to be replaced piece by piece. */
    static MemorySegment reserve(long length, Arena arena) throws IOException {
        return segment(mmap(0, length, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0), length, arena);
    }

    private static MemorySegment segment(long address, long length, Arena arena) {
        return MemorySegment.ofAddress(address).reinterpret(length, arena, m -> unmap(m.address(), length));
    }

    private static void unmap(long address, long length) {
        try (Arena arena = Arena.ofConfined()) {
            var _ = (int) MUNMAP.invokeExact(arena.allocate(STATE), address, length);
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    /** Replaces a part of a reservation by a part of a file. */
    static void mapInto(MemorySegment reservation, long at, long length, int fd, long offset) throws IOException {
        var _ = mmap(reservation.asSlice(at, length).address(), length, MAP_SHARED | MAP_FIXED, fd, offset);
    }

    /** Replaces a part of a reservation by private zeros. */
    static void unmapFrom(MemorySegment reservation, long at, long length) throws IOException {
        int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
        var _ = mmap(reservation.asSlice(at, length).address(), length, flags, -1, 0);
    }

    /** A system call on a descriptor: its result, or the negated error number. */
    @FunctionalInterface
    interface Call {
        long invoke(MemorySegment state) throws Throwable;
    }

    /** Repeats an interrupted call. */
    static long result(Call call) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(STATE);
            while (true) {
                long rc;
                try {
                    rc = call.invoke(state);
                } catch (Throwable t) {
                    throw unexpected(t);
                }
                int errno = rc < 0 ? (int) ERRNO.get(state, 0L) : 0;
                if (errno != EINTR) {
                    return rc < 0 ? -errno : rc;
                }
            }
        }
    }

    private static long succeed(String what, String file, Call call) throws IOException {
        long rc = result(call);
        if (rc < 0) {
            throw new IOException(what + " of " + file + " failed with errno " + -rc);
        }
        return rc;
    }

    /** Opens a file for direct I/O; -1 if its file system takes none. */
    static int openDirect(String file) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment path = arena.allocateFrom(file);
            return Math.max(
                    -1, (int) result(s -> (int) OPEN.invokeExact(s, path, O_RDWR | O_CLOEXEC | O_DIRECT, 0)));
        }
    }

    /** Opens a file, making an empty one that its owner alone may use where there is none. */
    static int create(String file) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment path = arena.allocateFrom(file);
            return (int) succeed(
                    "open", file, s -> (int) OPEN.invokeExact(s, path, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
        }
    }

    static int open(String file) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment path = arena.allocateFrom(file);
            return (int) succeed("open", file, s -> (int) OPEN.invokeExact(s, path, O_RDWR | O_CLOEXEC, 0));
        }
    }

    /** {@link #openProcess} of a process that is no more. */
    static final int GONE = -ESRCH;

    /** A descriptor of a process, {@link #GONE}, or another negative number if this system cannot tell. */
    static int openProcess(int pid) {
        return (int) result(s -> (long) SYSCALL.invokeExact(s, SYS_PIDFD_OPEN, pid, 0));
    }

    /** Whether all threads of a process end within that time. */
    static boolean awaitEnd(int process, int millis) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment polled = arena.allocate(8, 4);
            polled.set(JAVA_INT, 0, process);
            polled.set(JAVA_SHORT, 4, POLLIN);
            return result(s -> (int) POLL.invokeExact(s, polled, 1L, millis)) > 0;
        }
    }

    /** Whether the file could be locked; it stays so until the descriptor is closed. */
    static boolean tryLock(int fd, String file) throws IOException {
        long rc = result(s -> (int) FLOCK.invokeExact(s, fd, LOCK_EX_NB));
        if (rc < 0 && rc != -EAGAIN) {
            throw new IOException("flock of " + file + " failed with errno " + -rc);
        }
        return rc >= 0;
    }

    static long size(int fd, String file) throws IOException {
        return succeed("lseek", file, s -> (long) LSEEK.invokeExact(s, fd, 0L, SEEK_END));
    }

    static int read(int fd, MemorySegment target, long position, String file) throws IOException {
        return (int) succeed(
                "pread", file, s -> (long) PREAD.invokeExact(s, fd, target, target.byteSize(), position));
    }

    static int write(int fd, MemorySegment source, long position, String file) throws IOException {
        return (int) succeed(
                "pwrite", file, s -> (long) PWRITE.invokeExact(s, fd, source, source.byteSize(), position));
    }

    static void force(int fd, String file) throws IOException {
        var _ = succeed("fsync", file, s -> (int) FSYNC.invokeExact(s, fd));
    }

    static void truncate(int fd, long size, String file) throws IOException {
        var _ = succeed("ftruncate", file, s -> (int) FTRUNCATE.invokeExact(s, fd, size));
    }
}
