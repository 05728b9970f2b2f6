/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static io.warmcache.core.TranslationWord.EXCLUSIVE;
import static io.warmcache.core.TranslationWord.FLUSH;
import static io.warmcache.core.TranslationWord.LOADING;
import static io.warmcache.core.TranslationWord.RESIDENT;

import io.warmcache.CacheException;
import io.warmcache.spi.BackendFile;
import io.warmcache.spi.FrameRecord;
import java.io.IOException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;
import org.roaringbitmap.PeekableIntIterator;
import org.roaringbitmap.RoaringBitmap;

/** Writes a file's dirty pages in runs, and forces them ({@code docs/internals.md}, sections 4 and 6). */
final class WriteBack {
    private final CachedFile file;
    private final FrameTable frames;
    private final ReentrantLock forceLock = new ReentrantLock();

    /** Runs that the store is taking at the moment. */
    private final AtomicInteger inFlight = new AtomicInteger();

    /** When the first of these began, or the last one that has ended did, if that is later. */
    private volatile long movedAt;

    WriteBack(CachedFile file) {
        this.file = file;
        frames = file.frames;
    }

    /** Writes every page that is dirty now. */
    void flush() throws IOException {
        file.lockUsage();
        try {
            flush(file.backing(), 0);
        } finally {
            file.usage.readLock().unlock();
        }
    }

    /** Writes every page that is dirty now and numbered {@code from} or higher. */
    void flush(BackendFile backing, long from) throws IOException {
        flush(backing, from, true);
    }

    private void flush(BackendFile backing, long from, boolean wait) throws IOException {
        double start = wait && from == 0 ? file.cache.backgroundWrites.help(file) : 0;
        forEachRun(
                file.sets.dirtyPages(),
                from,
                start,
                (first, most) -> Math.max(1, writeRun(backing, first, most, wait)));
    }

    /**
     * Writes every page that is dirty now and that nobody is changing, for a thread that does nothing else. Lets go of
     * the file between two runs, so that a close waits for one run and not for all.
     *
     * @param start with which of the dirty pages to begin, as a share of them: so that several threads do not meet
     * @return whether a page was written
     */
    boolean flushIdle(double start) throws IOException {
        BackgroundWrites background = file.cache.backgroundWrites;
        boolean[] any = {false};
        Run run = (first, most) -> {
            // Who closes the file waits for the lock, which several threads might never leave free for him.
            if (!background.isRunning()
                    || file.unmapping
                    || file.usage.hasQueuedThreads()
                    || !file.usage.readLock().tryLock()) {
                return -1;
            }
            try {
                BackendFile backing = file.backing;
                if (backing == null || !file.open || file.poison != null) {
                    return -1;
                }
                int written = writeRun(backing, first, most, false);
                if (written > 0) {
                    any[0] = true;
                    background.progress();
                }
                return Math.max(1, written);
            } finally {
                file.usage.readLock().unlock();
            }
        };
        forEachRun(file.sets.dirtyPages(), 0, start, run);
        return any[0];
    }

    /** What to do with the dirty pages from {@code first} on. */
    private interface Run {
        /** Returns how many pages are done with, at most {@code most}; -1 to leave all others as they are. */
        int write(long first, int most) throws IOException;
    }

    /**
     * Visits pages in runs.
     *
     * @param least the first page of interest
     * @param start with which of all pages to begin, as a share of them; those before it have their turn at the end
     */
    private void forEachRun(RoaringBitmap pages, long least, double start, Run run) throws IOException {
        long begin = least;
        if (start > 0 && !pages.isEmpty()) {
            begin = Integer.toUnsignedLong(pages.select((int) (start * pages.getCardinality())));
        }
        @Nullable Unmended[] refused = {null};
        boolean all = visit(pages, begin, RadixIndex.MAX_PAGES, run, refused);
        if (all && begin > least) {
            var _ = visit(pages, least, begin, run, refused);
        }
        Unmended first = refused[0];
        if (first != null) {
            file.writeFailed(first); // after what could be written, which says that all is well
            throw first;
        }
    }

    /** Visits the pages from {@code from} up to {@code to}, in runs. Returns false if not all were wanted. */
    private static boolean visit(
            RoaringBitmap pages, long from, long to, Run run, @Nullable Unmended[] refused) throws IOException {
        PeekableIntIterator iterator = pages.getIntIterator();
        if (from > 0) {
            iterator.advanceIfNeeded((int) from);
        }
        boolean all = true;
        while (all && iterator.hasNext()) {
            long first = Integer.toUnsignedLong(iterator.next());
            if (first >= to) {
                break;
            }
            int count = 1;
            while (iterator.hasNext()
                    && count < BackendFile.MAX_RUN
                    && Integer.toUnsignedLong(iterator.peekNext()) == first + count) {
                iterator.next();
                count++;
            }
            for (int done = 0; all && done < count; ) {
                try {
                    int written = run.write(first + done, count - done);
                    all = written >= 0;
                    done += written;
                } catch (Unmended e) {
                    // One page must not keep the others from their store.
                    refused[0] = refused[0] == null ? e : refused[0];
                    if (e.index > 0) {
                        all = run.write(first + done, e.index) >= 0;
                    }
                    done += e.index + 1;
                }
            }
        }
        return all;
    }

    /** A dirty page whose record was overwritten, and that is in use for too long to be given another one. */
    private static final class Unmended extends CacheException {
        private static final long serialVersionUID = 1L;

        /** In the run that was to be written. */
        final int index;

        Unmended(String message, Throwable cause, int index) {
            super(message, cause);
            this.index = index;
        }
    }

    /**
     * Writes some dirty pages without waiting for anybody.
     *
     * @return whether a page was written
     */
    boolean writeSome() throws IOException {
        if (file.sets.dirtyCount() == 0 || !file.usage.readLock().tryLock()) {
            return false;
        }
        try {
            BackendFile backing = file.backing;
            return backing != null && file.open && writeSome(backing);
        } finally {
            file.usage.readLock().unlock();
        }
    }

    private boolean writeSome(BackendFile backing) throws IOException {
        long page = -1;
        for (int tries = 0; tries < 64; tries++) {
            page = file.sets.nextDirty(page + 1);
            if (page < 0) {
                return false;
            }
            try {
                int run = writeRun(backing, page, BackendFile.MAX_RUN, false);
                if (run > 0) {
                    return true;
                }
            } catch (Unmended e) {
                file.writeFailed(e);
                page += e.index; // the next ones may do
            }
        }
        return false;
    }

    /**
     * B1 to B4 for a run of dirty pages.
     *
     * @param wait whether to wait for a writer of the first page
     * @return how many pages were written
     * @throws Unmended if the record of a page was overwritten and it is in use
     */
    private int writeRun(BackendFile backing, long first, int most, boolean wait) throws IOException {
        int[] unrecorded = {-1};
        for (int mended = 0; ; mended++) {
            int count = tryRun(backing, first, most, wait, unrecorded);
            if (unrecorded[0] < 0) {
                return count;
            }
            if (mended == BackendFile.MAX_RUN * ExclusivePin.MOST_RENEWALS) {
                throw new IOException("page " + (first + unrecorded[0]) + " of " + file.name
                        + " is not written: its record in memory is overwritten again and again");
            }
            mend(backing, first + unrecorded[0], unrecorded[0], wait);
            unrecorded[0] = -1;
        }
    }

    /** Gives a dirty page a record again; no bytes of it change but those that the store has as well. */
    private void mend(BackendFile backing, long page, int index, boolean wait) throws IOException {
        try {
            ExclusivePin pin = file.latchResident(page, wait ? file.deadline() : System.nanoTime());
            if (pin != null) {
                pin.renewRecord(backing);
            }
        } catch (DamagedPageException damage) {
            writeOthers(backing, damage);
            throw damage;
        } catch (IOException e) {
            file.writeFailed(e);
            throw e;
        } catch (RuntimeException e) {
            throw new Unmended(
                    "page " + page + " of " + file.name + " is not written: its record was overwritten in memory, and"
                            + " to be given another it must be unpinned. Close pins of it, and flush again",
                    e,
                    index);
        }
    }

    /** For how long the store has been taking a run without an end of any; 0 if it is not. */
    long standingMillis() {
        return inFlight.get() == 0 ? 0 : TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - movedAt);
    }

    /** The first frame of a run whose record does not say what it must, or -1. */
    private int firstUnrecorded(Throwable refusal, long first, int[] run, int count) {
        for (int i = 0; i < count; i++) {
            if (file.isUnrecorded(refusal, run[i], first + i)) {
                return i;
            }
        }
        return -1;
    }

    /** The same, but leaves a page whose record was overwritten to the caller: {@code unrecorded} says which. */
    private int tryRun(BackendFile backing, long first, int most, boolean wait, int[] unrecorded) throws IOException {
        // With a page owned there is no trying for memory.
        int[] run = new int[most];
        int[] masks = new int[most];
        long[][] leaves = new long[most][];
        Events.Write event = new Events.Write();
        event.begin();
        int count = 0;
        long deadline = wait ? file.deadline() : 0;
        while (count < most) {
            long page = first + count;
            long[] leaf = page < RadixIndex.MAX_PAGES ? file.index.leaf(page) : null;
            if (leaf == null) {
                break;
            }
            int slot = RadixIndex.slot(page);
            int frame = setFlush(leaf, slot, page, wait && count == 0, deadline);
            if (frame < 0) {
                break;
            }
            if (frames.dirtyBlocks[frame] == 0) {
                clearFlush(leaf, slot, page);
                break;
            }
            run[count] = frame;
            masks[count] = Mutation.WRITE_BACK_TORN.isOn()
                    ? Integer.lowestOneBit(frames.dirtyBlocks[frame])
                    : frames.dirtyBlocks[frame];
            leaves[count] = leaf;
            count++;
        }
        if (count == 0) {
            return 0;
        }
        int damaged = -1;
        if (inFlight.get() == 0) {
            movedAt = System.nanoTime();
        }
        inFlight.incrementAndGet();
        try {
            int failedForces = file.sets.failedForces();
            file.writeOut(backing, first, run, masks, count, file.size);
            for (int i = 0; i < count; i++) {
                file.wrote(run[i], first + i, failedForces);
            }
            commit(event, file, first, blocks(masks, count), "write-back");
        } catch (Throwable t) {
            commit(event, file, first, blocks(masks, count), t.toString());
            unrecorded[0] = firstUnrecorded(t, first, run, count);
            if (unrecorded[0] >= 0) {
                return 0;
            }
            file.writeFailed(t);
            for (int i = 0; i < count && Mutation.FAILED_WRITE_LEAVES_CLEAN.isOn(); i++) {
                file.wrote(run[i], first + i, file.sets.failedForces());
            }
            damaged = damaged(first, run, masks, count);
            throw t;
        } finally {
            movedAt = System.nanoTime();
            inFlight.decrementAndGet();
            for (int i = 0; i < count; i++) {
                clearFlush(leaves[i], RadixIndex.slot(first + i), first + i);
            }
            if (damaged >= 0) {
                lose(backing, first, count, first + damaged);
            }
        }
        return count;
    }

    /** The first page of a run whose changes are not as its writer left them, or -1. */
    private int damaged(long first, int[] run, int[] masks, int count) {
        UnlockSums sums = file.cache.unlockSums;
        for (int i = 0; i < count && sums != null; i++) {
            if (sums.mismatches(file, run[i], first + i, masks[i]) != 0) {
                return i;
            }
        }
        return -1;
    }

    /**
     * Drops the pages of a run whose changes were damaged in memory, which poisons the file, so that nobody reads what
     * the store had before as if it were the page. What is whole is written first.
     */
    private void lose(BackendFile backing, long first, int count, long damaged) throws IOException {
        DamagedPageException damage = new DamagedPageException(file, damaged);
        file.poison(damage);
        boolean dropped = false;
        for (int i = 0; i < count; i++) {
            long[] leaf = file.index.leaf(first + i);
            ExclusivePin pin = leaf == null ? null : file.tryLatchResident(leaf, first + i);
            if (pin == null) {
                continue; // somebody reads it: it goes with the file
            }
            if (damaged(first + i, new int[] {pin.frame}, new int[] {frames.dirtyBlocks[pin.frame]}, 1) < 0) {
                pin.unlatchUnchanged();
            } else {
                file.counters.validationFailures.increment();
                pin.drop();
                dropped = true;
            }
        }
        if (dropped) {
            writeOthers(backing, damage);
        }
        throw damage;
    }

    /** N4: what is whole is written though the file is poisoned; a damaged page is dirty no more, so this ends. */
    private void writeOthers(BackendFile backing, DamagedPageException damage) {
        try {
            flush(backing, 0, false);
        } catch (IOException | CacheException e) {
            damage.addSuppressed(e);
        }
    }

    /**
     * Verifies a page in memory that nobody changes at the moment, and drops it if it is not what its record says; its
     * changes are verified when they are written. Where the page is was guessed.
     */
    void verify(long[] leaf, long page, int guessed) {
        int slot = RadixIndex.slot(page);
        int frame = setFlush(leaf, slot, page, false, 0);
        if (frame < 0) {
            return;
        }
        if (frame != guessed || !frames.holds(frame, file, page)) {
            clearFlush(leaf, slot, frames.pageOf[frame]); // which it has by the word, so that those who wait are woken
            return;
        }
        boolean good;
        try {
            good = isGood(frame, page);
        } finally {
            clearFlush(leaf, slot, page);
        }
        ExclusivePin pin = good ? null : file.tryLatchResident(leaf, page);
        if (pin == null) {
            return;
        }
        if (frames.dirtyBlocks[pin.frame] == 0 && !isGood(pin.frame, page)) {
            file.counters.validationFailures.increment();
            pin.drop();
        } else {
            pin.unlatchUnchanged(); // changed meanwhile; or the next announcement of a clean block mends it (W4)
        }
    }

    /** Whether the clean blocks of a page whose word the caller owns match its record. */
    private boolean isGood(int frame, long page) {
        FrameRecord record = new FrameRecord();
        int clean = frames.allBlocks & ~frames.dirtyBlocks[frame];
        return file.backend.readRecord(frame, record)
                && record.fileId == file.fileId
                && record.page == page
                && file.mismatches(frame, record, clean) == 0;
    }

    private static int blocks(int[] masks, int count) {
        int blocks = 0;
        for (int i = 0; i < count; i++) {
            blocks += Integer.bitCount(masks[i]);
        }
        return blocks;
    }

    /** Ends the event of a write, failed or not. */
    static void commit(Events.Write event, CachedFile file, long first, int blocks, String reason) {
        if (event.shouldCommit()) {
            event.of(file, first, (long) blocks << 12, reason);
            event.commit();
        }
    }

    /** B1. Returns the frame, or -1 if the page is not resident, or not to be had without waiting. */
    int setFlush(long[] leaf, int slot, long page, boolean wait, long deadline) {
        while (true) {
            long word = TranslationWord.acquire(leaf, slot);
            long state = TranslationWord.state(word);
            boolean isFree = state == RESIDENT || (state == EXCLUSIVE && Mutation.LATCH_ELIDED.isOn());
            if (isFree && !TranslationWord.isFlushing(word)) {
                if (TranslationWord.cas(
                        leaf, slot, word, Mutation.WRITE_BACK_NOT_EXCLUDING_WRITERS.isOn() ? word : word | FLUSH)) {
                    return TranslationWord.frame(word);
                }
            } else if (wait && (state == RESIDENT || state == EXCLUSIVE || state == LOADING)) {
                file.waiters.await(leaf, slot, page, word, deadline);
            } else {
                return -1;
            }
        }
    }

    void clearFlush(long[] leaf, int slot, long page) {
        while (true) {
            long word = TranslationWord.acquire(leaf, slot);
            if (TranslationWord.cas(leaf, slot, word, word & ~FLUSH)) {
                file.waiters.wake(page);
                return;
            }
        }
    }

    /** S1 to S5. */
    void force() throws IOException {
        file.lockUsage();
        try {
            force(file.backing());
        } finally {
            file.usage.readLock().unlock();
        }
    }

    /** As {@link #force()}, for a caller that holds the file's usage lock. */
    void force(BackendFile backing) throws IOException {
        forceLock.lock();
        try {
            flush(backing, 0);
            RoaringBitmap unforced = file.sets.startForce();
            boolean success = false;
            Events.Force event = new Events.Force();
            event.begin();
            try {
                backing.force();
                success = true;
                commit(event, unforced, "");
                file.counters.forces.increment();
                markForced(unforced);
            } catch (Throwable t) {
                if (!success) {
                    commit(event, unforced, t.toString());
                    file.writeFailed(t);
                    if (!Mutation.FAILED_FORCE_LEAVES_CLEAN.isOn()) {
                        rewriteLater(file.sets.forceFailed(), t);
                    }
                }
                throw t;
            } finally {
                file.sets.endForce(success);
            }
        } finally {
            forceLock.unlock();
        }
    }

    private void commit(Events.Force event, RoaringBitmap pages, String failure) {
        if (event.shouldCommit()) {
            long count = pages.getLongCardinality();
            event.of(file, count, count << file.pageShift, failure);
            event.commit();
        }
    }

    /** S4. */
    private void markForced(RoaringBitmap pages) {
        PeekableIntIterator iterator = pages.getIntIterator();
        while (iterator.hasNext()) {
            long page = Integer.toUnsignedLong(iterator.next());
            long[] leaf = file.index.leaf(page);
            if (leaf == null) {
                continue;
            }
            int slot = RadixIndex.slot(page);
            int frame = setFlush(leaf, slot, page, false, 0);
            if (frame >= 0) {
                boolean isAgain = file.sets.writtenAgain(page) && !Mutation.WRITTEN_AGAIN_COUNTS_AS_FORCED.isOn();
                if (frames.dirtyBlocks[frame] == 0 && !isAgain) {
                    file.backend.forced(frame);
                }
                clearFlush(leaf, slot, page);
            }
        }
    }

    /**
     * After a failed force the store may have lost what it took since the last good one: resident pages are dirty
     * again as a whole; a page that is not resident any more, or was read again from what the store may have lost,
     * cannot be written again, and poisons the file.
     */
    private void rewriteLater(RoaringBitmap lost, Throwable cause) {
        if (file.sets.forcesUntracked()) {
            file.poison(cause);
            return;
        }
        PeekableIntIterator iterator = lost.getIntIterator();
        while (iterator.hasNext()) {
            long page = Integer.toUnsignedLong(iterator.next());
            try {
                if (!redirty(page)) {
                    file.poison(cause);
                    return;
                }
            } catch (RuntimeException | Error e) {
                Cache.suppress(cause, e);
                file.poison(cause);
                return;
            }
        }
    }

    private boolean redirty(long page) {
        if (file.sets.mayBeLost(page)) {
            return false;
        }
        long deadline = file.deadline();
        while (true) {
            long @Nullable [] leaf = file.index.leaf(page);
            long word = leaf == null ? 0 : TranslationWord.acquire(leaf, RadixIndex.slot(page));
            long state = TranslationWord.state(word);
            if (state != RESIDENT && state != EXCLUSIVE && state != LOADING) {
                return page >= file.pages();
            }
            ExclusivePin pin = file.latchResident(page, deadline);
            if (pin != null) {
                try {
                    pin.dirty(0, file.pageSize);
                    pin.writeLater(file.size);
                    pin.done();
                } finally {
                    pin.endUnpublished();
                }
                return true;
            }
        }
    }
}
