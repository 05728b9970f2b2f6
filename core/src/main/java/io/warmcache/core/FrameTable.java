/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import io.warmcache.DropReason;
import io.warmcache.core.evict.Replacement;
import io.warmcache.spi.FrameBackend;
import io.warmcache.spi.FrameRecord;
import io.warmcache.spi.FrameState;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.Arrays;
import java.util.BitSet;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * What the heap knows of each frame, the free frames, and eviction ({@code docs/internals.md}, section 5). The arrays
 * are written by whoever owns the word of the frame's page; the free list and the policy are guarded by {@link
 * #lock}.
 */
final class FrameTable {
    final FrameBackend backend;

    /** The memory of all frames, for those who must not write. */
    final MemorySegment readOnly;

    /** Frames there is room for; {@link #capacity} of them exist. */
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

    /** In the mark of a page that was read ahead: its first use is to be told. The part is in the bits above. */
    private static final int MARKER = 1;

    /** Files are told apart by this many parts, in turn: as many as a mark has room for. */
    private static final int AHEAD_PARTS = 63;

    /** How many times as many pages one part may hold as are left to all of them. */
    private static final int AHEAD_FAIRNESS = 7;

    /** One part of so many is what all queues of reads together may own. */
    private static final int QUEUED_SHARE = 4;

    private static final VarHandle BYTES = MethodHandles.arrayElementVarHandle(byte[].class);

    /** Frames whose hints are looked at before those that have changed are saved. */
    private static final int HINTS_BATCH = 1024;

    /** Hints saved under one hold of the lock. */
    private static final int HINTS_AT_ONCE = 64;

    /** Looks at the lock before a thread parks for it: parking and being woken take longer than what it is held for. */
    private static final int SPINS = 200;

    /** Frames of a run taken under one hold of the lock, for which others wait. */
    private static final int TAKEN_AT_ONCE = 16;

    /** Frames cleared between two looks at whether to go on. */
    private static final int CLEAR_BATCH = 4096;

    private static final int FRAME_BITS = 24;
    private static final long FRAME_MASK = (1 << FRAME_BITS) - 1;

    /** Of a heat, the bits that tell more than the age. */
    private static final int TIER_SHIFT = 32;

    private static final int KEY_TIER_SHIFT = TIER_SHIFT + FRAME_BITS;

    /** All block bits of a page. */
    final int allBlocks;

    /**
     * The leaf, page and file whose word names the frame; checked against the word, since they may be left over. The
     * leaf is null in a frame found in memory: see {@link #leaf}.
     */
    private final long[] @Nullable [] leafOf;

    final long[] pageOf;
    final @Nullable CachedFile[] fileOf;

    /** Bit b: block b of the page may differ from the store. Changed by {@link #dirtyBlocks(int, int)} alone. */
    final int[] dirtyBlocks;

    /** Frames with dirty blocks. */
    private final AtomicInteger dirtyFrames = new AtomicInteger();

    /** {@link #FOUND}, {@link #UNVALIDATED}, {@link #VALIDATED}. */
    private final byte[] survivor;

    /** Mark of each frame, 0 for none. Set by the owner of the word, cleared by the first user. */
    private final byte[] ahead;

    /** Frames marked so, and pages that are about to be read ahead. */
    private final AtomicInteger aheadUnused = new AtomicInteger();

    /** The same of each part. In the mark itself, since of which file a frame is may have changed when it is taken. */
    private final AtomicIntegerArray aheadOfPart = new AtomicIntegerArray(AHEAD_PARTS + 1);

    private final AtomicInteger aheadParts = new AtomicInteger();

    /** Pages that are reserved for queues of reads. */
    private final AtomicInteger queuedPages = new AtomicInteger();

    private final int aheadPercent;

    final Replacement policy;

    final FrameHistory history;

    private final int policyWords;

    /** The hint of each frame as the ledger has it, so that a look at all of them writes only what has changed. */
    private final int[] savedHints;

    /** Frames taken since all use counts were last copied; guarded by {@link #lock}. */
    private int takenSinceSave;

    /** Frames were found that the policy has not been told of yet (A5); guarded by {@link #lock}. */
    private boolean policyIsBehind;

    private final Counters counters;
    private final WrapEpoch epoch;
    private final LatchWaiters waiters;

    final ReentrantLock lock = new ReentrantLock();
    private final Condition freed = lock.newCondition();

    /** Threads in {@link #awaitFreed}; written under {@link #lock}. */
    private volatile int awaiting;

    /** Held by the one thread that found no frame and is waiting for one; the others queue for it, first come first. */
    final ReentrantLock seeking = new ReentrantLock(true);

    private final int[] free;
    private int freeCount;

    /** Frames that exist. Changed under {@link #lock}. */
    private volatile int capacity;

    /** Frames from here on are not handed out: {@link #capacity}, or less while a resize takes frames away. */
    private int limit;

    /** Frames from {@link #limit} on that hold nothing any more. */
    private final BitSet retired;

    FrameTable(
            FrameBackend backend, Counters counters, WrapEpoch epoch, LatchWaiters waiters, int aheadPercent) {
        this.backend = backend;
        this.counters = counters;
        this.epoch = epoch;
        this.waiters = waiters;
        readOnly = backend.memory().asReadOnly();
        frames = backend.maxFrames();
        capacity = backend.frames();
        limit = capacity;
        pageSize = backend.pageSize();
        pageShift = Integer.numberOfTrailingZeros(pageSize);
        blocksPerPage = pageSize >>> 12;
        allBlocks = (1 << blocksPerPage) - 1;
        leafOf = new long[frames] @Nullable [];
        pageOf = new long[frames];
        fileOf = new @Nullable CachedFile[frames];
        dirtyBlocks = new int[frames];
        survivor = new byte[frames];
        ahead = new byte[frames];
        this.aheadPercent = aheadPercent;
        var _ = takeAhead(0); // linked now, since later it is called with a word owned
        unreserveAhead(0, 0);
        history = new FrameHistory(frames);
        free = new int[frames];
        retired = new BitSet(frames); // never to be enlarged with a word owned
        savedHints = new int[frames];
        policyWords = backend.policyWords();
        policy = new Replacement(capacity, frames, new WordUses(), new LedgerMemory());
    }

    MemorySegment slice(int frame) {
        return backend.memory().asSlice((long) frame << pageShift, pageSize);
    }

    MemorySegment readOnly(int frame) {
        return readOnly.asSlice((long) frame << pageShift, pageSize);
    }

    /** Names the page of a frame; before the word that names the frame is published. */
    void assign(int frame, CachedFile file, long[] leaf, long page) {
        fileOf[frame] = file;
        pageOf[frame] = page;
        leafOf[frame] = leaf;
    }

    /** Sets the dirty blocks of a frame, and counts them. By the owner of the page's word. */
    void dirtyBlocks(int frame, int blocks) {
        int before = dirtyBlocks[frame];
        if (before == blocks) {
            return; // shared counters: a write to a dirty page leaves them alone
        }
        dirtyBlocks[frame] = blocks;
        counters.dirtyBlocks.addAndGet(Integer.bitCount(blocks) - Integer.bitCount(before));
        if (before == 0) {
            dirtyFrames.incrementAndGet();
        } else if (blocks == 0) {
            dirtyFrames.decrementAndGet();
        }
    }

    int dirtyFrames() {
        return dirtyFrames.get();
    }

    // ---- read-ahead (section 15) -----------------------------------------------------------------------------------

    /** Whether the page of a frame was read ahead and not used yet. For the slow paths of hits alone. */
    boolean isAhead(int frame) {
        return ahead[frame] != 0;
    }

    /** Before a page that was reserved for {@code part} is published, by the owner of its word. */
    void markAhead(int frame, int part, boolean marker) {
        ahead[frame] = (byte) (part << 1 | (marker ? MARKER : 0));
    }

    /** Takes the mark of a frame, and returns what it was; of two who do so at once only one gets it. */
    byte takeAhead(int frame) {
        byte was = (byte) BYTES.getAndSet(ahead, frame, (byte) 0);
        if (was != 0) {
            unreserveAhead(was >> 1, 1);
        }
        return was;
    }

    static boolean isMarker(byte mark) {
        return (mark & MARKER) != 0;
    }

    /** Pages read ahead and not used yet, and such that are about to be. */
    int aheadUnused() {
        return aheadUnused.get();
    }

    /** What a file's pages are to be reserved for; others may have the same one. */
    int aheadPart() {
        return 1 + (aheadParts.getAndIncrement() & Integer.MAX_VALUE) % AHEAD_PARTS;
    }

    /**
     * Whether so many pages more may be read ahead now; if so they count from now on: until they are used or evicted,
     * or {@linkplain #unreserveAhead not read} after all. However much one part asks for, something is left to the
     * others; and the more of them ask, the less each may have.
     */
    boolean reserveAhead(int part, int pages) {
        int most = aheadShare();
        int own = aheadOfPart.addAndGet(part, pages);
        int left = most - aheadUnused.addAndGet(pages);
        boolean fair = own <= ReadAhead.LEAST
                ? left >= 0
                : left >= ReadAhead.LEAST && own <= (long) AHEAD_FAIRNESS * left;
        if (fair || freeCount() >= 2 * most) {
            return true;
        }
        unreserveAhead(part, pages);
        return false;
    }

    /** The most frames to hold pages that were read ahead and not used yet, unless there are free ones. */
    int aheadShare() {
        return (int) ((long) capacity * aheadPercent / 100);
    }

    /** The most pages of a window, so that one part has room for two. */
    int aheadWindow() {
        return (int) ((long) aheadShare() * AHEAD_FAIRNESS / (2 * (AHEAD_FAIRNESS + 1)));
    }

    void unreserveAhead(int part, int pages) {
        aheadOfPart.addAndGet(part, -pages);
        aheadUnused.addAndGet(-pages);
    }

    // ---- queues of reads (section 15) ------------------------------------------------------------------------------

    /**
     * Whether so many pages more may be owned by those who have several runs read together; if so they count until they
     * are {@linkplain #unreserveQueued given back}.
     */
    boolean reserveQueued(int pages) {
        if (queuedPages.addAndGet(pages) <= capacity / QUEUED_SHARE) {
            return true;
        }
        unreserveQueued(pages);
        return false;
    }

    void unreserveQueued(int pages) {
        queuedPages.addAndGet(-pages);
    }

    int queuedPages() {
        return queuedPages.get();
    }

    // ---- owners ----------------------------------------------------------------------------------------------------

    /**
     * The leaf that should have the word of a frame that was assigned {@code page}; null if the frame holds nothing. A
     * guess like all that is read without owning the word: it is right if the word names the frame.
     */
    private long @Nullable [] leaf(int frame, long page) {
        long[] leaf = leafOf[frame];
        if (leaf != null) {
            return leaf;
        }
        // Looked up: an attach meets frames in their order, and leaves in that of pages. The leaf with the word of a
        // frame stays in the tree, as only one without any word in use is taken out.
        CachedFile file = fileOf[frame];
        return file == null ? null : file.index.leaf(page);
    }

    /** Forgets the page of a frame. By the owner of the page's word. */
    void unassign(int frame) {
        CachedFile file = fileOf[frame];
        if (ahead[frame] != 0 && takeAhead(frame) != 0 && file != null) {
            file.readAhead.unused();
        }
        survivorFlags(frame, 0);
        leafOf[frame] = null;
        fileOf[frame] = null;
    }

    /** Whether a frame is that of a page. Nothing but a guess, unless the caller owns the word that names it. */
    boolean holds(int frame, CachedFile file, long page) {
        return file.equals(fileOf[frame]) && pageOf[frame] == page;
    }

    /** Where a frame's word is. A guess, to be checked against the word. */
    @SuppressWarnings("ArrayRecordComponent") // the leaf itself is meant, not its contents
    record Owner(CachedFile file, long[] leaf, long page) {}

    @Nullable Owner ownerOf(int frame) {
        lock.lock();
        try {
            long[] leaf = leafOf[frame]; // written last
            CachedFile file = fileOf[frame];
            long page = pageOf[frame];
            if (leaf == null && file != null) {
                leaf = file.index.leaf(page);
            }
            return file == null || leaf == null ? null : new Owner(file, leaf, page);
        } finally {
            lock.unlock();
        }
    }

    /** A2: a frame found in memory. Its file follows; nobody else looks here before the scan has ended. */
    void found(int frame, long page, int hint) {
        pageOf[frame] = page;
        survivor[frame] = FOUND | UNVALIDATED;
        savedHints[frame] = hint;
    }

    /** Files of {@code count} frames from {@code first} on, null for those that were not found. */
    void found(int first, @Nullable CachedFile[] files, int count) {
        System.arraycopy(files, 0, fileOf, first, count);
    }

    /** A3: takes {@link #found} back. */
    void notFound(int frame) {
        survivor[frame] = 0;
        fileOf[frame] = null;
    }

    /** The end of A4: {@code count} frames were {@linkplain #found}, all others that exist are free. */
    void scanned(int count) {
        counters.unvalidated.addAndGet(count);
        lock.lock();
        try {
            policyIsBehind = true;
            int left = capacity - count;
            for (int frame = capacity - 1; frame >= 0 && freeCount < left; frame--) {
                if (fileOf[frame] == null) {
                    free[freeCount++] = frame;
                }
            }
        } finally {
            lock.unlock();
        }
    }

    /**
     * A5: takes over what the ledger says of the use of the frames found, and of the pages evicted last. Costs more
     * than all else of an attach, so it is done at the first call that asks the policy for something, or in the
     * background.
     */
    void restorePolicy() {
        lockPolicy();
        lock.unlock();
    }

    /** Takes {@link #lock} for a call to the policy. */
    private void lockPolicy() {
        for (int i = 0; !lock.tryLock(); i++) {
            if (i == SPINS) {
                lock.lock();
                break;
            }
            Thread.onSpinWait();
        }
        if (!policyIsBehind) {
            return;
        }
        boolean done = false;
        try {
            catchUp();
            done = true;
        } finally {
            if (!done) {
                lock.unlock();
            }
        }
    }

    private void catchUp() {
        try {
            int[] survivors = new int[capacity - freeCount];
            int[] hints = new int[survivors.length];
            int count = 0;
            for (int frame = 0; frame < capacity; frame++) {
                if (fileOf[frame] != null) {
                    hints[count] = savedHints[frame];
                    survivors[count++] = frame;
                }
            }
            boolean all = count == survivors.length;
            policy.restore(
                    all ? survivors : Arrays.copyOf(survivors, count),
                    all ? hints : Arrays.copyOf(hints, count),
                    false);
        } catch (OutOfMemoryError e) {
            // Eviction in some order beats none: whoever asks may be in no position to fail.
            for (int frame = 0; frame < capacity; frame++) {
                if (fileOf[frame] != null) {
                    policy.restoreUnordered(frame);
                }
            }
        }
        policyIsBehind = false;
        int words = Math.min(policy.words(), policyWords);
        try {
            policy.restoreWords(words, backend::policyWord);
        } catch (OutOfMemoryError e) {
            return; // ghosts that are missing cost hits, and whoever asks may be in no position to fail
        }
    }

    /**
     * Whether use counts are due to be copied again though the last time was less than a second ago: a thirty-second of
     * the frames hold another page since.
     */
    boolean hintsAreOld() {
        lock.lock();
        try {
            return takenSinceSave > capacity / 32;
        } finally {
            lock.unlock();
        }
    }

    /** Leaves the use counts of all frames in the ledger, where they have changed; queues are there already. */
    void saveHints() {
        lock.lock();
        try {
            if (policyIsBehind) {
                return; // the ledger still has what it would be told
            }
            takenSinceSave = 0;
        } finally {
            lock.unlock();
        }
        int[] changed = new int[HINTS_BATCH];
        for (int from = 0; from < frames; from += HINTS_BATCH) {
            int to = Math.min(from + HINTS_BATCH, frames);
            int count = 0;
            // Without the lock, which every miss needs: most of this is waiting for memory, and most is as it was
            // saved.
            for (int frame = from; frame < to; frame++) {
                if (fileOf[frame] != null && policy.hint(frame) != savedHints[frame]) {
                    changed[count++] = frame;
                }
            }
            for (int first = 0; first < count; first += HINTS_AT_ONCE) {
                lockPolicy();
                try {
                    for (int i = first; i < Math.min(count, first + HINTS_AT_ONCE); i++) {
                        if (fileOf[changed[i]] != null) {
                            saveHint(changed[i]);
                        }
                    }
                } finally {
                    lock.unlock();
                }
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

    /** A frame whose record is FREE and which no word names, for the page of this key; -1 if none can be had now. */
    int tryTake(long keyHash) {
        lockPolicy();
        try {
            policy.aside(Math.clamp(aheadUnused.get(), 0, aheadShare()));
            int frame = take();
            if (frame >= 0) {
                takenSinceSave++;
                policy.loaded(frame, keyHash);
                unpublished();
            }
            return frame;
        } finally {
            lock.unlock();
        }
    }

    /** The page that was loaded into {@code frame} need not stay; if it has left already, another page pays. */
    void evictFirst(int frame) {
        lockPolicy();
        try {
            policy.evictFirst(frame);
        } finally {
            lock.unlock();
        }
    }

    /**
     * F3: whoever sees a byte of a frame's next page sees that the word of its last one does not name it any more,
     * whatever the back end and its store do first.
     */
    private static void unpublished() {
        VarHandle.fullFence();
    }

    /** As {@link #tryTake(long)}, but evicts nothing. */
    int tryTakeFree(long keyHash) {
        lockPolicy();
        try {
            if (freeCount == 0) {
                return -1;
            }
            int frame = free[--freeCount];
            takenSinceSave++;
            policy.loaded(frame, keyHash);
            unpublished();
            return frame;
        } finally {
            lock.unlock();
        }
    }

    /**
     * As {@link #tryTake(long)} for pages of a file one behind the other, some under one hold of the lock: {@code
     * into[from]} to {@code into[to - 1]}, of which the first is for {@code page}.
     *
     * @param evicting whether frames that are not free will do
     * @return the index behind the last one that was had
     */
    int tryTake(long fileId, long page, int[] into, int from, int to, boolean ahead, boolean evicting) {
        int had = from;
        while (had < to) {
            int until = Math.min(to, had + TAKEN_AT_ONCE);
            lockPolicy();
            try {
                policy.aside(Math.clamp(aheadUnused.get(), 0, aheadShare()));
                for (; had < until; had++) {
                    if (freeCount == 0 && !evicting) {
                        return had;
                    }
                    int frame = take();
                    if (frame < 0) {
                        return had;
                    }
                    into[had] = frame;
                    takenSinceSave++;
                    policy.loaded(frame, CachedFile.keyHash(fileId, page + had - from), ahead);
                }
            } finally {
                unpublished();
                lock.unlock();
                }
        }
        return had;
    }

    /** How hot the pages in some frames are, in classes from 0 to 3, the coldest; see {@link Replacement#heat}. */
    void heatClasses(int[] of, int count, int[] classes) {
        lockPolicy();
        try {
            for (int i = 0; i < count; i++) {
                classes[i] = Math.clamp(4 - (policy.heat(of[i]) >>> 32), 0, 3);
            }
        } finally {
            lock.unlock();
        }
    }

    /** Gives back a frame whose record is FREE and which no word names any more. */
    void giveBack(int frame) {
        lock.lock(); // a word waits to be published: nothing here may fail, as the restoring of the policy may
        try {
            if (!policyIsBehind) {
                policy.removed(frame);
            }
            unassign(frame);
            putFree(frame);
            freed.signal();
        } finally {
            lock.unlock();
        }
    }

    /** Pages were written back: who waits for a frame may find one now. */
    void cleaned() {
        if (awaiting == 0) {
            return; // who begins to wait just now looks again soon
        }
        lock.lock();
        try {
            freed.signal();
        } finally {
            lock.unlock();
        }
    }

    /** Waits a moment, or until a frame is given back. Not ended by an interrupt, which stays pending. */
    @SuppressWarnings({"WaitNotInLoop", "NonAtomicVolatileUpdate"}) // the caller looks again; written under the lock
    void awaitFreed(long nanos) {
        boolean interrupted = Thread.interrupted();
        lock.lock();
        awaiting++;
        try {
            var _ = freed.awaitNanos(nanos);
        } catch (InterruptedException e) {
            interrupted = true;
        } finally {
            awaiting--;
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

    /** A frame below the limit that holds nothing, by eviction if need be; -1 if none can be had now. */
    private int take() {
        while (true) {
            int frame = freeCount > 0 ? free[--freeCount] : evict();
            if (frame < limit) {
                return frame;
            }
            retired.set(frame);
        }
    }

    private void putFree(int frame) {
        if (frame < limit) {
            free[freeCount++] = frame;
        } else {
            retired.set(frame);
        }
    }

    private int evict() {
        for (int tries = 0; tries < capacity; tries++) {
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
        Owned owned = own(frame);
        if (owned == null) {
            return null;
        }
        Events.Evict event = new Events.Evict();
        event.begin();
        empty(frame, owned);
        counters.evictions.increment();
        if (event.shouldCommit()) {
            boolean validated = TranslationWord.state(owned.word) != TranslationWord.UNVERIFIED;
            event.of(owned.file, owned.page, pageSize, validated ? "valid" : "not validated");
            event.commit();
        }
        return owned.file;
    }

    /** A clean, unpinned page whose word was made EXCLUSIVE; {@code word} is what it was. */
    @SuppressWarnings("ArrayRecordComponent") // the leaf itself is meant, not its contents
    private record Owned(CachedFile file, long[] leaf, int slot, long page, long word) {}

    /** E2 and E3. */
    private @Nullable Owned own(int frame) {
        long guess = pageOf[frame];
        long[] leaf = leaf(frame, guess);
        if (leaf == null) {
            return null;
        }
        int slot = RadixIndex.slot(guess);
        long word = TranslationWord.acquire(leaf, slot);
        if (!evictable(word, frame)
                || isDirty(frame)
                || !TranslationWord.cas(
                        leaf, slot, word, TranslationWord.withState(word, TranslationWord.EXCLUSIVE))) {
            return null;
        }
        // Owned from here on: what assign() left is seen whole, since the word was published after it.
        CachedFile file = fileOf[frame];
        long page = pageOf[frame];
        if (isDirty(frame) || file == null) {
            TranslationWord.set(leaf, slot, word);
            waiters.wake(page);
            return null;
        }
        try {
            return new Owned(file, leaf, slot, page, word);
        } catch (Throwable t) { // no memory
            TranslationWord.set(leaf, slot, word);
            waiters.wake(page);
            throw t;
        }
    }

    /** E4 and E5. */
    private void empty(int frame, Owned owned) {
        if (!Mutation.NO_FREE_ON_EVICT.isOn()) {
            backend.release(frame);
        }
        unassign(frame);
        long next = epoch.nextVersion(TranslationWord.of(owned.word, TranslationWord.EMPTY, 0));
        TranslationWord.set(
                owned.leaf, owned.slot, Mutation.VERSION_RESTARTS_ON_EVICT.isOn() ? TranslationWord.EMPTY : next);
        waiters.wake(owned.page);
    }

    // ---- resize (section 9)
    // ------------------------------------------------------------------------------------------

    int capacity() {
        return capacity;
    }

    /** Frames that hold a page, or are about to. */
    int inUse() {
        lock.lock();
        try {
            return capacity - freeCount - retired.cardinality();
        } finally {
            lock.unlock();
        }
    }

    /** Z1; with the capacity itself, takes it back. */
    void limit(int frames) {
        lock.lock();
        try {
            limit = frames;
            int kept = 0;
            for (int i = 0; i < freeCount; i++) {
                if (free[i] < limit) {
                    free[kept++] = free[i];
                } else {
                    retired.set(free[i]);
                }
            }
            freeCount = kept;
            for (int frame = retired.nextSetBit(0); frame >= 0 && frame < limit; frame = retired.nextSetBit(frame)) {
                retired.clear(frame);
                free[freeCount++] = frame;
            }
            freed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    /** Z6 and G5: the back end has this many frames now. */
    void capacity(int frames) {
        lockPolicy();
        try {
            int from = Math.max(limit, capacity);
            capacity = frames;
            limit = frames;
            retired.clear();
            for (int frame = frames - 1; frame >= from; frame--) {
                free[freeCount++] = frame;
            }
            policy.resize(frames);
            freed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    /** The pages of a shrink that are not to survive, coldest first (Z2). */
    static final class Ranking {
        /** Frame numbers in the lower 24 bits, heat above. */
        private final long[] victims;

        private final BitSet doomed = new BitSet();
        private int next;

        private Ranking(long[] victims) {
            this.victims = victims;
            for (long key : victims) {
                doomed.set((int) (key & FRAME_MASK));
            }
        }
    }

    /** Z2. Holds the lock for some frames at a time. */
    Ranking rank(int target, int batch) {
        int to = capacity;
        long[] keys = new long[to];
        int count = 0;
        for (int from = 0; from < to; from += batch) {
            lockPolicy();
            try {
                for (int frame = from; frame < Math.min(to, from + batch); frame++) {
                    if (fileOf[frame] != null) {
                        keys[count++] = (policy.heat(frame) << FRAME_BITS) | frame;
                    }
                }
            } finally {
                lock.unlock();
            }
        }
        Arrays.sort(keys, 0, count);
        return new Ranking(Arrays.copyOf(keys, Math.max(0, count - target)));
    }

    /**
     * Z3, once for each frame from the limit on. What a shrink at open takes of frames found in memory is counted as
     * dropped.
     *
     * @param stop whether to leave the rest alone
     * @return how many frames still hold something, or at least 1 if it was stopped
     */
    int clearTail(Ranking ranking, boolean atOpen, BooleanSupplier stop) {
        int left = 0;
        int to = capacity;
        for (int frame = limit; frame < to; frame++) {
            if (frame % CLEAR_BATCH == 0 && stop.getAsBoolean()) {
                return left + 1;
            }
            lockPolicy();
            try {
                if (!retired.get(frame) && !clear(frame, ranking, atOpen)) {
                    left++;
                }
            } finally {
                lock.unlock();
            }
        }
        return left;
    }

    private boolean clear(int frame, Ranking ranking, boolean atOpen) {
        Owned owned = own(frame);
        if (owned == null) {
            return false;
        }
        int free;
        try {
            free = ranking.doomed.get(frame) ? -1 : freeBelow(ranking, atOpen);
            unpublished();
        } catch (Throwable t) {
            TranslationWord.set(owned.leaf, owned.slot, owned.word);
            waiters.wake(owned.page);
            throw t;
        }
        if (free < 0) {
            drop(frame, owned, atOpen, DropReason.CAPACITY);
        } else if (move(frame, free, owned)) {
            dirtyBlocks[free] = 0;
            assign(free, owned.file, owned.leaf, owned.page);
            survivor[free] = survivor[frame];
            survivor[frame] = 0;
            history.moved(frame, free);
            takeAhead(frame);
            savedHints[free] = savedHints[frame];
            leafOf[frame] = null;
            fileOf[frame] = null;
            TranslationWord.set(
                    owned.leaf, owned.slot, epoch.nextVersion(TranslationWord.withFrame(owned.word, free)));
            // Now that the word says how often the page was used.
            policy.moved(frame, free);
            waiters.wake(owned.page);
        } else {
            putFree(free);
            drop(frame, owned, atOpen, DropReason.RECORD_DAMAGED);
        }
        retired.set(frame);
        return true;
    }

    /** X2. A back end that fails must leave no word owned. */
    private boolean move(int frame, int free, Owned owned) {
        boolean done = false;
        try {
            boolean moved = backend.move(frame, free);
            done = true;
            return moved;
        } catch (IllegalStateException e) {
            done = isUnrecorded(frame, owned); // refused before anything was done
            if (!done) {
                throw e;
            }
            return false;
        } finally {
            if (!done) {
                backend.release(free);
                putFree(free);
                drop(frame, owned, false, DropReason.CAPACITY);
                retired.set(frame);
            }
        }
    }

    /** Whether the record of a clean frame was overwritten. */
    private boolean isUnrecorded(int frame, Owned owned) {
        FrameRecord record = new FrameRecord();
        return !backend.readRecord(frame, record)
                || (record.state != FrameState.CLEAN && record.state != FrameState.WRITTEN)
                || record.fileId != owned.file.fileId
                || record.page != owned.page;
    }

    /** The caller says where the frame goes. */
    private void drop(int frame, Owned owned, boolean atOpen, DropReason reason) {
        if ((survivor[frame] & FOUND) != 0 && (atOpen || reason != DropReason.CAPACITY)) {
            counters.drop(reason);
            Events.Drop event = new Events.Drop();
            if (event.shouldCommit()) {
                event.of(owned.file, owned.page, pageSize, reason.name());
                event.commit();
            }
        }
        policy.removed(frame);
        empty(frame, owned);
        counters.evictions.increment();
    }

    /** A frame below the limit for a page that is to survive: a free one, the next victim's, or what can be had. */
    private int freeBelow(Ranking ranking, boolean atOpen) {
        if (freeCount > 0) {
            return free[--freeCount];
        }
        while (ranking.next < ranking.victims.length) {
            long key = ranking.victims[ranking.next++];
            int frame = (int) (key & FRAME_MASK);
            if (frame >= limit || fileOf[frame] == null || policy.heat(frame) >>> TIER_SHIFT > key >>> KEY_TIER_SHIFT) {
                continue; // used or loaded anew since it was ranked
            }
            Owned owned = own(frame);
            if (owned != null) {
                drop(frame, owned, atOpen, DropReason.CAPACITY);
                return frame;
            }
        }
        return take();
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

    /**
     * Its bytes were seen good and its file's gates are passed. By the owner of its page's word, who also sees to
     * {@link #countValidated}.
     *
     * @return 1 if it was unvalidated until now, else 0
     */
    int seenGood(int frame) {
        int flags = survivor[frame];
        survivor[frame] = (byte) (flags & FOUND);
        return (flags & UNVALIDATED) / UNVALIDATED;
    }

    /** Counts frames that {@link #seenGood} was called for: many at once, as threads would wait for each other. */
    void countValidated(int count) {
        counters.unvalidated.addAndGet(-count);
        counters.validated.add(count);
    }

    private static boolean evictable(long word, int frame) {
        long state = TranslationWord.state(word);
        return TranslationWord.frame(word) == frame
                && (state == TranslationWord.UNVERIFIED
                        || (state == TranslationWord.RESIDENT
                                && ((word & (TranslationWord.PIN_MASK | TranslationWord.FLUSH)) == 0
                                        || Mutation.PINNED_EVICTED.isOn())));
    }

    private boolean isDirty(int frame) {
        return dirtyBlocks[frame] != 0 && !Mutation.DIRTY_EVICTED.isOn();
    }

    /**
     * For tests: what is wrong with the frames, the free list and the policy, with nobody at work. {@code held} says
     * which page's word, as a file, a leaf and a number, names a frame.
     */
    void check(Map<Integer, Owner> held, Consumer<String> problem) {
        lockPolicy();
        try {
            BitSet spare = new BitSet(frames);
            for (int i = 0; i < freeCount; i++) {
                if (free[i] >= limit || retired.get(free[i])) {
                    problem.accept("frame " + free[i] + " is on the free list, but not to be handed out");
                }
                if (spare.get(free[i])) {
                    problem.accept("frame " + free[i] + " is on the free list twice");
                }
                spare.set(free[i]);
            }
            spare.or(retired);
            int unvalidated = 0;
            int unused = 0;
            int[] unusedOf = new int[AHEAD_PARTS + 1];
            for (int frame = 0; frame < frames; frame++) {
                Owner owner = held.get(frame);
                CachedFile file = fileOf[frame];
                long[] leaf = leaf(frame, pageOf[frame]);
                Owner named = file == null || leaf == null ? null : new Owner(file, leaf, pageOf[frame]);
                if (!Objects.equals(named, owner)) {
                    problem.accept("frame " + frame + " is held by " + owner + ", but names " + named);
                }
                if (owner == null && frame < capacity && !spare.get(frame)) {
                    problem.accept("frame " + frame + " is neither held nor free");
                }
                if (owner != null && spare.get(frame)) {
                    problem.accept("frame " + frame + " is held and free");
                }
                if (owner == null && (dirtyBlocks[frame] | survivor[frame]) != 0) {
                    problem.accept("frame " + frame + " is free, but has dirty blocks " + dirtyBlocks[frame]
                            + " and is marked " + survivor[frame]);
                }
                if (owner == null && ahead[frame] != 0) {
                    problem.accept("frame " + frame + " is free, but marked as read ahead");
                }
                if (ahead[frame] != 0) {
                    unused++;
                    unusedOf[ahead[frame] >> 1]++;
                }
                if (policy.holds(frame) != (owner != null)) {
                    problem.accept("frame " + frame + " is held by " + owner + ", but the policy thinks otherwise");
                }
                unvalidated += (survivor[frame] & UNVALIDATED) / UNVALIDATED;
            }
            if (unused != aheadUnused.get()) {
                problem.accept(unused + " frames read ahead and not used, but " + aheadUnused.get() + " counted");
            }
            for (int part = 0; part <= AHEAD_PARTS; part++) {
                if (aheadOfPart.get(part) != unusedOf[part]) {
                    problem.accept(unusedOf[part] + " frames read ahead and not used of part " + part + ", but "
                            + aheadOfPart.get(part) + " counted");
                }
            }
            if (unvalidated != counters.unvalidated.get()) {
                problem.accept(unvalidated + " frames not validated, but " + counters.unvalidated.get() + " counted");
            }
            try {
                policy.check();
            } catch (IllegalStateException e) {
                problem.accept("the policy: " + e.getMessage());
            }
        } finally {
            lock.unlock();
        }
    }

    /** What keeps frames from being freed, for a message. */
    String describeUse() {
        return describeUse(0, capacity);
    }

    private boolean isRetired(int frame) {
        lock.lock();
        try {
            return retired.get(frame);
        } finally {
            lock.unlock();
        }
    }

    /** The same of frames {@code from} to {@code to} - 1. */
    String describeUse(int from, int to) {
        int pinned = 0;
        int dirty = 0;
        int latched = 0;
        for (int frame = from; frame < to; frame++) {
            long page = pageOf[frame];
            long[] leaf = leaf(frame, page);
            if (leaf == null) {
                latched += isRetired(frame) ? 0 : 1;
                continue;
            }
            long word = TranslationWord.acquire(leaf, RadixIndex.slot(page));
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
        return "of " + (to - from) + " frames " + pinned + " are pinned, " + dirty + " dirty, " + latched
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
            long page = pageOf[frame];
            long[] leaf = leaf(frame, page);
            if (leaf == null) {
                return 0;
            }
            long word = TranslationWord.acquire(leaf, RadixIndex.slot(page));
            return TranslationWord.frame(word) == frame ? TranslationWord.uses(word) : 0;
        }

        @Override
        public void set(int frame, int uses) {
            long page = pageOf[frame];
            long[] leaf = leaf(frame, page);
            if (leaf == null) {
                return;
            }
            int slot = RadixIndex.slot(page);
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
