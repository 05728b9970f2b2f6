/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * Threads that read pages of one file for callers that do not wait for each read by itself: batches, prefetches and
 * read-ahead ({@code docs/internals.md}, section 15). Each file has its own, so that a store that hangs keeps nobody
 * from another one; there are none while there is nothing to read. What they do may be left undone by all who ask for
 * it, so nothing is promised: a full queue takes no more.
 */
final class Readers {
    /** Reads at once beside their caller's own. Enough to keep a disk's queue full. */
    static final int MOST_THREADS = 32;

    private static final int MOST_QUEUED = 1024;

    /** Something to read. */
    interface Work {
        /** Throws nothing. */
        void run();

        /** Called instead of {@link #run} when the threads end before its turn. */
        default void dropped() {}
    }

    private record Task(Work work) implements Runnable {
        @Override
        public void run() {
            work.run();
        }
    }

    private final CachedFile file;
    private final ReentrantLock lock = new ReentrantLock();
    private @Nullable ThreadPoolExecutor pool;
    private boolean stopped;

    /** Runs in whoever has just taken something to read, before he begins. A test sets it. */
    volatile Runnable taken = () -> {};

    Readers(CachedFile file) {
        this.file = file;
    }

    /** Has {@code work} done soon by another thread; false if it will not be. */
    boolean submit(Work work) {
        lock.lock();
        try {
            if (stopped || !file.cache.hasThreads || file.cache.maintenance.isStopped()) {
                return false;
            }
            ThreadPoolExecutor threads = pool;
            if (threads == null) {
                threads = make();
                pool = threads;
            }
            threads.execute(new Task(work));
            return true;
        } catch (RejectedExecutionException | OutOfMemoryError e) {
            return false; // no room in the queue, or no thread to be had
        } finally {
            lock.unlock();
        }
    }

    private ThreadPoolExecutor make() {
        AtomicInteger number = new AtomicInteger();
        ThreadPoolExecutor made = new ThreadPoolExecutor(
                MOST_THREADS,
                MOST_THREADS,
                1,
                TimeUnit.SECONDS,
                new LinkedBlockingQueue<>(MOST_QUEUED),
                task -> file.cache.threads.make(
                        task, "warmcache-read-" + file.fileId + "-" + number.incrementAndGet()));
        made.allowCoreThreadTimeOut(true);
        return made;
    }

    /**
     * Takes no more work and drops what has not begun. Interrupts nobody: see the stores. Whoever is reading owns the
     * words of what is read, for which those wait who close the file or the cache.
     */
    void stop() {
        List<Runnable> left = new ArrayList<>();
        lock.lock();
        try {
            stopped = true;
            ThreadPoolExecutor threads = pool;
            if (threads != null) {
                threads.shutdown();
                threads.getQueue().drainTo(left);
            }
        } finally {
            lock.unlock();
        }
        for (Runnable task : left) {
            if (task instanceof Task dropped) {
                dropped.work.dropped();
            }
        }
    }

    /** After {@link #stop}: waits for what was being read. */
    void await() {
        ThreadPoolExecutor threads;
        lock.lock();
        try {
            threads = pool;
        } finally {
            lock.unlock();
        }
        if (threads != null) {
            Waits.until(
                    System.nanoTime() + Long.MAX_VALUE / 4,
                    nanos -> threads.awaitTermination(nanos, TimeUnit.NANOSECONDS));
        }
    }
}
