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
import java.util.function.Consumer;
import java.util.function.IntConsumer;
import java.util.function.IntFunction;
import org.jspecify.annotations.Nullable;
import org.roaringbitmap.RoaringBitmap;

/**
 * A2 to A4 of {@code docs/internals.md}, section 8: makes the records that a back end found into words of the index, on
 * as many threads as there are processors. Records come in the order of frames, words lie in that of pages: so records
 * are {@linkplain Buckets sorted into buckets} of some files each, and words made a bucket at a time, which touches a
 * piece of the index that fits the processor's cache.
 */
final class AttachScan {
    /** Frames that a thread takes at a time; fewer than two such shares are not worth a thread. */
    private static final int SHARE = 1 << 16;

    /** Shares that are sorted before words are made of them: more would need more memory for what is sorted. */
    private static final int ROUND = 256;

    /** More would be more places written to by turns than a processor keeps at hand. */
    private static final int MOST_BUCKETS = 256;

    /** What is sorted takes at most this part of the heap that is not in use. */
    private static final int HEAP_PART = 16;

    /** Consecutive frames whose files are stored together. */
    private static final int BATCH = 256;

    /** How an attach goes about it. */
    record Plan(int share, int threads, IntFunction<long[]> memory, IntConsumer beforeBucket) {
        /** The plan of every cache. */
        static Plan usual() {
            return of(SHARE);
        }

        /** For tests, which want several threads, buckets and rounds for a few frames. */
        static Plan of(int share) {
            return new Plan(share, Runtime.getRuntime().availableProcessors(), long[]::new, bucket -> {});
        }
    }

    private final Cache cache;
    private final FrameTable frames;
    private final Plan plan;
    private final AttachProgress progress;
    private final int capacity;

    /** Next frame to be read, next bucket to be made words of, and how many frames were read. */
    private final AtomicInteger nextFrame = new AtomicInteger();

    private final AtomicInteger nextBucket = new AtomicInteger();
    private final AtomicInteger done = new AtomicInteger();

    private volatile @Nullable Throwable failure;
    private volatile boolean stopped;

    /** A page of a file, as a key. */
    private record Key(long fileId, long page) {}

    AttachScan(Cache cache, Plan plan, AttachProgress progress) {
        this.cache = cache;
        this.plan = plan;
        this.progress = progress;
        frames = cache.frames;
        capacity = frames.capacity();
    }

    /** Returns how many records were not free. */
    int run() {
        Buckets buckets = buckets();
        List<Found> found = new ArrayList<>(buckets.threads);
        for (int i = 0; i < buckets.threads; i++) {
            found.add(new Found(buckets));
        }
        Found own = found.get(0);
        for (int from = 0; from < capacity; ) {
            int to = from + Math.min(buckets.round, capacity - from);
            buckets.clear();
            nextFrame.set(from);
            inParallel(found, some -> read(some, to, some == own));
            nextBucket.set(0);
            inParallel(found, this::place);
            from = to;
        }
        for (Found other : found.subList(1, found.size())) {
            own.add(other);
        }
        progress.scanned(capacity, capacity); // while what it throws leaves all records as they were
        own.dropNotReusable();
        own.release.forEach((int frame) -> cache.backend.release(frame));
        frames.scanned(own.kept);
        return own.count;
    }

    /**
     * Room for as many records as are sorted together. Not more than a part of what the heap has left, and less if even
     * that is not to be had: the fewer there are, the more often each piece of the index is come back to.
     */
    private Buckets buckets() {
        int shares = (capacity + plan.share - 1) / plan.share;
        int count = Math.min(MOST_BUCKETS, Integer.highestOneBit(2 * shares - 1));
        Runtime heap = Runtime.getRuntime();
        long left = (heap.maxMemory() - heap.totalMemory() + heap.freeMemory()) / HEAP_PART;
        int round = Math.min(ROUND, shares);
        while (round > 1 && Buckets.bytes(round * plan.share, Math.min(plan.threads, round), count) > left) {
            round /= 2;
        }
        while (true) {
            try {
                return new Buckets(plan, round * plan.share, Math.min(plan.threads, round), count);
            } catch (OutOfMemoryError e) {
                if (round == 1) {
                    throw e;
                }
                round /= 2;
            }
        }
    }

    /** Does some work on all threads that can be had, and returns when it is done; the first is the caller's own. */
    private void inParallel(List<Found> found, Consumer<Found> work) {
        List<Worker> workers = new ArrayList<>(found.size());
        try {
            for (Found other : found.subList(1, found.size())) {
                try {
                    Worker worker = new Worker(other, work);
                    workers.add(worker);
                    worker.start();
                } catch (OutOfMemoryError e) {
                    break; // no thread to be had: fewer will do, and one that never started has found nothing
                }
            }
            work.accept(found.get(0));
        } catch (Throwable t) {
            stopped = true; // so that the others end; what they found ends with the back end
            throw t;
        } finally {
            join(workers);
        }
        Throwable failed = failure;
        if (failed != null) {
            throw new IllegalStateException("reading what is in memory failed: " + failed, failed);
        }
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

    private final class Worker extends Thread {
        private final Found found;
        private final Consumer<Found> work;

        Worker(Found found, Consumer<Found> work) {
            super("warmcache-attach-" + cache.config.name());
            setDaemon(true);
            this.found = found;
            this.work = work;
        }

        @Override
        public void run() {
            try {
                work.accept(found);
            } catch (Throwable t) {
                failure = t;
                stopped = true;
            }
        }
    }

    /** The first half of a round: shares of frames below {@code to}. */
    private void read(Found into, int to, boolean telling) {
        while (!stopped) {
            int from = nextFrame.getAndUpdate(n -> Math.min(n + plan.share, to));
            if (from >= to) {
                return;
            }
            int end = Math.min(from + plan.share, to);
            cache.backend.survivors(from, end, into);
            into.flush();
            int all = done.addAndGet(end - from);
            if (telling) {
                progress.scanned(Math.min(all, capacity - 1), capacity); // all are only at the end, with their words
            }
        }
    }

    /** The second half: one bucket after the other, whoever filled it. */
    private void place(Found by) {
        while (!stopped) {
            int bucket = nextBucket.getAndIncrement();
            if (bucket >= by.buckets.count) {
                return;
            }
            plan.beforeBucket.accept(bucket);
            by.place(bucket);
        }
    }

    /**
     * Records to make words of, two longs each: the file's number; page, frame, and what goes into the word. All of a
     * group of a file's pages are in one bucket. A bucket is a chain of chunks of one array for each thread that fills
     * it.
     */
    private static final class Buckets {
        private static final int CHUNK = 128;
        private static final int CHUNK_LONGS = 2 * CHUNK;

        /** Pages of a file that are in one bucket, 2^16: whole leaves. */
        private static final int GROUP_SHIFT = 16;

        private static final int PAGE_SHIFT = 32;
        private static final int FRAME_SHIFT = 8;
        private static final int FRAME_MASK = (1 << TranslationWord.FRAME_BITS) - 1;
        private static final int WRITTEN = 4;
        private static final int USES_MASK = 3;

        /** Frames of a round, and the threads that read and place them. */
        final int round;

        final int threads;

        /** Buckets, a power of two; the upper bits of a hash say which is a file's. */
        final int count;

        private final int shift;

        final long[] records;

        /** The chunk that was filled before each, by the same thread for the same bucket; -1 if there is none. */
        private final int[] before;

        private final AtomicInteger taken = new AtomicInteger();

        /** By thread, then bucket. */
        private final List<Chains> chains = new ArrayList<>();

        Buckets(Plan plan, int round, int threads, int count) {
            this.round = round;
            this.threads = threads;
            this.count = count;
            shift = Long.SIZE - Integer.numberOfTrailingZeros(count);
            int chunks = chunks(round, threads, count);
            records = plan.memory.apply(chunks * CHUNK_LONGS);
            before = new int[chunks];
        }

        /** Enough, since of the chunks of each thread and bucket all but one are full. */
        private static int chunks(int round, int threads, int count) {
            return (round + CHUNK - 1) / CHUNK + threads * count;
        }

        static long bytes(int round, int threads, int count) {
            return (long) chunks(round, threads, count) * (CHUNK_LONGS * Long.BYTES + Integer.BYTES);
        }

        void clear() {
            taken.set(0);
            chains.forEach(Chains::clear);
        }

        Chains chains() {
            Chains made = new Chains();
            chains.add(made);
            return made;
        }

        /** So that a file of many pages is work for all threads, too; a leaf is in one bucket whole. */
        private int bucket(long fileId, long page) {
            long group = fileId * 0xC2B2_AE3D_27D4_EB4FL + (page >>> GROUP_SHIFT);
            return count == 1 ? 0 : (int) ((group * 0x9E37_79B9_7F4A_7C15L) >>> shift);
        }

        static long page(long record) {
            return record >>> PAGE_SHIFT;
        }

        static int frame(long record) {
            return (int) (record >>> FRAME_SHIFT) & FRAME_MASK;
        }

        static int uses(long record) {
            return (int) record & USES_MASK;
        }

        static boolean isWritten(long record) {
            return (record & WRITTEN) != 0;
        }

        /** What one thread has put into each bucket. */
        final class Chains {
            /** The chunk filled last, or -1. */
            private final int[] last = new int[count];

            /** Where the next record goes; at the beginning of a chunk: into a new one. */
            private final int[] at = new int[count];

            Chains() {
                clear();
            }

            void clear() {
                Arrays.fill(last, -1);
                Arrays.fill(at, 0);
            }

            void add(long fileId, long page, int frame, int uses, boolean written) {
                int bucket = bucket(fileId, page);
                int to = at[bucket];
                if (to % CHUNK_LONGS == 0) {
                    to = enlarge(bucket);
                }
                records[to] = fileId;
                records[to + 1] = (page << PAGE_SHIFT) | ((long) frame << FRAME_SHIFT) | (written ? WRITTEN : 0) | uses;
                at[bucket] = to + 2;
            }

            private int enlarge(int bucket) {
                int chunk = taken.getAndIncrement();
                before[chunk] = last[bucket];
                last[bucket] = chunk;
                return chunk * CHUNK_LONGS;
            }
        }
    }

    /** What one thread has found. */
    private final class Found implements SurvivorVisitor {
        final Buckets buckets;
        final RoaringBitmap release = new RoaringBitmap();
        final Set<Key> notReusable = new HashSet<>();
        int count;
        int kept;
        private final Files files = new Files();
        private final Buckets.Chains chains;
        private int lastFrame = -1;

        /** Files of {@link #batched} frames from {@link #firstFrame} on, to be stored by one copy. */
        private final @Nullable CachedFile[] batch = new @Nullable CachedFile[BATCH];

        private int firstFrame;
        private int batched;

        Found(Buckets buckets) {
            this.buckets = buckets;
            chains = buckets.chains();
        }

        @Override
        public void survivor(int frame, long fileId, long page, FrameState state, int hint) {
            if (fileId <= 0 || page < 0 || page >= RadixIndex.MAX_PAGES) {
                dropped(frame, DropReason.RECORD_DAMAGED, 0, -1);
                return;
            }
            if (frame <= lastFrame) {
                throw outOfOrder(frame);
            }
            lastFrame = frame;
            count++;
            int known = files.slotOf(fileId); // which may make the tables anew
            CachedFile file = files.files[known];
            if (file == null) {
                drop(frame, DropReason.UNKNOWN_FILE, fileId, page);
                return;
            }
            batch(frame, file);
            frames.found(frame, page, hint);
            chains.add(fileId, page, frame, Replacement.usesOf(hint), state == FrameState.WRITTEN);
        }

        private IllegalStateException outOfOrder(int frame) {
            return new IllegalStateException("the back end reports frame " + frame + " after " + lastFrame);
        }

        /** A reference stored into a table is work for the collector, which 256 that are copied together share. */
        private void batch(int frame, CachedFile file) {
            if (frame - firstFrame >= BATCH) {
                flush();
            }
            if (batched == 0) {
                firstFrame = frame;
            }
            int index = frame - firstFrame;
            while (batched < index) {
                batch[batched++] = null;
            }
            batch[index] = file;
            batched = index + 1;
        }

        /** At the end of a share, and of a batch. */
        void flush() {
            frames.found(firstFrame, batch, batched);
            batched = 0;
        }

        /** Makes words of what all threads have put into a bucket. */
        void place(int bucket) {
            for (Buckets.Chains some : buckets.chains) {
                int end = some.at[bucket];
                int chunk = some.last[bucket];
                while (chunk >= 0) {
                    place(chunk * Buckets.CHUNK_LONGS, end);
                    chunk = buckets.before[chunk];
                    end = (chunk + 1) * Buckets.CHUNK_LONGS; // all but the last are full
                }
            }
        }

        private void place(int from, int to) {
            long[] records = buckets.records;
            for (int i = from; i < to; i += 2) {
                place(records[i], records[i + 1]);
            }
        }

        /** Nobody else has the leaf now, so words need no fence; and a new tree's are 0, EMPTY. */
        private void place(long fileId, long record) {
            int known = files.slotOf(fileId);
            long page = Buckets.page(record);
            long[] leaf = RadixIndex.near(files.nears[known], page); // where most are, without a look at the file
            if (leaf == null) {
                leaf = files.known(known).index.leafOrCreate(page);
            }
            int slot = RadixIndex.slot(page);
            int frame = Buckets.frame(record);
            if (TranslationWord.plain(leaf, slot) != TranslationWord.EMPTY) {
                duplicate(frame, fileId, page);
                return;
            }
            TranslationWord.setPlain(
                    leaf,
                    slot,
                    TranslationWord.withUses(
                            TranslationWord.of(TranslationWord.EMPTY, TranslationWord.UNVERIFIED, frame),
                            Buckets.uses(record)));
            kept++;
            if (Buckets.isWritten(record)) {
                files.known(known).mayHoldWritten = true;
            }
        }

        private void duplicate(int frame, long fileId, long page) {
            drop(frame, DropReason.DUPLICATE, fileId, page);
            frames.notFound(frame);
            if (!Mutation.DUPLICATES_NOT_DROPPED.isOn()) {
                notReusable.add(new Key(fileId, page));
            }
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
            return ids[i] == fileId ? i : add(fileId);
        }

        private int add(long fileId) {
            if (size >= ids.length / 2) {
                grow();
            }
            int i = indexOf(fileId);
            size++;
            ids[i] = fileId;
            CachedFile file = cache.backend.knowsFile(fileId) ? cache.fileOf(fileId) : null;
            files[i] = file;
            nears[i] = file == null ? NO_LEAVES : file.index.near;
            return i;
        }

        /** The file of a record that was sorted: known when it was read. */
        CachedFile known(int slot) {
            CachedFile file = files[slot];
            if (file == null) {
                throw new IllegalStateException("the back end has forgotten file " + ids[slot]);
            }
            return file;
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
