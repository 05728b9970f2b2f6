/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static io.warmcache.core.TranslationWord.DEAD;
import static io.warmcache.core.TranslationWord.DETACHED;
import static io.warmcache.core.TranslationWord.EMPTY;
import static io.warmcache.core.TranslationWord.EXCLUSIVE;
import static io.warmcache.core.TranslationWord.FLUSH;
import static io.warmcache.core.TranslationWord.PIN_MASK;
import static io.warmcache.core.TranslationWord.RESIDENT;
import static io.warmcache.core.TranslationWord.UNVERIFIED;

import io.warmcache.LatchTimeoutException;
import io.warmcache.spi.BackendFile;
import io.warmcache.spi.FrameRecord;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.VarHandle;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/** Sets a file's length ({@code docs/internals.md}, section 7). */
final class Truncation {
    private final CachedFile file;
    private final ReentrantLock lock = new ReentrantLock();
    private final Condition ended = lock.newCondition();

    Truncation(CachedFile file) {
        this.file = file;
    }

    /** A leaf, the number of its first page, and which of its words this truncate owns. */
    private static final class Leaf {
        final long firstPage;
        final long[] words;
        long owned;

        /** Holds nothing, and this truncate owns all of it. */
        boolean empty;

        Leaf(long firstPage, long[] words) {
            this.firstPage = firstPage;
            this.words = words;
        }
    }

    /** Waits until no truncate is under way. Not ended by an interrupt, which stays pending. */
    void await(long deadline) {
        boolean interrupted = false;
        lock.lock();
        try {
            while (file.truncatingFrom != Long.MAX_VALUE) {
                long left = deadline - System.nanoTime();
                if (left <= 0) {
                    throw new LatchTimeoutException("a truncate of " + file.name
                            + " stayed under way for longer than latchTimeout: close pins sooner");
                }
                try {
                    ended.await(left, TimeUnit.NANOSECONDS);
                } catch (InterruptedException e) {
                    interrupted = true;
                }
            }
        } finally {
            lock.unlock();
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    void truncate(long newSize) throws IOException {
        if (newSize < 0 || newSize > RadixIndex.MAX_PAGES << file.pageShift) {
            throw new IllegalArgumentException("size is " + newSize + ": it must be from 0 to "
                    + (RadixIndex.MAX_PAGES << file.pageShift) + " bytes");
        }
        file.checkWritable();
        long deadline = file.deadline();
        file.acquireExtension(deadline);
        try {
            file.lockUsage();
            try {
                BackendFile backing = file.backing();
                if (newSize >= file.size) {
                    extend(backing, newSize);
                } else {
                    shrink(backing, newSize, deadline);
                }
            } finally {
                file.usage.readLock().unlock();
            }
        } finally {
            file.extension.release();
        }
    }

    /** T1 for a longer file. The caller holds the extension permit. */
    void extend(long newSize) throws IOException {
        file.lockUsage();
        try {
            extend(file.backing(), newSize);
        } finally {
            file.usage.readLock().unlock();
        }
    }

    private void extend(BackendFile backing, long newSize) throws IOException {
        if (newSize > file.size) {
            backing.truncate(newSize);
            file.size = newSize;
        }
    }

    private void shrink(BackendFile backing, long newSize, long deadline) throws IOException {
        long boundary = newSize >>> file.pageShift;
        boolean partial = (newSize & (file.pageSize - 1)) != 0;
        long firstCut = partial ? boundary + 1 : boundary;
        file.truncatingFrom = boundary;
        VarHandle.fullFence(); // before any look at the index: the other side of admit()
        ExclusivePin pin = null;
        boolean marked = false;
        List<Leaf> leaves = new ArrayList<>();
        try {
            file.writeBack.flush(backing, boundary);
            if (partial) {
                pin = latchClean(backing, boundary, deadline);
            }
            file.index.forEachLeaf(firstCut, (first, words) -> leaves.add(new Leaf(first, words)));
            for (Leaf leaf : leaves) {
                own(backing, leaf, firstCut, deadline);
            }
            if (pin != null) {
                marked = true;
                if (!Mutation.BOUNDARY_DIRTY_AFTER_TRUNCATE.isOn()) {
                    file.backend.markDirty(pin.frame);
                }
            }
            backing.truncate(newSize);
            if (pin != null && Mutation.BOUNDARY_DIRTY_AFTER_TRUNCATE.isOn()) {
                file.backend.markDirty(pin.frame);
            }
            file.size = newSize;
            file.sets.truncate(boundary, firstCut);
            if (pin != null) {
                cutBoundary(backing, pin, (int) (newSize & (file.pageSize - 1)));
                pin = null;
            }
        } finally {
            if (pin != null && marked) {
                file.giveUp(pin.leaf, pin.slot, boundary, pin.word, pin.frame);
                pin.done();
            } else if (pin != null) {
                pin.unlatchUnchanged();
            }
            for (Leaf leaf : leaves) {
                free(leaf);
            }
            bury(leaves, firstCut);
            lock.lock();
            try {
                file.truncatingFrom = Long.MAX_VALUE;
                ended.signalAll();
            } finally {
                lock.unlock();
            }
        }
    }

    /** Latches the boundary page with nothing dirty in it: the store is about to be what its bytes are judged by. */
    private @Nullable ExclusivePin latchClean(BackendFile backing, long page, long deadline) throws IOException {
        while (true) {
            ExclusivePin pin = file.latchResident(page, deadline);
            if (pin == null || file.frames.dirtyBlocks[pin.frame] == 0) {
                return pin;
            }
            // Closed by a writer that had latched it before truncatingFrom was set, and after T3 had looked.
            pin.unlatchUnchanged();
            file.writeBack.flush(backing, page);
        }
    }

    /** T4 and T5 for the pages of one leaf. */
    private void own(BackendFile backing, Leaf leaf, long firstCut, long deadline) throws IOException {
        for (int slot = 0; slot < RadixIndex.LEAF_SLOTS; slot++) {
            long page = leaf.firstPage + slot;
            while (page >= firstCut) {
                long word = TranslationWord.acquire(leaf.words, slot);
                long state = TranslationWord.state(word);
                if (state == EMPTY || state == DEAD || state == DETACHED) {
                    break;
                }
                boolean takeable = state == UNVERIFIED || (state == RESIDENT && (word & FLUSH) == 0);
                if (!takeable) {
                    file.waiters.await(leaf.words, slot, page, word, deadline);
                    continue;
                }
                int frame = TranslationWord.frame(word);
                if (file.frames.dirtyBlocks[frame] != 0) {
                    file.writeBack.flush(backing, page); // as in latchClean()
                    continue;
                }
                boolean pinned = (word & PIN_MASK) != 0 && !Mutation.PINNED_FREED_BY_TRUNCATE.isOn();
                long owned = TranslationWord.withState(word, pinned ? DETACHED : EXCLUSIVE);
                if (TranslationWord.cas(leaf.words, slot, word, owned)) {
                    if (!pinned) {
                        leaf.owned |= 1L << slot;
                    }
                    file.backend.release(frame);
                    file.frames.survivorFlags(frame, 0);
                    break;
                }
            }
        }
    }

    /** T9 for the pages of one leaf. */
    private void free(Leaf leaf) {
        for (long rest = leaf.owned; rest != 0; rest &= rest - 1) {
            int slot = Long.numberOfTrailingZeros(rest);
            long word = TranslationWord.acquire(leaf.words, slot);
            file.frames.giveBack(TranslationWord.frame(word));
            file.publish(leaf.words, slot, leaf.firstPage + slot, TranslationWord.of(word, EMPTY, 0));
        }
    }

    /**
     * T9 for leaves that hold nothing any more. The epoch is raised once for all, since a stamp has 16 bits of it: once
     * for each leaf, a truncate of some GiB could bring them around to where they were. Allocates nothing, as words are
     * owned meanwhile.
     */
    private void bury(List<Leaf> leaves, long firstCut) {
        boolean any = false;
        for (int i = 0; i < leaves.size(); i++) {
            Leaf leaf = leaves.get(i);
            leaf.empty = leaf.firstPage >= firstCut && RadixIndex.isEmpty(leaf.words) && RadixIndex.own(leaf.words);
            any |= leaf.empty;
        }
        if (any) {
            file.epoch.raise();
        }
        for (int i = 0; i < leaves.size(); i++) {
            Leaf leaf = leaves.get(i);
            if (leaf.empty) {
                file.index.bury(leaf.firstPage, leaf.words);
            }
            file.wakeLeaf(leaf.firstPage);
        }
    }

    /** T8. */
    private void cutBoundary(BackendFile backing, ExclusivePin pin, int kept) {
        FrameRecord record = new FrameRecord();
        int block = kept >>> 12;
        boolean good = file.backend.readRecord(pin.frame, record)
                && record.fileId == file.fileId
                && record.page == pin.page
                && file.mismatches(pin.frame, record, 1 << block) == 0;
        if (good) {
            MemorySegment bytes = file.frames.slice(pin.frame);
            if (!Mutation.TAIL_NOT_ZEROED.isOn()) {
                bytes.asSlice(kept).fill((byte) 0);
            }
            good = seal(backing, pin, file.frames.allBlocks & -(1 << block));
        }
        if (!good) {
            file.counters.validationFailures.increment();
            file.giveUp(pin.leaf, pin.slot, pin.page, pin.word, pin.frame);
        } else {
            file.sets.written(pin.page, true);
            file.publish(pin.leaf, pin.slot, pin.page, TranslationWord.of(pin.word, RESIDENT, pin.frame));
        }
        pin.done();
    }

    /** Returns false if the back end refuses, since the record was overwritten a moment ago. */
    private boolean seal(BackendFile backing, ExclusivePin pin, int blocks) {
        try {
            backing.seal(pin.page, pin.frame, blocks);
            return true;
        } catch (IllegalStateException e) {
            if (!file.isUnrecorded(pin.frame, pin.page)) {
                throw e;
            }
            return false;
        }
    }
}
