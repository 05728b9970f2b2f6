/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import io.warmcache.CacheException;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Queue;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;

/**
 * The end of a cache: J1 to J6 of {@code docs/internals.md}, section 8. What has to be waited for is waited for without
 * bound by threads of this class, so that no frame is unmapped that anybody may touch; who closes the cache waits
 * beside them, for a limited time.
 */
final class Ending {
    private static final System.Logger LOG = System.getLogger("io.warmcache");

    private static final long NEVER = Long.MAX_VALUE / 4;
    private static final long LONGEST_NAP = TimeUnit.MILLISECONDS.toNanos(50);

    /** Files that are closed at once, if those before them stand still. */
    private static final int MOST_CLOSERS = 64;

    /** Files that a message names. */
    private static final int MOST_NAMED = 16;

    private final Cache cache;
    private final ReentrantLock lock = new ReentrantLock();
    private final Condition changed = lock.newCondition();

    // Guarded by the lock, down to the blank line.
    private boolean begun;
    private int waiting;
    private int filesLeft;
    /** Failed, and nobody was told. */
    private @Nullable Throwable untold;

    /** Threads that do J3 to J5 at the moment. */
    private final Set<Thread> closers = ConcurrentHashMap.newKeySet();

    /** Whether the memory is to be wiped. Written under the lock. */
    private volatile boolean drop;

    /** Nothing is held, and the memory is being given back: no store is asked any more. */
    private volatile boolean givingBack;

    /** Written under the lock. */
    private volatile boolean ended;

    /** When anything that is waited for came last: the end of a store's call, of a file, of a thread. */
    private volatile long movedAt;

    Ending(Cache cache) {
        this.cache = cache;
    }

    boolean isEnded() {
        return ended;
    }

    /** A call of a store has ended, or something as large as one was done without. */
    void moved() {
        movedAt = System.nanoTime();
    }

    /**
     * Called on every unpin while the cache is closing. Never waits: the caller may hold what the closing threads need,
     * and those look again by themselves.
     */
    void pinReleased() {
        if (lock.tryLock()) {
            try {
                changed.signalAll();
            } finally {
                lock.unlock();
            }
        }
    }

    /** J1, J2 and J6. Returns at once when a store that is being closed by it closes the cache. */
    void close(Duration grace, boolean wipe) throws IOException {
        if (closers.contains(Thread.currentThread())) {
            return;
        }
        long graceNanos = Cache.nanos(grace);
        boolean byCaller = false;
        lock.lock();
        try {
            if (!ended) {
                if (wipe) {
                    drop = true;
                    cache.images.dropping = true;
                }
                if (!cache.closing) {
                    moved();
                }
                cache.beginClosing();
                if (!begun) {
                    begun = true;
                    byCaller = !cache.hasThreads || !start(this::run, "");
                }
            }
            waiting++;
        } finally {
            lock.unlock();
        }
        boolean inTime = false;
        try {
            inTime = byCaller ? runHere(graceNanos) : await(graceNanos);
        } finally {
            tell(inTime);
        }
        if (!inTime) {
            throw standing(grace);
        }
    }

    private boolean start(Runnable work, String suffix) {
        try {
            cache.threads
                    .make(() -> asCloser(work), "warmcache-close-" + cache.config.name() + suffix)
                    .start();
            return true;
        } catch (OutOfMemoryError e) {
            return false; // no further thread
        }
    }

    private void asCloser(Runnable work) {
        closers.add(Thread.currentThread());
        try {
            work.run();
        } finally {
            closers.remove(Thread.currentThread());
        }
    }

    /**
     * For a cache without threads, or that gets none: the caller's own calls. Bounded but for the calls of stores,
     * which are his then.
     */
    private boolean runHere(long graceNanos) {
        boolean handedOn = false;
        try {
            long now = System.nanoTime();
            if (cache.awaitThreads(now + patience(graceNanos))
                    && awaitThat(() -> cache.heldPages() == 0, now + graceNanos)) {
                asCloser(this::run);
                return true;
            }
            handedOn = start(this::run, "");
            return false;
        } finally {
            boolean goesOn = handedOn || ended;
            lock.lock();
            try {
                begun = goesOn;
            } finally {
                lock.unlock();
            }
            if (!goesOn) {
                LOG.log(
                        System.Logger.Level.ERROR,
                        "no thread can be started that ends \"" + cache.config.name()
                                + "\" by itself: close it again");
            }
        }
    }

    /** For how long nothing needs to move before that is said to stand still. */
    private long patience(long graceNanos) {
        return Math.max(graceNanos, cache.latchTimeoutNanos);
    }

    /** J6. Returns whether the cache is closed. */
    private boolean await(long graceNanos) {
        long asked = System.nanoTime();
        // Looked at all the while: it takes one look at the right moment to see that nothing is held.
        if (!awaitThat(() -> ended || (isAnyHeld() && ended), asked + graceNanos)) {
            awaitThat(() -> ended || isInVain(asked, patience(graceNanos)), asked + NEVER);
        }
        return ended;
    }

    /**
     * Waits for what is told by a signal or by none: latches that are no pins, for one, are released silently. Not
     * ended by an interrupt, which stays pending. Returns whether it came before the deadline.
     */
    private boolean awaitThat(BooleanSupplier condition, long deadline) {
        boolean interrupted = false;
        long nap = TimeUnit.MILLISECONDS.toNanos(1);
        lock.lock();
        try {
            boolean came = condition.getAsBoolean();
            while (!came && System.nanoTime() - deadline < 0) {
                try {
                    var _ = changed.awaitNanos(nap);
                } catch (InterruptedException e) {
                    interrupted = true;
                }
                nap = Math.min(nap + nap / 8, LONGEST_NAP);
                came = condition.getAsBoolean();
            }
            return came;
        } finally {
            lock.unlock();
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    /** J6, with the grace over. */
    private boolean isInVain(long asked, long patience) {
        if (givingBack) {
            return false; // how long that takes is a matter of its size alone
        }
        long now = System.nanoTime();
        return Math.min(now - movedAt, now - asked) >= patience
                || (isAnyHeld() && cache.awaitThreads(now));
    }

    /** To one of those who wait, or else to the first who asks later. */
    private void tell(boolean inTime) throws IOException {
        Throwable failure = null;
        lock.lock();
        try {
            waiting--;
            if (inTime) {
                failure = untold;
                untold = null;
            }
        } finally {
            lock.unlock();
        }
        if (failure instanceof IOException e) {
            throw e;
        }
        if (failure != null) {
            throw CachedFile.sneaky(failure);
        }
    }

    // ---- J3 to J5 --------------------------------------------------------------------------------------------------

    private void run() {
        Throwable failure = null;
        try {
            end();
        } catch (Throwable t) {
            failure = t;
        }
        lock.lock();
        try {
            untold = failure;
            ended = true;
            changed.signalAll();
            if (failure != null && waiting == 0) {
                LOG.log(System.Logger.Level.ERROR, "closing \"" + cache.config.name() + "\" failed", failure);
            }
        } finally {
            lock.unlock();
        }
    }

    private void end() throws IOException {
        List<Throwable> failures = Collections.synchronizedList(new ArrayList<>());
        // One that stands is waited for below: it keeps no file from being written that has nothing to do with it.
        cache.awaitThreads(System.nanoTime() + standingNanos());
        closeFiles(failures);
        cache.awaitThreads(System.nanoTime() + NEVER);
        // What a failure has left held of a file that was closed is nobody's.
        awaitThat(
                () -> cache.files().stream().allMatch(file -> file.released || Recovery.held(file) == 0)
                        && cache.stores.stream().noneMatch(ParkingFile::isCalled),
                System.nanoTime() + NEVER);
        cache.images.writeHotList();
        cache.resizing.lock.lock();
        try {
            givingBack = true;
            cache.giveBack(drop || cache.config.wipeOnClose());
        } catch (Throwable t) {
            failures.add(t);
        } finally {
            cache.resizing.lock.unlock();
        }
        if (!failures.isEmpty()) {
            IOException failure = new IOException("closing the cache \"" + cache.config.name() + "\": "
                    + failures.get(0).getMessage(), failures.get(0));
            for (Throwable other : failures.subList(1, failures.size())) {
                failure.addSuppressed(other);
            }
            throw failure;
        }
    }

    private long standingNanos() {
        return TimeUnit.MILLISECONDS.toNanos(cache.backgroundWrites.standingMillis);
    }

    /** J3. One file after the other, but that no other one waits for a file that stands still. */
    private void closeFiles(List<Throwable> failures) {
        Queue<CachedFile> files = new ConcurrentLinkedQueue<>(cache.mappedFiles());
        lock.lock();
        try {
            filesLeft = files.size();
        } finally {
            lock.unlock();
        }
        Runnable work = () -> {
            for (CachedFile file = files.poll(); file != null; file = files.poll()) {
                try {
                    closeFile(file, failures);
                } finally {
                    closed();
                }
            }
        };
        if (files.isEmpty() || !cache.hasThreads || !start(work, "-1")) {
            work.run();
            return;
        }
        for (int number = 2; !awaitClosed(files); number++) {
            if (number <= MOST_CLOSERS) {
                var _ = start(work, "-" + number); // where none is to be had, they wait for those that stand
            }
        }
    }

    /** Returns whether all files are closed; false if some have not been begun, and those that have stand still. */
    private boolean awaitClosed(Queue<CachedFile> files) {
        long asked = System.nanoTime();
        awaitThat(
                () -> {
                    long now = System.nanoTime();
                    boolean stands = Math.min(now - asked, now - movedAt) >= standingNanos();
                    return filesLeft == 0 || (stands && !files.isEmpty());
                },
                asked + NEVER);
        lock.lock();
        try {
            return filesLeft == 0;
        } finally {
            lock.unlock();
        }
    }

    private void closed() {
        moved();
        lock.lock();
        try {
            filesLeft--;
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    private void closeFile(CachedFile file, List<Throwable> failures) {
        try {
            awaitThat(() -> Recovery.held(file) == 0, System.nanoTime() + NEVER);
            file.released = true;
            cache.claim(file);
        } catch (Throwable t) {
            failures.add(t);
            return;
        }
        try {
            cache.closeFile(file, true, System.nanoTime() + NEVER);
        } catch (Throwable t) { // of whatever kind: the back end has to be reached
            int lost = file.sets.dirtyCount();
            failures.add(
                    lost == 0
                            ? t
                            : new IOException(
                                    (lost == 1 ? "1 changed page of " : lost + " changed pages of ") + file.name
                                            + (lost == 1 ? " is" : " are") + " not in its store, and lost: "
                                            + t.getMessage(),
                                    t));
            cache.abandon(file, t);
        } finally {
            cache.unclaim(file);
        }
    }

    // ---- what it waits for -----------------------------------------------------------------------------------------

    /**
     * Whether somebody who is no thread of the cache's holds a page. For each file that ends once and for all; who
     * comes too late counts a pin for a moment, and finds the cache closed.
     */
    private boolean isAnyHeld() {
        boolean any = false;
        for (CachedFile file : cache.files()) {
            if (!file.released) {
                int[] held = heldBy(file);
                file.released = held[0] + held[1] == 0;
                any |= !file.released;
            }
        }
        return any;
    }

    /** Pages of a file that pins or writers hold, and those that are being read. */
    private static int[] heldBy(CachedFile file) {
        int[] held = new int[2];
        if (!file.released) { // else whoever closes it owns a word now and then
            file.index.forEachLeaf(0, (first, leaf) -> {
                for (int slot = 0; slot < RadixIndex.LEAF_SLOTS; slot++) {
                    long word = TranslationWord.get(leaf, slot);
                    if (TranslationWord.state(word) == TranslationWord.LOADING) {
                        held[1]++;
                    } else if (TranslationWord.pins(word) > 0
                            || TranslationWord.state(word) == TranslationWord.EXCLUSIVE) {
                        held[0]++;
                    }
                }
            });
        }
        return held;
    }

    private CacheException standing(Duration grace) {
        List<String> unwritten = new ArrayList<>();
        for (CachedFile file : cache.files()) {
            int dirty = file.sets.dirtyCount();
            if (dirty > 0) {
                unwritten.add(pages(dirty) + " of " + file.name);
            }
        }
        return new CacheException(reasons() + ": the cache \"" + cache.config.name()
                + "\" is not closed after the grace of " + grace + ". Its memory stays mapped and owned until that has"
                + " ended, and the close then goes on by itself; another close waits for it."
                + (unwritten.isEmpty() ? "" : " Not in their stores yet: " + some(unwritten) + ".")
                + cache.describeSites());
    }

    /** What the end waits for, in words. */
    String reasons() {
        List<String> reasons = new ArrayList<>();
        for (CachedFile file : cache.files()) {
            int[] held = heldBy(file);
            if (held[0] > 0) {
                reasons.add(pages(held[0]) + " of " + file.name + (held[0] == 1 ? " is" : " are") + " pinned");
            }
            if (held[1] > 0) {
                reasons.add(pages(held[1]) + " of " + file.name + (held[1] == 1 ? " is" : " are") + " being read");
            }
        }
        for (ParkingFile store : cache.stores) {
            String calls = store.calls();
            if (!calls.isEmpty()) {
                reasons.add(calls + " of " + store.store().name() + " under way");
            }
        }
        String mapping = cache.mapping;
        if (mapping != null) {
            reasons.add(mapping + " is being mapped");
        }
        return reasons.isEmpty() ? "threads of the cache's own are at work" : some(reasons);
    }

    private static String pages(int count) {
        return count == 1 ? "1 page" : count + " pages";
    }

    private static String some(List<String> all) {
        return String.join(", ", all.subList(0, Math.min(all.size(), MOST_NAMED)))
                + (all.size() <= MOST_NAMED ? "" : " and " + (all.size() - MOST_NAMED) + " more");
    }
}
