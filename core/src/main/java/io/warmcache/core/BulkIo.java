/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static io.warmcache.core.TranslationWord.EMPTY;
import static io.warmcache.core.TranslationWord.LOADING;
import static io.warmcache.core.TranslationWord.RESIDENT;

import io.warmcache.WritePolicy;
import io.warmcache.core.CachedFile.Latch;
import io.warmcache.spi.BackendFile;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Byte ranges over pages: bulk reads, bulk writes, and loading runs of pages at once. */
final class BulkIo {
    /** What a reading returns that waits for no frame. */
    static final int NO_FRAME = -1;

    /** Disturbed copies of one page before it is pinned instead. */
    private static final int OPTIMISTIC_TRIES = 16;

    private final CachedFile file;
    private final FrameTable frames;

    /** For whom a run of pages is read, and so where its frames come from and what becomes of them. */
    private enum Purpose {
        /** Somebody waits for it. */
        DEMAND,
        /** Somebody waits for it who will not want it again: it is evicted before anything else. */
        ONCE,
        /** It may be wanted: into free frames alone. */
        WARM,
        /** It may be wanted: at once or not at all. */
        PREFETCH,
        /** It is likely to be wanted next: as {@link #PREFETCH}, and marked until it is. */
        AHEAD
    }

    BulkIo(CachedFile file) {
        this.file = file;
        frames = file.frames;
    }

    /** Pages latched or loaded at once: a small cache must not be emptied by one call. */
    int batch() {
        return Math.max(1, Math.min(BackendFile.MAX_RUN, frames.capacity() / 8));
    }

    /** @param once the pages are not expected to be wanted again: those read from the store are evicted first */
    int read(long position, MemorySegment target, boolean once) throws IOException {
        if (position < 0) {
            throw new IllegalArgumentException("position is " + position + ": it must not be negative");
        }
        file.backing();
        long end = file.size;
        long wanted = Math.min(target.byteSize(), Integer.MAX_VALUE);
        if (wanted == 0) {
            return 0;
        }
        if (position >= end) {
            return -1;
        }
        int length = (int) Math.min(wanted, end - position);
        int hits = 0;
        int done = 0;
        int cuts = 0;
        try {
            while (done < length) {
                long at = position + done;
                long page = at >>> file.pageShift;
                int offset = (int) at & (file.pageSize - 1);
                int chunk = Math.min(length - done, file.pageSize - offset);
                try {
                    int pagesLeft = (int) (((position + length - 1) >>> file.pageShift) - page) + 1;
                    if (copyPage(page, offset, target, done, chunk, pagesLeft, once)) {
                        hits++;
                    }
                } catch (IndexOutOfBoundsException e) {
                    if (page >= file.pages()) {
                        return done == 0 ? -1 : done; // cut off meanwhile
                    }
                    if (++cuts == OPTIMISTIC_TRIES) {
                        throw e;
                    }
                    continue; // cut off, and lengthened again
                }
                done += chunk;
            }
            return done;
        } finally {
            file.counters.hits.add(hits); // once: a shared counter costs as much as a small page
        }
    }

    /** Returns whether the page was in memory. */
    private boolean copyPage(
            long page, int offset, MemorySegment target, long at, int length, int pagesLeft, boolean once)
            throws IOException {
        boolean missed = false;
        long deadline = 0;
        for (int tries = 0; tries < OPTIMISTIC_TRIES; ) {
            long[] leaf = file.index.leafOrCreate(page);
            int slot = RadixIndex.slot(page);
            long now = file.epoch.get();
            long word = TranslationWord.acquire(leaf, slot);
            if (TranslationWord.isResident(word)) {
                if (!missed && !once) {
                    file.touch(leaf, slot, page, word);
                } else if (frames.isAhead(TranslationWord.frame(word))) {
                    file.readAhead.used(TranslationWord.frame(word), page);
                    if (once) {
                        evictFirst(TranslationWord.frame(word));
                    }
                }
                long from = ((long) TranslationWord.frame(word) << file.pageShift) + offset;
                try {
                    MemorySegment.copy(file.cache.memory, from, target, at, length);
                } catch (IllegalStateException e) {
                    file.backing(); // the frames' memory ends with the cache: say so
                    throw e;
                }
                if (file.stillValid(leaf, slot, word, now)) {
                    return !missed;
                }
                tries++;
            } else {
                if (deadline == 0) {
                    deadline = file.deadline();
                }
                missed |= loadRun(leaf, page, word, pagesLeft, deadline, once);
            }
        }
        try (SharedPin pin = file.pin(page)) {
            MemorySegment.copy(pin.segment(), offset, target, at, length);
            return false; // the pin has counted it
        }
    }

    /**
     * Loads a page that is not resident, and with it as many of the following, up to {@code count}, as can be had at
     * once.
     *
     * @param evictFirst whether what is read from the store is to be evicted before anything else
     * @return whether the first page was read from the store
     */
    boolean loadRun(long[] leaf, long first, long word, int count, long deadline, boolean evictFirst)
            throws IOException {
        int slot = RadixIndex.slot(first);
        int most = Math.min(count, batch());
        file.backing();
        file.checkPage(first, file.pages());
        if (most == 1 || TranslationWord.state(word) != EMPTY) {
            boolean read = file.settle(leaf, slot, first, word, deadline);
            if (read && evictFirst) {
                long loaded = TranslationWord.acquire(leaf, slot);
                if (TranslationWord.isResident(loaded)) {
                    evictFirst(TranslationWord.frame(loaded));
                }
            }
            return read;
        }
        file.readAhead.missed(first, most);
        return loadEmpty(leaf, first, word, most, deadline, evictFirst ? Purpose.ONCE : Purpose.DEMAND, -1, null)
                > 0;
    }

    /** Whether a page is in memory, be it that somebody has it latched. */
    static boolean isThere(long word) {
        long state = TranslationWord.state(word);
        return state == RESIDENT || state == TranslationWord.EXCLUSIVE || state == TranslationWord.DETACHED;
    }

    /** Brings pages to memory that are not there, or waits for who does; returns how many it has read. */
    int load(long first, int count) throws IOException {
        int read = 0;
        long end = first + count;
        for (long page = first; page < end; ) {
            file.backing();
            file.checkPage(page, file.pages());
            long[] leaf = file.index.leafOrCreate(page);
            int slot = RadixIndex.slot(page);
            long word = TranslationWord.acquire(leaf, slot);
            if (isThere(word)) {
                page++;
            } else if (TranslationWord.state(word) == EMPTY) {
                int most = (int) Math.min(end - page, batch());
                int loaded = Math.max(0, loadEmpty(leaf, page, word, most, file.deadline(), Purpose.DEMAND, -1, null));
                read += loaded;
                page += loaded;
            } else if (file.settle(leaf, slot, page, word, file.deadline())) {
                read++;
                page++;
            }
        }
        return read;
    }

    /**
     * Reads an EMPTY page, and with it as many of the following as can be had at once, into free frames alone: for
     * those who have time.
     *
     * @return the number of pages read, 0 also if the word has changed
     */
    int warm(long[] leaf, long first, long word, int count) throws IOException {
        return Math.max(
                0, loadEmpty(leaf, first, word, Math.min(count, batch()), CachedFile.NO_WAIT, Purpose.WARM, -1, null));
    }

    /**
     * Returns how many pages were read, or {@link #NO_FRAME} if none could be had at once.
     *
     * @param queue what takes them over instead, to be read later
     */
    private int loadEmpty(
            long[] leaf,
            long first,
            long word,
            int most,
            long deadline,
            Purpose purpose,
            long marker,
            @Nullable QueuedRuns queue)
            throws IOException {
        int slot = RadixIndex.slot(first);
        long[][] leaves = new long[most][];
        long[] words = new long[most];
        int[] run = new int[most];
        Arrays.fill(run, -1);
        leaves[0] = leaf;
        words[0] = word;
        if (!TranslationWord.cas(leaf, slot, word, TranslationWord.withState(word, LOADING))) {
            return 0;
        }
        BackendFile backing = file.admit(leaf, slot, first, word, deadline, false);
        if (backing == null) {
            return 0;
        }
        int owned = 1;
        try {
            boolean evicting = purpose != Purpose.WARM;
            boolean ahead = purpose == Purpose.AHEAD;
            if (purpose == Purpose.DEMAND || purpose == Purpose.ONCE) {
                run[0] = file.takeFrame(first, deadline);
            } else {
                var _ = frames.tryTake(file.fileId, first, run, 0, 1, ahead, evicting);
            }
            if (run[0] < 0) {
                file.giveUp(leaf, slot, first, word, -1);
                return NO_FRAME;
            }
            while (owned < most && ownNext(first + owned, leaves, words, owned)) {
                owned++;
            }
            int had = frames.tryTake(file.fileId, first + 1, run, 1, owned, ahead, evicting);
            while (owned > had) {
                owned--;
                putBack(leaves[owned], first + owned, words[owned]);
            }
            if (queue != null) {
                queue.add(first, leaves, words, run, owned);
                return owned;
            }
            Events.Fault event = new Events.Fault();
            event.begin();
            backing.fill(first, run, owned, file.size, file.sets.refill(first, owned));
            if (event.shouldCommit()) {
                event.of(file, first, (long) owned << file.pageShift, "absent");
                event.commit();
            }
        } catch (Throwable t) {
            giveUp(first, leaves, words, run, owned);
            throw t;
        }
        arrived(first, leaves, words, run, owned, purpose, marker);
        return owned;
    }

    /** Ends words that are owned without their pages having been read. */
    void giveUp(long first, long[][] leaves, long[] words, int[] run, int owned) {
        for (int i = 0; i < owned; i++) {
            file.giveUp(leaves[i], RadixIndex.slot(first + i), first + i, words[i], run[i]);
        }
    }

    /** F5, of pages that were read for somebody. */
    void arrived(long first, long[][] leaves, long[] words, int[] run, int owned) {
        arrived(first, leaves, words, run, owned, Purpose.DEMAND, -1);
    }

    private void arrived(
            long first, long[][] leaves, long[] words, int[] run, int owned, Purpose purpose, long marker) {
        for (int i = 0; i < owned; i++) {
            long page = first + i;
            frames.assign(run[i], file, leaves[i], page);
            frames.history.arrived(run[i], FrameHistory.FROM_STORE);
            if (purpose == Purpose.AHEAD) {
                frames.markAhead(run[i], file.readAhead.part(), page == marker);
            }
            file.publish(leaves[i], RadixIndex.slot(page), page, TranslationWord.of(words[i], RESIDENT, run[i]));
            if (purpose == Purpose.ONCE) {
                evictFirst(run[i]);
            }
        }
        if (purpose == Purpose.AHEAD) {
            file.counters.readAhead.addAndGet(owned);
        }
        try {
            if (purpose != Purpose.AHEAD) {
                file.counters.misses.add(owned);
            }
            file.counters.bytesRead.add((long) owned << file.pageShift);
        } catch (OutOfMemoryError e) {
            return; // the pages are there: what is counted is a little low
        }
    }

    /**
     * Q2a: owns a page if it is EMPTY, and as many of the following as can be had at once, a frame for each, for a
     * queue to read.
     *
     * @return how many, 0 if the first cannot be had at once, or {@link #NO_FRAME}
     */
    int enqueue(QueuedRuns queue, long first, int count) throws IOException {
        file.backing();
        if (first >= file.pages()) {
            return 0; // cut meanwhile: who reads it next says so
        }
        long[] leaf = file.index.leafOrCreate(first);
        long word = TranslationWord.acquire(leaf, RadixIndex.slot(first));
        return TranslationWord.state(word) == EMPTY
                ? loadEmpty(leaf, first, word, count, CachedFile.NO_WAIT, Purpose.PREFETCH, -1, queue)
                : 0;
    }

    /** Of a page that nobody holds any more: a cache that is being closed meanwhile has no hints to write. */
    private void evictFirst(int frame) {
        try {
            frames.evictFirst(frame);
        } catch (IllegalStateException e) {
            if (!file.cache.closing) {
                throw e;
            }
        }
    }

    /** Owns a further page of a run, if that can be done at once. */
    private boolean ownNext(long page, long[][] leaves, long[] words, int i) {
        if (page >= file.pages() || page >= file.truncatingFrom) {
            return false;
        }
        long[] leaf = file.index.leafOrCreate(page);
        int slot = RadixIndex.slot(page);
        long word = TranslationWord.acquire(leaf, slot);
        if (TranslationWord.state(word) != EMPTY
                || !TranslationWord.cas(leaf, slot, word, TranslationWord.withState(word, LOADING))) {
            return false;
        }
        if (page >= file.truncatingFrom || page >= file.pages()) { // in this order, as in admit()
            putBack(leaf, page, word);
            return false;
        }
        leaves[i] = leaf;
        words[i] = word;
        return true;
    }

    /** Gives an owned word back as it was. */
    private void putBack(long[] leaf, long page, long word) {
        TranslationWord.set(leaf, RadixIndex.slot(page), word);
        file.waiters.wake(page);
    }

    /**
     * Reads what is EMPTY of some pages, as far as it can be had at once; returns how many pages that were, or {@link
     * #NO_FRAME} if it ended since there was none: a look for one is a look at all of them.
     */
    int prefetch(long first, int count) throws IOException {
        int read = 0;
        long end = Math.min(first + count, file.pages());
        for (long page = first; page < end; ) {
            int loaded = readEmpty(page, end, Purpose.PREFETCH, -1);
            if (loaded == NO_FRAME) {
                return NO_FRAME;
            }
            read += loaded;
            page += Math.max(1, loaded);
        }
        return read;
    }

    /**
     * H2: reads a page if it is EMPTY, and with it as many of the following, up to {@code end}, as can be had at once.
     *
     * @param marker the page whose first use is to be told
     * @return how many pages were read, each of which is marked, or {@link #NO_FRAME}; if this throws none is
     */
    int readAhead(long page, long end, long marker) throws IOException {
        return readEmpty(page, end, Purpose.AHEAD, marker);
    }

    private int readEmpty(long page, long end, Purpose purpose, long marker) throws IOException {
        file.backing();
        file.checkPage(page, RadixIndex.MAX_PAGES);
        long[] leaf = file.index.leafOrCreate(page);
        long word = TranslationWord.acquire(leaf, RadixIndex.slot(page));
        return TranslationWord.state(word) == EMPTY
                ? loadEmpty(
                        leaf,
                        page,
                        word,
                        (int) Math.min(end - page, batch()),
                        CachedFile.NO_WAIT,
                        purpose,
                        marker,
                        null)
                : 0;
    }

    void write(long position, MemorySegment source) throws IOException {
        long length = source.byteSize();
        long limit = RadixIndex.MAX_PAGES << file.pageShift;
        if (position < 0 || position > limit - length) {
            throw new IllegalArgumentException("position is " + position + " and length " + length
                    + ": the end must be from 0 to " + limit);
        }
        file.checkWritable();
        file.backing();
        boolean extending = false;
        try {
            for (long done = 0; done < length; ) {
                file.cache.backgroundWrites.throttle(file, (position + done) >>> file.pageShift);
                long deadline = file.deadline();
                if (!extending && position + length > file.size) {
                    file.acquireExtension(deadline);
                    extending = true;
                    if (position + done > file.size) {
                        file.truncation.extend(position + done);
                    }
                }
                done += writeBatch(position + done, source, done, extending, deadline);
            }
        } finally {
            if (extending) {
                file.extension.release();
            }
        }
    }

    /** Returns the bytes written; 0 if the extension permit turned out to be needed. */
    private long writeBatch(long position, MemorySegment source, long from, boolean extending, long deadline)
            throws IOException {
        int batch = batch();
        List<ExclusivePin> pins = new ArrayList<>(batch);
        long first = position >>> file.pageShift;
        long length = source.byteSize() - from;
        long done = 0;
        boolean published = false;
        try {
            while (pins.size() < batch && done < length) {
                long page = first + pins.size();
                int offset = (int) (position + done) & (file.pageSize - 1);
                int chunk = (int) Math.min(length - done, file.pageSize - offset);
                boolean toEnd = extending && position + done + chunk >= file.size;
                boolean whole = offset == 0 && (chunk == file.pageSize || toEnd);
                Latch how = whole ? Latch.BLANK : Latch.READ;
                ExclusivePin pin = file.latch(page, how, extending, pins.isEmpty(), deadline);
                if (pin == null) {
                    break;
                }
                if (!extending && position + done + chunk > file.size) {
                    pin.unlatchUnchanged(); // the file was cut meanwhile: the permit comes before the latch
                    break;
                }
                pins.add(pin);
                pin.dirtyOverwritten(offset, chunk);
                MemorySegment.copy(
                        source, from + done, file.cache.memory, ((long) pin.frame << file.pageShift) + offset, chunk);
                done += chunk;
            }
            if (!pins.isEmpty()) {
                publish(first, pins);
            }
            published = true;
            return done;
        } finally {
            if (!published) {
                for (ExclusivePin pin : pins) {
                    pin.endUnpublished();
                }
            }
        }
    }

    private void publish(long first, List<ExclusivePin> pins) throws IOException {
        long size = pins.getLast().sizeAfter();
        boolean through = file.options.policy() == WritePolicy.WRITE_THROUGH;
        int failedForces = 0;
        if (through) {
            int blocks = 0;
            for (ExclusivePin pin : pins) {
                pin.takeSums();
                blocks += Integer.bitCount(frames.dirtyBlocks[pin.frame]);
            }
            Events.Write event = new Events.Write();
            event.begin();
            failedForces = file.sets.failedForces();
            try {
                int written = ExclusivePin.writeThrough(file, pins, size);
                WriteBack.commit(event, file, first, written, "write-through");
            } catch (Throwable t) {
                WriteBack.commit(event, file, first, blocks, t.toString());
                for (int i = 0; i < pins.size(); i++) {
                    file.sets.maybeWritten(first + i);
                }
                file.writeFailed(t);
                pins.getLast().cutBack(t);
                throw t;
            }
        }
        for (ExclusivePin pin : pins) {
            if (through) {
                pin.writtenThrough(size, failedForces);
            } else {
                pin.writeLater(size);
            }
            pin.done();
        }
    }
}
