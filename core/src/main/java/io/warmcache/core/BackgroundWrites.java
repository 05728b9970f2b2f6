/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import io.warmcache.WritePolicy;
import java.io.IOException;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * Threads that write dirty pages back, a few for a file, and what holds writers up that are faster ({@code
 * docs/internals.md}, section 4). A store that stands still stops the threads of its file and nobody else.
 */
final class BackgroundWrites {
    private static final System.Logger LOG = System.getLogger("io.warmcache");

    static final int MOST_THREADS = 64;

    /** Threads of one file: a disk takes some writes at once in little more time than one. */
    static final int LANES = 4;

    /** Dirty pages for which one more of them is worth its while. */
    private static final int PAGES_PER_LANE = 64;

    /** Fewer dirty frames than this are written once a second and not before. */
    static final int FEW = 64;

    /** The share of the frames that may be dirty before they are written at once, as a divisor. */
    private static final int WRITING_SHARE = 4;

    /** The share that may be dirty before writers wait for them to be written. */
    private static final int WAITING_SHARE = 2;

    /** A write is not held up for longer than this, however slow the store is. Tests set more. */
    volatile long mostDelayNanos = TimeUnit.MILLISECONDS.toNanos(100);

    /** A store that ends no write for as long stands still: waiting for it would be in vain. Tests set more. */
    volatile long standingMillis = 1000;

    private final Cache cache;
    private final FrameTable frames;
    private final ReentrantLock lock = new ReentrantLock();

    /** Dirty frames of files that fail or stand still, as of the last tick: in nobody's way but their own writers'. */
    volatile int stuck;

    /** Threads that are at a file. */
    private final AtomicInteger busy = new AtomicInteger();

    /** Signalled when a run was written, and when a thread has left a file. */
    private final Condition written = lock.newCondition();

    /** Threads in {@link #await}; written under {@link #lock}. */
    private volatile int waiting;

    /** Runs written in the background so far. */
    private final AtomicInteger runs = new AtomicInteger();

    private volatile boolean running;
    private @Nullable ThreadPoolExecutor threads;

    BackgroundWrites(Cache cache) {
        this.cache = cache;
        frames = cache.frames;
    }

    void start() {
        AtomicInteger number = new AtomicInteger();
        lock.lock();
        try {
            ThreadPoolExecutor pool = new ThreadPoolExecutor(
                    MOST_THREADS,
                    MOST_THREADS,
                    1,
                    TimeUnit.SECONDS,
                    new LinkedBlockingQueue<>(),
                    task -> cache.threads.make(
                            task, "warmcache-write-" + cache.config.name() + "-" + number.incrementAndGet()));
            pool.allowCoreThreadTimeOut(true);
            threads = pool;
            running = true;
        } finally {
            lock.unlock();
        }
    }

    /** Begins no further write. */
    void beginStop() {
        lock.lock();
        try {
            running = false;
            written.signalAll();
            ThreadPoolExecutor pool = threads;
            if (pool != null) {
                pool.shutdown(); // no interrupt: a store may not like one in the middle of a write
            }
        } finally {
            lock.unlock();
        }
    }

    /** After {@link #beginStop}: waits for the writes that are under way; returns whether they ended in time. */
    boolean awaitThreads(long deadline) {
        ThreadPoolExecutor pool;
        lock.lock();
        try {
            pool = threads;
        } finally {
            lock.unlock();
        }
        return pool == null || Waits.until(deadline, left -> pool.awaitTermination(left, TimeUnit.NANOSECONDS));
    }

    /** Writers that are being held up. */
    int waiting() {
        return waiting;
    }

    /** Whether there are threads for this; if not, whoever needs a frame writes some pages himself. */
    boolean isRunning() {
        return running;
    }

    /** Has all files with dirty pages written. Returns whether there are threads for all of them. */
    boolean request() {
        for (CachedFile file : cache.maintenance.active) {
            if (file.open && !request(file)) {
                return false;
            }
        }
        return running && !isSaturated();
    }

    /** More is to be done than there are threads for, be it that stores keep them. */
    private boolean isSaturated() {
        return busy.get() >= MOST_THREADS;
    }

    /** Whether waiting for the file to be written may be in vain. */
    boolean isStuck(CachedFile file) {
        return file.degraded != null || isStanding(file);
    }

    /** Whether whoever calls the file's store to write is likely to stay there. */
    boolean isStanding(CachedFile file) {
        return file.writeBack.standingMillis() >= standingMillis;
    }

    /** Has a file written if it has dirty pages, by one thread more. Returns whether there are threads for it. */
    boolean request(CachedFile file) {
        int lanes = file.lanes.get();
        if (!running || lanes >= LANES || (lanes > 0 && busy.get() >= MOST_THREADS / 2)) {
            return running;
        }
        int dirty = file.sets.dirtyCount();
        if (dirty == 0 || lanes > dirty / PAGES_PER_LANE) {
            return running;
        }
        if (!file.lanes.compareAndSet(lanes, lanes + 1)) {
            return true;
        }
        boolean begun = false;
        lock.lock();
        try {
            ThreadPoolExecutor pool = threads;
            if (running && pool != null) {
                pool.execute(() -> write(file, lanes));
                begun = true;
            }
        } catch (OutOfMemoryError e) {
            // No further thread, or no memory to say so: who is told does without.
        } finally {
            lock.unlock();
            if (!begun) {
                file.lanes.decrementAndGet();
            }
        }
        return begun || (running && lanes > 0);
    }

    /**
     * For somebody who is about to write all that is dirty himself, and will meet what others have not.
     *
     * @return with which of the dirty pages to begin, as a share of them
     */
    double help(CachedFile file) {
        if (!running || file.sets.dirtyCount() <= 2 * PAGES_PER_LANE) {
            return 0;
        }
        for (int i = 1; i < LANES; i++) {
            var _ = request(file);
        }
        return (LANES - 1.0) / LANES;
    }

    /** After a page has become dirty. Does not throw: the page is published. */
    void requestIfMany(CachedFile file) {
        if (areMany(WRITING_SHARE, FEW) && file.degraded == null) {
            try {
                var _ = request(file);
            } catch (RuntimeException | Error e) {
                // The next tick asks again.
            }
        }
    }

    private boolean areMany(int share, int few) {
        return frames.dirtyFrames() - stuck >= Math.max(few, frames.capacity() / share);
    }

    private void write(CachedFile file, int lane) {
        busy.incrementAndGet();
        file.lanesAtWork.incrementAndGet();
        try {
            boolean any;
            do {
                any = file.writeBack.flushIdle((double) lane / LANES);
            } while (any && running && areMany(WRITING_SHARE, FEW));
        } catch (IOException | RuntimeException | Error e) {
            // Noted where it happened, for the file alone. Tried again at the next tick, or when somebody needs a
            // frame.
            LOG.log(System.Logger.Level.DEBUG, () -> "write-back of " + file.name + " failed", e);
        } finally {
            file.lanesAtWork.decrementAndGet();
            busy.decrementAndGet();
            file.lanes.decrementAndGet();
            signal();
        }
    }

    /** A run of pages was written. */
    void progress() {
        runs.incrementAndGet();
        frames.cleaned();
        if (waiting != 0) {
            signal();
        }
    }

    private void signal() {
        lock.lock();
        try {
            written.signalAll();
        } finally {
            lock.unlock();
        }
    }

    /**
     * Holds a writer up that is about to make another page dirty when too many are, until there are fewer. Returns
     * also when that does not come about: what cannot be written is no reason to refuse a write for which there is a
     * frame.
     */
    void throttle(CachedFile file, long page) {
        if (!areMany(WAITING_SHARE, 2 * FEW)
                || !running
                || file.options.policy() != WritePolicy.WRITE_BACK
                || isDirty(file, page)) {
            return;
        }
        await(file);
    }

    /** A guess: whoever owns the word may be changing it. */
    private boolean isDirty(CachedFile file, long page) {
        long[] leaf = page < 0 || page >= RadixIndex.MAX_PAGES ? null : file.index.leaf(page);
        if (leaf == null) {
            return false;
        }
        long word = TranslationWord.acquire(leaf, RadixIndex.slot(page));
        return TranslationWord.isResident(word) && frames.dirtyBlocks[TranslationWord.frame(word)] != 0;
    }

    @SuppressWarnings("NonAtomicVolatileUpdate") // "waiting" is written under the lock alone
    private void await(CachedFile file) {
        long deadline = System.nanoTime() + mostDelayNanos;
        boolean interrupted = false;
        lock.lock();
        try {
            waiting++;
            while (areMany(WAITING_SHARE, 2 * FEW) && !isStuck(file) && file.sets.dirtyCount() > 0) {
                int before = runs.get();
                long left = deadline - System.nanoTime();
                if (left <= 0 || !request(file) || (file.lanesAtWork.get() == 0 && isSaturated())) {
                    break;
                }
                try {
                    var _ = written.awaitNanos(left);
                } catch (InterruptedException e) {
                    interrupted = true;
                }
                if (runs.get() == before && file.lanes.get() == 0) {
                    break; // all that is dirty is being changed
                }
            }
        } finally {
            waiting--;
            lock.unlock();
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }
}
