/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * The cache's background thread (settling versions, writing back, saving hints, scrubbing). A failure is kept for
 * {@code health()}; the thread goes on.
 */
final class Maintenance {
    private static final System.Logger LOG = System.getLogger("io.warmcache");

    private static final long TICK_MILLIS = 100;
    private static final int TICKS_PER_FLUSH = 10;
    private static final int TICKS_PER_HINTS = 10;

    /** Between two looks at all files, of which there may be a hundred thousand. */
    private static final int TICKS_PER_LOOK = 10;

    /** After the last write to a store its version is settled by then, however busy the machine is. */
    private static final int IDLE_TICKS = 50;

    /** Within which a paranoid cache verifies every frame in use: ten seconds. */
    private static final int TICKS_PER_ROUND = 100;

    /** Fewer leaves are no trouble: half a MiB. */
    static final int LEAVES_SLACK = 1024;

    private final Cache cache;

    /**
     * Files that were mapped or written to lately, or have dirty pages: of all others there is nothing to settle, nor
     * to write. Not final for a test's sake.
     */
    Set<CachedFile> active = ConcurrentHashMap.newKeySet();

    private final Thread thread;
    private final ReentrantLock lock = new ReentrantLock();
    private final Condition stopAsked = lock.newCondition();
    private volatile boolean stop;
    private volatile @Nullable String failure;
    private boolean scrubbing = true;
    private int nextVerified;

    Maintenance(Cache cache) {
        this.cache = cache;
        thread = new Thread(this::run, "warmcache-" + cache.config.name());
        thread.setDaemon(true);
    }

    void start() {
        thread.start();
        cache.backgroundWrites.start();
    }

    @Nullable String failure() {
        return thread.getState() == Thread.State.TERMINATED && !cache.closing
                ? "the background thread has died: reopen the cache"
                : failure;
    }

    private void run() {
        for (int tick = 0; tick == 0 || !awaitTick(); tick++) {
            try {
                tick(tick);
                failure = null;
            } catch (IOException | RuntimeException | Error e) {
                failure = "background work failed (" + e + "): see the log";
                LOG.log(System.Logger.Level.ERROR, "background work of \"" + cache.config.name() + "\" failed", e);
            }
        }
    }

    private void tick(int tick) throws IOException {
        if (tick == 0) {
            cache.frames.restorePolicy();
            return;
        }
        if (tick % TICKS_PER_HINTS == 0 || cache.frames.hintsAreOld()) {
            cache.frames.saveHints();
        }
        if (tick % TICKS_PER_LOOK == 0 && isSweepDue()) {
            for (CachedFile file : cache.files()) {
                var _ = visit(file, file.sweep::run);
            }
        }
        List<CachedFile> idle = new ArrayList<>();
        int stuck = 0;
        for (CachedFile file : active) {
            boolean settled = visit(file, () -> settle(file, tick % TICKS_PER_FLUSH == 0));
            if (file.isIdleSince(IDLE_TICKS, settled)) {
                idle.add(file);
            }
            stuck += cache.backgroundWrites.isStuck(file) ? file.sets.dirtyCount() : 0;
        }
        idle.forEach(CachedFile::deactivate);
        cache.backgroundWrites.stuck = stuck;
        if (cache.unlockSums != null) {
            verifySome(Math.max(64, cache.frames.frames / TICKS_PER_ROUND));
        }
        if (scrubbing) {
            scrubbing = cache.recovery.scrub(Math.max(4096, cache.frames.frames / 256));
        }
    }

    /** Something to do with an open file. */
    private interface Visit {
        void run() throws IOException;
    }

    /** Returns whether there is nothing left to do for it: it was done, or the file is closed. */
    private static boolean visit(CachedFile file, Visit visit) {
        if (!file.open) {
            return true;
        }
        if (!file.usage.readLock().tryLock()) {
            return false;
        }
        try {
            if (file.open) { // which it stays: a close waits for the lock
                visit.run();
            }
            return true;
        } catch (IOException | RuntimeException e) {
            file.writeFailed(e); // of this file alone: the others have their turn
            return false;
        } finally {
            file.usage.readLock().unlock();
        }
    }

    /** Of a paranoid cache: some more of the frames in use. */
    private void verifySome(int count) {
        for (int i = 0; i < Math.min(count, cache.frames.frames); i++) {
            nextVerified = (nextVerified + 1) % cache.frames.frames;
            FrameTable.Owner owner = cache.frames.ownerOf(nextVerified);
            if (owner != null && owner.file().open && owner.file().usage.readLock().tryLock()) {
                try {
                    owner.file().writeBack.verify(owner.leaf(), owner.page(), nextVerified);
                } finally {
                    owner.file().usage.readLock().unlock();
                }
            }
        }
    }

    /**
     * As a collector does, waits until there are twice as many leaves as the last sweeps left, so that they cost each
     * leaf that was made since a look or two.
     */
    private boolean isSweepDue() {
        long leaves = 0;
        long left = 0;
        for (CachedFile file : cache.files()) {
            if (file.open) {
                leaves += file.index.leaves();
                left += file.sweep.left();
            }
        }
        return leaves > 2 * left + LEAVES_SLACK;
    }

    private void settle(CachedFile file, boolean flush) throws IOException {
        var backing = file.backing;
        if (backing == null || !file.open) {
            return;
        }
        if (flush) {
            var _ = cache.backgroundWrites.request(file);
        }
        if (file.truncatingFrom == Long.MAX_VALUE) {
            backing.settle();
        }
    }

    /** Waits for the next tick; returns whether to stop instead. */
    private boolean awaitTick() {
        lock.lock();
        try {
            long left = TimeUnit.MILLISECONDS.toNanos(TICK_MILLIS);
            while (!stop && left > 0) {
                left = stopAsked.awaitNanos(left);
            }
            return stop;
        } catch (InterruptedException e) {
            return stop; // nobody but a user's stray call interrupts this thread
        } finally {
            lock.unlock();
        }
    }

    boolean isStopped() {
        return stop;
    }

    /** Ends the thread and the readers of all files, and waits for what they are at. */
    void stop() {
        beginStop();
        var _ = awaitThreads(System.nanoTime() + Long.MAX_VALUE / 4);
        for (CachedFile file : cache.files()) {
            file.readers.await();
        }
    }

    /** Has the thread, the background writes and the readers of all files end soon. */
    void beginStop() {
        lock.lock();
        try {
            stop = true; // before any look at the files: who has readers made later sees it
            stopAsked.signalAll();
        } finally {
            lock.unlock();
        }
        for (CachedFile file : cache.files()) {
            file.readers.stop();
        }
        cache.backgroundWrites.beginStop();
    }

    /**
     * After {@link #beginStop}: waits for the thread and the background writes, and returns whether they ended in time.
     * Waits for no reader: what is being read is held like any page.
     */
    boolean awaitThreads(long deadline) {
        return cache.backgroundWrites.awaitThreads(deadline) && Waits.ended(thread, deadline);
    }
}
