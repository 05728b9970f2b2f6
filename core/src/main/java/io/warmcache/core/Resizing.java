/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import io.warmcache.CacheClosedException;
import io.warmcache.CacheException;
import java.io.IOException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;

/** Changes the number of frames ({@code docs/internals.md}, section 9). */
final class Resizing {
    private static final System.Logger LOG = System.getLogger("io.warmcache");

    /** Frames ranked under one hold of the replacement lock. */
    private static final int RANK_BATCH = 4096;

    private static final int MIN_FRAMES = 8;

    private final Cache cache;
    private final FrameTable frames;

    /** Held by the one resize under way, and to give the memory back. */
    final ReentrantLock lock = new ReentrantLock();

    /** Frames are being moved: the scrub has not seen them all. */
    volatile boolean moving;

    Resizing(Cache cache) {
        this.cache = cache;
        frames = cache.frames;
    }

    void resize(long capacity) throws IOException {
        long wanted = capacity >> frames.pageShift;
        if (wanted < MIN_FRAMES) {
            throw new IllegalArgumentException("capacity is " + capacity + " bytes: it must hold at least " + MIN_FRAMES
                    + " pages of " + frames.pageSize);
        }
        if (wanted > frames.frames) {
            throw new IllegalArgumentException("capacity is " + capacity + " bytes: the cache \"" + cache.config.name()
                    + "\" was opened with room for " + ((long) frames.frames << frames.pageShift)
                    + "; open it with a larger maxCapacity");
        }
        lock.lock();
        try {
            cache.checkOpen();
            cache.backend.resize(frames.capacity()); // one that cannot says so before any page is given up
            resizeTo((int) wanted, false);
        } catch (UnsupportedOperationException e) {
            throw new CacheException("the back end \"" + cache.config.backend() + "\" cannot resize an open cache:"
                    + " close it, and open it with another capacity", e);
        } finally {
            lock.unlock();
        }
    }

    /**
     * Where the segment found is larger than what is configured, or than memory limits now leave room for: before
     * anybody uses the cache.
     */
    void atOpen() throws IOException {
        int wanted = Math.min(cache.config.frames(), cache.backend.affordableFrames());
        if (wanted < frames.capacity()) {
            lock.lock();
            try {
                resizeTo(wanted, true);
            } finally {
                lock.unlock();
            }
        }
    }

    private void resizeTo(int target, boolean atOpen) throws IOException {
        int before = frames.capacity();
        if (target > before) {
            frames.restorePolicy(); // before there is anything that the policy has to follow
            cache.backend.resize(target);
            frames.capacity(target);
        } else if (target < before) {
            shrink(target, before, atOpen);
        } else {
            return;
        }
        LOG.log(
                System.Logger.Level.DEBUG,
                () -> "\"" + cache.config.name() + "\": " + before + " frames before, now " + target);
    }

    private void shrink(int target, int before, boolean atOpen) throws IOException {
        boolean done = false;
        moving = true;
        frames.limit(target);
        try {
            if (!atOpen) {
                flush();
            }
            FrameTable.Ranking ranking = frames.rank(target, RANK_BATCH);
            int left = frames.clearTail(ranking, atOpen, () -> cache.closing);
            // Of what was in the way: how long the moves take is a matter of the size alone.
            long deadline = System.nanoTime() + cache.latchTimeoutNanos;
            while (left > 0) {
                if (cache.closing) {
                    throw new CacheClosedException("the cache is closed");
                }
                // Also while pages can be written: writers may dirty others as fast.
                if (System.nanoTime() - deadline >= 0) {
                    throw new CacheException("the cache \"" + cache.config.name() + "\" cannot shrink to " + target
                            + " frames: " + frames.describeUse(target, before)
                            + ". Close pins, or see health() for a store that takes no writes");
                }
                if (!cache.writeBackSome()) {
                    frames.awaitFreed(TimeUnit.MILLISECONDS.toNanos(1));
                }
                left = frames.clearTail(ranking, atOpen, () -> cache.closing);
            }
            cache.backend.resize(target);
            frames.capacity(target);
            done = true;
        } finally {
            if (!done) {
                frames.limit(before);
            }
            cache.recovery.rescan();
            moving = false;
        }
    }

    /** So that few pages are in the way. What a store does not take stays dirty, and is waited for like a pin. */
    private void flush() {
        try {
            cache.flush();
        } catch (IOException | RuntimeException e) {
            LOG.log(System.Logger.Level.DEBUG, "not all could be written before a resize", e);
        }
    }
}
