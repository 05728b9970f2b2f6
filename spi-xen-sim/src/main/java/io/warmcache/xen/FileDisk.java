/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

import io.warmcache.BackingStore;
import io.warmcache.BusyException;
import io.warmcache.IoMode;
import io.warmcache.MapOptions;
import io.warmcache.StoreId;
import io.warmcache.StoreVersion;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantReadWriteLock;

/**
 * A plain file as a virtual disk, owned by {@code flock}. Read and written through the host's page cache, or past it
 * where whole blocks move and that was asked for.
 */
final class FileDisk implements BackingStore {
    private static final int BLOCK = Machine.FRAME_SIZE;

    private final int fd;
    /** The same file for direct I/O, or -1. */
    private final int directFd;
    private final Path file;
    private final StoreId id;
    /** Held for writing by a close: a descriptor closed under a call may be another file's by the time it is used. */
    private final ReentrantReadWriteLock use = new ReentrantReadWriteLock();

    private volatile boolean closed;

    private FileDisk(int fd, int directFd, Path file, StoreId id) {
        this.fd = fd;
        this.directFd = directFd;
        this.file = file;
        this.id = id;
    }

    static StoreId identify(Path file, MapOptions options) throws IOException {
        if (Files.notExists(file)) {
            if (!options.create() || options.readOnly()) {
                throw new NoSuchFileException(
                        file.toString(), null, "no such file, and the options do not say to create it");
            }
            try {
                Files.createFile(file);
            } catch (FileAlreadyExistsException e) {
                return identify(file, options.withCreate(false));
            }
        }
        BasicFileAttributes attributes = Files.readAttributes(file, BasicFileAttributes.class);
        if (!attributes.isRegularFile()) {
            throw new IOException(file + " is no regular file: only those can be mapped as plain files");
        }
        MessageDigest sha;
        try {
            sha = MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java platform has SHA-256", e);
        }
        // Device and inode; and the birth time, since an inode's number is used again at once.
        sha.update(String.valueOf(attributes.fileKey()).getBytes(java.nio.charset.StandardCharsets.UTF_8));
        sha.update(ByteBuffer.allocate(8).putLong(nanos(attributes.creationTime())).flip());
        ByteBuffer digest = ByteBuffer.wrap(sha.digest());
        return new StoreId(digest.getLong(), digest.getLong());
    }

    static FileDisk open(Path file, MapOptions options) throws IOException {
        return open(file, options, false);
    }

    /** As {@link #open}, with direct I/O unless the options say buffered. */
    static FileDisk openHosted(Path file, MapOptions options) throws IOException {
        return open(file, options, options.ioMode() != IoMode.BUFFERED);
    }

    private static FileDisk open(Path file, MapOptions options, boolean direct) throws IOException {
        StoreId id = identify(file, options);
        int fd = Libc.open(file.toAbsolutePath().toString());
        boolean done = false;
        try {
            if (!Libc.tryLock(fd, file.toString())) {
                throw new BusyException(
                        file + " is mapped by another cache: close that mapping first, or share the cache");
            }
            if (!identify(file, options.withCreate(false)).equals(id)) {
                throw new IOException(
                        file + " was replaced by another program while it was being mapped: map it again");
            }
            int directFd = direct ? Libc.openDirect(file.toAbsolutePath().toString()) : -1;
            if (direct && directFd < 0 && options.ioMode() == IoMode.DIRECT) {
                throw new IOException(file + " is on a file system that takes no direct I/O: map it with IoMode.AUTO or"
                        + " BUFFERED");
            }
            done = true;
            return new FileDisk(fd, directFd, file, id);
        } finally {
            if (!done) {
                Libc.close(fd);
            }
        }
    }

    private static long nanos(FileTime time) {
        return time.to(TimeUnit.NANOSECONDS);
    }

    private void requireOpen() throws IOException {
        if (closed) {
            throw new IOException(file + " is closed");
        }
    }

    @Override
    public String name() {
        return file.toString();
    }

    @Override
    public StoreId id() {
        return id;
    }

    @Override
    public StoreVersion version() throws IOException {
        use.readLock().lock();
        try {
            requireOpen();
            FileTime modified = (FileTime) Files.getAttribute(file, "unix:lastModifiedTime");
            FileTime changed = (FileTime) Files.getAttribute(file, "unix:ctime");
            long size = Libc.size(fd, name());
            return new StoreVersion(StoreVersion.Strength.HEURISTIC, size, nanos(modified), nanos(changed));
        } finally {
            use.readLock().unlock();
        }
    }

    @Override
    public long size() throws IOException {
        use.readLock().lock();
        try {
            requireOpen();
            return Libc.size(fd, name());
        } finally {
            use.readLock().unlock();
        }
    }

    @Override
    public int read(long position, MemorySegment target) throws IOException {
        if (!target.isNative()) {
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment bounce = arena.allocate(target.byteSize());
                int n = read(position, bounce);
                MemorySegment.copy(bounce, 0, target, 0, Math.max(0, n));
                return n;
            }
        }
        use.readLock().lock();
        try {
            requireOpen();
            int n = Libc.read(descriptor(position, target), target, position, name());
            return n == 0 && target.byteSize() > 0 ? -1 : n;
        } finally {
            use.readLock().unlock();
        }
    }

    @Override
    public int write(long position, MemorySegment source) throws IOException {
        if (!source.isNative()) {
            try (Arena arena = Arena.ofConfined()) {
                return write(position, arena.allocate(source.byteSize()).copyFrom(source));
            }
        }
        use.readLock().lock();
        try {
            requireOpen();
            return Libc.write(descriptor(position, source), source, position, name());
        } finally {
            use.readLock().unlock();
        }
    }

    /** Direct where the transfer is of whole blocks: the length of the file is never anything but what was asked. */
    private int descriptor(long position, MemorySegment memory) {
        boolean whole = ((position | memory.address() | memory.byteSize()) & BLOCK - 1) == 0;
        return directFd >= 0 && whole ? directFd : fd;
    }

    @Override
    public void force() throws IOException {
        use.readLock().lock();
        try {
            requireOpen();
            Libc.force(fd, name());
        } finally {
            use.readLock().unlock();
        }
    }

    @Override
    public void truncate(long size) throws IOException {
        use.readLock().lock();
        try {
            requireOpen();
            Libc.truncate(fd, size, name());
        } finally {
            use.readLock().unlock();
        }
    }

    @Override
    public void close() {
        use.writeLock().lock();
        try {
            if (!closed) {
                closed = true;
                if (directFd >= 0) {
                    Libc.close(directFd);
                }
                Libc.close(fd);
            }
        } finally {
            use.writeLock().unlock();
        }
    }
}
