/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.h2;

import io.warmcache.CacheClosedException;
import io.warmcache.CacheException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.MappedByteBuffer;
import java.nio.channels.AsynchronousCloseException;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.NonWritableChannelException;
import java.nio.channels.ReadableByteChannel;
import java.nio.channels.WritableByteChannel;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * A channel of a {@link WarmFile}. Positional reads and writes run in parallel; relative ones take turns, as they
 * share the position. No operation is interruptible, so that an interrupt closes no database.
 */
final class WarmChannel extends FileChannel {
    private static final int TRANSFER_SIZE = 64 * 1024;

    private final WarmFile file;
    private final Mode mode;
    private final Consumer<WarmChannel> onClose;
    private final Set<WarmLock> locks = ConcurrentHashMap.newKeySet();

    private final ReentrantLock turn = new ReentrantLock();
    private long position;

    WarmChannel(WarmFile file, Mode mode, Consumer<WarmChannel> onClose) {
        this.file = file;
        this.mode = mode;
        this.onClose = onClose;
    }

    @Override
    public long position() throws IOException {
        requireOpen();
        turn.lock();
        try {
            return position;
        } finally {
            turn.unlock();
        }
    }

    @Override
    public FileChannel position(long newPosition) throws IOException {
        requireOpen();
        requireNotNegative(newPosition, "position");
        turn.lock();
        try {
            position = newPosition;
        } finally {
            turn.unlock();
        }
        return this;
    }

    @Override
    public int read(ByteBuffer dst) throws IOException {
        turn.lock();
        try {
            int count = read(dst, position);
            position += Math.max(0, count);
            return count;
        } finally {
            turn.unlock();
        }
    }

    @Override
    public int write(ByteBuffer src) throws IOException {
        turn.lock();
        try {
            int count = write(src, position);
            position = mode == Mode.APPEND ? size() : position + count;
            return count;
        } finally {
            turn.unlock();
        }
    }

    @Override
    public long size() throws IOException {
        requireOpen();
        try {
            return file.size();
        } catch (CacheException | UncheckedIOException e) {
            throw failure(e);
        }
    }

    @Override
    public int read(ByteBuffer dst, long position) throws IOException {
        requireOpen();
        requireNotNegative(position, "position");
        if (dst.isReadOnly()) {
            throw new IllegalArgumentException("the buffer is read-only");
        }
        if (!dst.hasRemaining()) {
            return 0;
        }
        int count;
        try {
            count = file.read(position, MemorySegment.ofBuffer(dst));
        } catch (CacheException | UncheckedIOException e) {
            throw failure(e);
        }
        if (count > 0) {
            dst.position(dst.position() + count);
        }
        return count;
    }

    @Override
    public int write(ByteBuffer src, long position) throws IOException {
        requireWritable();
        requireNotNegative(position, "position");
        int count = src.remaining();
        if (count == 0) {
            return 0;
        }
        MemorySegment source = MemorySegment.ofBuffer(src);
        change(() -> {
            if (mode == Mode.APPEND) {
                file.append(source);
            } else {
                file.write(position, source);
            }
        });
        src.position(src.limit());
        return count;
    }

    @Override
    public FileChannel truncate(long size) throws IOException {
        requireWritable();
        requireNotNegative(size, "size");
        turn.lock();
        try {
            change(() -> file.truncate(size));
            position = Math.min(position, size);
        } finally {
            turn.unlock();
        }
        return this;
    }

    private void change(Cleanup.Step step) throws IOException {
        try {
            step.run();
            if (mode == Mode.SYNC) {
                file.force();
            }
        } catch (CacheException | UncheckedIOException e) {
            throw failure(e);
        }
    }

    @Override
    public void force(boolean metaData) throws IOException {
        requireOpen();
        try {
            file.force();
        } catch (CacheException | UncheckedIOException e) {
            throw failure(e);
        }
    }

    @Override
    public long read(ByteBuffer[] dsts, int offset, int length) throws IOException {
        Objects.checkFromIndexSize(offset, length, dsts.length);
        long total = 0;
        for (int i = offset; i < offset + length; i++) {
            while (dsts[i].hasRemaining()) {
                int count = read(dsts[i]);
                if (count < 0) {
                    return total == 0 ? -1 : total;
                }
                total += count;
            }
        }
        return total;
    }

    @Override
    public long write(ByteBuffer[] srcs, int offset, int length) throws IOException {
        Objects.checkFromIndexSize(offset, length, srcs.length);
        requireWritable();
        long total = 0;
        for (int i = offset; i < offset + length; i++) {
            total += write(srcs[i]);
        }
        return total;
    }

    @Override
    public long transferTo(long position, long count, WritableByteChannel target) throws IOException {
        requireNotNegative(position, "position");
        requireNotNegative(count, "count");
        ByteBuffer buffer = ByteBuffer.allocate((int) Math.min(count, TRANSFER_SIZE));
        long done = 0;
        while (done < count) {
            buffer.clear().limit((int) Math.min(count - done, buffer.capacity()));
            if (read(buffer, position + done) <= 0) {
                break;
            }
            int written = target.write(buffer.flip());
            done += written;
            if (buffer.hasRemaining()) {
                break;
            }
        }
        return done;
    }

    @Override
    public long transferFrom(ReadableByteChannel src, long position, long count) throws IOException {
        requireWritable();
        requireNotNegative(position, "position");
        requireNotNegative(count, "count");
        if (position > size()) {
            return 0;
        }
        ByteBuffer buffer = ByteBuffer.allocate((int) Math.min(count, TRANSFER_SIZE));
        long done = 0;
        while (done < count) {
            buffer.clear().limit((int) Math.min(count - done, buffer.capacity()));
            if (src.read(buffer) <= 0) {
                break;
            }
            done += write(buffer.flip(), position + done);
        }
        return done;
    }

    /**
     * Tries to lock a range of the file: for this process against others, plain H2 among them.
     *
     * @return the lock, or null if another process has one that excludes it
     * @throws java.nio.channels.OverlappingFileLockException if this process has a lock on the range, whatever
     *     the channel
     */
    @Override
    public @Nullable FileLock tryLock(long position, long size, boolean shared) throws IOException {
        requireOpen();
        if (!shared && !mode.writes()) {
            throw new NonWritableChannelException();
        }
        FileLock held = file.tryLock(position, size, shared);
        if (held == null) {
            return null;
        }
        WarmLock lock = new WarmLock(this, held, file, locks);
        if (!isOpen()) {
            lock.giveBack();
            throw new AsynchronousCloseException();
        }
        return lock;
    }

    /** Not supported, as in the other wrapping file systems of H2, which never waits for a lock. */
    @Override
    public FileLock lock(long position, long size, boolean shared) {
        throw new UnsupportedOperationException("a warm: channel locks by tryLock alone");
    }

    /** Not supported: the file's memory is the cache's. */
    @Override
    public MappedByteBuffer map(MapMode mapMode, long position, long size) {
        throw new UnsupportedOperationException("a warm: channel cannot be mapped");
    }

    @Override
    protected void implCloseChannel() throws IOException {
        onClose.accept(this);
        Cleanup cleanup = new Cleanup();
        for (WarmLock lock : locks) {
            cleanup.run(lock::giveBack);
        }
        cleanup.run(file::release);
        try {
            cleanup.throwFirst();
        } catch (CacheException | UncheckedIOException e) {
            throw new IOException(file.path() + ": " + e.getMessage(), e);
        }
    }

    @Override
    public String toString() {
        return WarmFileSystem.SCHEME + ":" + file.path();
    }

    private void requireOpen() throws ClosedChannelException {
        if (!isOpen()) {
            throw new ClosedChannelException();
        }
    }

    private void requireWritable() throws ClosedChannelException {
        requireOpen();
        if (!mode.writes()) {
            throw new NonWritableChannelException();
        }
    }

    private static void requireNotNegative(long value, String what) {
        if (value < 0) {
            throw new IllegalArgumentException(what + " is " + value + ": it must be 0 or more");
        }
    }

    private IOException failure(RuntimeException e) {
        if (e.getCause() instanceof IOException cause) {
            return cause;
        }
        if (e instanceof CacheClosedException && !isOpen()) {
            return new AsynchronousCloseException();
        }
        return new IOException(file.path() + ": " + e.getMessage(), e);
    }

    /** What a channel may do. */
    enum Mode {
        READ,
        WRITE,
        /** Every change is forced before the call returns. */
        SYNC,
        /** Every write goes to the end of the file. */
        APPEND;

        /** Translates the names that H2 took from {@link java.io.RandomAccessFile}. */
        static Mode of(String name) {
            return switch (name) {
                case "r" -> READ;
                case "rw" -> WRITE;
                case "rws", "rwd" -> SYNC;
                default -> throw new IllegalArgumentException("\"" + name + "\" is not a mode: r, rw, rws or rwd");
            };
        }

        boolean writes() {
            return this != READ;
        }
    }
}
