/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

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
import java.lang.ref.Reference;
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
    static final int EIO = 5;
    static final int EAGAIN = 11;
    static final int EACCES = 13;
    static final int EEXIST = 17;
    static final int EPERM = 1;
    static final int EINVAL = 22;
    static final int EMFILE = 24;
    static final int ENFILE = 23;
    static final int ENOMEM = 12;
    static final int ENXIO = 6;
    static final int ELOOP = 40;
    static final int EOPNOTSUPP = 95;

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
    private static final int PROT_READ = 1;
    private static final int PROT_READ_WRITE = 3;
    private static final int MAP_SHARED = 1;
    private static final int MAP_PRIVATE = 2;
    private static final int MAP_FIXED = 0x10;
    private static final int MAP_ANONYMOUS = 0x20;
    private static final int MAP_NORESERVE = 0x4000;
    private static final int FALLOC_PUNCH_HOLE_KEEP_SIZE = 3;
    private static final int MADV_DONTDUMP = 16;
    private static final int SEEK_DATA = 3;
    private static final int SEEK_HOLE = 4;
    private static final int MADV_COLLAPSE = 25;
    private static final int PROT_NONE = 0;
    private static final long COLLAPSED_AT_ONCE = 1L << 30;
    private static final int SC_PAGESIZE = 30;

    /** Bytes of a huge page: what an address must be a multiple of for its translation to be one entry. */
    static final long HUGE_PAGE = 2L << 20;

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

    /*
     * Every argument and every result is a 64-bit word: both platforms pass up to six of them in registers, ignore the
     * upper half of one that is an int, and leave those that a function does not take alone. One shape of call costs a
     * starting JVM a third less time than one of each function's own.
     */
    private static final FunctionDescriptor SHAPE = FunctionDescriptor.of(
            JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG);

    private static final Linker.Option[] PLAIN = {Linker.Option.captureCallState("errno")};
    private static final Linker.Option[] VARIADIC = {
        Linker.Option.captureCallState("errno"), Linker.Option.firstVariadicArg(2)
    };

    private static final MethodHandle OPEN = bind("open", VARIADIC);
    private static final MethodHandle FCNTL = bind("fcntl", VARIADIC);
    private static final MethodHandle IOCTL = bind("ioctl", VARIADIC);
    private static final MethodHandle CLOSE = bind("close", PLAIN);
    private static final MethodHandle STATX = bind("statx", PLAIN);
    private static final MethodHandle STATFS = bind("statfs", PLAIN);
    private static final MethodHandle FSTATFS = bind("fstatfs", PLAIN);
    private static final MethodHandle FLOCK = bind("flock", PLAIN);
    private static final MethodHandle MMAP = bind("mmap", PLAIN);
    private static final MethodHandle MUNMAP = bind("munmap", PLAIN);
    private static final MethodHandle MPROTECT = bind("mprotect", PLAIN);
    private static final MethodHandle MADVISE = bind("madvise", PLAIN);
    private static final MethodHandle SYSCONF = bind("sysconf", PLAIN);
    private static final MethodHandle FALLOCATE = bind("fallocate", PLAIN);
    private static final MethodHandle FTRUNCATE = bind("ftruncate", PLAIN);
    private static final MethodHandle PREAD = bind("pread", PLAIN);
    private static final MethodHandle PWRITE = bind("pwrite", PLAIN);
    private static final MethodHandle PREADV = bind("preadv", PLAIN);
    private static final MethodHandle PWRITEV = bind("pwritev", PLAIN);
    private static final MethodHandle LSEEK = bind("lseek", PLAIN);
    private static final MethodHandle FSYNC = bind("fsync", PLAIN);
    private static final MethodHandle UNLINK = bind("unlink", PLAIN);
    private static final MethodHandle GETEUID = bind("geteuid", PLAIN);
    private static final MethodHandle CLOCK_GETTIME = bind("clock_gettime", PLAIN);
    private static final MethodHandle STRERROR = bind("strerror", PLAIN);

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

    /** This thread's memory for the errno of a call. */
    static MemorySegment callState() {
        return SCRATCH.get().state;
    }

    @SuppressWarnings("restricted")
    private static MethodHandle bind(String name, Linker.Option[] options) {
        MemorySegment symbol = LINKER.defaultLookup()
                .find(name)
                .orElseThrow(() -> new UnsatisfiedLinkError("the C library has no " + name));
        return LINKER.downcallHandle(symbol, SHAPE, options);
    }

    private static long invoke(MethodHandle f, Scratch s, long a, long b, long c, long d, long e, long g) {
        try {
            return (long) f.invokeExact(s.state, a, b, c, d, e, g);
        } catch (RuntimeException | Error t) {
            throw t;
        } catch (Throwable t) {
            throw new IllegalStateException(t);
        }
    }

    /** Calls a function that returns an int, until it is not interrupted. */
    private static int call(
            MethodHandle f, String name, String what, long a, long b, long c, long d, long e)
            throws ErrnoException {
        Scratch s = SCRATCH.get();
        while (true) {
            int result = (int) invoke(f, s, a, b, c, d, e, 0);
            if (result >= 0) {
                return result;
            }
            retryOrThrow(s, name, what);
        }
    }

    private static void retryOrThrow(Scratch s, String call, String what) throws ErrnoException {
        int errno = s.errno();
        if (errno != EINTR) {
            throw new ErrnoException(call, what, errno);
        }
    }

    @SuppressWarnings("restricted")
    static String errorText(int errno) {
        long text = invoke(STRERROR, SCRATCH.get(), errno, 0, 0, 0, 0, 0);
        return MemorySegment.ofAddress(text).reinterpret(256).getString(0) + " (errno " + errno + ")";
    }

    private static MemorySegment cString(Arena arena, String path) {
        byte[] bytes = path.getBytes(FILE_NAMES);
        MemorySegment s = arena.allocate(bytes.length + 1L);
        MemorySegment.copy(bytes, 0, s, ValueLayout.JAVA_BYTE, 0, bytes.length);
        return s;
    }

    /** Opens {@code path}; the descriptor is closed on exec. */
    static int open(String path, int flags, int mode) throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            return call(OPEN, "open", path, cString(arena, path).address(), flags | O_CLOEXEC, mode, 0, 0);
        }
    }

    /**
     * Closes a descriptor. Errors are dropped: what matters was forced before, and the descriptor is gone either way.
     */
    static void close(int fd) {
        var _ = invoke(CLOSE, SCRATCH.get(), fd, 0, 0, 0, 0, 0);
    }

    static FileStat fstat(int fd, String what) throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            return statx(fd, arena.allocate(1), AT_EMPTY_PATH, what);
        }
    }

    /** Never opens the file. */
    static FileStat stat(String path, boolean followLinks) throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            return statx(AT_FDCWD, cString(arena, path), followLinks ? 0 : AT_SYMLINK_NOFOLLOW, path);
        }
    }

    private static FileStat statx(int dir, MemorySegment name, int flags, String what) throws ErrnoException {
        MemorySegment x = SCRATCH.get().struct;
        int mask = STATX_BASIC_STATS | STATX_BTIME | STATX_DIOALIGN;
        var _ = call(STATX, "statx", what, dir, name.address(), flags, mask, x.address());
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

    static FsStat fstatfs(int fd, String what) throws ErrnoException {
        MemorySegment x = SCRATCH.get().struct;
        var _ = call(FSTATFS, "fstatfs", what, fd, x.address(), 0, 0, 0);
        return fsStat(x);
    }

    static FsStat statfs(String path) throws ErrnoException {
        MemorySegment x = SCRATCH.get().struct;
        try (Arena arena = Arena.ofConfined()) {
            var _ = call(STATFS, "statfs", path, cString(arena, path).address(), x.address(), 0, 0, 0);
        }
        return fsStat(x);
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
    static boolean tryLock(int fd, String what) throws ErrnoException {
        try {
            return call(FLOCK, "flock", what, fd, LOCK_EX | LOCK_NB, 0, 0, 0) == 0;
        } catch (ErrnoException e) {
            if (e.errno() == EAGAIN) {
                return false;
            }
            throw e;
        }
    }

    /** Gives the {@code flock} up even where a child process between fork and exec still shares the descriptor. */
    static void unlock(int fd) {
        var _ = invoke(FLOCK, SCRATCH.get(), fd, LOCK_UN, 0, 0, 0, 0);
    }

    /** Switches {@code O_DIRECT} of an open descriptor. */
    static void setDirect(int fd, boolean direct, String what) throws ErrnoException {
        int flags = call(FCNTL, "fcntl", what, fd, F_GETFL, 0, 0, 0);
        var _ = call(FCNTL, "fcntl", what, fd, F_SETFL, direct ? flags | O_DIRECT : flags & ~O_DIRECT, 0, 0);
    }

    /** The inode's generation, or 0 where the file system has none. */
    static int generation(int fd) {
        Scratch s = SCRATCH.get();
        s.struct.set(JAVA_LONG, 0, 0);
        int result = (int) invoke(IOCTL, s, fd, FS_IOC_GETVERSION, s.struct.address(), 0, 0, 0);
        return result == 0 ? s.struct.get(JAVA_INT, 0) : 0;
    }

    /**
     * Maps {@code length} bytes for reading and writing until {@code arena} is closed, and keeps them out of core
     * dumps.
     */
    @SuppressWarnings("restricted")
    static MemorySegment map(int fd, long length, Arena arena, String what) throws ErrnoException {
        return map(fd, 0, length, arena, what);
    }

    /** As {@link #map(int, long, Arena, String)}, from {@code offset} on, a multiple of the file system's pages. */
    @SuppressWarnings("restricted")
    static MemorySegment map(int fd, long offset, long length, Arena arena, String what) throws ErrnoException {
        Scratch s = SCRATCH.get();
        long address = invoke(MMAP, s, 0, length, PROT_READ_WRITE, MAP_SHARED, fd, offset);
        if (address == -1) {
            throw new ErrnoException("mmap", what, s.errno());
        }
        MemorySegment memory = MemorySegment.ofAddress(address).reinterpret(length, arena, m -> unmap(m, length));
        var _ = call(MADVISE, "madvise(MADV_DONTDUMP)", what, address, length, MADV_DONTDUMP, 0, 0);
        return memory;
    }

    /** As {@link #map}, at a multiple of {@link #HUGE_PAGE}, so that {@link #collapse} is of use. */
    @SuppressWarnings("restricted")
    static MemorySegment mapAligned(int fd, long length, Arena arena, String what) throws ErrnoException {
        Scratch s = SCRATCH.get();
        long room = length + HUGE_PAGE;
        int anywhere = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
        long start = invoke(MMAP, s, 0, room, PROT_NONE, anywhere, -1, 0);
        if (start == -1) {
            throw new ErrnoException("mmap", what, s.errno());
        }
        long address = (start + HUGE_PAGE - 1) & -HUGE_PAGE;
        long pages = (length + pageSize() - 1) & -pageSize();
        if (address > start) {
            var _ = invoke(MUNMAP, s, start, address - start, 0, 0, 0, 0);
        }
        if (start + room > address + pages) {
            var _ = invoke(MUNMAP, s, address + pages, start + room - address - pages, 0, 0, 0, 0);
        }
        if (invoke(MMAP, s, address, length, PROT_READ_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == -1) {
            // What was reserved there may be somebody else's by now, so it is not unmapped: addresses alone are lost.
            throw new ErrnoException("mmap", what, s.errno());
        }
        MemorySegment memory = MemorySegment.ofAddress(address).reinterpret(length, arena, m -> unmap(m, length));
        var _ = call(MADVISE, "madvise(MADV_DONTDUMP)", what, address, length, MADV_DONTDUMP, 0, 0);
        return memory;
    }

    /** Moves the memory of a part of a mapping into huge pages, now. */
    static void collapse(MemorySegment memory, long offset, long length, String what) throws ErrnoException {
        long end = memory.address() + offset + length;
        // A call of many GiB would keep the owner from ending for as long.
        for (long at = memory.address() + offset; at < end; at += COLLAPSED_AT_ONCE) {
            long piece = Math.min(end - at, COLLAPSED_AT_ONCE);
            var _ = call(MADVISE, "madvise(MADV_COLLAPSE)", what, at, piece, MADV_COLLAPSE, 0, 0);
        }
    }

    private static void unmap(MemorySegment memory, long length) {
        var _ = invoke(MUNMAP, SCRATCH.get(), memory.address(), length, 0, 0, 0, 0);
    }

    /**
     * Replaces a part of a mapping made by {@link #map} by the same part of the file, in one step: who reads meanwhile
     * sees the one or the other.
     */
    static void mapAgain(int fd, MemorySegment memory, long offset, long length, String what) throws ErrnoException {
        Scratch s = SCRATCH.get();
        long address = memory.address() + offset;
        long there = invoke(MMAP, s, address, length, PROT_READ_WRITE, MAP_SHARED | MAP_FIXED, fd, offset);
        if (there == -1) {
            throw new ErrnoException("mmap", what, s.errno());
        }
        // Without it core dumps are larger, which is no reason to fail with the mapping changed.
        var _ = invoke(MADVISE, s, address, length, MADV_DONTDUMP, 0, 0, 0);
    }

    /**
     * As {@link #mapAgain}, but by zeros that take no memory and belong to no file. They are for reading; a mapping to
     * write to is charged for where memory is not overcommitted, and might be refused with the old one gone.
     */
    static void mapZeros(MemorySegment memory, long offset, long length, String what) throws ErrnoException {
        Scratch s = SCRATCH.get();
        int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
        long address = memory.address() + offset;
        if (invoke(MMAP, s, address, length, PROT_READ, flags, -1, 0) == -1) {
            throw new ErrnoException("mmap", what, s.errno());
        }
        var _ = invoke(MPROTECT, s, address, length, PROT_READ_WRITE, 0, 0, 0);
    }

    /** Bytes of a page of memory: mappings and holes begin and end at its multiples. */
    static long pageSize() {
        return invoke(SYSCONF, SCRATCH.get(), SC_PAGESIZE, 0, 0, 0, 0, 0);
    }

    /** Gives a range storage; bytes that had some keep their content. */
    static void allocate(int fd, long offset, long length, String what) throws ErrnoException {
        var _ = call(FALLOCATE, "fallocate", what, fd, 0, offset, length, 0);
    }

    /** Takes the storage of a range away: it reads as zeros, the file keeps its length. */
    static void punch(int fd, long offset, long length, String what) throws ErrnoException {
        var _ = call(
                FALLOCATE, "fallocate(PUNCH_HOLE)", what, fd, FALLOC_PUNCH_HOLE_KEEP_SIZE, offset, length, 0);
    }

    /** Where the next bytes with storage begin, from {@code offset} on; -1 if there are none. */
    static long nextData(int fd, long offset, String what) throws ErrnoException {
        return seek(fd, offset, SEEK_DATA, what);
    }

    /** Where the next hole begins, the end of the file at the latest; -1 if {@code offset} lies behind that. */
    static long nextHole(int fd, long offset, String what) throws ErrnoException {
        return seek(fd, offset, SEEK_HOLE, what);
    }

    private static long seek(int fd, long offset, int whence, String what) throws ErrnoException {
        Scratch s = SCRATCH.get();
        long at = invoke(LSEEK, s, fd, offset, whence, 0, 0, 0);
        if (at < 0 && s.errno() != ENXIO) {
            throw new ErrnoException("lseek", what, s.errno());
        }
        return at;
    }

    static void truncate(int fd, long length, String what) throws ErrnoException {
        var _ = call(FTRUNCATE, "ftruncate", what, fd, length, 0, 0, 0);
    }

    /**
     * Reads into {@code target}, native memory.
     *
     * @return the number of bytes, 0 at the end of the file
     */
    static int read(int fd, MemorySegment target, long position, String what) throws ErrnoException {
        try {
            return (int) transfer(PREAD, "read", what, fd, target.address(), transferable(target), position);
        } finally {
            Reference.reachabilityFence(target);
        }
    }

    /** Writes from {@code source}, native memory; may write less. */
    static int write(int fd, MemorySegment source, long position, String what) throws IOException {
        try {
            long n = transfer(PWRITE, "write", what, fd, source.address(), transferable(source), position);
            return (int) progress(n, what, position);
        } finally {
            Reference.reachabilityFence(source);
        }
    }

    private static long transfer(
            MethodHandle f, String name, String what, int fd, long from, long count, long position)
            throws ErrnoException {
        Scratch s = SCRATCH.get();
        while (true) {
            long n = invoke(f, s, fd, from, count, position, 0, 0);
            if (n >= 0) {
                return n;
            }
            retryOrThrow(s, name, what);
        }
    }

    private static long progress(long n, String what, long position) throws IOException {
        if (n == 0) {
            throw new IOException("write of " + what + " at " + position + " made no progress");
        }
        return n;
    }

    /** What one call may move: below 2 GiB, in whole blocks so that a rest stays aligned. */
    private static long transferable(MemorySegment memory) {
        return Math.min(memory.byteSize(), 1 << 30);
    }

    /**
     * Sets buffer {@code index} of this thread's next vectored transfer. The memory must stay mapped until it returns.
     */
    static void vector(int index, long address, long length) {
        MemorySegment v = SCRATCH.get().vectors;
        v.set(JAVA_LONG, 16L * index, address);
        v.set(JAVA_LONG, 16L * index + 8, length);
    }

    static long readVectors(int fd, int count, long position, String what) throws ErrnoException {
        return transfer(PREADV, "read", what, fd, SCRATCH.get().vectors.address(), count, position);
    }

    static long writeVectors(int fd, int count, long position, String what) throws IOException {
        long n = transfer(PWRITEV, "write", what, fd, SCRATCH.get().vectors.address(), count, position);
        return progress(n, what, position);
    }

    static void sync(int fd, String what) throws ErrnoException {
        var _ = call(FSYNC, "fsync", what, fd, 0, 0, 0, 0);
    }

    static void unlink(String path) throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            var _ = call(UNLINK, "unlink", path, cString(arena, path).address(), 0, 0, 0, 0);
        }
    }

    static int effectiveUser() {
        return (int) invoke(GETEUID, SCRATCH.get(), 0, 0, 0, 0, 0, 0);
    }

    /**
     * Nanoseconds from boot, suspended time included, to the epoch's clock: moves only when somebody sets the clock.
     */
    static long clockOffset() {
        return clock(CLOCK_REALTIME) - clock(CLOCK_BOOTTIME);
    }

    private static long clock(int id) {
        Scratch s = SCRATCH.get();
        if ((int) invoke(CLOCK_GETTIME, s, id, s.struct.address(), 0, 0, 0, 0) != 0) {
            throw new IllegalStateException("clock_gettime failed: " + errorText(s.errno()));
        }
        return s.struct.get(JAVA_LONG, 0) * 1_000_000_000L + s.struct.get(JAVA_LONG, 8);
    }
}
