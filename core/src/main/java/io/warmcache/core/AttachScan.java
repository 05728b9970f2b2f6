/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import io.warmcache.AttachProgress;
import io.warmcache.DropReason;
import io.warmcache.core.evict.Replacement;
import io.warmcache.spi.FrameState;
import io.warmcache.spi.SurvivorVisitor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;
import org.roaringbitmap.RoaringBitmap;

/**
 * A2 to A4 of {@code docs/internals.md}, section 8: makes the records that a back end found into words of the index, on
 * as many threads as there are processors.
 */
final class AttachScan {
    /** Frames that a thread takes at a time; fewer than two such shares are not worth a thread. */
    static final int SHARE = 1 << 16;

    /** Consecutive frames whose words are made together. */
    private static final int BATCH = 256;

    /** Beside a hint: the record is WRITTEN. */
    private static final long WRITTEN = 1L << 32;

    private final Cache cache;
    private final FrameTable frames;
    private final int share;
    private final AttachProgress progress;
    private final int capacity;

    private final AtomicInteger next = new AtomicInteger();
    private final AtomicInteger done = new AtomicInteger();

    /** A page of a file, as a key. */
    private record Key(long fileId, long page) {}

    AttachScan(Cache cache, int share, AttachProgress progress) {
        this.cache = cache;
        this.share = share;
        this.progress = progress;
        frames = cache.frames;
        capacity = frames.capacity();
    }

    /** Returns how many records were not free. */
    int run(int threads) {
        int shares = (capacity + share - 1) / share;
        List<Worker> workers = new ArrayList<>(threads);
        try {
            for (int i = 1; i < Math.min(threads, shares); i++) {
                try {
                    Worker worker = new Worker();
                    workers.add(worker);
                    worker.start();
                } catch (OutOfMemoryError e) {
                    break; // no thread to be had: fewer will do, and one that never started has found nothing
                }
            }
            Found own = new Found();
            while (scanShare(own)) {
                progress.scanned(done.get(), capacity);
            }
            return finish(own, workers);
        } catch (Throwable t) {
            next.set(capacity); // so that the others end; what they found ends with the back end
            throw t;
        } finally {
            join(workers);
        }
    }

    private int finish(Found all, List<Worker> workers) {
        join(workers);
        for (Worker worker : workers) {
            if (worker.failure != null) {
                throw new IllegalStateException("reading what is in memory failed: " + worker.failure, worker.failure);
            }
            all.add(worker.found);
        }
        all.dropNotReusable();
        all.release.forEach((int frame) -> cache.backend.release(frame));
        frames.scanned(all.kept);
        progress.scanned(capacity, capacity);
        return all.count;
    }

    /** Waits for threads to end, whatever interrupts come meanwhile. */
    static void join(List<? extends Thread> threads) {
        boolean interrupted = false;
        for (Thread thread : threads) {
            while (true) {
                try {
                    thread.join();
                    break;
                } catch (InterruptedException e) {
                    interrupted = true;
                }
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    /** Scans the next share; returns false if there is none. */
    private boolean scanShare(Found into) {
        int from = next.getAndUpdate(n -> Math.min(n + share, capacity));
        if (from >= capacity) {
            return false;
        }
        int to = Math.min(from + share, capacity);
        cache.backend.survivors(from, to, into);
        into.flush();
        done.addAndGet(to - from);
        return true;
    }

    private final class Worker extends Thread {
        final Found found = new Found();
        @Nullable Throwable failure;

        Worker() {
            super("warmcache-attach-" + cache.config.name());
            setDaemon(true);
        }

        @Override
        public void run() {
            try {
                boolean more;
                do {
                    more = scanShare(found);
                } while (more);
            } catch (Throwable t) {
                failure = t;
            }
        }
    }

    /** What one thread has found. */
    private final class Found implements SurvivorVisitor {
        final RoaringBitmap release = new RoaringBitmap();
        final Set<Key> notReusable = new HashSet<>();
        int count;
        int kept;
        private final Files files = new Files();

        private int batched;
        private int firstFrame;
        private int lastFrame = -1;
        private final int[] batchFrames = new int[BATCH];
        private final long[] batchFileIds = new long[BATCH];
        private final long[] batchPages = new long[BATCH];
        private final long[] batchHints = new long[BATCH];
        private final @Nullable CachedFile[] batchFiles = new @Nullable CachedFile[BATCH];
        private final long[][] @Nullable [] batchNears = new long[BATCH][][];
        private final long[] @Nullable [] batchLeaves = new long[BATCH] @Nullable [];
        private final long[] batchWords = new long[BATCH];

        /** Of what was claimed, by the distance from {@link #firstFrame}. */
        private final @Nullable CachedFile[] ownFiles = new @Nullable CachedFile[BATCH];

        private final long[] @Nullable [] ownLeaves = new long[BATCH] @Nullable [];

        @Override
        public void survivor(int frame, long fileId, long page, FrameState state, int hint) {
            if (fileId <= 0 || page < 0 || page >= RadixIndex.MAX_PAGES) {
                dropped(frame, DropReason.RECORD_DAMAGED, 0, -1);
                return;
            }
            if (frame <= lastFrame) {
                throw new IllegalStateException("the back end reports frame " + frame + " after " + lastFrame);
            }
            lastFrame = frame;
            if (batched > 0 && frame - firstFrame >= BATCH) {
                flush();
            }
            if (batched == 0) {
                firstFrame = frame;
            }
            batchFrames[batched] = frame;
            batchFileIds[batched] = fileId;
            batchPages[batched] = page;
            batchHints[batched++] = Integer.toUnsignedLong(hint) | (state == FrameState.WRITTEN ? WRITTEN : 0);
        }

        /**
         * Makes words of what was collected. A claim is a full fence, and so is a reference stored into a table (the
         * collector's barrier), behind which the processor waits for one cache line at a time. So what a frame needs is
         * looked up for the whole batch before, nothing else is stored between the claims, and references are stored by
         * one copy.
         */
        void flush() {
            for (int i = 0; i < batched; i++) {
                int slot = files.slotOf(batchFileIds[i]);
                batchFiles[i] = files.files[slot];
                batchNears[i] = files.nears[slot]; // read with the table, not with an object of each file
            }
            for (int i = 0; i < batched; i++) {
                batchLeaves[i] = leaf(batchFiles[i], batchNears[i], batchPages[i]);
            }
            for (int i = 0; i < batched; i++) {
                long[] leaf = batchLeaves[i];
                batchWords[i] = leaf == null ? 0 : TranslationWord.acquire(leaf, RadixIndex.slot(batchPages[i]));
            }
            for (int i = 0; i < batched; i++) {
                CachedFile file = batchFiles[i];
                long[] leaf = batchLeaves[i];
                if (file == null || leaf == null) {
                    drop(batchFrames[i], DropReason.UNKNOWN_FILE, batchFileIds[i], batchPages[i]);
                } else if (claim(leaf, i)) {
                    ownFiles[batchFrames[i] - firstFrame] = file;
                    ownLeaves[batchFrames[i] - firstFrame] = leaf;
                    if ((batchHints[i] & WRITTEN) != 0) {
                        file.mayHoldWritten = true;
                    }
                } else {
                    drop(batchFrames[i], DropReason.DUPLICATE, file.fileId, batchPages[i]);
                    if (!Mutation.DUPLICATES_NOT_DROPPED.isOn()) {
                        notReusable.add(new Key(file.fileId, batchPages[i]));
                    }
                }
            }
            for (int i = 0; i < batched; i++) {
                if (ownFiles[batchFrames[i] - firstFrame] != null) {
                    frames.found(batchFrames[i], batchPages[i], (int) batchHints[i]);
                    kept++;
                }
            }
            if (batched > 0) {
                int covered = batchFrames[batched - 1] - firstFrame + 1;
                frames.found(firstFrame, ownFiles, ownLeaves, covered);
                Arrays.fill(ownFiles, 0, covered, null);
                Arrays.fill(ownLeaves, 0, covered, null);
            }
            count += batched;
            batched = 0;
        }

        /** Most pages are among a file's first, whose leaves are found without a look at the file itself. */
        private static long @Nullable [] leaf(@Nullable CachedFile file, long[] @Nullable [] near, long page) {
            long[] leaf = RadixIndex.near(near, page);
            return leaf != null || file == null ? leaf : file.index.leafOrCreate(page);
        }

        /** EMPTY words of a tree that was just made are 0; another thread may meet the same key. */
        private boolean claim(long[] leaf, int i) {
            long found = TranslationWord.withUses(
                    TranslationWord.of(TranslationWord.EMPTY, TranslationWord.UNVERIFIED, batchFrames[i]),
                    Replacement.usesOf((int) batchHints[i]));
            return batchWords[i] == TranslationWord.EMPTY
                    && TranslationWord.cas(leaf, RadixIndex.slot(batchPages[i]), TranslationWord.EMPTY, found);
        }

        @Override
        public void dropped(int frame, DropReason reason, long fileId, long page) {
            count++;
            drop(frame, reason, fileId, page);
            if (fileId != 0 && page >= 0) {
                notReusable.add(new Key(fileId, page));
            }
        }

        private void drop(int frame, DropReason reason, long fileId, long page) {
            cache.counters.drop(reason);
            Events.Drop event = new Events.Drop();
            if (event.shouldCommit()) {
                // By number: the file's name is known once it is mapped.
                event.cache = cache.config.name();
                event.file = "file " + fileId;
                event.page = page;
                event.bytes = frames.pageSize;
                event.reason = reason.name();
                event.commit();
            }
            release.add(frame);
        }

        void add(Found other) {
            release.or(other.release);
            notReusable.addAll(other.notReusable);
            count += other.count;
            kept += other.kept;
        }

        /** A3, when all have ended: which of two frames won a word is chance, and neither is to be trusted. */
        void dropNotReusable() {
            for (Key key : notReusable) {
                CachedFile file = cache.files.get(key.fileId());
                long[] leaf = file == null || key.page() >= RadixIndex.MAX_PAGES ? null : file.index.leaf(key.page());
                if (file == null || leaf == null) {
                    continue;
                }
                int slot = RadixIndex.slot(key.page());
                long word = TranslationWord.get(leaf, slot);
                if (TranslationWord.state(word) == TranslationWord.UNVERIFIED) {
                    int frame = TranslationWord.frame(word);
                    drop(frame, DropReason.DUPLICATE, key.fileId(), key.page());
                    frames.notFound(frame);
                    kept--;
                    TranslationWord.set(leaf, slot, TranslationWord.EMPTY);
                }
            }
        }
    }

    /** The files a thread has met, by number: a table of its own, since each frame asks for one. */
    private final class Files {
        /** Of files that the back end does not know. */
        private static final long[] @Nullable [] NO_LEAVES = new long[RadixIndex.FANOUT] @Nullable [];

        private long[] ids = new long[64];
        @Nullable CachedFile[] files = new @Nullable CachedFile[64];

        /** {@link RadixIndex#near} of each. */
        long[][] @Nullable [] nears = new long[64][][];

        private int size;

        /** Where a positive number is; its file there is null if the back end does not know it. */
        int slotOf(long fileId) {
            int i = indexOf(fileId);
            if (ids[i] != fileId) {
                if (size >= ids.length / 2) {
                    grow();
                    i = indexOf(fileId);
                }
                size++;
                ids[i] = fileId;
                CachedFile file = cache.backend.knowsFile(fileId) ? cache.fileOf(fileId) : null;
                files[i] = file;
                nears[i] = file == null ? NO_LEAVES : file.index.near;
            }
            return i;
        }

        /** Numbers are given one after the other, so they lie beside each other. */
        private int indexOf(long fileId) {
            int i = (int) (fileId ^ fileId >>> 32) & (ids.length - 1);
            while (ids[i] != 0 && ids[i] != fileId) {
                i = (i + 1) & (ids.length - 1);
            }
            return i;
        }

        private void grow() {
            long[] oldIds = ids;
            @Nullable CachedFile[] oldFiles = files;
            long[][] @Nullable [] oldNears = nears;
            ids = new long[2 * oldIds.length];
            files = new @Nullable CachedFile[ids.length];
            nears = new long[ids.length][][];
            for (int i = 0; i < oldIds.length; i++) {
                if (oldIds[i] != 0) {
                    int to = indexOf(oldIds[i]);
                    ids[to] = oldIds[i];
                    files[to] = oldFiles[i];
                    nears[to] = oldNears[i];
                }
            }
        }
    }
}
