/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import io.warmcache.BackingStore;
import io.warmcache.BusyException;
import io.warmcache.IoMode;
import io.warmcache.MapOptions;
import io.warmcache.StoreId;
import io.warmcache.StoreVersion;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.FileSystems;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.StampedLock;
import org.jspecify.annotations.Nullable;

/**
 * A plain file, owned by {@code flock} on its one descriptor. The descriptor is opened once and closed once: closing
 * any descriptor of a file drops the {@code fcntl} locks that this process holds on it, an engine's own among them.
 *
 * <p>Direct I/O is switched on and off on that descriptor, as the length becomes a multiple of the block size or not.
 * Reads are of whole blocks and work either way.
 */
final class FileStore implements BackingStore {
    private static final int BLOCK = Layout.BLOCK;

    private static final long POLL_NANOS = 3_000_000;

    /** For how long the lock of a process that is gone is waited for: the kernel may have reads of it to end. */
    private static final long GONE_NANOS = TimeUnit.SECONDS.toNanos(2);

    /** The part of that for a process that cannot be seen: most of those are alive. */
    private static final int UNSEEN_PART = 10;

    private final int fd;
    private final String name;

    /** As it was when it was opened; which file it is stays. */
    private final FileStat file;

    private final StoreId id;
    private final int generation;
    private final boolean readOnly;
    private final boolean keepsTimes;
    private final boolean canBeDirect;

    /**
     * Exclusive: whatever may change the length or is not direct, one at a time, since a write queued behind the
     * inode's lock is stamped late. Shared: direct writes within the length.
     */
    final StampedLock writes = new StampedLock();

    private volatile long length;
    private volatile boolean direct;
    private volatile boolean closed;

    private FileStore(
            int fd,
            String name,
            FileStat file,
            StoreId id,
            int generation,
            boolean readOnly,
            boolean keepsTimes,
            boolean canBeDirect) {
        this.fd = fd;
        this.name = name;
        this.file = file;
        this.id = id;
        this.generation = generation;
        this.readOnly = readOnly;
        this.keepsTimes = keepsTimes;
        this.canBeDirect = canBeDirect;
    }

    private static String path(Path file) {
        if (!file.getFileSystem().equals(FileSystems.getDefault())) {
            throw new IllegalArgumentException(file + " is not a file of the default file system");
        }
        return file.toAbsolutePath().toString();
    }

    /** The identity of a file, which is never opened if it exists. */
    static StoreId identify(Path file, MapOptions options) throws IOException {
        String path = path(file);
        FileStat stat = statOrNull(path);
        if (stat == null) {
            if (!options.create() || options.readOnly()) {
                throw new NoSuchFileException(path, null, "no such file, and the options do not say to create it");
            }
            try {
                Libc.close(Libc.open(path, Libc.O_RDWR | Libc.O_CREAT | Libc.O_EXCL, 0666));
            } catch (ErrnoException e) {
                if (e.errno() != Libc.EEXIST) {
                    throw e;
                }
            }
            stat = Libc.stat(path, true);
        }
        requireRegular(path, stat);
        return id(Libc.statfs(path), stat);
    }

    private static @Nullable FileStat statOrNull(String path) throws IOException {
        try {
            return Libc.stat(path, true);
        } catch (ErrnoException e) {
            if (e.errno() == Libc.ENOENT) {
                return null;
            }
            throw e;
        }
    }

    private static void requireRegular(String path, FileStat stat) throws IOException {
        if (!stat.isRegular()) {
            throw new IOException(path + " is " + stat.kind() + ": only regular files can be mapped as plain files");
        }
    }

    /**
     * File system, inode and birth time. Not the device number, which changes from mount to mount on an overlay; and
     * not the inode's generation, which takes an open descriptor to read (it is compared when the journal is judged).
     */
    static StoreId id(FsStat fs, FileStat stat) {
        return new StoreId(idWord(1, fs, stat), idWord(2, fs, stat));
    }

    private static long idWord(long seed, FsStat fs, FileStat stat) {
        long h = WordHash.mix(seed, fs.type());
        h = WordHash.mix(h, fs.id());
        h = WordHash.mix(h, stat.inode());
        return WordHash.finish(WordHash.mix(h, stat.birth()));
    }

    static FileStore open(Path file, MapOptions options) throws IOException {
        return open(file, options, GONE_NANOS);
    }

    /**
     * Opens and locks a file.
     *
     * @param patience for how long the lock of a holder is waited for who is gone, in nanoseconds
     * @throws BusyException if another one has it
     */
    static FileStore open(Path file, MapOptions options, long patience) throws IOException {
        String path = path(file);
        for (int attempt = 0; attempt < 10; attempt++) {
            var _ = identify(file, options);
            FileStore store = tryOpen(path, options, patience);
            if (store != null) {
                return store;
            }
        }
        throw new IOException(path + " is being replaced by another program again and again while it is mapped");
    }

    /** Null if the file was replaced by another of the same name meanwhile. */
    private static @Nullable FileStore tryOpen(String path, MapOptions options, long patience) throws IOException {
        int kept = RefusedFiles.take(Libc.stat(path, true), options.readOnly());
        int fd = kept >= 0 ? kept : Libc.open(path, options.readOnly() ? Libc.O_RDONLY : Libc.O_RDWR, 0);
        boolean done = false;
        try {
            FileStat stat = Libc.fstat(fd, path);
            requireRegular(path, stat);
            if (!Libc.tryLock(fd, path)) {
                // Only now: /proc/locks has a line for each file that is mapped.
                long holder = ProcLocks.holder(stat);
                long most = RefusedFiles.isOpen(stat) || !ProcLocks.isGone(holder)
                        ? 0
                        : holder == 0 ? patience / UNSEEN_PART : patience;
                if (most == 0 || !awaitLock(fd, path, most)) {
                    done = RefusedFiles.keep(stat, options.readOnly(), fd, holder == PidNamespace.selfInProc());
                    throw busy(path, holder);
                }
            }
            FileStat named = statOrNull(path);
            if (named == null || !named.sameFile(stat)) {
                return null;
            }
            FsStat fs = Libc.fstatfs(fd, path);
            boolean canBeDirect = false;
            if (options.ioMode() != IoMode.BUFFERED) {
                canBeDirect = takesDirect(fd, path, stat);
                if (!canBeDirect && options.ioMode() == IoMode.DIRECT) {
                    throw new IOException(path + " is on a file system that takes no direct I/O in blocks of " + BLOCK
                            + " bytes: map it with IoMode.AUTO or BUFFERED");
                }
            }
            boolean keepsTimes = fs.keepsTimes(options.readOnly()) && stat.birth() != 0;
            FileStore store = new FileStore(
                    fd, path, stat, id(fs, stat), Libc.generation(fd), options.readOnly(), keepsTimes, canBeDirect);
            store.length = Libc.fstat(fd, path).size();
            store.direct = canBeDirect;
            store.adapt(store.length);
            RefusedFiles.opened(stat);
            done = true;
            return store;
        } finally {
            if (!done) {
                Libc.close(fd);
            }
        }
    }

    /** The lock of a process that is gone, or of one that cannot be seen; not ended by an interrupt. */
    private static boolean awaitLock(int fd, String path, long patience) throws IOException {
        long deadline = System.nanoTime() + patience;
        boolean interrupted = false;
        try {
            boolean locked = false;
            while (!locked && System.nanoTime() - deadline < 0) {
                LockSupport.parkNanos(POLL_NANOS);
                interrupted |= Thread.interrupted();
                locked = Libc.tryLock(fd, path);
            }
            return locked;
        } finally {
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    private static BusyException busy(String path, long holder) {
        return new BusyException(path + " is mapped by a cache of " + ProcLocks.describe(holder, null)
                + ": close that mapping first, or share the cache");
    }

    /** Leaves the descriptor direct if it can be. */
    private static boolean takesDirect(int fd, String path, FileStat stat) throws IOException {
        if (stat.directAlign() > BLOCK) {
            return false;
        }
        try {
            Libc.setDirect(fd, true, path);
        } catch (ErrnoException e) {
            if (e.errno() == Libc.EINVAL) {
                return false;
            }
            throw e;
        }
        try (Arena arena = Arena.ofConfined()) {
            var _ = Libc.read(fd, arena.allocate(BLOCK, BLOCK), 0, path);
            return true;
        } catch (ErrnoException e) {
            if (e.errno() != Libc.EINVAL) {
                throw e;
            }
            Libc.setDirect(fd, false, path);
            return false;
        }
    }

    @Override
    public StoreId id() {
        return id;
    }

    int generation() {
        return generation;
    }

    @Override
    public String name() {
        return name;
    }

    @Override
    public StoreVersion version() throws IOException {
        requireOpen();
        if (!keepsTimes) {
            return StoreVersion.none();
        }
        FileStat stat = Libc.fstat(fd, name);
        return new StoreVersion(StoreVersion.Strength.HEURISTIC, stat.size(), stat.mtime(), stat.ctime());
    }

    @Override
    public long size() throws IOException {
        requireOpen();
        return length;
    }

    private void requireOpen() throws IOException {
        if (closed) {
            throw new IOException(name + " is closed");
        }
    }

    /** Before an intent is journalled, so that a refusal leaves no trace. */
    void requireWritable() throws IOException {
        requireOpen();
        if (readOnly) {
            throw new IOException(name + " is mapped read-only");
        }
    }

    @Override
    public int read(long position, MemorySegment target) throws IOException {
        requireOpen();
        if (target.byteSize() == 0) {
            return 0;
        }
        if (target.isNative() && (!direct || isAligned(position, target))) {
            int n = Libc.read(fd, target, position, name);
            return n == 0 ? -1 : n;
        }
        long start = position / BLOCK * BLOCK;
        long bytes = Math.min(target.byteSize(), 1 << 20);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment bounce = arena.allocate(Layout.roundUp(position + bytes - start, BLOCK), BLOCK);
            int n = Libc.read(fd, bounce, start, name);
            long skip = position - start;
            if (n <= skip) {
                return -1;
            }
            long got = Math.min(n - skip, bytes);
            MemorySegment.copy(bounce, skip, target, 0, got);
            return (int) got;
        }
    }

    private static boolean isAligned(long position, MemorySegment memory) {
        return ((position | memory.address() | memory.byteSize()) & BLOCK - 1) == 0;
    }

    @Override
    public int write(long position, MemorySegment source) throws IOException {
        requireWritable();
        if (source.byteSize() == 0) {
            return 0;
        }
        long stamp = writes.writeLock();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment from = source;
            if (!source.isNative()) {
                from = arena.allocate(Math.min(source.byteSize(), 1 << 20), BLOCK).copyFrom(
                        source.asSlice(0, Math.min(source.byteSize(), 1 << 20)));
            }
            if (!isAligned(position, from)) {
                setDirect(false);
            }
            try {
                return Libc.write(fd, from, position, name);
            } finally {
                lengthMayHaveChanged();
            }
        } finally {
            writes.unlockWrite(stamp);
        }
    }

    /**
     * Writes {@code bytes} of the vectors that {@code vectors} sets, all of them. The caller holds {@link #writes}.
     */
    void writeFully(long position, long bytes, Vectors vectors, @Nullable Runnable again) throws IOException {
        requireOpen();
        long done = 0;
        while (done < bytes) {
            if (done > 0 && again != null) {
                again.run();
            }
            int count = vectors.set(done, bytes - done);
            long n = Libc.writeVectors(fd, count, position + done, name);
            done += n;
            if (done < bytes && direct && done % BLOCK != 0) {
                done -= done % BLOCK;
                if (n < BLOCK) {
                    throw new IOException("write of " + name + " at " + (position + done) + " made no progress");
                }
            }
        }
    }

    /**
     * Reads up to {@code bytes} into the vectors that {@code vectors} sets.
     *
     * @param bytes a multiple of the block size, as is {@code position}
     * @return the number of bytes read, less than {@code bytes} only at the end of the file
     */
    long readFully(long position, long bytes, Vectors vectors) throws IOException {
        requireOpen();
        long done = 0;
        long stoppedAt = -1;
        while (done < bytes) {
            int count = vectors.set(done, bytes - done);
            long n = Libc.readVectors(fd, count, position + done, name);
            if (n == 0) {
                return done;
            }
            long reached = done + n;
            if (reached < bytes && reached % BLOCK != 0) {
                // Either the end, or a transfer cut short where direct I/O could not go on, or what was the end until
                // another thread lengthened the file: each such time the next read gets further.
                if (position + reached >= Libc.fstat(fd, name).size()) {
                    return reached;
                }
                long whole = reached - reached % BLOCK;
                if (whole == done && reached <= stoppedAt) {
                    throw new IOException("read of " + name + " at " + (position + done) + " stopped within a block");
                }
                stoppedAt = reached;
                reached = whole;
            }
            done = reached;
        }
        return done;
    }

    /** Whether reads go past the operating system's pages now. */
    boolean isDirect() {
        return direct;
    }

    /** The descriptor, for reads that are ended before the store is closed. */
    int descriptor() throws IOException {
        requireOpen();
        return fd;
    }

    /** Sets the vectors of this thread's next transfer. */
    @FunctionalInterface
    interface Vectors {
        /**
         * Sets them to the bytes from {@code skip} on, {@code bytes} of them, and returns how many vectors that took.
         */
        int set(long skip, long bytes);
    }

    /** Whether a write of this range may run beside others. */
    boolean isShareable(long position, long bytes) {
        return direct && bytes % BLOCK == 0 && position + bytes <= length;
    }

    /** Makes ready for a write or truncate after which the length will be {@code after}; under the exclusive lock. */
    void prepare(long bytes, long after) throws IOException {
        if (bytes % BLOCK != 0 || after % BLOCK != 0) {
            setDirect(false);
        }
    }

    /** Notes the length that a write or truncate led to; under the exclusive lock. */
    void reached(long after) throws IOException {
        length = after;
        adapt(after);
    }

    /** Reads the length after a failure; under the exclusive lock. */
    void lengthMayHaveChanged() throws IOException {
        reached(Libc.fstat(fd, name).size());
    }

    private void adapt(long size) throws IOException {
        setDirect(canBeDirect && size % BLOCK == 0);
    }

    private void setDirect(boolean value) throws IOException {
        if (direct != value) {
            Libc.setDirect(fd, value, name);
            direct = value;
        }
    }

    /** Sets the length; under the exclusive lock. */
    void cut(long size) throws IOException {
        requireWritable();
        prepare(0, size);
        Libc.truncate(fd, size, name);
        reached(size);
    }

    @Override
    public void truncate(long size) throws IOException {
        long stamp = writes.writeLock();
        try {
            cut(size);
        } finally {
            writes.unlockWrite(stamp);
        }
    }

    @Override
    public void force() throws IOException {
        requireOpen();
        Libc.sync(fd, name);
    }

    @Override
    public void close() {
        long stamp = writes.writeLock();
        try {
            if (!closed) {
                closed = true;
                RefusedFiles.closing(file);
                Libc.unlock(fd);
                Libc.close(fd);
            }
        } finally {
            writes.unlockWrite(stamp);
        }
    }

    @Override
    public String toString() {
        return name;
    }
}
