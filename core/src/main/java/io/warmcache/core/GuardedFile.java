/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import io.warmcache.BackingStore;
import io.warmcache.core.image.ImageDisk;
import io.warmcache.spi.BackendFile;
import io.warmcache.spi.FileVerdict;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.LongAdder;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.roaringbitmap.RoaringBitmap;

/**
 * The way of every write to a store: images of the store are deleted before it, and those who copy or restore pages
 * meanwhile are told ({@code docs/internals.md}, section 12).
 */
final class GuardedFile implements BackendFile {
    /** File times lag the clock by less: a change this long after the last one has other times. */
    private static final long QUIET_NANOS = TimeUnit.MILLISECONDS.toNanos(25);

    private final BackendFile inner;
    private final int pageSize;
    private final ImageDisk disk;
    private final LongAdder removed;
    private final AtomicLong writes = new AtomicLong();
    private final AtomicLong failedForces = new AtomicLong();

    /** Shared by each write, from before it looks for images and write sets until it has ended. */
    private final ReentrantReadWriteLock gate = new ReentrantReadWriteLock();

    /** Bytes read since may be some that an earlier, failed fsync never made durable. */
    private volatile boolean mayHaveLost;

    private volatile long lastWrite = System.nanoTime();

    private volatile @Nullable CachedFile owner;

    /** Images that the next write must delete first. Written under this object's monitor. */
    private volatile List<Path> armed = List.of();

    /** Written under this object's monitor. */
    private volatile List<WriteSet> writeSets = List.of();

    GuardedFile(BackendFile inner, int pageSize, ImageDisk disk, LongAdder removed) {
        this.inner = inner;
        this.pageSize = pageSize;
        this.disk = disk;
        this.removed = removed;
    }

    /** Pages written since it was begun. */
    static final class WriteSet {
        private final RoaringBitmap pages = new RoaringBitmap();
        private long cut = Long.MAX_VALUE;

        private synchronized void add(long first, int count) {
            pages.add(first, first + count);
        }

        private synchronized void cut(long from) {
            cut = Math.min(cut, from);
        }

        synchronized boolean contains(long page) {
            return page >= cut || pages.contains((int) page);
        }

        /** Forgets what was written to a page, by one who sees that no write of it is in flight. */
        synchronized void forget(long page) {
            pages.remove((int) page);
        }

        synchronized RoaringBitmap pages() {
            return pages.clone();
        }

        /** Every page from here on was written, too. */
        synchronized long cut() {
            return cut;
        }
    }

    WriteSet beginWriteSet() {
        WriteSet set = new WriteSet();
        synchronized (this) {
            writeSets = Stream.concat(writeSets.stream(), Stream.of(set)).toList();
        }
        return set;
    }

    void endWriteSet(WriteSet set) {
        synchronized (this) {
            writeSets = writeSets.stream().filter(s -> !s.equals(set)).toList();
        }
    }

    /** I8: the file must not be there when the store is written next. */
    void arm(Path image) {
        synchronized (this) {
            if (!armed.contains(image)) {
                armed = Stream.concat(armed.stream(), Stream.of(image)).toList();
            }
        }
    }

    boolean isArmed(Path image) {
        return armed.contains(image);
    }

    List<Path> armed() {
        return armed;
    }

    /** D1. */
    private void disarm() throws IOException {
        synchronized (this) {
            for (Path image : armed) {
                try {
                    if (disk.delete(image)) {
                        removed.increment();
                    }
                    Path directory = image.getParent();
                    if (directory != null) {
                        disk.forceDirectory(directory);
                    }
                } catch (IOException e) {
                    throw new IOException(
                            "the image " + image + " must go before the first write to " + store().name()
                                    + ", and could not be deleted: delete it, then write again",
                            e);
                }
                armed = armed.stream().filter(p -> !p.equals(image)).toList();
            }
        }
    }

    // ---- the gate --------------------------------------------------------------------------------------------------

    /** What is done while no write is in flight. */
    interface Sealing {
        void run() throws IOException;
    }

    /**
     * I6 to I9: runs {@code sealing} with no write in flight.
     *
     * @param writesForced unless negative: only if no write began since this count was taken, and the last one ended
     *     so long ago that the store's times can tell a later one
     * @param failuresBefore only if no force failed since this count was taken
     * @return whether it was run, false if a write came between
     */
    boolean seal(long writesForced, long failuresBefore, Sealing sealing) throws IOException {
        gate.writeLock().lock();
        try {
            if (failedForces.get() != failuresBefore) {
                throw new IOException("a force of the store failed meanwhile");
            }
            if (writesForced >= 0 && (writes.get() != writesForced || !isQuiet())) {
                return false;
            }
            sealing.run();
            return true;
        } finally {
            gate.writeLock().unlock();
        }
    }

    boolean isQuiet() {
        return System.nanoTime() - lastWrite >= QUIET_NANOS;
    }

    /** How many writes have begun. */
    long writes() {
        return writes.get();
    }

    long failedForces() {
        return failedForces.get();
    }

    /** The store could not be forced when it was mapped: a later force that succeeds does not make up for it. */
    void lostWrites() {
        mayHaveLost = true;
    }

    boolean mayHaveLost() {
        return mayHaveLost;
    }

    /** The file whose store this is, once it is known. */
    void owner(CachedFile file) {
        owner = file;
        activate();
    }

    private void activate() {
        CachedFile file = owner;
        if (file != null) {
            file.activate();
        }
    }

    /** One write of the store. */
    private interface Write {
        void run() throws IOException;
    }

    private void guarded(Write write) throws IOException {
        gate.readLock().lock();
        try {
            writes.incrementAndGet();
            activate();
            if (!armed.isEmpty()) {
                disarm();
            }
            try {
                write.run();
            } finally {
                lastWrite = System.nanoTime();
                try {
                    activate();
                } catch (OutOfMemoryError e) {
                    // The write has ended as it has. Its version is settled with the next one, or at close.
                }
            }
        } finally {
            gate.readLock().unlock();
        }
    }

    @Override
    public void writeBack(long firstPage, int[] frames, int[] blockMasks, int count, long size) throws IOException {
        guarded(() -> {
            for (WriteSet set : writeSets) {
                set.add(firstPage, count);
            }
            inner.writeBack(firstPage, frames, blockMasks, count, size);
        });
    }

    @Override
    public void writeBackVerified(
            long firstPage, int[] frames, int[] blockMasks, int count, long size, long[] sums) throws IOException {
        guarded(() -> {
            for (WriteSet set : writeSets) {
                set.add(firstPage, count);
            }
            inner.writeBackVerified(firstPage, frames, blockMasks, count, size, sums);
        });
    }

    @Override
    public void truncate(long size) throws IOException {
        guarded(() -> {
            long boundary = Math.min(size, inner.store().size()) / pageSize;
            for (WriteSet set : writeSets) {
                set.cut(boundary);
            }
            inner.truncate(size);
        });
    }

    @Override
    public void force() throws IOException {
        try {
            inner.force();
        } catch (Throwable t) {
            failedForces.incrementAndGet();
            throw t;
        }
    }

    // ---- passed on -------------------------------------------------------------------------------------------------

    @Override
    public long fileId() {
        return inner.fileId();
    }

    @Override
    public BackingStore store() {
        return inner.store();
    }

    @Override
    public FileVerdict verdict() {
        return inner.verdict();
    }

    @Override
    public void accept() throws IOException {
        inner.accept();
    }

    @Override
    public void fill(long firstPage, int[] frames, int count, long size, long writtenMask) throws IOException {
        inner.fill(firstPage, frames, count, size, writtenMask);
    }

    @Override
    public int runsAtOnce() {
        return inner.runsAtOnce();
    }

    @Override
    public void fillRuns(
            int runs,
            long[] firstPages,
            int[][] frames,
            int[] counts,
            long[] writtenMasks,
            long size,
            RunFilled told)
            throws IOException {
        inner.fillRuns(runs, firstPages, frames, counts, writtenMasks, size, told);
    }

    @Override
    public void refill(long page, int frame, int blockMask, long size) throws IOException {
        inner.refill(page, frame, blockMask, size);
    }

    @Override
    public void blank(long page, int frame) {
        inner.blank(page, frame);
    }

    @Override
    public void seal(long page, int frame, int blockMask) {
        inner.seal(page, frame, blockMask);
    }

    @Override
    public void settle() throws IOException {
        inner.settle();
    }

    @Override
    public void close() throws IOException {
        inner.close();
    }
}
