/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import io.warmcache.BusyException;
import io.warmcache.CacheConfig;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Locale;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * The file that holds a segment, owned: open, locked by {@code flock}, and still the one its path names. The lock is
 * given up last, and by the kernel when the process dies, after the memory has been unmapped.
 */
final class SegmentFile {
    private static final String DIRECTORY = "/dev/shm/";
    static final String PREFIX = "warmcache.";
    private static final Pattern NAME = Pattern.compile("[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}");
    private static final long POLL_NANOS = 3_000_000;
    private static final int CHUNK = 4 << 20;

    /**
     * For a benchmark of the attach alone, on more frames than there is memory for: those found without storage stay
     * so, and must not be touched, since the process may be killed for it.
     */
    private static final boolean UNALLOCATED = Boolean.getBoolean("warmcache.shm.unallocated");

    private final String path;
    private final int fd;
    private final boolean created;
    private final long waitedNanos;

    private SegmentFile(String path, int fd, boolean created, long waitedNanos) {
        this.path = path;
        this.fd = fd;
        this.created = created;
        this.waitedNanos = waitedNanos;
    }

    static String path(CacheConfig config) throws IOException {
        String name = config.name();
        if (name.startsWith("/")) {
            Path path = Path.of(name).normalize();
            if (path.startsWith("/sys")) {
                throw new IOException(name + " lies under /sys: the mapping of a device resource can be"
                        + " write-combining, whose stores become visible out of order; name a regular file");
            }
            if (path.startsWith("/proc")) {
                throw new IOException(name + " lies under /proc: name a regular file");
            }
            return path.toString();
        }
        if (!NAME.matcher(name).matches()) {
            throw new IOException("the cache's name is \"" + name + "\": it must be 1 to 200 of A-Z a-z 0-9 . _ - and"
                    + " not start with a dot, or be an absolute path");
        }
        return DIRECTORY + PREFIX + name;
    }

    /**
     * Opens and locks the segment.
     *
     * @param create whether to create it if there is none
     * @return null if there is none
     * @throws BusyException if it stays locked for longer than the configured wait
     */
    static @Nullable SegmentFile acquire(CacheConfig config, boolean create) throws IOException {
        String path = path(config);
        long start = System.nanoTime();
        long wait = TimeUnit.NANOSECONDS.convert(ownerWait(config));
        while (true) {
            boolean[] created = new boolean[1];
            int fd = open(path, create, created);
            if (fd < 0) {
                return null;
            }
            boolean owned = false;
            try {
                FileStat stat = Libc.fstat(fd, path);
                check(path, stat);
                while (!Libc.tryLock(fd, path)) {
                    if (System.nanoTime() - start >= wait) {
                        throw busy(path, fd, stat, wait);
                    }
                    LockSupport.parkNanos(POLL_NANOS);
                    if (Thread.interrupted()) {
                        Thread.currentThread().interrupt();
                        throw new IOException("interrupted while waiting for the owner of " + path);
                    }
                }
                if (isNamed(path, stat)) {
                    // Another may have locked and formatted first what we created.
                    boolean isNew = created[0] && Libc.fstat(fd, path).size() == 0;
                    owned = true;
                    return new SegmentFile(path, fd, isNew, System.nanoTime() - start);
                }
                // Unlinked while we waited, perhaps created again by somebody who now owns that file.
            } finally {
                if (!owned) {
                    Libc.close(fd);
                }
            }
        }
    }

    private static Duration ownerWait(CacheConfig config) {
        return config.ownerWait().isZero()
                ? Duration.ofSeconds(5).plusMillis(100 * (config.capacity() >> 30))
                : config.ownerWait();
    }

    private static int open(String path, boolean create, boolean[] created) throws IOException {
        while (true) {
            try {
                return Libc.open(path, Libc.O_RDWR | Libc.O_NOFOLLOW, 0);
            } catch (ErrnoException e) {
                if (e.errno() != Libc.ENOENT) {
                    throw explain(path, e);
                }
            }
            if (!create) {
                return -1;
            }
            try {
                int fd = Libc.open(path, Libc.O_RDWR | Libc.O_NOFOLLOW | Libc.O_CREAT | Libc.O_EXCL, 0600);
                created[0] = true;
                return fd;
            } catch (ErrnoException e) {
                if (e.errno() != Libc.EEXIST) {
                    throw explain(path, e);
                }
            }
        }
    }

    private static IOException explain(String path, ErrnoException e) throws IOException {
        if (e.errno() == Libc.ELOOP) {
            return new IOException(path + " is a symbolic link: a cache's memory must be a file of its own;"
                    + " remove the link or name another", e);
        }
        if (e.errno() == Libc.EACCES) {
            FileStat stat;
            try {
                stat = Libc.stat(path, false);
            } catch (ErrnoException f) {
                e.addSuppressed(f);
                return e;
            }
            check(path, stat);
        }
        return e.errno() == Libc.ENOENT
                ? new IOException("cannot create " + path + ": its directory does not exist; "
                        + (path.startsWith(DIRECTORY)
                                ? "mount a tmpfs there, or name the cache by an absolute path"
                                : "create it"), e)
                : e;
    }

    private static void check(String path, FileStat stat) throws IOException {
        if (!stat.isRegular()) {
            throw new IOException(path + " is " + stat.kind() + ": a cache's memory must be a regular file");
        }
        int user = Libc.effectiveUser();
        if (stat.uid() != user) {
            throw new IOException(path + " belongs to user " + stat.uid() + ", this process runs as user " + user
                    + ": use another name, or have its owner remove it");
        }
        if (stat.links() > 1) {
            throw new IOException(path + " is one of " + stat.links() + " names of its file (hard links), so that it"
                    + " may be another program's, too: remove the other names, or this one");
        }
        if ((stat.mode() & 077) != 0) {
            throw new IOException(String.format(
                    Locale.ROOT,
                    "%s has mode %04o, so that others may read or change cached data: chmod 600 it if you trust its"
                            + " content, else remove it",
                    path,
                    stat.mode() & 07777));
        }
    }

    private static boolean isNamed(String path, FileStat stat) throws IOException {
        try {
            return Libc.stat(path, false).sameFile(stat);
        } catch (ErrnoException e) {
            if (e.errno() == Libc.ENOENT) {
                return false;
            }
            throw e;
        }
    }

    private static BusyException busy(String path, int fd, FileStat stat, long waited) {
        Header header;
        try {
            header = readHeader(fd, path, stat.size(), Format.CURRENT).header();
        } catch (IOException e) {
            header = null;
        }
        return new BusyException(path + " is in use by " + ProcLocks.describe(ProcLocks.holder(stat), header)
                + " and stayed so for " + waited / 1_000_000
                + " ms: close that cache, or give this one another name");
    }

    static Header.Reading readHeader(int fd, String path, long size, Format format) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            return Header.read(headerBytes(fd, path, size, arena), format);
        }
    }

    /**
     * The bytes of both header copies, zeros for what is not there. Read by call: no state of the file can raise a
     * signal.
     */
    private static MemorySegment headerBytes(int fd, String path, long size, Arena arena) throws IOException {
        MemorySegment bytes = arena.allocate(2 * Geometry.HEADER_SIZE, 4096);
        long want = Math.min(size, bytes.byteSize());
        long done = 0;
        while (done < want) {
            int n = Libc.read(fd, bytes.asSlice(done, want - done), done, path);
            if (n == 0) {
                break;
            }
            done += n;
        }
        return bytes;
    }

    String path() {
        return path;
    }

    /** The descriptor that holds the owner lock, until {@link #release}. */
    int descriptor() {
        return fd;
    }

    /** Whether this attach created the file. */
    boolean isNew() {
        return created;
    }

    long waitedNanos() {
        return waitedNanos;
    }

    FileStat stat() throws IOException {
        return Libc.fstat(fd, path);
    }

    FsStat fileSystem() throws IOException {
        return Libc.fstatfs(fd, path);
    }

    Header.Reading readHeader(Format format) throws IOException {
        return readHeader(fd, path, stat().size(), format);
    }

    /**
     * Refuses a file that was never a segment, so that a mistyped path costs nobody a file. Files of our own naming
     * are ours.
     *
     * @throws IOException if the file holds something else
     */
    void requireOverwritable() throws IOException {
        long size = stat().size();
        if (size == 0 || path.startsWith(DIRECTORY + PREFIX)) {
            return;
        }
        try (Arena arena = Arena.ofConfined()) {
            if (!Header.resembles(headerBytes(fd, path, size, arena), size)) {
                throw new IOException(path + " exists and is not a warmcache segment, so it is not overwritten:"
                        + " remove it or name another file");
            }
        }
    }

    /**
     * Gives every byte storage that is to have some, keeping what is there, and takes it from the others.
     *
     * @param capacity frames that exist
     * @return false if that cannot be had
     */
    boolean fillHoles(Geometry geometry, int capacity, long unit) throws IOException {
        long start = geometry.holeStart(capacity, unit);
        long end = geometry.holeEnd(unit);
        try {
            if (start < end) {
                Libc.punch(fd, start, end - start, path);
            }
            // With nothing in the hole, as many bytes as there should be can only be where they should be.
            if (stat().allocated() < geometry.backed(capacity, unit) && !UNALLOCATED) {
                allocate(geometry, capacity, unit);
            }
            return true;
        } catch (ErrnoException e) {
            return false;
        }
    }

    private void allocate(Geometry geometry, int capacity, long unit) throws ErrnoException {
        long start = geometry.holeStart(capacity, unit);
        long end = geometry.holeEnd(unit);
        if (start < end) {
            Libc.allocate(fd, 0, start, path);
            Libc.allocate(fd, end, geometry.fileLength(unit) - end, path);
        } else {
            Libc.allocate(fd, 0, geometry.fileLength(unit), path);
        }
    }

    /**
     * Makes the file as long as the geometry says, of zeros, with storage for all but the hole, so that no later
     * touch of the mapping can fail for the want of it. The headers go first: a death half-way leaves nothing that
     * looks like a segment.
     */
    void format(Geometry geometry, int capacity, long unit, FsStat fs) throws IOException {
        long size = stat().size();
        long length = geometry.fileLength(unit);
        if (fs.type() == FsStat.HUGETLBFS) {
            // Takes no write calls, and zeroes what it allocates.
            Libc.truncate(fd, 0, path);
            Libc.truncate(fd, length, path);
            try {
                allocate(geometry, capacity, unit);
            } catch (ErrnoException e) {
                throw new IOException(
                        "there are not enough free huge pages of " + MemoryBudget.size(fs.blockSize()) + " for "
                                + MemoryBudget.size(geometry.backed(capacity, unit)) + " in " + path
                                + ": reserve more (vm.nr_hugepages; in Kubernetes a larger limit of hugepages), or"
                                + " configure a smaller capacity",
                        e);
            }
            return;
        }
        long start = geometry.holeStart(capacity, unit);
        long end = geometry.holeEnd(unit);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment zeros = arena.allocate(CHUNK, 4096);
            writeZeros(zeros, 0, Math.min(size, 2 * Geometry.HEADER_SIZE));
            long kept = start < end ? start : length;
            if (size > kept) {
                overwrite(zeros, kept, size, null); // it may be what a wipe did not get to
                Libc.truncate(fd, kept, path);
            }
            writeZeros(zeros, 0, kept);
            writeZeros(zeros, Math.max(kept, end), length);
        }
    }

    /** Gives a range storage. */
    void allocate(long from, long to) throws IOException {
        Libc.allocate(fd, from, to - from, path);
    }

    /** Takes storage from a range; memory mapped there reads as zeros, and takes storage again. */
    void punch(long from, long to) throws IOException {
        if (from < to) {
            Libc.punch(fd, from, to - from, path);
        }
    }

    /** Never below what is mapped. */
    void setLength(long length) throws IOException {
        Libc.truncate(fd, length, path);
    }

    void mapAgain(MemorySegment memory, long from, long to) throws IOException {
        if (from < to) {
            Libc.mapAgain(fd, memory, from, to - from, path);
        }
    }

    void mapZeros(MemorySegment memory, long from, long to) throws IOException {
        if (from < to) {
            Libc.mapZeros(memory, from, to - from, path);
        }
    }

    private void writeZeros(MemorySegment zeros, long from, long to) throws IOException {
        for (long at = from; at < to; ) {
            at += Libc.write(fd, zeros.asSlice(0, Math.min(zeros.byteSize(), to - at)), at, path);
        }
    }

    /** K2 to K4 of {@code docs/internals.md}, section 13: zeros over everything that has storage, headers first. */
    void wipe(@Nullable StepHook hook) throws IOException {
        FileStat stat = stat();
        long size = stat.size();
        if (fileSystem().type() == FsStat.HUGETLBFS) {
            wipeHugePages(size);
            step(hook, "wipe.synced");
            return;
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment zeros = arena.allocate(CHUNK, 4096);
            writeZeros(zeros, 0, Math.min(size, 2 * Geometry.HEADER_SIZE));
            step(hook, "wipe.headers");
            overwrite(zeros, 0, size, hook);
        }
        // On a disk only what is written out has been overwritten; memory has nothing to write.
        Libc.sync(fd, path);
        step(hook, "wipe.synced");
    }

    /** Takes no storage for what has none. */
    private void overwrite(MemorySegment zeros, long start, long size, @Nullable StepHook hook) throws IOException {
        for (long from = Libc.nextData(fd, start, path); from >= 0 && from < size; ) {
            long end = Libc.nextHole(fd, from, path);
            end = end < 0 ? size : Math.min(end, size);
            while (from < end) {
                long to = Math.min(end, from + CHUNK);
                writeZeros(zeros, from, to);
                from = to;
                step(hook, "wipe.zeros");
            }
            from = Libc.nextData(fd, from, path);
        }
    }

    /** K5, after {@link #wipe}; nobody has the segment mapped any more. */
    void giveBackStorage(@Nullable StepHook hook) throws IOException {
        long size = stat().size();
        if (fileSystem().type() == FsStat.HUGETLBFS) {
            Libc.truncate(fd, 0, path);
            return;
        }
        try {
            if (size > 0) {
                Libc.punch(fd, 0, Layout.roundUp(size, 4096), path);
            }
        } catch (ErrnoException e) {
            if (e.errno() != Libc.EOPNOTSUPP) {
                throw e; // else a file system that knows no holes: the removal frees it
            }
        }
        step(hook, "wipe.punched");
    }

    /**
     * Huge pages take no write calls, but a mapping. Each is read first: one that holds something is there, so that its
     * mapping cannot fault; a hole reads as zeros, and to map it would take a page.
     */
    private void wipeHugePages(long size) throws IOException {
        long unit = fileSystem().blockSize();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment found = arena.allocate(unit, 4096);
            MemorySegment zeros = arena.allocate(unit, 4096);
            for (long at = 0; at < size; at += unit) {
                long length = Math.min(unit, size - at);
                long read = 0;
                while (read < length) {
                    int n = Libc.read(fd, found.asSlice(read, length - read), at + read, path);
                    if (n <= 0) {
                        break;
                    }
                    read += n;
                }
                if (found.asSlice(0, read).mismatch(zeros.asSlice(0, read)) >= 0) {
                    try (Arena page = Arena.ofConfined()) {
                        Libc.map(fd, at, unit, page, path).fill((byte) 0);
                    }
                }
            }
        }
    }

    private static void step(@Nullable StepHook hook, String name) {
        if (hook != null) {
            hook.at(name);
        }
    }

    /** @param aligned whether to map where {@link #collapse} is of use */
    MemorySegment map(long length, Arena arena, boolean aligned) throws IOException {
        return aligned ? Libc.mapAligned(fd, length, arena, path) : Libc.map(fd, length, arena, path);
    }

    /** Moves the memory up to {@code end} into huge pages, but for what does not fill one. */
    void collapse(MemorySegment memory, long end) throws IOException {
        long whole = end & -Libc.HUGE_PAGE;
        if (whole > 0) {
            Libc.collapse(memory, 0, whole, path);
        }
    }

    /** Removes the name if it is still this file's. */
    void unlink() throws IOException {
        if (isNamed(path, stat())) {
            Libc.unlink(path);
        }
    }

    /** Gives up ownership. */
    void release() {
        Libc.unlock(fd);
        Libc.close(fd);
    }
}
