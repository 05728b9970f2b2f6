/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static io.warmcache.core.TranslationWord.DETACHED;
import static io.warmcache.core.TranslationWord.EMPTY;
import static io.warmcache.core.TranslationWord.EXCLUSIVE;
import static io.warmcache.core.TranslationWord.FLUSH;
import static io.warmcache.core.TranslationWord.LOADING;
import static io.warmcache.core.TranslationWord.ONE_PIN;
import static io.warmcache.core.TranslationWord.PIN_MASK;
import static io.warmcache.core.TranslationWord.RESIDENT;
import static io.warmcache.core.TranslationWord.UNVERIFIED;

import io.warmcache.CacheClosedException;
import io.warmcache.CacheException;
import io.warmcache.CacheFullException;
import io.warmcache.DropReason;
import io.warmcache.FilePoisonedException;
import io.warmcache.LatchTimeoutException;
import io.warmcache.MapOptions;
import io.warmcache.StoreId;
import io.warmcache.spi.BackendFile;
import io.warmcache.spi.FrameBackend;
import io.warmcache.spi.FrameRecord;
import io.warmcache.spi.FrameState;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.invoke.VarHandle;
import java.time.Instant;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import org.jspecify.annotations.Nullable;

/**
 * One file of the ledger: its index and the protocols of {@code docs/internals.md} that work on single pages (fault,
 * verification, latching). {@link WriteBack}, {@link Truncation} and {@link BulkIo} work on runs of them. Exists from
 * attach on for every file that has frames, mapped or not; shared by all mappings of the file.
 */
final class CachedFile {
    private static final System.Logger LOG = System.getLogger("io.warmcache");

    /** A deadline that is never waited for: what cannot be had at once is left. */
    static final long NO_WAIT = Long.MIN_VALUE;

    final Cache cache;
    final long fileId;
    final RadixIndex index = new RadixIndex();
    final FrameTable frames;
    final FrameBackend backend;
    final LatchWaiters waiters;
    final WrapEpoch epoch;
    final Counters counters;
    final int pageSize;
    final int pageShift;
    final PageSets sets = new PageSets();
    final WriteBack writeBack;
    final Truncation truncation;
    final BulkIo bulkIo;
    final Readers readers = new Readers(this);
    final ReadAhead readAhead;

    /** Held by whoever may change the file's length. Not a lock, since a pin may be closed by another thread. */
    final Semaphore extension = new Semaphore(1, true);

    /** First page that a truncate under way takes; loads and latches from there on wait. */
    volatile long truncatingFrom = Long.MAX_VALUE;

    /** Length in bytes. */
    volatile long size;

    /** Null while the file is not mapped; still there while a last mapping is being closed. */
    volatile @Nullable BackendFile backing;

    /** What its store was called when it was mapped: asked once, since it may not answer when it is closed. */
    @Nullable StoreId mappedAs;

    /** What its last close failed with, until that is listed among the failures of the cache's own. */
    volatile @Nullable Throwable unlisted;

    /** Why it was given up with pages dirty, if it was. */
    volatile @Nullable Throwable lost;

    /** A frame of the file may be WRITTEN, so that the next mapping has to settle it. */
    volatile boolean mayHoldWritten;

    /** Whether new accesses are admitted; looked at after owning a word. */
    volatile boolean open;

    /** Held shared by whoever uses {@link #backing} without owning a word of the file, exclusively to close it. */
    final ReentrantReadWriteLock usage = new ReentrantReadWriteLock();

    /** Why the file can no longer be used until it is closed. */
    volatile @Nullable Throwable poison;

    /** Whether a call of a user's has thrown that; else its close does. */
    volatile boolean poisonTold;

    /** The last failure of a write, for {@code health()}; null after a success. */
    volatile @Nullable Throwable degraded;

    /** What the gates said when the file was mapped last, and when that was. */
    volatile String verdict = "";

    volatile @Nullable Instant mappedAt;

    final IndexSweep sweep = new IndexSweep(this);

    /** Written to since the background thread last looked. */
    private volatile boolean written;

    /** Whether the background thread looks at the file at each tick. */
    private volatile boolean active;

    /** Guards changes of {@link #active}, and with it the set of active files as to this one. */
    private final Object activation = new Object();

    /** Ticks since the last write; the background thread's own. */
    private int idleTicks;

    /** Threads that write the file in the background, or are about to. */
    final AtomicInteger lanes = new AtomicInteger();

    /** Those of them that have begun. */
    final AtomicInteger lanesAtWork = new AtomicInteger();

    /** Guarded by the cache's map lock. */
    int mappings;

    /** Somebody closes the last mapping. Written under the cache's map lock. */
    volatile boolean unmapping;

    /** The cache is closing, and nobody held a page since: nobody will. */
    volatile boolean released;

    /** Set before {@link #open}. */
    MapOptions options = MapOptions.DEFAULT;

    volatile String name;

    CachedFile(Cache cache, long fileId) {
        this.cache = cache;
        this.fileId = fileId;
        frames = cache.frames;
        backend = cache.backend;
        waiters = cache.waiters;
        epoch = cache.epoch;
        counters = cache.counters;
        pageSize = frames.pageSize;
        pageShift = frames.pageShift;
        name = "file " + fileId;
        writeBack = new WriteBack(this);
        truncation = new Truncation(this);
        bulkIo = new BulkIo(this);
        readAhead = new ReadAhead(this);
    }

    /** The file was mapped, has a dirty page, or its store is being written or was just now. */
    void activate() {
        if (!written) { // a line that every writer would else take from the others
            written = true;
        }
        if (!active) { // looked at after the change itself: the other side of deactivate()
            synchronized (activation) {
                if (!active) {
                    cache.maintenance.active.add(this); // which may find no memory: then the caller has failed
                    active = true;
                }
            }
        }
    }

    /**
     * Whether so many looks have found nothing new. By the background thread, once a tick.
     *
     * @param settled whether there was nothing to settle, or that was done
     */
    boolean isIdleSince(int ticks, boolean settled) {
        if (written || !settled || (open && sets.dirtyCount() > 0)) {
            written = false;
            idleTicks = 0;
        }
        return ++idleTicks > ticks;
    }

    /** The background thread does not look at the file any more, unless it was written to meanwhile. */
    void deactivate() {
        synchronized (activation) {
            cache.maintenance.active.remove(this);
            active = false;
        }
        if (written || sets.dirtyCount() > 0) {
            activate();
        }
    }

    static long keyHash(long fileId, long page) {
        long hash = (fileId * 0x9E3779B97F4A7C15L) ^ (page * 0xC2B2AE3D27D4EB4FL);
        hash = (hash ^ (hash >>> 32)) * 0xD6E8FEB86659FD93L;
        return hash ^ (hash >>> 32);
    }

    long deadline() {
        return System.nanoTime() + cache.latchTimeoutNanos;
    }

    long pages() {
        return (size + pageSize - 1) >>> pageShift;
    }

    void wakeLeaf(long firstPage) {
        for (int slot = 0; slot < RadixIndex.LEAF_SLOTS; slot++) {
            waiters.wake(firstPage + slot);
        }
    }

    FilePoisonedException poisoned(Throwable cause, String state, String mend) {
        return new FilePoisonedException(
                name + state + ": "
                        + (cause instanceof DamagedPageException
                                ? cause.getMessage()
                                : "a force failed after pages it may have lost were evicted")
                        + mend,
                cause);
    }

    /** Of the cache: what it meets nobody is told but by the log. */
    private static boolean isOwnThread() {
        return Thread.currentThread().getName().startsWith("warmcache-");
    }

    /** The open ledger entry; says why there is none. */
    BackendFile backing() {
        Throwable cause = poison;
        if (cause != null) {
            poisonTold |= !isOwnThread();
            throw poisoned(cause, " is poisoned", ". Close the file, check the store, and map it again");
        }
        BackendFile file = backing;
        if (file == null || !open || cache.closing) {
            throw new CacheClosedException(cache.closing ? "the cache is closed" : name + " is closed");
        }
        return file;
    }

    /**
     * Takes {@link #usage} shared for a user. The end of the cache may be ahead of him, waiting for a store that stands
     * still: then he need not wait to hear that the cache is closed.
     */
    void lockUsage() {
        if (cache.closing) {
            var _ = backing();
        }
        usage.readLock().lock();
    }

    void checkWritable() {
        if (options.readOnly()) {
            throw new CacheException(name + " is mapped read-only: map it with readOnly = false to write");
        }
    }

    void checkPage(long page, long bound) {
        if (page < 0 || page >= bound) {
            throw new IndexOutOfBoundsException(
                    "page " + page + " of " + name + ", which has " + pages() + " pages");
        }
    }

    // ---- reading -------------------------------------------------------------------------------------------------

    /** The stamp of a page after making it resident. */
    long faultStamp(long page) {
        long deadline = deadline();
        while (true) {
            backing();
            checkPage(page, pages());
            long[] leaf = index.leafOrCreate(page);
            int slot = RadixIndex.slot(page);
            long now = epoch.get();
            long word = TranslationWord.acquire(leaf, slot);
            if (TranslationWord.isResident(word)) {
                firstUse(page, TranslationWord.frame(word));
                return TranslationWord.stamp(word, now);
            }
            settle(leaf, slot, page, word, deadline);
        }
    }

    /** R4 to R6. */
    boolean stillValid(long[] leaf, int slot, long word, long epochThen) {
        VarHandle.acquireFence();
        long now = TranslationWord.acquire(leaf, slot);
        return ((word ^ now) & TranslationWord.STAMP_MASK) == 0 && isSame(epochThen, epoch.get());
    }

    /**
     * Counts a use of a resident page, up to the limit. A lost race loses the count alone. The first use of a page that
     * was read ahead is the one that would have brought it in, which is not counted of others either.
     */
    void touch(long[] leaf, int slot, long page, long word) {
        long uses = word & TranslationWord.USE_MASK;
        if (uses == 0 && firstUse(page, TranslationWord.frame(word))) {
            return;
        }
        if (uses != TranslationWord.USE_MASK) {
            TranslationWord.cas(leaf, slot, word, word + TranslationWord.ONE_USE);
        }
    }

    /** Whether the page was read ahead and not used until now. */
    private boolean firstUse(long page, int frame) {
        if (!frames.isAhead(frame)) {
            return false;
        }
        readAhead.used(frame, page);
        return true;
    }

    /** R6. */
    static boolean isSame(long epochThen, long epochNow) {
        return epochThen == epochNow || Mutation.WRAP_EPOCH_NOT_COMPARED.isOn();
    }

    SharedPin pin(long page) {
        long[] found = index.leaf(page);
        if (found != null && poison == null) {
            int slot = RadixIndex.slot(page);
            long word = TranslationWord.acquire(found, slot);
            if (TranslationWord.isResident(word) && tryPin(found, slot, page, word, 1)) {
                counters.hits.increment();
                return counted(found, slot, page, TranslationWord.frame(word));
            }
        }
        return pinSlowly(page);
    }

    private SharedPin pinSlowly(long page) {
        long deadline = deadline();
        boolean missed = false;
        while (true) {
            backing();
            checkPage(page, pages());
            long[] leaf = index.leafOrCreate(page);
            int slot = RadixIndex.slot(page);
            long word = TranslationWord.acquire(leaf, slot);
            if (!TranslationWord.isResident(word)) {
                missed |= settle(leaf, slot, page, word, deadline);
            } else if (tryPin(leaf, slot, page, word, missed ? 0 : 1)) {
                if (!missed) {
                    counters.hits.increment();
                }
                return counted(leaf, slot, page, TranslationWord.frame(word));
            }
        }
    }

    /** A further pin on a page that a pin of this frame holds. */
    SharedPin pinAgain(long[] leaf, int slot, long page, int frame) {
        while (true) {
            long word = TranslationWord.acquire(leaf, slot);
            long state = TranslationWord.state(word);
            boolean held = (state == RESIDENT || state == DETACHED)
                    && TranslationWord.frame(word) == frame
                    && TranslationWord.pins(word) > 0;
            if (!held) {
                throw new CacheClosedException("the read pin of page " + page + " of " + name + " is closed");
            }
            checkPins(page, word);
            if (TranslationWord.cas(leaf, slot, word, word + ONE_PIN)) {
                return counted(leaf, slot, page, frame);
            }
        }
    }

    /** The pin for a count just taken. */
    private SharedPin counted(long[] leaf, int slot, long page, int frame) {
        try {
            SharedPin pin = new SharedPin(this, leaf, slot, page, frame);
            cache.pinTaken(pin);
            return pin;
        } catch (Throwable t) {
            unpin(leaf, slot, frame, page);
            throw t;
        }
    }

    private void checkPins(long page, long word) {
        if ((word & PIN_MASK) == PIN_MASK) {
            throw new CacheException("page " + page + " of " + name + " has " + TranslationWord.MAX_PINS
                    + " pins, which is the limit: close pins sooner");
        }
    }

    /**
     * Counts one more pin on a resident word, and a use of it or none; false if it changed meanwhile, or file or cache
     * are being closed.
     */
    boolean tryPin(long[] leaf, int slot, long page, long word, int use) {
        checkPins(page, word);
        long pinned = word + ONE_PIN;
        int uses = TranslationWord.uses(word);
        int frame = TranslationWord.frame(word);
        boolean wasAhead = uses == 0 && frames.isAhead(frame);
        if (uses < TranslationWord.MAX_USE && !wasAhead) {
            pinned += use * TranslationWord.ONE_USE;
        }
        if (wasAhead) {
            readAhead.used(frame, page); // before there is a pin that could be lost
        }
        if (!TranslationWord.cas(leaf, slot, word, pinned)) {
            return false;
        }
        if (cache.closing || !open) {
            unpin(leaf, slot, frame, page);
            return false;
        }
        return true;
    }

    /** Gives one pin back. The last one of a detached page frees its frame. */
    void unpin(long[] leaf, int slot, int frame, long page) {
        while (true) {
            long word = TranslationWord.acquire(leaf, slot);
            boolean last = TranslationWord.pins(word) == 1;
            if (last && TranslationWord.state(word) == DETACHED) {
                // Owned as LOADING while the frame goes back, so that nobody loads the page before.
                long owned = TranslationWord.of(word, LOADING, frame);
                if (TranslationWord.cas(leaf, slot, word, owned)) {
                    frames.giveBack(frame);
                    TranslationWord.set(leaf, slot, epoch.nextVersion(TranslationWord.of(word, EMPTY, 0)));
                    break;
                }
            } else if (TranslationWord.cas(leaf, slot, word, word - ONE_PIN)) {
                break;
            }
        }
        waiters.wake(page);
        if (cache.closing) {
            cache.ending.pinReleased();
        }
    }

    /**
     * Brings a page that is not resident nearer to it: loads or verifies it, or waits for whoever owns its word.
     *
     * @return whether the page was read from the store
     */
    boolean settle(long[] leaf, int slot, long page, long word, long deadline) {
        long state = TranslationWord.state(word);
        if (state == EMPTY || state == UNVERIFIED) {
            if (state == EMPTY) {
                readAhead.missed(page, 1);
            }
            try {
                return load(leaf, slot, page, word, deadline);
            } catch (IOException e) {
                throw new UncheckedIOException(e.getMessage(), e);
            }
        }
        if (state == TranslationWord.DEAD) {
            Thread.onSpinWait(); // the leaf is being unlinked: look the page up again from the root
        } else {
            if (state == LOADING) {
                readAhead.awaited(page);
            }
            waiters.await(leaf, slot, page, word, deadline);
        }
        return false;
    }

    // ---- fault (F1 to F5, V1 to V4) --------------------------------------------------------------------------------

    /**
     * Loads an EMPTY or verifies an UNVERIFIED page and publishes it.
     *
     * @return whether it was read from the store; false also if the word changed before it could be owned
     */
    boolean load(long[] leaf, int slot, long page, long word, long deadline) throws IOException {
        long owned = TranslationWord.of(word, LOADING, TranslationWord.frame(word));
        if (!TranslationWord.cas(leaf, slot, word, owned)) {
            return false;
        }
        BackendFile file = admit(leaf, slot, page, word, deadline, false);
        if (file == null) {
            return false;
        }
        boolean found = TranslationWord.state(word) == UNVERIFIED;
        int frame = found ? TranslationWord.frame(word) : -1;
        Events.Fault event = new Events.Fault();
        try {
            if (found) {
                if (verifySurvivor(frame, page, FrameHistory.Check.TOUCH)) {
                    publish(leaf, slot, page, TranslationWord.withState(word, RESIDENT));
                    return false;
                }
                backend.release(frame);
            } else {
                frame = takeFrame(page, deadline);
                if (frame < 0) {
                    giveUp(leaf, slot, page, word, frame);
                    return false;
                }
            }
            event.begin();
            file.fill(page, new int[] {frame}, 1, size, sets.refill(page, 1));
            frames.assign(frame, this, leaf, page);
            frames.history.arrived(frame, FrameHistory.FROM_STORE);
            if (event.shouldCommit()) {
                event.of(this, page, pageSize, found ? "failed validation" : "absent");
                event.commit();
            }
            counters.misses.increment();
            counters.bytesRead.add(pageSize);
            publish(leaf, slot, page, TranslationWord.of(word, RESIDENT, frame));
            return true;
        } catch (Throwable t) {
            giveUp(leaf, slot, page, word, frame);
            throw t;
        }
    }

    /**
     * F2, for a word just owned: whether the page may be loaded or latched now. If not, puts {@code word} back as it
     * was, and waits for the truncate if one is in the way.
     *
     * @param extending whether the caller holds the extension permit: then the page may lie past the end
     * @return the open ledger entry, or null if the caller must start again with the check of the page's number
     */
    @Nullable BackendFile admit(long[] leaf, int slot, long page, long word, long deadline, boolean extending) {
        try {
            // The truncate first: one that is seen to have ended has published its length.
            boolean isBehind = page >= truncatingFrom && !Mutation.LOAD_BEHIND_TRUNCATE.isOn();
            if (!isBehind && (extending || page < pages())) {
                return backing();
            }
        } catch (Throwable t) {
            TranslationWord.set(leaf, slot, word);
            waiters.wake(page);
            throw t;
        }
        TranslationWord.set(leaf, slot, word);
        waiters.wake(page);
        if (deadline != NO_WAIT && page >= truncatingFrom) {
            truncation.await(deadline);
        }
        return null;
    }

    /** Publishes a word with the next version. The frame's owner must have been assigned before. */
    void publish(long[] leaf, int slot, long page, long word) {
        TranslationWord.set(leaf, slot, epoch.nextVersion(word));
        waiters.wake(page);
    }

    /** Ends an owned word whose frame, if there is one, holds nothing of use: record FREE, frame free, word EMPTY. */
    void giveUp(long[] leaf, int slot, long page, long word, int frame) {
        if (frame >= 0) {
            backend.release(frame);
            clearDirty(frame, page);
            frames.giveBack(frame);
        }
        publish(leaf, slot, page, TranslationWord.of(word, EMPTY, 0));
    }

    /** Forgets the dirty blocks of a frame whose word the caller owns. */
    void clearDirty(int frame, long page) {
        if (frames.dirtyBlocks[frame] != 0) {
            frames.dirtyBlocks(frame, 0);
            sets.written(page, false);
        }
    }

    void addDirty(int frame, int blocks) {
        frames.dirtyBlocks(frame, frames.dirtyBlocks[frame] | blocks);
    }

    /** F3: a free frame, by eviction and, if need be, by writing back what is dirty; -1 if not to be had at once. */
    int takeFrame(long page, long deadline) {
        long key = keyHash(fileId, page);
        while (true) {
            int frame = frames.tryTake(key);
            if (frame >= 0 || deadline == NO_WAIT) {
                return frame;
            }
            backing(); // nobody waits here while the cache is being closed
            if (cache.backgroundWrites.isRunning() || !cache.writeBackSome()) {
                return awaitFrame(page, key, deadline);
            }
        }
    }

    /** Between looks for a frame while all are pinned, or dirty and not to be written. */
    private static final long MOST_PAUSE = TimeUnit.MILLISECONDS.toNanos(16);

    /** After which who queues for a frame looks whether its page is still wanted. */
    private static final long LONGEST_QUEUEING = TimeUnit.SECONDS.toNanos(1);

    /** One thread at a time looks again and again: thousands would leave no processor to those they wait for. */
    private int awaitFrame(long page, long key, long deadline) {
        while (true) {
            if (page >= truncatingFrom) {
                return -1; // the truncate waits for this page, perhaps with all frames in its hands
            }
            long left = deadline - System.nanoTime();
            long until = System.nanoTime() + Math.min(left, LONGEST_QUEUEING);
            if (Waits.until(until, nanos -> frames.seeking.tryLock(nanos, TimeUnit.NANOSECONDS))) {
                break;
            }
            if (System.nanoTime() - deadline >= 0) {
                throw full(page);
            }
        }
        long pause = TimeUnit.MILLISECONDS.toNanos(1);
        try {
            while (true) {
                backing();
                int frame = frames.tryTake(key);
                if (frame >= 0 || page >= truncatingFrom) {
                    return frame;
                }
                // A store may stand still: threads of their own write, and nobody waits for longer than the deadline.
                boolean background = cache.backgroundWrites.request();
                if (!background && cache.writeBackSome()) {
                    pause = TimeUnit.MILLISECONDS.toNanos(1);
                    continue;
                }
                if (System.nanoTime() - deadline >= 0) {
                    throw full(page);
                }
                frames.awaitFreed(pause);
                // Each look is at all frames, with the lock held that every miss needs.
                pause = Math.min(2 * pause, MOST_PAUSE);
            }
        } finally {
            frames.seeking.unlock();
        }
    }

    private CacheFullException full(long page) {
        CacheFullException full = new CacheFullException("no frame can be freed for page " + page + " of " + name + ": "
                + frames.describeUse() + ". Close pins sooner, or enlarge the capacity");
        for (CachedFile file : cache.files()) {
            Throwable failure = file.degraded;
            if (failure != null) {
                full.addSuppressed(failure);
            }
            long standing = file.writeBack.standingMillis();
            if (standing > TimeUnit.NANOSECONDS.toMillis(cache.latchTimeoutNanos / 2)) {
                full.addSuppressed(new CacheException(
                        "a write to the store of " + file.name + " has been under way for " + standing + " ms"));
            }
        }
        return full;
    }

    /**
     * V2 and V3 for the frame of an UNVERIFIED page whose word the caller owns. Counts the reason when it is not what
     * its record says.
     */
    boolean verifySurvivor(int frame, long page, FrameHistory.Check check) {
        int flags = frames.survivorFlags(frame);
        if ((flags & FrameTable.VALIDATED) != 0) {
            frames.survivorFlags(frame, flags & FrameTable.FOUND);
            return true;
        }
        if (isAsRecorded(frame, page, check, new FrameRecord())) {
            frames.survivorFlags(frame, flags & FrameTable.FOUND);
            frames.history.validated(frame, check);
            counters.validated.increment();
            return true;
        }
        return false;
    }

    /** V2 and V3 alone; counts the reason if they fail. */
    private boolean isAsRecorded(int frame, long page, FrameHistory.Check check, FrameRecord record) {
        Events.Validate event = new Events.Validate();
        event.begin();
        DropReason reason = null;
        if (!backend.readRecord(frame, record)
                || record.fileId != fileId
                || record.page != page
                || (record.state != FrameState.CLEAN && record.state != FrameState.WRITTEN)) {
            reason = DropReason.RECORD_DAMAGED;
        } else if (mismatches(frame, record, frames.allBlocks) != 0) {
            reason = DropReason.CHECKSUM;
        }
        if (event.shouldCommit()) {
            event.of(this, page, pageSize, reason == null ? check.text : check.text + ": " + reason);
            event.commit();
        }
        if (reason != null) {
            counters.validationFailures.increment();
            countDrop(frame, reason);
        }
        return reason == null;
    }

    /**
     * Of a file that is about to be opened: verifies an UNVERIFIED page, if its word is still {@code word}, and
     * publishes it or lets it go. Does not count it as validated, which for many pages is done at once.
     *
     * @param record of the caller, so that none is allocated
     * @return how many frames the caller is to count as validated, 0 or 1
     */
    int validateClosed(long[] leaf, long page, long word, FrameRecord record) {
        int slot = RadixIndex.slot(page);
        if (!TranslationWord.cas(leaf, slot, word, TranslationWord.withState(word, LOADING))) {
            return 0;
        }
        int frame = TranslationWord.frame(word);
        boolean good = false;
        boolean decided = false;
        int counted = 0;
        try {
            FrameHistory.Check check = FrameHistory.Check.EAGER;
            boolean known = (frames.survivorFlags(frame) & FrameTable.VALIDATED) != 0;
            good = known || isAsRecorded(frame, page, check, record);
            if (good) {
                counted = frames.seenGood(frame);
                if (!known) {
                    frames.history.validated(frame, check);
                }
            }
            decided = true;
        } finally {
            if (!decided) {
                TranslationWord.set(leaf, slot, word);
                waiters.wake(page);
            } else if (good) {
                publish(leaf, slot, page, TranslationWord.withState(word, RESIDENT));
            } else {
                giveUp(leaf, slot, page, word, frame);
            }
        }
        return counted;
    }

    /** Counts a frame found by this attach as dropped; frames of this process's own life do not count. */
    void countDrop(int frame, DropReason reason) {
        if ((frames.survivorFlags(frame) & FrameTable.FOUND) != 0) {
            counters.drop(reason);
            Events.Drop event = new Events.Drop();
            if (event.shouldCommit()) {
                event.of(this, frames.pageOf[frame], pageSize, reason.name());
                event.commit();
            }
        }
        frames.survivorFlags(frame, 0);
    }

    /** The blocks among {@code blocks} whose bytes do not match the record. */
    int mismatches(int frame, FrameRecord record, int blocks) {
        int bad = 0;
        for (int block = 0; block < frames.blocksPerPage && !Mutation.CHECKSUM_NOT_COMPARED.isOn(); block++) {
            if ((blocks & (1 << block)) != 0
                    && cache.checksum.block(
                                    cache.memory,
                                    ((long) frame << pageShift) + ((long) block << 12),
                                    cache.incarnation,
                                    record.fileId,
                                    record.page,
                                    block,
                                    record.generation)
                            != record.checksums[block]) {
                bad |= 1 << block;
            }
        }
        return bad;
    }

    /** B2, of a run whose words the caller owns. */
    void writeOut(BackendFile to, long first, int[] run, int[] masks, int count, long length) throws IOException {
        UnlockSums sums = cache.unlockSums;
        if (sums == null) {
            to.writeBack(first, run, masks, count, length);
        } else {
            to.writeBackVerified(first, run, masks, count, length, sums.of(run, count));
        }
    }

    /** Whether a write of a dirty frame was refused because its record is not what it must be. */
    boolean isUnrecorded(Throwable refusal, int frame, long page) {
        // A back end that compares what it writes goes by the generation of the record.
        boolean mayBe = refusal instanceof IllegalStateException || cache.unlockSums != null;
        return mayBe && isUnrecorded(frame, page);
    }

    /** Whether the record of a dirty frame, whose word the caller owns, was overwritten. */
    boolean isUnrecorded(int frame, long page) {
        FrameRecord record = new FrameRecord();
        boolean whole = backend.readRecord(frame, record);
        UnlockSums sums = cache.unlockSums;
        return !whole
                || record.state != FrameState.DIRTY
                || record.fileId != fileId
                || record.page != page
                || (sums != null && !sums.isOf(frame, record.generation));
    }

    /**
     * B3: the store has taken every dirty block of a frame whose word the caller owns.
     *
     * @param failedForces {@link PageSets#failedForces} from before the store was called: a force that has failed since
     *     may have lost the page, which is dirty again then
     */
    void wrote(int frame, long page, int failedForces) {
        int dirty = frames.dirtyBlocks[frame];
        if (!sets.written(page, failedForces)) {
            backend.markDirty(frame);
            try {
                sets.dirty(page); // where it is, unless it was written through
            } catch (OutOfMemoryError e) {
                poison(e);
            }
            return;
        }
        frames.dirtyBlocks(frame, 0);
        counters.pagesWritten.increment();
        counters.blocksWritten.add(Integer.bitCount(dirty));
        counters.bytesWritten.add((long) Integer.bitCount(dirty) << 12);
        frames.history.written(frame);
        if (degraded != null) {
            degraded = null;
            LOG.log(System.Logger.Level.INFO, () -> name + " can be written again");
        }
    }

    void writeFailed(Throwable cause) {
        counters.writeFailures.increment();
        boolean first = degraded == null;
        degraded = cause;
        if (first) {
            LOG.log(System.Logger.Level.WARNING, () -> name + " of cache \"" + cache.config.name()
                    + "\" could not be written: what is dirty is kept and written again (" + cause + ")");
        }
    }

    /** The file can no longer be used until it is closed. */
    void poison(Throwable cause) {
        if (poison == null) {
            poisonTold = !isOwnThread();
            LOG.log(System.Logger.Level.ERROR, () -> name + " of cache \"" + cache.config.name()
                    + "\" is poisoned: what its store holds is not known. Close it, check the store, and map it again ("
                    + cause + ")");
        }
        poison = cause;
    }

    /** Throws {@code t}, whatever it is. */
    @SuppressWarnings("unchecked")
    static <T extends Throwable> RuntimeException sneaky(Throwable t) throws T {
        throw (T) t;
    }

    // ---- latching (W1, W2) -----------------------------------------------------------------------------------------

    /** How {@link #latch} gets a page that is not resident. */
    enum Latch {
        /** Read it from the store. */
        READ,
        /** Do not read it: it will be written as a whole. */
        BLANK
    }

    /**
     * Latches a page exclusively.
     *
     * @param extending whether the caller holds the extension permit: then the page after the last one may be latched
     * @param wait whether to wait for others; else null is returned where that would be needed
     * @return the pin, or null if waiting was needed and not wanted, or the page turned out to need the extension
     *     permit
     */
    @Nullable ExclusivePin latch(long page, Latch how, boolean extending, boolean wait, long deadline) {
        boolean missed = false;
        long until = wait ? deadline : NO_WAIT;
        while (true) {
            backing();
            checkPage(page, RadixIndex.MAX_PAGES);
            if ((!extending && page >= pages()) || (!wait && page >= truncatingFrom)) {
                return null;
            }
            long[] leaf = index.leafOrCreate(page);
            int slot = RadixIndex.slot(page);
            long word = TranslationWord.acquire(leaf, slot);
            long state = TranslationWord.state(word);
            ExclusivePin pin = null;
            if (state == RESIDENT && (word & (PIN_MASK | FLUSH)) == 0) {
                firstUse(page, TranslationWord.frame(word));
                if (!TranslationWord.cas(leaf, slot, word, TranslationWord.withState(word, EXCLUSIVE))) {
                    continue;
                }
                if (admit(leaf, slot, page, word, until, extending) != null) {
                    if (!missed) {
                        counters.hits.increment();
                    }
                    pin = latched(leaf, slot, page, word, extending);
                }
            } else if (state != EMPTY
                    && state != UNVERIFIED
                    && !(state == LOADING && Mutation.WRITE_RACES_A_FAULT.isOn())) {
                if (wait) {
                    settle(leaf, slot, page, word, deadline);
                }
            } else if (how == Latch.BLANK || (state == EMPTY && page >= pages())) {
                pin = blank(leaf, slot, page, word, extending, until);
            } else {
                missed |= settle(leaf, slot, page, word, until);
                if (TranslationWord.isResident(TranslationWord.acquire(leaf, slot))) {
                    continue;
                }
            }
            if (pin != null || !wait) {
                return pin;
            }
        }
    }

    /**
     * Latches a page if it is resident, also behind a truncate: for those who must change a page whatever else is
     * under way. An UNVERIFIED page is dropped.
     *
     * @return null if the page is not in memory
     */
    @Nullable ExclusivePin latchResident(long page, long deadline) {
        while (true) {
            long[] leaf = index.leaf(page);
            if (leaf == null) {
                return null;
            }
            int slot = RadixIndex.slot(page);
            long word = TranslationWord.acquire(leaf, slot);
            long state = TranslationWord.state(word);
            if (state == EMPTY || state == DETACHED || state == TranslationWord.DEAD) {
                return null;
            }
            boolean free = state == RESIDENT && (word & (PIN_MASK | FLUSH)) == 0;
            if (!free && state != UNVERIFIED) {
                waiters.await(leaf, slot, page, word, deadline);
            } else if (TranslationWord.cas(leaf, slot, word, TranslationWord.withState(word, EXCLUSIVE))) {
                if (free) {
                    return latched(leaf, slot, page, word, false);
                }
                giveUp(leaf, slot, page, word, TranslationWord.frame(word));
                return null;
            }
        }
    }

    /** Latches a resident page if nobody has it at the moment, also behind a truncate. */
    @Nullable ExclusivePin tryLatchResident(long[] leaf, long page) {
        int slot = RadixIndex.slot(page);
        long word = TranslationWord.acquire(leaf, slot);
        boolean free = TranslationWord.state(word) == RESIDENT && (word & (PIN_MASK | FLUSH)) == 0;
        return free && TranslationWord.cas(leaf, slot, word, TranslationWord.withState(word, EXCLUSIVE))
                ? latched(leaf, slot, page, word, false)
                : null;
    }

    /** The pin for a resident word just made EXCLUSIVE. */
    private ExclusivePin latched(long[] leaf, int slot, long page, long word, boolean extending) {
        VarHandle.storeStoreFence();
        try {
            return new ExclusivePin(this, leaf, slot, page, TranslationWord.frame(word), word, extending);
        } catch (Throwable t) {
            TranslationWord.set(leaf, slot, word);
            waiters.wake(page);
            throw t;
        }
    }

    private @Nullable ExclusivePin blank(
            long[] leaf, int slot, long page, long word, boolean extending, long deadline) {
        if (!TranslationWord.cas(
                leaf, slot, word, TranslationWord.of(word, LOADING, TranslationWord.frame(word)))) {
            return null;
        }
        BackendFile file = admit(leaf, slot, page, word, deadline, extending);
        if (file == null) {
            return null;
        }
        int frame = -1;
        try {
            if (TranslationWord.state(word) == UNVERIFIED) {
                frame = TranslationWord.frame(word);
                backend.release(frame);
                frames.survivorFlags(frame, 0);
            } else {
                frame = takeFrame(page, deadline);
                if (frame < 0) {
                    giveUp(leaf, slot, page, word, frame);
                    return null;
                }
            }
            if (!Mutation.RECORD_NOT_INITIALISED.isOn()) {
                file.blank(page, frame);
            }
            frames.assign(frame, this, leaf, page);
            frames.history.arrived(frame, FrameHistory.OVERWRITTEN);
            long latched = TranslationWord.of(word, EXCLUSIVE, frame);
            TranslationWord.set(leaf, slot, latched);
            ExclusivePin pin = new ExclusivePin(this, leaf, slot, page, frame, latched, extending);
            pin.blank = true;
            return pin;
        } catch (Throwable t) {
            giveUp(leaf, slot, page, word, frame);
            throw t;
        }
    }

    /** A write pin as a user gets it: takes the extension permit where the page may extend the file. */
    ExclusivePin pinForWrite(long page, Latch how) {
        checkWritable();
        cache.backgroundWrites.throttle(this, page);
        long deadline = deadline();
        while (true) {
            backing();
            boolean extending = mayExtend(page);
            if (extending) {
                acquireExtension(deadline);
            }
            ExclusivePin pin = null;
            try {
                if (extending) {
                    checkPage(page, Math.min(pages() + 1, RadixIndex.MAX_PAGES));
                }
                pin = latch(page, how, extending, true, deadline);
                if (pin != null && extending) {
                    pin.ownPermit();
                } else if (pin != null && mayExtend(page)) {
                    // A truncate made it the last page meanwhile: the permit comes before the latch.
                    pin.unlatchUnchanged();
                    pin = null;
                }
            } finally {
                if (pin == null && extending) {
                    extension.release();
                }
            }
            if (pin != null) {
                try {
                    if (how == Latch.BLANK) {
                        pin.overwrite();
                    }
                    cache.pinTaken(pin);
                } catch (Throwable t) {
                    pin.abort();
                    throw t;
                }
                return pin;
            }
        }
    }

    /** Whether a write to the page may lengthen the file: it is the last, partial one or lies past it. */
    private boolean mayExtend(long page) {
        return page < 0 || page >= size >>> pageShift;
    }

    /** W1. */
    void acquireExtension(long deadline) {
        if (!Waits.until(deadline, left -> extension.tryAcquire(left, TimeUnit.NANOSECONDS))) {
            throw new LatchTimeoutException("the end of " + name
                    + " stayed latched by another write or truncate for longer than latchTimeout");
        }
    }
}
