/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core.local;

import io.warmcache.BackingStore;
import io.warmcache.StoreId;
import io.warmcache.StoreVersion;
import io.warmcache.spi.BackendFile;
import io.warmcache.spi.BlockChecksum;
import io.warmcache.spi.FileVerdict;
import io.warmcache.spi.FrameState;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Objects;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import org.jspecify.annotations.Nullable;

/** An open store, and the I/O between it and the frames. */
final class LocalFile implements BackendFile {
    private static final int BLOCK = BlockChecksum.BLOCK_SIZE;

    /** A change this soon after another may leave a file's times as they are. */
    private static final long QUIET_NANOS = TimeUnit.MILLISECONDS.toNanos(20);

    private final LocalBackend backend;
    private final Records records;
    private final MemorySegment memory;
    private final int pageSize;
    private final int blocks;
    private final BackingStore store;
    private final long fileId;

    /** Of the store, which is not asked again as it is closed. */
    private final StoreId id;

    private final StoreVersion versionAtOpen;
    private final FileVerdict verdict;

    /** Held shared by every verb, exclusively to close. */
    private final ReentrantReadWriteLock use = new ReentrantReadWriteLock();

    private boolean closed;
    private volatile boolean accepted;
    private volatile long lastWrite = System.nanoTime() - QUIET_NANOS;

    LocalFile(
            LocalBackend backend,
            BackingStore store,
            StoreId id,
            long fileId,
            StoreVersion versionAtOpen,
            FileVerdict verdict) {
        this.backend = backend;
        this.id = id;
        this.versionAtOpen = versionAtOpen;
        this.store = store;
        this.fileId = fileId;
        this.verdict = verdict;
        records = backend.records;
        memory = backend.memory();
        pageSize = backend.pageSize();
        blocks = pageSize / BLOCK;
    }

    @Override
    public long fileId() {
        return fileId;
    }

    @Override
    public BackingStore store() {
        return store;
    }

    @Override
    public FileVerdict verdict() {
        return verdict;
    }

    private void enter() {
        use.readLock().lock();
        if (closed) {
            use.readLock().unlock();
            throw new IllegalStateException(store.name() + " is closed");
        }
    }

    private void exit() {
        use.readLock().unlock();
    }

    private void requireAccepted() {
        if (!accepted) {
            throw new IllegalStateException(store.name() + " has not been accepted");
        }
    }

    @Override
    public void accept() throws IOException {
        enter();
        try {
            if (accepted) {
                throw new IllegalStateException(store.name() + " was accepted before");
            }
            if (!store.version().equals(versionAtOpen)) {
                throw new IOException(store.name() + " was changed by another program while it was being mapped");
            }
            accepted = true;
        } finally {
            exit();
        }
    }

    @Override
    public void fill(long firstPage, int[] frames, int count, long size, long writtenMask) throws IOException {
        Objects.checkIndex(count, MAX_RUN + 1);
        enter();
        try {
            requireAccepted();
            for (int i = 0; i < count; i++) {
                records.begin(frames[i], fileId, firstPage + i);
            }
            for (int i = 0; i < count; i++) {
                read((firstPage + i) * pageSize, bytes(frames[i], 0, pageSize), size);
                sum(firstPage + i, frames[i], -1);
                boolean written = (writtenMask >>> i & 1) != 0;
                records.state(frames[i], written ? FrameState.WRITTEN : FrameState.CLEAN);
            }
        } finally {
            exit();
        }
    }

    @Override
    public void refill(long page, int frame, int blockMask, long size) throws IOException {
        enter();
        try {
            records.require(frame, fileId, page, FrameState.DIRTY, FrameState.FILLING);
            for (int rest = blockMask; rest != 0; rest &= rest - 1) {
                long at = (long) Integer.numberOfTrailingZeros(rest) * BLOCK;
                read(page * pageSize + at, bytes(frame, at, BLOCK), size);
            }
        } finally {
            exit();
        }
    }

    private MemorySegment bytes(int frame, long offset, long length) {
        return memory.asSlice((long) frame * pageSize + offset, length);
    }

    /** Reads all of {@code target}, zeros for what lies past the end of the store or {@code size}. */
    private void read(long position, MemorySegment target, long size) throws IOException {
        long wanted = Math.clamp(size - position, 0, target.byteSize());
        long done = 0;
        while (done < wanted) {
            int n = store.read(position + done, target.asSlice(done, wanted - done));
            if (n < 0) {
                break;
            }
            done += progress(n, wanted - done, "read");
        }
        target.asSlice(done).fill((byte) 0);
    }

    private int progress(int n, long most, String call) throws IOException {
        if (n < 1 || n > most) {
            throw new IOException(call + " of store " + store.name() + " returned " + n + " for " + most + " bytes");
        }
        return n;
    }

    private void sum(long page, int frame, int blockMask) {
        for (int b = 0; b < blocks; b++) {
            if ((blockMask >>> b & 1) != 0) {
                records.checksum(frame, b, sum(page, frame, (long) b * BLOCK));
            }
        }
    }

    private long sum(long page, int frame, long offset) {
        return sum(memory, (long) frame * pageSize + offset, page, frame, (int) (offset / BLOCK));
    }

    private long sum(MemorySegment source, long at, long page, int frame, int block) {
        return backend.checksum()
                .block(source, at, backend.incarnation(), fileId, page, block, records.generation(frame));
    }

    @Override
    public void blank(long page, int frame) {
        enter();
        try {
            requireAccepted();
            records.begin(frame, fileId, page);
            bytes(frame, 0, pageSize).fill((byte) 0);
            sum(page, frame, -1);
            records.state(frame, FrameState.DIRTY);
        } finally {
            exit();
        }
    }

    @Override
    public void writeBack(long firstPage, int[] frames, int[] blockMasks, int count, long size) throws IOException {
        Objects.checkIndex(count, MAX_RUN + 1);
        enter();
        try {
            write(firstPage, frames, blockMasks, count, size, memory, frames, null);
        } finally {
            exit();
        }
    }

    @Override
    public void writeBackVerified(
            long firstPage, int[] frames, int[] blockMasks, int count, long size, long[] sums) throws IOException {
        Objects.checkIndex(count, MAX_RUN + 1);
        enter();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment copy = arena.allocate((long) count * pageSize, BLOCK);
            int[] places = new int[count];
            for (int i = 0; i < count; i++) {
                places[i] = i;
                MemorySegment.copy(memory, (long) frames[i] * pageSize, copy, (long) i * pageSize, pageSize);
            }
            write(firstPage, frames, blockMasks, count, size, copy, places, sums);
        } finally {
            exit();
        }
    }

    /**
     * Writes pages back.
     *
     * @param source where their bytes are, page {@code i} at {@code places[i]} pages from its start
     * @param expected the checksums they must have, or null
     */
    private void write(
            long firstPage,
            int[] frames,
            int[] blockMasks,
            int count,
            long size,
            MemorySegment source,
            int[] places,
            long @Nullable [] expected)
            throws IOException {
        requireAccepted();
        for (int i = 0; i < count; i++) {
            records.require(frames[i], fileId, firstPage + i, FrameState.DIRTY);
        }
        // All checksums before the first byte goes out: when a write fails every frame must stay as it was.
        long[] sums = new long[count * blocks];
        for (int k = 0; k < sums.length; k++) {
            if ((blockMasks[k / blocks] >>> (k % blocks) & 1) != 0) {
                long offset = (long) (k % blocks) * BLOCK;
                int frame = frames[k / blocks];
                long at = (long) places[k / blocks] * pageSize + offset;
                sums[k] = sum(source, at, firstPage + k / blocks, frame, k % blocks);
                if (expected != null && sums[k] != expected[k]) {
                    throw new IOException("page " + (firstPage + k / blocks) + " of " + store.name()
                            + " is not what was to be written: nothing was written");
                }
            }
        }
        for (int i = 0; i < count; i++) {
            write(firstPage + i, source.asSlice((long) places[i] * pageSize, pageSize), blockMasks[i], size);
        }
        for (int k = 0; k < sums.length; k++) {
            if (sums[k] != 0) {
                records.checksum(frames[k / blocks], k % blocks, sums[k]);
            }
        }
        for (int i = 0; i < count; i++) {
            records.state(frames[i], FrameState.WRITTEN);
        }
    }

    private void write(long page, MemorySegment source, int blockMask, long size) throws IOException {
        for (int b = 0; b < blocks; b++) {
            int first = b;
            while (b < blocks && (blockMask >>> b & 1) != 0) {
                b++;
            }
            long start = page * pageSize + (long) first * BLOCK;
            long end = Math.min(size, page * pageSize + (long) b * BLOCK);
            for (long at = start; at < end; ) {
                lastWrite = System.nanoTime();
                at += progress(store.write(at, source.asSlice(at - page * pageSize, end - at)), end - at, "write");
                lastWrite = System.nanoTime();
            }
        }
    }

    @Override
    public void seal(long page, int frame, int blockMask) {
        enter();
        try {
            records.require(frame, fileId, page, FrameState.DIRTY);
            sum(page, frame, blockMask);
            records.state(frame, FrameState.WRITTEN);
        } finally {
            exit();
        }
    }

    @Override
    public void force() throws IOException {
        enter();
        try {
            store.force();
        } finally {
            exit();
        }
    }

    @Override
    public void truncate(long size) throws IOException {
        enter();
        try {
            requireAccepted();
            lastWrite = System.nanoTime();
            store.truncate(size);
            lastWrite = System.nanoTime();
        } finally {
            exit();
        }
    }

    @Override
    public void settle() {
        // The version is taken once, when the file is closed: no death of this process needs it.
    }

    @Override
    public void close() throws IOException {
        use.writeLock().lock();
        try {
            if (closed) {
                return;
            }
            closed = true;
        } finally {
            use.writeLock().unlock();
        }
        // Not accepted, the file's frames are still those of the version recorded before.
        StoreVersion version = accepted ? StoreVersion.none() : null;
        try {
            if (accepted) {
                awaitQuiet();
                version = store.version();
            }
        } finally {
            try {
                store.close();
            } finally {
                backend.fileClosed(id, version);
            }
        }
    }

    /** A version is only worth taking once a later change would show in it. */
    private void awaitQuiet() {
        boolean interrupted = false;
        while (store instanceof PlainFile && System.nanoTime() - lastWrite < QUIET_NANOS) {
            LockSupport.parkNanos(1_000_000);
            interrupted |= Thread.interrupted();
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
