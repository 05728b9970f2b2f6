/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core.local;

import io.warmcache.BackingStore;
import io.warmcache.BusyException;
import io.warmcache.IoMode;
import io.warmcache.MapOptions;
import io.warmcache.StoreId;
import io.warmcache.StoreVersion;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.channels.AsynchronousFileChannel;
import java.nio.channels.OverlappingFileLockException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.util.EnumSet;
import java.util.HashSet;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;

/**
 * A plain file on any platform. Of the JDK's channels the asynchronous one is the only one with positions that an
 * interrupt of the calling thread does not close.
 */
final class PlainFile implements BackingStore {
    /** File systems known to keep birth times, and change times finer than a clock tick. */
    private static final Set<String> KEEPS_TIMES = Set.of("ext4", "xfs", "btrfs", "tmpfs", "overlay", "apfs");

    /** Far past the end of any file, so that a lock which the platform enforces keeps nobody from the bytes. */
    private static final long LOCKED_BYTE = Long.MAX_VALUE - 2;

    private static final int MOST_BYTES = 1 << 26;

    /** Files open in caches of this class loader. */
    private static final Set<StoreId> OPEN = new HashSet<>();

    /** Whoever it is, it is not the thread that a confined segment belongs to. */
    private static final Thread ANOTHER = Thread.ofPlatform().unstarted(() -> {});

    private final AsynchronousFileChannel channel;
    private final Path file;
    private final StoreId id;
    private final boolean readOnly;

    private PlainFile(AsynchronousFileChannel channel, Path file, StoreId id, boolean readOnly) {
        this.channel = channel;
        this.file = file;
        this.id = id;
        this.readOnly = readOnly;
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
        return identify(file);
    }

    private static StoreId identify(Path file) throws IOException {
        BasicFileAttributes attributes = Files.readAttributes(file, BasicFileAttributes.class);
        if (!attributes.isRegularFile()) {
            throw new IOException(file + " is no regular file: only those can be mapped as plain files");
        }
        Object key = attributes.fileKey();
        // Where there is no birth time the JDK gives the time of the last change, which is no part of an identity.
        String text = (key == null ? file.toRealPath() : key)
                + (keepsTimes(file) ? "@" + nanos(attributes.creationTime()) : "");
        UUID hash = UUID.nameUUIDFromBytes(text.getBytes(StandardCharsets.UTF_8));
        return new StoreId(hash.getMostSignificantBits(), hash.getLeastSignificantBits());
    }

    private static boolean keepsTimes(Path file) {
        try {
            return file.getFileSystem().supportedFileAttributeViews().contains("unix")
                    && KEEPS_TIMES.contains(Files.getFileStore(file).type());
        } catch (IOException e) {
            return false;
        }
    }

    private static long nanos(FileTime time) {
        return time.to(TimeUnit.NANOSECONDS);
    }

    static PlainFile open(Path file, MapOptions options) throws IOException {
        if (options.ioMode() == IoMode.DIRECT) {
            throw new IOException("the back end \"volatile\" reads and writes through the operating system's page"
                    + " cache: map " + file + " with IoMode.AUTO or BUFFERED");
        }
        StoreId id = identify(file, options);
        synchronized (OPEN) {
            if (!OPEN.add(id)) {
                throw busy(file, "this process (pid " + ProcessHandle.current().pid() + ")");
            }
        }
        AsynchronousFileChannel channel = null;
        boolean done = false;
        try {
            EnumSet<StandardOpenOption> how = EnumSet.of(StandardOpenOption.READ);
            if (!options.readOnly()) {
                how.add(StandardOpenOption.WRITE);
            }
            channel = AsynchronousFileChannel.open(file, how, null);
            lock(channel, file, options.readOnly());
            if (!identify(file).equals(id)) {
                throw new IOException(
                        file + " was replaced by another program while it was being mapped: map it again");
            }
            done = true;
            return new PlainFile(channel, file, id, options.readOnly());
        } finally {
            if (!done) {
                synchronized (OPEN) {
                    OPEN.remove(id);
                }
                if (channel != null) {
                    channel.close();
                }
            }
        }
    }

    /** Keeps other processes' caches out, as far as the platform goes. The lock ends with the channel. */
    private static void lock(AsynchronousFileChannel channel, Path file, boolean shared) throws IOException {
        if (!tryLock(channel, file, LOCKED_BYTE, shared) && tryLock(channel, file, LOCKED_BYTE - 1, shared)) {
            // Not the whole file is locked, as an engine in this process does that has let itself in already.
            throw busy(file, "this process (pid " + ProcessHandle.current().pid() + ")");
        }
    }

    /** False if this very process holds a lock of that byte. */
    private static boolean tryLock(AsynchronousFileChannel channel, Path file, long at, boolean shared)
            throws IOException {
        try {
            if (channel.tryLock(at, 1, shared) == null) {
                throw busy(file, "another process");
            }
            return true;
        } catch (OverlappingFileLockException e) {
            return false;
        } catch (BusyException e) {
            throw e;
        } catch (IOException e) {
            return true; // a file system without locks
        }
    }

    private static BusyException busy(Path file, String holder) {
        return new BusyException(
                file + " is mapped by a cache of " + holder + ": close that mapping first, or share the cache");
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
        requireOpen();
        // By the path, since a channel tells no times: only good if that still names this file.
        if (!keepsTimes(file)) {
            return StoreVersion.none();
        }
        BasicFileAttributes now = Files.readAttributes(file, BasicFileAttributes.class);
        FileTime changed = (FileTime) Files.getAttribute(file, "unix:ctime");
        return identify(file).equals(id)
                ? new StoreVersion(
                        StoreVersion.Strength.HEURISTIC, now.size(), nanos(now.lastModifiedTime()), nanos(changed))
                : StoreVersion.none();
    }

    private void requireOpen() throws IOException {
        if (!channel.isOpen()) {
            throw new IOException(file + " is closed");
        }
    }

    @Override
    public long size() throws IOException {
        requireOpen();
        return channel.size();
    }

    @Override
    public int read(long position, MemorySegment target) throws IOException {
        requireOpen();
        int length = (int) Math.min(target.byteSize(), MOST_BYTES);
        if (length == 0) {
            return 0;
        }
        if (target.isAccessibleBy(ANOTHER)) {
            return await(channel.read(target.asSlice(0, length).asByteBuffer(), position));
        }
        ByteBuffer copy = ByteBuffer.allocate(length);
        int n = await(channel.read(copy, position));
        target.asSlice(0, Math.max(0, n)).copyFrom(MemorySegment.ofBuffer(copy.flip()));
        return n;
    }

    @Override
    public int write(long position, MemorySegment source) throws IOException {
        requireWritable();
        int length = (int) Math.min(source.byteSize(), MOST_BYTES);
        if (length == 0) {
            return 0;
        }
        MemorySegment part = source.asSlice(0, length);
        ByteBuffer bytes = part.isAccessibleBy(ANOTHER)
                ? part.asByteBuffer()
                : ByteBuffer.wrap(part.toArray(ValueLayout.JAVA_BYTE));
        return await(channel.write(bytes, position));
    }

    private void requireWritable() throws IOException {
        requireOpen();
        if (readOnly) {
            throw new IOException(file + " is mapped read-only");
        }
    }

    /** The result of a transfer. Not ended by an interrupt, which stays pending: the memory is in use until then. */
    private static int await(Future<Integer> transfer) throws IOException {
        boolean interrupted = false;
        try {
            while (true) {
                try {
                    return transfer.get();
                } catch (InterruptedException e) {
                    interrupted = true;
                }
            }
        } catch (ExecutionException e) {
            Throwable cause = e.getCause();
            throw new IOException(cause == null ? e.getMessage() : cause.getMessage(), e);
        } finally {
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    @Override
    public void force() throws IOException {
        requireOpen();
        channel.force(true);
    }

    @Override
    public void truncate(long size) throws IOException {
        requireWritable();
        if (size < channel.size()) {
            channel.truncate(size);
        } else if (size > channel.size()) {
            await(channel.write(ByteBuffer.allocate(1), size - 1));
        }
    }

    @Override
    public void close() throws IOException {
        if (channel.isOpen()) {
            try {
                channel.close();
            } finally {
                synchronized (OPEN) {
                    OPEN.remove(id);
                }
            }
        }
    }

    @Override
    public String toString() {
        return name();
    }
}
