/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Arrays;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;

/**
 * Runs of pages to be brought to memory at once ({@code docs/internals.md}, section 15). Whoever works on it takes one
 * run after the other until all have been begun: the caller, if it waits, and those of the file's {@link Readers} that
 * come while there is something left. So it needs none of them, and waits only for runs that somebody is at.
 */
final class Batch implements Readers.Work {
    /** Further failures that are attached to the first. */
    private static final int MOST_TOLD = 16;

    /** Readers of one range: large reads, of which a few fill what a disk can carry. */
    private static final int RANGE_THREADS = 4;

    /** What is done to a run; returns how many pages were read. */
    private interface Loading {
        int load(long first, int count) throws Exception;
    }

    private final CachedFile file;
    private final long[] firsts;
    private final int[] counts;
    private final Loading loading;
    private final AtomicInteger begun = new AtomicInteger();
    private final CountDownLatch ended;
    private final AtomicInteger read = new AtomicInteger();
    private final AtomicReference<@Nullable Throwable> failure = new AtomicReference<>();

    private Batch(CachedFile file, long[] firsts, int[] counts, Loading loading) {
        this.file = file;
        this.firsts = firsts;
        this.counts = counts;
        this.loading = loading;
        ended = new CountDownLatch(firsts.length);
    }

    /** Those of {@code pages} that are missing, each once, neighbours together; null if there are none. */
    private static @Nullable Batch of(CachedFile file, long[] pages, boolean waiting) {
        long[] missing = new long[pages.length];
        int count = 0;
        for (long page : pages) {
            if (!isThere(file, page)) {
                missing[count++] = page;
            }
        }
        if (count == 0) {
            return null;
        }
        Arrays.sort(missing, 0, count);
        long[] firsts = new long[count];
        int[] counts = new int[count];
        int most = file.bulkIo.batch();
        int runs = 0;
        for (int i = 0; i < count; i++) {
            if (i > 0 && missing[i] == missing[i - 1]) {
                continue;
            }
            int last = runs - 1;
            if (runs > 0 && missing[i] == firsts[last] + counts[last] && counts[last] < most) {
                counts[last]++;
            } else {
                firsts[runs] = missing[i];
                counts[runs++] = 1;
            }
        }
        Loading loading = waiting ? file.bulkIo::load : file.bulkIo::prefetch;
        return new Batch(file, Arrays.copyOf(firsts, runs), Arrays.copyOf(counts, runs), loading);
    }

    private static boolean isThere(CachedFile file, long page) {
        long[] leaf = file.index.leaf(page);
        return leaf != null && BulkIo.isThere(TranslationWord.acquire(leaf, RadixIndex.slot(page)));
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
        batch.ask(batch.firsts.length - 1);
        batch.run();
        batch.await();
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
            batch.begin(batch.firsts.length);
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
        new Batch(file, firsts, counts, file.bulkIo::prefetch).begin(Math.min(firsts.length, RANGE_THREADS));
    }

    private void ask(int helpers) {
        for (int i = 0; i < Math.min(helpers, Readers.MOST_THREADS); i++) {
            if (begun.get() >= firsts.length || !file.readers.submit(this)) {
                return;
            }
        }
    }

    @Override
    public void run() {
        for (int i = begun.getAndIncrement(); i < firsts.length; i = begun.getAndIncrement()) {
            boolean goesOn = true;
            try {
                int now = loading.load(firsts[i], counts[i]);
                goesOn = now != BulkIo.NO_FRAME;
                read.addAndGet(Math.max(0, now));
            } catch (Throwable t) {
                failed(t);
                // A read that fails says nothing of the others; a cache that is closed, or full, does.
                goesOn = t instanceof IOException || t instanceof UncheckedIOException;
            } finally {
                if (!goesOn) {
                    for (int left = begun.getAndSet(firsts.length); left < firsts.length; left++) {
                        ended.countDown();
                    }
                }
                ended.countDown();
            }
        }
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
        Waits.until(System.nanoTime() + Long.MAX_VALUE / 4, nanos -> ended.await(nanos, TimeUnit.NANOSECONDS));
    }
}
