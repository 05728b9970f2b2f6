/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Arrays;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * Runs of pages to be brought to memory at once ({@code docs/internals.md}, section 15). Whoever works on it takes one
 * run after the other until all have been begun: the caller, if it waits, and those of the file's {@link Readers} that
 * come while there is something left. So it needs none of them, and waits only for those who are at work.
 */
final class Batch implements Readers.Work {
    /** Further failures that are attached to the first. */
    private static final int MOST_TOLD = 16;

    private static final int PROCESSORS = Runtime.getRuntime().availableProcessors();

    /** Runs that one thread reads together before another one is asked to read some, too. */
    private static final int QUEUED_BY_ONE = 64;

    /** Readers of one range: large reads, of which a few fill what a disk can carry. */
    private static final int RANGE_THREADS = 4;

    /** Between two looks whether readers are at work, should the last one have had no means to say that he is not. */
    private static final long LOOK_NANOS = TimeUnit.SECONDS.toNanos(1);

    /** What is done to a run; returns how many pages were read. */
    private interface Loading {
        int load(long first, int count) throws Exception;
    }

    private final CachedFile file;
    private final long[] firsts;
    private final int[] counts;
    private final Loading loading;
    private final int queueable;
    /** Of those that are read one after the other. */
    private final AtomicInteger begun;
    /** Of those that are read several at once. */
    private final AtomicInteger queued = new AtomicInteger();

    /** Readers that may have begun a run and not ended it. */
    private final AtomicInteger atWork = new AtomicInteger();

    /** Who waits for them. */
    private volatile @Nullable Thread waiter;

    /** No more is to be begun, since something went wrong or no frame is to be had. */
    private volatile boolean stopped;

    private final AtomicInteger read = new AtomicInteger();
    private final AtomicReference<@Nullable Throwable> failure = new AtomicReference<>();

    /**
     * @param queueable how many of the first runs are EMPTY pages that the back end reads several runs of at once
     */
    private Batch(CachedFile file, long[] firsts, int[] counts, int queueable, Loading loading) {
        this.file = file;
        this.firsts = firsts;
        this.counts = counts;
        this.queueable = queueable;
        this.loading = loading;
        begun = new AtomicInteger(queueable);
    }

    /** Those of {@code pages} that are missing, each once, neighbours together; null if there are none. */
    private static @Nullable Batch of(CachedFile file, long[] pages, boolean waiting) {
        boolean isQueued = file.backing().runsAtOnce() > 1;
        long[] missing = new long[pages.length];
        int empty = 0; // from the front on, the others from the end
        int other = pages.length;
        for (long page : pages) {
            long[] leaf = file.index.leaf(page);
            long word = leaf == null ? 0 : TranslationWord.acquire(leaf, RadixIndex.slot(page));
            if (isQueued && TranslationWord.state(word) == TranslationWord.EMPTY) {
                missing[empty++] = page;
            } else if (!BulkIo.isThere(word)) {
                missing[--other] = page;
            }
        }
        int count = empty + pages.length - other;
        if (count == 0) {
            return null;
        }
        long[] firsts = new long[count];
        int[] counts = new int[count];
        int most = file.bulkIo.batch();
        int queueable = addRuns(missing, 0, empty, firsts, counts, 0, most);
        int runs = addRuns(missing, other, pages.length, firsts, counts, queueable, most);
        Loading loading = waiting ? file.bulkIo::load : file.bulkIo::prefetch;
        return new Batch(file, Arrays.copyOf(firsts, runs), Arrays.copyOf(counts, runs), queueable, loading);
    }

    /** Adds runs behind the first {@code runs}; returns how many there are then. */
    private static int addRuns(long[] pages, int from, int to, long[] firsts, int[] counts, int runs, int most) {
        Arrays.sort(pages, from, to);
        int first = runs;
        int next = runs;
        for (int i = from; i < to; i++) {
            if (i > from && pages[i] == pages[i - 1]) {
                continue;
            }
            int last = next - 1;
            if (next > first && pages[i] == firsts[last] + counts[last] && counts[last] < most) {
                counts[last]++;
            } else {
                firsts[next] = pages[i];
                counts[next++] = 1;
            }
        }
        return next;
    }

    /**
     * Reads those of some pages that are not in memory, and returns when none is being read any more.
     *
     * @return how many were read
     */
    static int load(CachedFile file, long[] wanted) {
        long[] pages = wanted.clone(); // what is checked is what is used
        file.backing();
        long bound = file.pages();
        for (long page : pages) {
            file.checkPage(page, bound);
        }
        Batch batch = of(file, pages, true);
        if (batch == null) {
            return 0;
        }
        batch.finish();
        Throwable thrown = batch.failure.get();
        if (thrown != null) {
            throw CachedFile.sneaky(thrown);
        }
        return batch.read.get();
    }

    /** Has those of some pages read that are not in memory, if that can be done in the background. */
    static void prefetch(CachedFile file, long[] wanted) {
        long[] pages = wanted.clone();
        file.backing();
        for (long page : pages) {
            if (page < 0) {
                throw new IllegalArgumentException("page " + page + " is to be prefetched: it must be 0 or more");
            }
        }
        long bound = file.pages();
        long[] within = Arrays.stream(pages)
                .filter(page -> page < bound)
                .limit(file.frames.capacity())
                .toArray();
        Batch batch = of(file, within, false);
        if (batch != null) {
            batch.begin(batch.mostThreads());
        }
    }

    /** Has it done by the caller and readers, and returns when nobody is at it any more. */
    private void finish() {
        waiter = Thread.currentThread();
        try {
            ask(mostThreads() - 1);
            work();
        } catch (Throwable t) {
            stop();
            throw t;
        } finally {
            await();
        }
    }

    /** Has it done by readers; in a cache without threads by the caller. */
    private void begin(int readers) {
        if (file.cache.hasThreads) {
            ask(readers);
        } else {
            run();
        }
    }

    /** The same of a range, and no more of it than the cache holds. */
    static void prefetch(CachedFile file, long first, int count) {
        file.backing();
        int wanted = (int) Math.min(Math.min(count, file.frames.capacity()), file.pages() - first);
        if (wanted <= 0) {
            return;
        }
        int most = file.bulkIo.batch();
        long[] firsts = new long[(wanted + most - 1) / most];
        int[] counts = new int[firsts.length];
        for (int i = 0; i < firsts.length; i++) {
            firsts[i] = first + (long) i * most;
            counts[i] = Math.min(most, wanted - i * most);
        }
        new Batch(file, firsts, counts, 0, file.bulkIo::prefetch).begin(Math.min(firsts.length, RANGE_THREADS));
    }

    /** Threads that find something to do: one for each run, or for so many that are read together. */
    private int mostThreads() {
        int together = Math.min(PROCESSORS, (queueable + QUEUED_BY_ONE - 1) / QUEUED_BY_ONE);
        return together + firsts.length - queueable;
    }

    private boolean hasMore() {
        return begun.get() < firsts.length || queued.get() < queueable;
    }

    private void ask(int helpers) {
        for (int i = 0; i < Math.min(helpers, Readers.MOST_THREADS); i++) {
            if (!hasMore() || !file.readers.submit(this)) {
                return;
            }
        }
    }

    /** Q3: counted before the first run is taken, and until after the last one, whatever became of them. */
    @Override
    public void run() {
        atWork.incrementAndGet();
        try {
            work();
        } catch (Throwable t) {
            failed(t);
            stop();
        } finally {
            leave();
        }
    }

    private void leave() {
        if (atWork.decrementAndGet() == 0) {
            try {
                LockSupport.unpark(waiter);
            } catch (Throwable t) {
                return; // he looks again by himself
            }
        }
    }

    private void work() {
        int most = Math.min(QueuedRuns.MOST_RUNS, (queueable + PROCESSORS - 1) / PROCESSORS);
        most = Math.max(most, QUEUED_BY_ONE);
        while (queued.get() < queueable) {
            int from = queued.getAndAdd(most);
            if (from < queueable) {
                file.readers.taken.run();
                runQueued(from, Math.min(queueable, from + most));
            }
        }
        for (int i = begun.getAndIncrement(); i < firsts.length; i = begun.getAndIncrement()) {
            file.readers.taken.run();
            if (!load(i)) {
                stop();
            }
        }
    }

    /** Loads one run by itself; returns whether others are worth trying. */
    private boolean load(int i) {
        try {
            int now = loading.load(firsts[i], counts[i]);
            read.addAndGet(Math.max(0, now));
            return now != BulkIo.NO_FRAME;
        } catch (Throwable t) {
            failed(t);
            return isOfOneRead(t);
        }
    }

    /** A read that fails says nothing of the others; a cache that is closed, or full, does. */
    private static boolean isOfOneRead(Throwable t) {
        return t instanceof IOException || t instanceof UncheckedIOException;
    }

    /** Begins no more. */
    private void stop() {
        stopped = true;
        begun.set(firsts.length);
        queued.set(queueable);
    }

    /** Q2a and Q2b of some runs. */
    private void runQueued(int from, int to) {
        boolean goesOn = false;
        try {
            int next = from;
            do {
                int end = readTogether(next, to);
                goesOn = end > next;
                next = end;
            } while (goesOn && next < to);
        } catch (Throwable t) {
            goesOn = false;
            failed(t);
        } finally {
            if (!goesOn) {
                stop();
            }
        }
    }

    /** Reads runs from {@code from} on, as many as may be owned at once; returns which is next, or -1 to end all. */
    private int readTogether(int from, int to) {
        if (file.backing().runsAtOnce() <= 1) {
            return readApart(from, to) ? to : -1; // it was otherwise when this batch was made
        }
        QueuedRuns queue = new QueuedRuns(file, to - from);
        int[] places = new int[to - from];
        boolean goesOn = true;
        int end = from;
        int failed = 0;
        try {
            while (end < to && goesOn && queue.reserve(counts[end])) {
                int place = queue.size();
                places[end - from] = -1;
                goesOn = file.bulkIo.enqueue(queue, firsts[end], counts[end]) != BulkIo.NO_FRAME;
                if (queue.size() > place) {
                    places[end - from] = place;
                }
                end++;
                queue.settle();
            }
            goesOn = true; // who finds no frame at once may wait for one, when this thread owns nothing any more
        } catch (Throwable t) {
            goesOn = isOfOneRead(t);
            failed = 1; // that of this run, which is told, and not tried again
            failed(t);
        } finally {
            queue.fill();
        }
        if (goesOn && failed == 0 && end == from) {
            return load(from) ? from + 1 : -1; // others own what may be owned so: one run, and another look
        }
        if (goesOn && queue.isAllLeftOut()) {
            int next = failed == 0 ? to : end + failed;
            return readApart(from, failed == 0 ? to : end) ? next : -1;
        }
        for (int i = from; i < end && goesOn; i++) {
            int place = places[i - from];
            Throwable failure = place < 0 ? null : queue.failure(place);
            int got = place < 0 || queue.isLeftOut(place) ? 0 : queue.count(place);
            if (failure != null) {
                failed(failure);
                goesOn = isOfOneRead(failure);
            } else {
                read.addAndGet(got);
                goesOn = got == counts[i] || load(i);
            }
        }
        return goesOn ? end + failed : -1;
    }

    /** Reads some runs one by one, with as many readers: they cannot be read together now. */
    private boolean readApart(int from, int to) {
        Batch apart =
                new Batch(file, Arrays.copyOfRange(firsts, from, to), Arrays.copyOfRange(counts, from, to), 0, loading);
        apart.finish();
        read.addAndGet(apart.read.get());
        Throwable failure = apart.failure.get();
        if (failure != null) {
            failed(failure);
        }
        return !apart.stopped;
    }

    private void failed(Throwable t) {
        if (!failure.compareAndSet(null, t)) {
            Throwable first = failure.get();
            if (first != null && !t.equals(first) && first.getSuppressed().length < MOST_TOLD) {
                first.addSuppressed(t);
            }
        }
    }

    private void await() {
        boolean interrupted = false;
        while (atWork.get() > 0) {
            LockSupport.parkNanos(this, LOOK_NANOS);
            interrupted |= Thread.interrupted();
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
