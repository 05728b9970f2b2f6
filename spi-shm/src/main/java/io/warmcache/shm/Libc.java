/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.VarHandle;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;

/**
 * The system calls of this module, for Linux on x86-64 and aarch64. Interrupted calls are repeated; a failure is an
 * {@link ErrnoException}. {@link NativeAccess#require} first.
 */
final class Libc {
    static final int O_RDONLY = 0;
    static final int O_RDWR = 2;
    static final int O_CREAT = 0x40;
    static final int O_EXCL = 0x80;
    static final int O_CLOEXEC = 0x80000;
    static final int O_DIRECT;
    static final int O_NOFOLLOW;

    static final int ENOENT = 2;
    static final int EINTR = 4;
    static final int EAGAIN = 11;
    static final int EACCES = 13;
    static final int EEXIST = 17;
    static final int EINVAL = 22;
    static final int ENOSPC = 28;
    static final int ELOOP = 40;
    static final int EDQUOT = 122;

    /** The most buffers of one vectored transfer that this class is asked for. */
    static final int MAX_VECTORS = 64;

    private static final int AT_FDCWD = -100;
    private static final int AT_SYMLINK_NOFOLLOW = 0x100;
    private static final int AT_EMPTY_PATH = 0x1000;
    private static final int STATX_BASIC_STATS = 0x7FF;
    private static final int STATX_BTIME = 0x800;
    private static final int STATX_DIOALIGN = 0x2000;
    private static final int F_GETFL = 3;
    private static final int F_SETFL = 4;
    private static final int LOCK_EX = 2;
    private static final int LOCK_NB = 4;
    private static final int LOCK_UN = 8;
    private static final int PROT_READ_WRITE = 3;
    private static final int MAP_SHARED = 1;
    private static final int MADV_DONTDUMP = 16;
    private static final long FS_IOC_GETVERSION = 0x80087601L;
    private static final int CLOCK_REALTIME = 0;
    private static final int CLOCK_BOOTTIME = 7;

    static {
        boolean arm = System.getProperty("os.arch", "").equals("aarch64");
        O_DIRECT = arm ? 0x10000 : 0x4000;
        O_NOFOLLOW = arm ? 0x8000 : 0x20000;
    }

    private static final Linker LINKER = Linker.nativeLinker();
    private static final MemoryLayout STATE = Linker.Option.captureStateLayout();
    private static final VarHandle ERRNO = STATE.varHandle(MemoryLayout.PathElement.groupElement("errno"));

    private static final MethodHandle OPEN = variadic(2, "open", JAVA_INT, ADDRESS, JAVA_INT, JAVA_INT);
    private static final MethodHandle CLOSE = call("close", JAVA_INT, JAVA_INT);
    private static final MethodHandle STATX =
            call("statx", JAVA_INT, JAVA_INT, ADDRESS, JAVA_INT, JAVA_INT, ADDRESS);
    private static final MethodHandle STATFS = call("statfs", JAVA_INT, ADDRESS, ADDRESS);
    private static final MethodHandle FSTATFS = call("fstatfs", JAVA_INT, JAVA_INT, ADDRESS);
    private static final MethodHandle FLOCK = call("flock", JAVA_INT, JAVA_INT, JAVA_INT);
    private static final MethodHandle FCNTL = variadic(2, "fcntl", JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT);
    private static final MethodHandle IOCTL = variadic(2, "ioctl", JAVA_INT, JAVA_INT, JAVA_LONG, ADDRESS);
    private static final MethodHandle MMAP =
            call("mmap", JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_LONG);
    private static final MethodHandle MUNMAP = call("munmap", JAVA_INT, JAVA_LONG, JAVA_LONG);
    private static final MethodHandle MADVISE = call("madvise", JAVA_INT, ADDRESS, JAVA_LONG, JAVA_INT);
    private static final MethodHandle FALLOCATE =
            call("fallocate", JAVA_INT, JAVA_INT, JAVA_INT, JAVA_LONG, JAVA_LONG);
    private static final MethodHandle FTRUNCATE = call("ftruncate", JAVA_INT, JAVA_INT, JAVA_LONG);
    private static final MethodHandle PREAD =
            call("pread", JAVA_LONG, JAVA_INT, ADDRESS, JAVA_LONG, JAVA_LONG);
    private static final MethodHandle PWRITE =
            call("pwrite", JAVA_LONG, JAVA_INT, ADDRESS, JAVA_LONG, JAVA_LONG);
    private static final MethodHandle PREADV =
            call("preadv", JAVA_LONG, JAVA_INT, ADDRESS, JAVA_INT, JAVA_LONG);
    private static final MethodHandle PWRITEV =
            call("pwritev", JAVA_LONG, JAVA_INT, ADDRESS, JAVA_INT, JAVA_LONG);
    private static final MethodHandle FSYNC = call("fsync", JAVA_INT, JAVA_INT);
    private static final MethodHandle UNLINK = call("unlink", JAVA_INT, ADDRESS);
    private static final MethodHandle GETEUID = call("geteuid", JAVA_INT);
    private static final MethodHandle CLOCK_GETTIME = call("clock_gettime", JAVA_INT, JAVA_INT, ADDRESS);
    private static final MethodHandle STRERROR = call("strerror", ADDRESS, JAVA_INT);

    /** How the JVM itself encodes file names. */
    private static final Charset FILE_NAMES =
            Charset.forName(System.getProperty("sun.jnu.encoding", "UTF-8"), StandardCharsets.UTF_8);

    private static final ThreadLocal<Scratch> SCRATCH = ThreadLocal.withInitial(Scratch::new);

    private Libc() {}

    /** Native memory of one thread for call arguments; freed with the thread. */
    private static final class Scratch {
        final MemorySegment state;
        /** A {@code struct statx}, {@code statfs} or {@code timespec}. */
        final MemorySegment struct;
        final MemorySegment vectors;

        Scratch() {
            Arena arena = Arena.ofAuto();
            state = arena.allocate(STATE);
            struct = arena.allocate(256, 8);
            vectors = arena.allocate(16L * MAX_VECTORS, 8);
        }

        int errno() {
            return (int) ERRNO.get(state, 0L);
        }
    }

    private static MethodHandle call(String name, MemoryLayout result, MemoryLayout... arguments) {
        return bind(name, result, arguments, Linker.Option.captureCallState("errno"));
    }

    private static MethodHandle variadic(int fixed, String name, MemoryLayout result, MemoryLayout... arguments) {
        return bind(
                name,
                result,
                arguments,
                Linker.Option.captureCallState("errno"),
                Linker.Option.firstVariadicArg(fixed));
    }

    @SuppressWarnings("restricted")
    private static MethodHandle bind(
            String name, MemoryLayout result, MemoryLayout[] arguments, Linker.Option... options) {
        MemorySegment symbol = LINKER.defaultLookup()
                .find(name)
                .orElseThrow(() -> new UnsatisfiedLinkError("the C library has no " + name));
        return LINKER.downcallHandle(symbol, FunctionDescriptor.of(result, arguments), options);
    }

    private static RuntimeException unexpected(Throwable t) {
        if (t instanceof Error e) {
            throw e;
        }
        if (t instanceof RuntimeException e) {
            throw e;
        }
        return new IllegalStateException(t);
    }

    @SuppressWarnings("restricted")
    static String errorText(int errno) {
        try {
            MemorySegment text = (MemorySegment) STRERROR.invokeExact(SCRATCH.get().state, errno);
            return text.reinterpret(256).getString(0) + " (errno " + errno + ")";
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    private static MemorySegment cString(Arena arena, String path) {
        byte[] bytes = path.getBytes(FILE_NAMES);
        MemorySegment s = arena.allocate(bytes.length + 1L);
        MemorySegment.copy(bytes, 0, s, ValueLayout.JAVA_BYTE, 0, bytes.length);
        return s;
    }

    /** Opens {@code path}; the descriptor is closed on exec. */
    static int open(String path, int flags, int mode) throws IOException {
        Scratch s = SCRATCH.get();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment name = cString(arena, path);
            while (true) {
                int fd;
                try {
                    fd = (int) OPEN.invokeExact(s.state, name, flags | O_CLOEXEC, mode);
                } catch (Throwable t) {
                    throw unexpected(t);
                }
                if (fd >= 0) {
                    return fd;
                }
                retryOrThrow(s, "open", path);
            }
        }
    }

    private static void retryOrThrow(Scratch s, String call, String what) throws IOException {
        int errno = s.errno();
        if (errno != EINTR) {
            throw new ErrnoException(call, what, errno);
        }
    }

    /**
     * Closes a descriptor. Errors are dropped: what matters was forced before, and the descriptor is gone either way.
     */
    static void close(int fd) {
        try {
            var _ = (int) CLOSE.invokeExact(SCRATCH.get().state, fd);
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    static FileStat fstat(int fd, String what) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            return statx(fd, arena.allocate(1), AT_EMPTY_PATH, what);
        }
    }

    /** Never opens the file. */
    static FileStat stat(String path, boolean followLinks) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            return statx(AT_FDCWD, cString(arena, path), followLinks ? 0 : AT_SYMLINK_NOFOLLOW, path);
        }
    }

    private static FileStat statx(int dir, MemorySegment name, int flags, String what) throws IOException {
        Scratch s = SCRATCH.get();
        int mask = STATX_BASIC_STATS | STATX_BTIME | STATX_DIOALIGN;
        while (true) {
            int rc;
            try {
                rc = (int) STATX.invokeExact(s.state, dir, name, flags, mask, s.struct);
            } catch (Throwable t) {
                throw unexpected(t);
            }
            if (rc == 0) {
                break;
            }
            retryOrThrow(s, "statx", what);
        }
        MemorySegment x = s.struct;
        int got = x.get(JAVA_INT, 0);
        return new FileStat(
                x.get(ValueLayout.JAVA_SHORT, 28) & 0xFFFF,
                x.get(JAVA_INT, 20),
                x.get(JAVA_INT, 16),
                x.get(JAVA_LONG, 32),
                x.get(JAVA_INT, 136),
                x.get(JAVA_INT, 140),
                x.get(JAVA_LONG, 40),
                x.get(JAVA_LONG, 48) * 512,
                (got & STATX_BTIME) != 0 ? time(x, 80) : 0,
                time(x, 112),
                time(x, 96),
                (got & STATX_DIOALIGN) != 0 ? Math.max(x.get(JAVA_INT, 152), x.get(JAVA_INT, 156)) : 0);
    }

    private static long time(MemorySegment x, long offset) {
        return x.get(JAVA_LONG, offset) * 1_000_000_000L + (x.get(JAVA_INT, offset + 8) & 0xFFFFFFFFL);
    }

    static FsStat fstatfs(int fd, String what) throws IOException {
        Scratch s = SCRATCH.get();
        while (true) {
            int rc;
            try {
                rc = (int) FSTATFS.invokeExact(s.state, fd, s.struct);
            } catch (Throwable t) {
                throw unexpected(t);
            }
            if (rc == 0) {
                return fsStat(s.struct);
            }
            retryOrThrow(s, "fstatfs", what);
        }
    }

    static FsStat statfs(String path) throws IOException {
        Scratch s = SCRATCH.get();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment name = cString(arena, path);
            while (true) {
                int rc;
                try {
                    rc = (int) STATFS.invokeExact(s.state, name, s.struct);
                } catch (Throwable t) {
                    throw unexpected(t);
                }
                if (rc == 0) {
                    return fsStat(s.struct);
                }
                retryOrThrow(s, "statfs", path);
            }
        }
    }

    private static FsStat fsStat(MemorySegment x) {
        long unit = x.get(JAVA_LONG, 8);
        return new FsStat(
                x.get(JAVA_LONG, 0),
                x.get(JAVA_LONG, 56),
                unit,
                x.get(JAVA_LONG, 16) * unit,
                x.get(JAVA_LONG, 32) * unit);
    }

    /**
     * Takes an exclusive {@code flock} if nobody has it. Unlike an {@code fcntl} lock it belongs to this one
     * descriptor: no other descriptor of the file, opened and closed in this process, can drop it.
     */
    static boolean tryLock(int fd, String what) throws IOException {
        Scratch s = SCRATCH.get();
        while (true) {
            int rc;
            try {
                rc = (int) FLOCK.invokeExact(s.state, fd, LOCK_EX | LOCK_NB);
            } catch (Throwable t) {
                throw unexpected(t);
            }
            if (rc == 0) {
                return true;
            }
            if (s.errno() == EAGAIN) {
                return false;
            }
            retryOrThrow(s, "flock", what);
        }
    }

    /** Gives the {@code flock} up even where a child process between fork and exec still shares the descriptor. */
    static void unlock(int fd) {
        try {
            var _ = (int) FLOCK.invokeExact(SCRATCH.get().state, fd, LOCK_UN);
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    /** Switches {@code O_DIRECT} of an open descriptor. */
    static void setDirect(int fd, boolean direct, String what) throws IOException {
        Scratch s = SCRATCH.get();
        int flags = fcntl(s, fd, F_GETFL, 0, what);
        var _ = fcntl(s, fd, F_SETFL, direct ? flags | O_DIRECT : flags & ~O_DIRECT, what);
    }

    private static int fcntl(Scratch s, int fd, int command, int argument, String what) throws IOException {
        while (true) {
            int rc;
            try {
                rc = (int) FCNTL.invokeExact(s.state, fd, command, argument);
            } catch (Throwable t) {
                throw unexpected(t);
            }
            if (rc >= 0) {
                return rc;
            }
            retryOrThrow(s, "fcntl", what);
        }
    }

    /** The inode's generation, or 0 where the file system has none. */
    static int generation(int fd) {
        Scratch s = SCRATCH.get();
        s.struct.set(JAVA_LONG, 0, 0);
        try {
            int rc = (int) IOCTL.invokeExact(s.state, fd, FS_IOC_GETVERSION, s.struct);
            return rc == 0 ? s.struct.get(JAVA_INT, 0) : 0;
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    /**
     * Maps {@code length} bytes for reading and writing until {@code arena} is closed, and keeps them out of core
     * dumps.
     */
    @SuppressWarnings("restricted")
    static MemorySegment map(int fd, long length, Arena arena, String what) throws IOException {
        Scratch s = SCRATCH.get();
        long address;
        try {
            address = (long) MMAP.invokeExact(s.state, 0L, length, PROT_READ_WRITE, MAP_SHARED, fd, 0L);
        } catch (Throwable t) {
            throw unexpected(t);
        }
        if (address == -1) {
            throw new ErrnoException("mmap", what, s.errno());
        }
        MemorySegment memory = MemorySegment.ofAddress(address).reinterpret(length, arena, m -> unmap(m, length));
        int rc;
        try {
            rc = (int) MADVISE.invokeExact(s.state, memory, length, MADV_DONTDUMP);
        } catch (Throwable t) {
            throw unexpected(t);
        }
        if (rc != 0) {
            throw new ErrnoException("madvise(MADV_DONTDUMP)", what, s.errno());
        }
        return memory;
    }

    private static void unmap(MemorySegment memory, long length) {
        try {
            var _ = (int) MUNMAP.invokeExact(SCRATCH.get().state, memory.address(), length);
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    /** Gives {@code length} bytes storage; bytes that had some keep their content. */
    static void allocate(int fd, long length, String what) throws IOException {
        Scratch s = SCRATCH.get();
        while (true) {
            int rc;
            try {
                rc = (int) FALLOCATE.invokeExact(s.state, fd, 0, 0L, length);
            } catch (Throwable t) {
                throw unexpected(t);
            }
            if (rc == 0) {
                return;
            }
            retryOrThrow(s, "fallocate", what);
        }
    }

    static void truncate(int fd, long length, String what) throws IOException {
        Scratch s = SCRATCH.get();
        while (true) {
            int rc;
            try {
                rc = (int) FTRUNCATE.invokeExact(s.state, fd, length);
            } catch (Throwable t) {
                throw unexpected(t);
            }
            if (rc == 0) {
                return;
            }
            retryOrThrow(s, "ftruncate", what);
        }
    }

    /**
     * Reads into {@code target}, native memory.
     *
     * @return the number of bytes, 0 at the end of the file
     */
    static int read(int fd, MemorySegment target, long position, String what) throws IOException {
        Scratch s = SCRATCH.get();
        while (true) {
            long n;
            try {
                n = (long) PREAD.invokeExact(s.state, fd, target, transferable(target), position);
            } catch (Throwable t) {
                throw unexpected(t);
            }
            if (n >= 0) {
                return (int) n;
            }
            retryOrThrow(s, "read", what);
        }
    }

    /** Writes from {@code source}, native memory; may write less. */
    static int write(int fd, MemorySegment source, long position, String what) throws IOException {
        Scratch s = SCRATCH.get();
        while (true) {
            long n;
            try {
                n = (long) PWRITE.invokeExact(s.state, fd, source, transferable(source), position);
            } catch (Throwable t) {
                throw unexpected(t);
            }
            if (n > 0) {
                return (int) n;
            }
            if (n == 0) {
                throw new IOException("write of " + what + " at " + position + " made no progress");
            }
            retryOrThrow(s, "write", what);
        }
    }

    /** What one call may move: below 2 GiB, in whole blocks so that a rest stays aligned. */
    private static long transferable(MemorySegment memory) {
        return Math.min(memory.byteSize(), 1 << 30);
    }

    /**
     * Sets buffer {@code index} of this thread's next vectored transfer. The memory must stay mapped until that
     * returns.
     */
    static void vector(int index, long address, long length) {
        MemorySegment v = SCRATCH.get().vectors;
        v.set(JAVA_LONG, 16L * index, address);
        v.set(JAVA_LONG, 16L * index + 8, length);
    }

    static long readVectors(int fd, int count, long position, String what) throws IOException {
        Scratch s = SCRATCH.get();
        while (true) {
            long n;
            try {
                n = (long) PREADV.invokeExact(s.state, fd, s.vectors, count, position);
            } catch (Throwable t) {
                throw unexpected(t);
            }
            if (n >= 0) {
                return n;
            }
            retryOrThrow(s, "read", what);
        }
    }

    static long writeVectors(int fd, int count, long position, String what) throws IOException {
        Scratch s = SCRATCH.get();
        while (true) {
            long n;
            try {
                n = (long) PWRITEV.invokeExact(s.state, fd, s.vectors, count, position);
            } catch (Throwable t) {
                throw unexpected(t);
            }
            if (n > 0) {
                return n;
            }
            if (n == 0) {
                throw new IOException("write of " + what + " at " + position + " made no progress");
            }
            retryOrThrow(s, "write", what);
        }
    }

    static void sync(int fd, String what) throws IOException {
        Scratch s = SCRATCH.get();
        while (true) {
            int rc;
            try {
                rc = (int) FSYNC.invokeExact(s.state, fd);
            } catch (Throwable t) {
                throw unexpected(t);
            }
            if (rc == 0) {
                return;
            }
            retryOrThrow(s, "fsync", what);
        }
    }

    static void unlink(String path) throws IOException {
        Scratch s = SCRATCH.get();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment name = cString(arena, path);
            int rc;
            try {
                rc = (int) UNLINK.invokeExact(s.state, name);
            } catch (Throwable t) {
                throw unexpected(t);
            }
            if (rc != 0) {
                throw new ErrnoException("unlink", path, s.errno());
            }
        }
    }

    static int effectiveUser() {
        try {
            return (int) GETEUID.invokeExact(SCRATCH.get().state);
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    /**
     * Nanoseconds from boot, suspended time included, to the epoch's clock: moves only when somebody sets the clock.
     */
    static long clockOffset() {
        return clock(CLOCK_REALTIME) - clock(CLOCK_BOOTTIME);
    }

    private static long clock(int id) {
        Scratch s = SCRATCH.get();
        try {
            int rc = (int) CLOCK_GETTIME.invokeExact(s.state, id, s.struct);
            if (rc != 0) {
                throw new IllegalStateException("clock_gettime failed: " + errorText(s.errno()));
            }
        } catch (Throwable t) {
            throw unexpected(t);
        }
        return s.struct.get(JAVA_LONG, 0) * 1_000_000_000L + s.struct.get(JAVA_LONG, 8);
    }
}
