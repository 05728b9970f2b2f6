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
import java.util.concurrent.atomic.AtomicInteger;
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
    private int waiting;
    /** Tries of J3 to J5 that were begun. */
    private int tries;
    /** That of {@link #untold}. */
    private int untoldTry;
    /** Whether the memory was, or is being, wiped. */
    private boolean wiped;
    /** Whether {@link #untold} itself was thrown to somebody. */
    private boolean told;

    /** Somebody does J3 to J5, or is about to. Written under the lock. */
    private volatile boolean begun;

    /** It is a caller who waits for pins first, and may give up. */
    private volatile boolean byCaller;

    /**
     * What the end, or a try of it, failed with, until all who wait for it, or the first who asks later, are told.
     * Written under the lock.
     */
    private volatile @Nullable Throwable untold;

    /** The last such failure, told or not. */
    private volatile @Nullable Throwable failed;

    /** What failed in any try of the end, without ending that. */
    private final List<Throwable> failures = Collections.synchronizedList(new ArrayList<>());

    /** Threads that do J3 to J5 at the moment. */
    private final Set<Thread> closers = ConcurrentHashMap.newKeySet();

    /** Whether the memory is to be wiped. Written under the lock. */
    private volatile boolean drop;

    /** Nothing is held, and the memory is being given back: no store is asked any more. Written under the lock. */
    private volatile boolean givingBack;

    /** Written under the lock. */
    private volatile boolean ended;

    /** When anything that is waited for came last: the end of a store's call, of a file, of a thread. */
    private volatile long movedAt;

    Ending(Cache cache) {
        this.cache = cache;
    }

    /** For {@code health()}. */
    String problem() {
        Throwable failure = failed;
        if (ended) {
            return "the cache is closed" + (failure == null ? "" : ", and that failed: " + failure.getMessage());
        }
        return begun
                ? "the cache is being closed: " + reasons()
                : "the cache was not closed"
                        + (failure == null ? "" : ", since that failed: " + failure.getMessage())
                        + ": close it again";
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
            if (wipe) {
                wipeInstead();
            }
            return;
        }
        long graceNanos = Cache.nanos(grace);
        boolean here;
        int asked;
        lock.lock();
        try {
            here = begin(wipe);
            asked = tries;
            waiting++;
        } finally {
            lock.unlock();
        }
        Throwable thrown = null;
        try {
            if (here) {
                runHere(graceNanos);
            } else {
                await(graceNanos, asked);
            }
        } catch (Throwable t) {
            thrown = t;
        }
        try {
            if (!leave(thrown, asked)) {
                throw standing(grace);
            }
        } catch (Throwable t) {
            suppressTooLate(wipe, t);
            throw t;
        }
        if (wipe && isTooLateToWipe()) {
            throw tooLateToWipe();
        }
    }

    /** Whatever else fails, what was lost is thrown. */
    private void suppressTooLate(boolean wipe, Throwable lost) {
        try {
            if (wipe && isTooLateToWipe()) {
                lost.addSuppressed(tooLateToWipe());
            }
        } catch (OutOfMemoryError e) {
            LOG.log(System.Logger.Level.TRACE, "no memory to say that a drop came too late", e);
        }
    }

    /** For a store that drops the cache which closes it. */
    private void wipeInstead() {
        lock.lock();
        try {
            askToWipe();
        } finally {
            lock.unlock();
        }
        if (isTooLateToWipe()) {
            throw tooLateToWipe();
        }
    }

    private void askToWipe() {
        drop = true;
        cache.images.dropping = true;
    }

    private boolean isTooLateToWipe() {
        lock.lock();
        try {
            return givingBack && !wiped;
        } finally {
            lock.unlock();
        }
    }

    private CacheException tooLateToWipe() {
        return new CacheException("the cache \"" + cache.config.name()
                + "\" was closed already when it was to be dropped: its memory is there still, and"
                + " PageCache.drop(config) removes it");
    }

    /** J1 and J2, with the lock held. Returns whether the caller has to do the rest. */
    private boolean begin(boolean wipe) {
        if (ended) {
            return false;
        }
        if (wipe) {
            askToWipe();
        }
        if (!cache.closing) {
            moved();
        }
        boolean others = begun;
        begun = true;
        boolean started = false;
        try {
            cache.beginClosing();
            boolean here = !others && (!cache.hasThreads || !start(this::run, ""));
            started = true;
            if (!others) {
                tries++;
                byCaller = here;
                failed = null;
                if (waiting == 0) {
                    untold = null; // of a try that came to nothing, and was logged
                }
            }
            return here;
        } finally {
            begun = others || started; // else the next close tries again
        }
    }

    private boolean start(Runnable work, String suffix) {
        try {
            cache.threads
                    .make(work, "warmcache-close-" + cache.config.name() + suffix)
                    .start();
            return true;
        } catch (OutOfMemoryError e) {
            return false; // no further thread
        }
    }

    private void asCloser(Runnable work) {
        try {
            closers.add(Thread.currentThread());
            work.run();
        } finally {
            closers.remove(Thread.currentThread());
        }
    }

    /**
     * For a cache without threads, or that gets none: the caller's own calls. Bounded but for the calls of stores,
     * which are his then.
     */
    private void runHere(long graceNanos) {
        boolean goesOn = false;
        try {
            long now = System.nanoTime();
            if (cache.awaitThreads(now + patience(graceNanos))
                    && awaitThat(() -> cache.heldPages() == 0, now + graceNanos)) {
                goesOn = true;
                byCaller = false; // and nobody gives up any more
                run();
            } else {
                goesOn = start(this::run, "");
                byCaller = !goesOn;
            }
        } finally {
            if (!goesOn) {
                lock.lock();
                try {
                    begun = false;
                    changed.signalAll();
                } finally {
                    lock.unlock();
                }
                LOG.log(
                        System.Logger.Level.ERROR,
                        "no thread can be started that ends \"" + cache.config.name()
                                + "\" by itself: close it again");
            }
        }
    }

    /** For how long nothing needs to move before that is said to stand still: longer than a force usually takes. */
    private long patience(long graceNanos) {
        return Math.max(standingNanos(), Math.max(graceNanos, cache.latchTimeoutNanos));
    }

    /** J6. */
    private void await(long graceNanos, int asked) {
        long since = System.nanoTime();
        // Looked at all the while: it takes one look at the right moment to see that nothing is held.
        if (!awaitThat(() -> isOver(asked) || (isAnyHeld() && isOver(asked)), since + graceNanos)) {
            awaitThat(() -> isOver(asked) || isInVain(since, patience(graceNanos)), since + NEVER);
        }
    }

    /**
     * Whether there is nothing to wait for any more, for whoever came with that many tries begun: the cache is closed,
     * or his try or a later one came to nothing. With the lock held.
     */
    private boolean isOver(int asked) {
        return ended || (untold != null && untoldTry >= asked) || !begun;
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

    /**
     * The end of every wait, whatever ended it: throws what the end failed with to each who leaves before that is over,
     * or else to the first who asks later. Returns whether the cache is closed.
     */
    private boolean leave(@Nullable Throwable thrown, int asked) throws IOException {
        boolean closed;
        Throwable failure = thrown;
        lock.lock();
        try {
            waiting--;
            closed = ended; // it may be since the last look
            Throwable end = untold;
            if (end != null && untoldTry >= asked) {
                failure = told || thrown != null ? another(end) : end;
                if (thrown != null) {
                    failure.addSuppressed(thrown);
                }
                told = true;
            }
            if (waiting == 0) {
                untold = null; // last: what has failed before that is thrown to the next
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
        return closed;
    }

    /** One that several threads have could be suppressed by itself, and grows while others read it. */
    private static Exception another(Throwable end) {
        return end instanceof IOException
                ? new IOException(end.getMessage(), end)
                : new CacheException(String.valueOf(end.getMessage()), end);
    }

    // ---- J3 to J5 --------------------------------------------------------------------------------------------------

    private void run() {
        Throwable failure = null;
        try {
            closers.add(Thread.currentThread());
            end();
        } catch (Throwable t) {
            failure = t;
        }
        closers.remove(Thread.currentThread());
        lock.lock();
        try {
            untold = failure;
            untoldTry = tries;
            failed = failure;
            told = false;
            ended = givingBack;
            begun = ended; // else the next close tries again
            changed.signalAll();
            if (failure != null && waiting == 0) {
                LOG.log(
                        System.Logger.Level.ERROR,
                        "closing \"" + cache.config.name() + "\" failed" + (ended ? "" : ": close it again"),
                        failure);
            }
        } finally {
            lock.unlock();
        }
    }

    /** May be tried again where it throws before the memory is being given back. */
    private void end() throws IOException {
        // One that stands is waited for below: it keeps no file from being written that has nothing to do with it.
        cache.awaitThreads(System.nanoTime() + standingNanos());
        closeFiles();
        for (CachedFile file : cache.mappedFiles()) {
            if (file.backing != null || file.unmapping) {
                throw new IllegalStateException(
                        file.name + " could not be closed: close the cache again", file.unlisted);
            }
        }
        cache.awaitThreads(System.nanoTime() + NEVER);
        // What a failure has left held of a file that was closed is nobody's.
        awaitThat(
                () -> cache.files().stream().allMatch(file -> file.released || Recovery.held(file) == 0)
                        && cache.stores.stream().noneMatch(ParkingFile::isCalled),
                System.nanoTime() + NEVER);
        cache.images.writeHotList();
        cache.resizing.lock.lock();
        try {
            cache.giveBack(beginGivingBack());
        } catch (Throwable t) {
            failures.add(t);
        } finally {
            cache.resizing.lock.unlock();
        }
        for (CachedFile file : cache.files()) {
            Throwable unlisted = file.unlisted;
            if (unlisted != null) {
                failures.add(unlisted);
            }
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

    /** Returns whether the memory is to be wiped: who asks for that from now on is told that it is too late. */
    private boolean beginGivingBack() {
        lock.lock();
        try {
            wiped = drop || cache.config.wipeOnClose();
            givingBack = true;
            return wiped;
        } finally {
            lock.unlock();
        }
    }

    private long standingNanos() {
        return TimeUnit.MILLISECONDS.toNanos(cache.backgroundWrites.standingMillis);
    }

    /**
     * J3. One file after the other, those that nobody holds first; but that no other one waits for a file that stands
     * still.
     */
    private void closeFiles() {
        Closing closing = new Closing(cache.mappedFiles());
        if (closing.left.get() == 0 || !cache.hasThreads || !start(() -> asCloser(closing), "-1")) {
            closing.run();
        }
        int number = 2;
        while (!closing.await()) {
            if (number <= MOST_CLOSERS && start(() -> asCloser(closing), "-" + number)) {
                number++; // where none is to be had, they wait for those that stand
            }
        }
    }

    /** One try of J3, by any number of threads. */
    private final class Closing implements Runnable {
        private final Queue<CachedFile> files;

        /** Those of which somebody held a page: taken, by whom has nothing else to do, as soon as nobody does. */
        private final Queue<CachedFile> held = new ConcurrentLinkedQueue<>();

        private final AtomicInteger left;

        /** Threads that wait for one of the files that are held. */
        private final AtomicInteger idle = new AtomicInteger();

        Closing(List<CachedFile> files) {
            this.files = new ConcurrentLinkedQueue<>(files);
            left = new AtomicInteger(files.size());
        }

        @Override
        public void run() {
            for (CachedFile file = next(); file != null; file = next()) {
                try {
                    closeFile(file);
                } catch (Throwable t) {
                    file.unlisted = file.unlisted == null ? t : file.unlisted; // and others are still to be closed
                } finally {
                    moved();
                    left.decrementAndGet();
                    signal();
                }
            }
        }

        private @Nullable CachedFile next() {
            for (CachedFile file = files.poll(); file != null; file = files.poll()) {
                try {
                    if (Recovery.held(file) == 0 || !held.add(file)) {
                        return file;
                    }
                } catch (Throwable t) {
                    return file; // it is in no queue now, and closed or given up by the caller
                }
            }
            idle.incrementAndGet();
            try {
                @Nullable CachedFile[] free = new @Nullable CachedFile[1];
                awaitThat(() -> (free[0] = takeFree()) != null || held.isEmpty(), System.nanoTime() + NEVER);
                return free[0];
            } finally {
                idle.decrementAndGet();
            }
        }

        private @Nullable CachedFile takeFree() {
            for (CachedFile file : List.copyOf(held)) {
                if (Recovery.held(file) == 0 && held.remove(file)) {
                    return file;
                }
            }
            return null;
        }

        /** Returns whether all files are closed; false if nobody takes the next one, and nothing has moved. */
        boolean await() {
            long asked = System.nanoTime();
            awaitThat(
                    () -> {
                        long now = System.nanoTime();
                        boolean stands = Math.min(now - asked, now - movedAt) >= standingNanos();
                        boolean waits = !files.isEmpty() || (!held.isEmpty() && idle.get() == 0);
                        return left.get() == 0 || (stands && waits);
                    },
                    asked + NEVER);
            return left.get() == 0;
        }
    }

    private void signal() {
        lock.lock();
        try {
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    private void closeFile(CachedFile file) {
        boolean claimed = false;
        try {
            awaitThat(() -> Recovery.held(file) == 0, System.nanoTime() + NEVER);
            file.released = true;
            cache.claim(file);
            claimed = true;
            cache.closeFile(file, true, System.nanoTime() + NEVER);
            file.unlisted = null;
        } catch (Throwable t) { // of whatever kind: the back end has to be reached
            file.unlisted = t; // noted with nothing made for it: there may be no memory for what follows
            int lost = cache.abandon(file, t);
            failures.add(
                    lost == 0
                            ? t
                            : new IOException(
                                    (lost == 1 ? "1 changed page of " : lost + " changed pages of ") + file.name
                                            + (lost == 1 ? " is" : " are") + " not in its store, and lost: "
                                            + t.getMessage(),
                                    t));
            file.unlisted = null;
        } finally {
            if (claimed) {
                cache.unclaim(file);
            }
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
                + "\" is not closed after the grace of " + grace + ". Its memory stays mapped and owned "
                + (begun && !byCaller
                        ? "until that has ended, and the close then goes on by itself; another close waits for it."
                        : "until it is closed again: there is no thread that would do it.")
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
                reasons.add(calls + " of " + store.name + " under way");
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
