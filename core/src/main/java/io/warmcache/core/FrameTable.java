/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import io.warmcache.core.evict.Replacement;
import io.warmcache.spi.FrameBackend;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * What the heap knows of each frame, the free frames, and eviction ({@code docs/internals.md}, section 5). The arrays
 * are written by whoever owns the word of the frame's page; the free list and the policy are guarded by {@link
 * #lock}.
 */
final class FrameTable {
    final FrameBackend backend;
    final int frames;
    final int pageSize;
    final int pageShift;
    final int blocksPerPage;

    /** The frame was found in memory by this attach. */
    static final int FOUND = 1;

    /** It was found, and its checksums have not been compared yet. */
    static final int UNVALIDATED = 2;

    /** Its word is UNVERIFIED, but its bytes were seen good by this process: only the file's gates are outstanding. */
    static final int VALIDATED = 4;

    /** Frames whose hints are saved under one hold of the lock. */
    private static final int HINTS_BATCH = 1024;

    /** All block bits of a page. */
    final int allBlocks;

    /** The leaf, page and file whose word names the frame; checked against the word, since they may be left over. */
    private final long[] @Nullable [] leafOf;

    final long[] pageOf;
    final @Nullable CachedFile[] fileOf;

    /** Bit b: block b of the page may differ from the store. */
    final int[] dirtyBlocks;

    /** {@link #FOUND}, {@link #UNVALIDATED}, {@link #VALIDATED}. */
    private final byte[] survivor;

    final Replacement policy;

    private final int policyWords;

    /** The hint of each frame as the ledger has it, so that a look at all of them writes only what has changed. */
    private final int[] savedHints;

    /** Frames taken since all use counts were last copied; guarded by {@link #lock}. */
    private int takenSinceSave;

    private final Counters counters;
    private final WrapEpoch epoch;
    private final LatchWaiters waiters;

    final ReentrantLock lock = new ReentrantLock();
    private final Condition freed = lock.newCondition();
    private final int[] free;
    private int freeCount;

    FrameTable(FrameBackend backend, Counters counters, WrapEpoch epoch, LatchWaiters waiters) {
        this.backend = backend;
        this.counters = counters;
        this.epoch = epoch;
        this.waiters = waiters;
        frames = backend.frames();
        pageSize = backend.pageSize();
        pageShift = Integer.numberOfTrailingZeros(pageSize);
        blocksPerPage = pageSize >>> 12;
        allBlocks = (1 << blocksPerPage) - 1;
        leafOf = new long[frames] @Nullable [];
        pageOf = new long[frames];
        fileOf = new @Nullable CachedFile[frames];
        dirtyBlocks = new int[frames];
        survivor = new byte[frames];
        free = new int[frames];
        savedHints = new int[frames];
        policyWords = backend.policyWords();
        policy = new Replacement(frames, new WordUses(), new LedgerMemory());
    }

    MemorySegment slice(int frame) {
        return backend.memory().asSlice((long) frame << pageShift, pageSize);
    }

    /** Names the page of a frame; before the word that names the frame is published. */
    void assign(int frame, CachedFile file, long[] leaf, long page) {
        fileOf[frame] = file;
        pageOf[frame] = page;
        leafOf[frame] = leaf;
    }

    /** Forgets the page of a frame. By the owner of the page's word. */
    void unassign(int frame) {
        survivorFlags(frame, 0);
        leafOf[frame] = null;
        fileOf[frame] = null;
    }

    /** Where a frame's word is. A guess, to be checked against the word. */
    @SuppressWarnings("ArrayRecordComponent") // the leaf itself is meant, not its contents
    record Owner(CachedFile file, long[] leaf, long page) {}

    @Nullable Owner ownerOf(int frame) {
        lock.lock();
        try {
            CachedFile file = fileOf[frame];
            long[] leaf = leafOf[frame];
            return file == null || leaf == null ? null : new Owner(file, leaf, pageOf[frame]);
        } finally {
            lock.unlock();
        }
    }

    /** A5: takes over what the ledger says of the use of the frames found, and of the pages evicted last. */
    void restorePolicy(int[] survivors, int[] hints) {
        lock.lock();
        try {
            for (int i = 0; i < survivors.length; i++) {
                savedHints[survivors[i]] = hints[i];
            }
            policy.restore(survivors, hints);
            int words = Math.min(policy.words(), policyWords);
            for (int i = 0; i < words; i++) {
                policy.restoreWord(i, backend.policyWord(i));
            }
        } finally {
            lock.unlock();
        }
    }

    /**
     * Whether use counts are due to be copied again though the last time was less than a second ago: a thirty-second of
     * the frames hold another page since.
     */
    boolean hintsAreOld() {
        lock.lock();
        try {
            return takenSinceSave > frames / 32;
        } finally {
            lock.unlock();
        }
    }

    /** Leaves the use counts of all frames in the ledger, where they have changed; queues are there already. */
    void saveHints() {
        lock.lock();
        try {
            takenSinceSave = 0;
        } finally {
            lock.unlock();
        }
        for (int from = 0; from < frames; from += HINTS_BATCH) {
            int to = Math.min(from + HINTS_BATCH, frames);
            lock.lock();
            try {
                for (int frame = from; frame < to; frame++) {
                    if (leafOf[frame] != null) {
                        saveHint(frame);
                    }
                }
            } finally {
                lock.unlock();
            }
        }
    }

    private void saveHint(int frame) {
        int hint = policy.hint(frame);
        if (hint != savedHints[frame]) {
            savedHints[frame] = hint;
            backend.hint(frame, hint);
        }
    }

    /** Puts all frames that no survivor holds on the free list. */
    void fillFreeList() {
        lock.lock();
        try {
            for (int frame = frames - 1; frame >= 0; frame--) {
                if (leafOf[frame] == null) {
                    free[freeCount++] = frame;
                }
            }
        } finally {
            lock.unlock();
        }
    }

    /** A frame whose record is FREE and which no word names, for the page of this key; -1 if none can be had now. */
    int tryTake(long keyHash) {
        lock.lock();
        try {
            int frame = freeCount > 0 ? free[--freeCount] : evict();
            if (frame >= 0) {
                takenSinceSave++;
                policy.loaded(frame, keyHash);
            }
            return frame;
        } finally {
            lock.unlock();
        }
    }

    /** The page that was loaded into {@code frame} need not stay; if it has left already, another page pays. */
    void evictFirst(int frame) {
        lock.lock();
        try {
            policy.evictFirst(frame);
        } finally {
            lock.unlock();
        }
    }

    /** Gives back a frame whose record is FREE and which no word names any more. */
    void giveBack(int frame) {
        lock.lock();
        try {
            policy.removed(frame);
            unassign(frame);
            free[freeCount++] = frame;
            freed.signal();
        } finally {
            lock.unlock();
        }
    }

    /** Waits a moment, or until a frame is given back. Not ended by an interrupt, which stays pending. */
    @SuppressWarnings("WaitNotInLoop") // the caller looks again, whatever ended the wait
    void awaitFreed(long nanos) {
        boolean interrupted = Thread.interrupted();
        lock.lock();
        try {
            var _ = freed.awaitNanos(nanos);
        } catch (InterruptedException e) {
            interrupted = true;
        } finally {
            lock.unlock();
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    int freeCount() {
        lock.lock();
        try {
            return freeCount;
        } finally {
            lock.unlock();
        }
    }

    private int evict() {
        for (int tries = 0; tries < frames; tries++) {
            int frame = policy.candidate();
            if (frame < 0) {
                return -1;
            }
            CachedFile file = evict(frame);
            if (file == null) {
                policy.retained(frame);
                continue;
            }
            policy.evicted(frame, CachedFile.keyHash(file.fileId, pageOf[frame]));
            return frame;
        }
        return -1;
    }

    /** E2 to E5. Returns the file the frame belonged to, or null if it cannot be evicted now. */
    private @Nullable CachedFile evict(int frame) {
        long[] leaf = leafOf[frame];
        if (leaf == null) {
            return null;
        }
        int slot = RadixIndex.slot(pageOf[frame]);
        long word = TranslationWord.acquire(leaf, slot);
        if (!evictable(word, frame)
                || dirtyBlocks[frame] != 0
                || !TranslationWord.cas(
                        leaf, slot, word, TranslationWord.withState(word, TranslationWord.EXCLUSIVE))) {
            return null;
        }
        // Owned from here on: what assign() left is seen whole, since the word was published after it.
        CachedFile file = fileOf[frame];
        long page = pageOf[frame];
        if (dirtyBlocks[frame] != 0 || file == null) {
            TranslationWord.set(leaf, slot, word);
            waiters.wake(page);
            return null;
        }
        backend.release(frame);
        unassign(frame);
        TranslationWord.set(leaf, slot, epoch.nextVersion(TranslationWord.of(word, TranslationWord.EMPTY, 0)));
        waiters.wake(page);
        counters.evictions.increment();
        return file;
    }

    int survivorFlags(int frame) {
        return survivor[frame];
    }

    /** Sets what is known of a frame found in memory. By the owner of its page's word. */
    void survivorFlags(int frame, int flags) {
        int delta = (flags & UNVALIDATED) - (survivor[frame] & UNVALIDATED);
        if (delta != 0) {
            counters.unvalidated.addAndGet(delta / UNVALIDATED);
        }
        survivor[frame] = (byte) flags;
    }

    private static boolean evictable(long word, int frame) {
        long state = TranslationWord.state(word);
        return TranslationWord.frame(word) == frame
                && (state == TranslationWord.UNVERIFIED
                        || (state == TranslationWord.RESIDENT
                                && (word & (TranslationWord.PIN_MASK | TranslationWord.FLUSH)) == 0));
    }

    /** What keeps frames from being freed, for a message. */
    String describeUse() {
        int pinned = 0;
        int dirty = 0;
        int latched = 0;
        for (int frame = 0; frame < frames; frame++) {
            long[] leaf = leafOf[frame];
            if (leaf == null) {
                latched++;
                continue;
            }
            long word = TranslationWord.acquire(leaf, RadixIndex.slot(pageOf[frame]));
            if (TranslationWord.frame(word) != frame) {
                continue;
            }
            if (TranslationWord.pins(word) > 0) {
                pinned++;
            } else if (dirtyBlocks[frame] != 0) {
                dirty++;
            } else if (!evictable(word, frame)) {
                latched++;
            }
        }
        return "of " + frames + " frames " + pinned + " are pinned, " + dirty + " dirty, " + latched
                + " latched or being loaded";
    }

    /** The ledger, under {@link #lock}. */
    private final class LedgerMemory implements Replacement.Memory {
        @Override
        public void moved(int frame) {
            saveHint(frame);
        }

        @Override
        public void word(int index, long word) {
            if (index < policyWords) {
                backend.policyWord(index, word);
            }
        }
    }

    /** Use counts live in the translation words, so that a hit writes nothing else. */
    private final class WordUses implements Replacement.UseCounts {
        @Override
        public int get(int frame) {
            long[] leaf = leafOf[frame];
            if (leaf == null) {
                return 0;
            }
            long word = TranslationWord.acquire(leaf, RadixIndex.slot(pageOf[frame]));
            return TranslationWord.frame(word) == frame ? TranslationWord.uses(word) : 0;
        }

        @Override
        public void set(int frame, int uses) {
            long[] leaf = leafOf[frame];
            if (leaf == null) {
                return;
            }
            int slot = RadixIndex.slot(pageOf[frame]);
            long word = TranslationWord.acquire(leaf, slot);
            long state = TranslationWord.state(word);
            if (TranslationWord.frame(word) == frame
                    && (state == TranslationWord.RESIDENT || state == TranslationWord.UNVERIFIED)) {
                // Lost to a pin or a hit: the count stays a little too high, once.
                TranslationWord.cas(leaf, slot, word, TranslationWord.withUses(word, uses));
            }
        }
    }
}
