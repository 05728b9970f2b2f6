/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static io.warmcache.core.TranslationWord.DETACHED;
import static io.warmcache.core.TranslationWord.EMPTY;
import static io.warmcache.core.TranslationWord.EXCLUSIVE;
import static io.warmcache.core.TranslationWord.LOADING;
import static io.warmcache.core.TranslationWord.RESIDENT;
import static io.warmcache.core.TranslationWord.UNVERIFIED;

import io.warmcache.AttachProgress;
import io.warmcache.BackingStore;
import io.warmcache.DoubtPolicy;
import io.warmcache.DropReason;
import io.warmcache.LatchTimeoutException;
import io.warmcache.MapOptions;
import io.warmcache.RecoveryReport;
import io.warmcache.Validation;
import io.warmcache.spi.AttachReport;
import io.warmcache.spi.BackendFile;
import io.warmcache.spi.BlockChecksum;
import io.warmcache.spi.FileVerdict;
import io.warmcache.spi.FrameRecord;
import io.warmcache.spi.FrameState;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;
import org.roaringbitmap.RoaringBitmap;

/**
 * What happens to frames found in memory: attach, the gates of a file, validation ({@code docs/internals.md}, section
 * 8).
 */
final class Recovery {
    /** Random resident pages that a canary compares with the store, beside the ring of last writes and the two ends. */
    private static final int CANARY_FRAMES = 64;

    private static final System.Logger LOG = System.getLogger("io.warmcache");

    private final Cache cache;
    private final FrameTable frames;
    private final Counters counters;
    private final List<RecoveryReport.FileRecovery> files = Collections.synchronizedList(new ArrayList<>());
    private int found;
    private volatile Duration timeToReady = Duration.ZERO;

    /** Next frame for {@link #scrub}; used by the maintenance thread alone. */
    private int scrubbed;

    private boolean finished;

    /** Set when frames were moved, perhaps to where {@link #scrub} had been. */
    private volatile boolean rescan;

    Recovery(Cache cache) {
        this.cache = cache;
        frames = cache.frames;
        counters = cache.counters;
    }

    RecoveryReport report() {
        AttachReport attach = cache.backend.attachReport();
        Map<DropReason, Integer> dropped = counters.dropped();
        int kept = found - dropped.values().stream().mapToInt(Integer::intValue).sum();
        List<RecoveryReport.FileRecovery> perFile;
        synchronized (files) {
            perFile = List.copyOf(files);
        }
        return new RecoveryReport(
                attach.warm(),
                attach.coldReason(),
                attach.cleanStop(),
                frames.capacity(),
                found,
                kept,
                counters.unvalidated.get(),
                dropped,
                (long) kept << frames.pageShift,
                Duration.ofNanos(attach.ownerWaitNanos()),
                timeToReady,
                perFile,
                cache.images.recovered());
    }

    /** A2 to A4; the policy takes its share of it (A5) later. */
    void attach(long openedAtNanos, AttachScan.Plan plan, AttachProgress progress) throws IOException {
        found = new AttachScan(cache, plan, progress).run();
        cache.resizing.atOpen();
        timeToReady = Duration.ofNanos(System.nanoTime() - openedAtNanos);
    }

    // ---- gates of a file
    // -----------------------------------------------------------------------------------------------

    /** M3 to M6. The file is not open yet; only the evictor and the scrub touch its words meanwhile. */
    void passGates(CachedFile file, BackendFile backing, MapOptions options) throws IOException {
        Events.MapFile event = new Events.MapFile();
        event.begin();
        BackingStore store = backing.store();
        FileVerdict verdict = backing.verdict();
        int before = count(file);
        int compared = 0;
        String said = verdict.kind() + (verdict.detail().isEmpty() ? "" : ": " + verdict.detail());
        boolean forced = true;
        try {
            backing.force();
        } catch (IOException e) {
            forced = false;
            file.degraded = e;
            said += "; fsync failed: " + e.getMessage();
        }
        if (file.mayHoldWritten) {
            settleWritten(file, forced || Mutation.WRITTEN_KEPT_AFTER_FAILED_FSYNC.isOn());
        }
        file.mayHoldWritten = true; // from now on
        long size = store.size();
        boolean unchanged = switch (verdict.kind()) {
            case NEW, SAME -> true;
            case PROBE -> {
                compared = Mutation.CANARY_SKIPPED.isOn() ? 0 : canary(file, store, verdict, size);
                if (compared < 0) {
                    said += "; the canary differs from the store";
                }
                yield compared >= 0;
            }
            case CHANGED -> Mutation.STORE_CHANGE_IGNORED.isOn();
        };
        long pages = (size + frames.pageSize - 1) >>> frames.pageShift;
        if (unchanged && options.doubt() != DoubtPolicy.ALWAYS_VERIFY) {
            dropFrom(file, Mutation.PAST_END_KEPT.isOn() ? RadixIndex.MAX_PAGES : pages, DropReason.PAST_END);
        } else if (options.doubt() != DoubtPolicy.DROP) {
            dropFrom(file, pages, DropReason.PAST_END);
            verifyAgainstStore(file, store);
            said += "; verified against the store";
        } else {
            dropFrom(file, 0, DropReason.STORE_CHANGED);
        }
        if (cache.config.validation() == Validation.EAGER) {
            new EagerValidation(file).run(cache.validationThreads);
        }
        backing.accept();
        file.size = size;
        int kept = count(file);
        file.verdict = said;
        file.mappedAt = Instant.now();
        files.add(new RecoveryReport.FileRecovery(store.name(), said, before, kept, Math.max(0, compared)));
        if (event.shouldCommit()) {
            event.of(file, before, (long) kept << frames.pageShift, said);
            event.commit();
        }
        String line = store.name() + " mapped by cache \"" + cache.config.name() + "\": " + said + "; " + kept + " of "
                + before + " frames kept";
        LOG.log(kept < before ? System.Logger.Level.INFO : System.Logger.Level.DEBUG, line);
    }

    /** What is done with each page of a file that is not open, with its word owned. */
    private interface PageAction {
        /** Returns whether the frame is kept. */
        boolean keep(long page, int frame) throws IOException;
    }

    /** Owns each UNVERIFIED page from {@code from} on in turn; what the action does not keep is dropped. */
    private void forEach(CachedFile file, long from, PageAction action) throws IOException {
        List<IOException> failure = new ArrayList<>();
        file.index.forEachLeaf(from, (first, leaf) -> {
            for (int slot = 0; slot < RadixIndex.LEAF_SLOTS && failure.isEmpty(); slot++) {
                long page = first + slot;
                long deadline = CachedFile.NO_WAIT;
                while (page >= from) {
                    long word = TranslationWord.acquire(leaf, slot);
                    long state = TranslationWord.state(word);
                    if (deadline == CachedFile.NO_WAIT && state != UNVERIFIED && state != EMPTY) {
                        deadline = file.deadline(); // of this page: how long the file takes is a matter of its size
                    }
                    if (state == LOADING || state == EXCLUSIVE) {
                        file.waiters.await(leaf, slot, page, word, deadline);
                        continue;
                    }
                    if (state == RESIDENT) {
                        dropUngated(file, leaf, slot, page, word, deadline);
                        continue;
                    }
                    if (state != UNVERIFIED) {
                        break;
                    }
                    if (TranslationWord.cas(leaf, slot, word, TranslationWord.withState(word, LOADING))) {
                        try {
                            act(file, leaf, slot, page, word, action);
                        } catch (IOException e) {
                            failure.add(e);
                        }
                        break;
                    }
                }
            }
        });
        if (!failure.isEmpty()) {
            throw failure.get(0);
        }
    }

    /** A page of a file that is not open would be served without having passed the gates: parking has missed it. */
    private static void dropUngated(
            CachedFile file, long[] leaf, int slot, long page, long word, long deadline) {
        if (TranslationWord.pins(word) > 0 || TranslationWord.isFlushing(word)) {
            file.waiters.await(leaf, slot, page, word, deadline);
        } else if (TranslationWord.cas(leaf, slot, word, TranslationWord.withState(word, LOADING))) {
            int frame = TranslationWord.frame(word);
            LOG.log(
                    System.Logger.Level.WARNING,
                    () -> "page " + page + " of " + file.name + " was not parked when the file was closed: dropped");
            file.countDrop(frame, DropReason.STORE_CHANGED);
            file.giveUp(leaf, slot, page, word, frame);
        }
    }

    private static void act(CachedFile file, long[] leaf, int slot, long page, long word, PageAction action)
            throws IOException {
        int frame = TranslationWord.frame(word);
        boolean kept = false;
        try {
            kept = action.keep(page, frame);
        } finally {
            if (kept) {
                TranslationWord.set(leaf, slot, word);
                file.waiters.wake(page);
            } else {
                file.giveUp(leaf, slot, page, word, frame);
            }
        }
    }

    private static int count(CachedFile file) {
        int[] count = {0};
        file.index.forEachLeaf(0, (first, leaf) -> {
            for (int slot = 0; slot < RadixIndex.LEAF_SLOTS; slot++) {
                long state = TranslationWord.state(TranslationWord.acquire(leaf, slot));
                if (state != EMPTY && state != DETACHED && state != TranslationWord.DEAD) {
                    count[0]++;
                }
            }
        });
        return count[0];
    }

    /** M3: what was written is forced now, or lost. */
    private void settleWritten(CachedFile file, boolean forced) throws IOException {
        FrameRecord record = new FrameRecord();
        forEach(file, 0, (page, frame) -> {
            if (forced) {
                cache.backend.forced(frame);
                return true;
            }
            boolean keep = cache.backend.readRecord(frame, record) && record.state == FrameState.CLEAN;
            if (!keep) {
                file.countDrop(frame, DropReason.UNFORCED);
            }
            return keep;
        });
    }

    private void dropFrom(CachedFile file, long from, DropReason reason) throws IOException {
        forEach(file, from, (page, frame) -> {
            file.countDrop(frame, reason);
            return false;
        });
    }

    /**
     * Drops every frame of a file that is not open, without counting: the ledger forgets the file, or it is poisoned.
     */
    void forget(CachedFile file) throws IOException {
        forEach(file, 0, (page, frame) -> false);
    }

    /** Verifies a frame whose word is owned and stays UNVERIFIED. */
    boolean validate(CachedFile file, long page, int frame, FrameHistory.Check check) {
        int flags = frames.survivorFlags(frame) & FrameTable.FOUND;
        boolean good = file.verifySurvivor(frame, page, check);
        if (good) {
            frames.survivorFlags(frame, flags | FrameTable.VALIDATED);
        }
        return good;
    }

    private void verifyAgainstStore(CachedFile file, BackingStore store) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment page = arena.allocate(frames.pageSize, BlockChecksum.BLOCK_SIZE);
            forEach(file, 0, (number, frame) -> {
                if (!validate(file, number, frame, FrameHistory.Check.STORE)) {
                    return false;
                }
                readPadded(store, number << frames.pageShift, page);
                if (page.mismatch(frames.slice(frame)) >= 0) {
                    file.countDrop(frame, DropReason.DIFFERS);
                    return false;
                }
                return true;
            });
        }
    }

    /**
     * Compares the blocks written last, the first and the last page and random ones of those in memory with the store.
     *
     * @return how many blocks were compared, or -1 if one differs
     */
    private int canary(CachedFile file, BackingStore store, FileVerdict verdict, long size) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment page = arena.allocate(frames.pageSize, BlockChecksum.BLOCK_SIZE);
            MemorySegment block = page.asSlice(0, BlockChecksum.BLOCK_SIZE);
            int compared = 0;
            long[] blocks = verdict.canaryBlocks();
            for (int i = 0; i < blocks.length; i++) {
                readPadded(store, blocks[i] * BlockChecksum.BLOCK_SIZE, block);
                long sum = cache.checksum.block(block, 0, cache.incarnation, file.fileId, blocks[i], 0, 0);
                if (sum != verdict.canaryChecksums()[i]) {
                    return -1;
                }
                compared++;
            }
            RoaringBitmap sample = sample(file, (size - 1) >>> frames.pageShift);
            boolean[] differs = {false};
            int[] pages = {0};
            forEach(file, 0, (number, frame) -> {
                if (!sample.contains((int) number) || differs[0]) {
                    return true;
                }
                if (!validate(file, number, frame, FrameHistory.Check.CANARY)) {
                    return false;
                }
                readPadded(store, number << frames.pageShift, page);
                differs[0] = page.mismatch(frames.slice(frame)) >= 0;
                pages[0]++;
                return true;
            });
            return differs[0] ? -1 : compared + pages[0] * frames.blocksPerPage;
        }
    }

    private static RoaringBitmap sample(CachedFile file, long lastPage) {
        RoaringBitmap all = new RoaringBitmap();
        file.index.forEachLeaf(0, (first, leaf) -> {
            for (int slot = 0; slot < RadixIndex.LEAF_SLOTS; slot++) {
                if (TranslationWord.state(TranslationWord.acquire(leaf, slot)) == UNVERIFIED) {
                    all.add((int) (first + slot));
                }
            }
        });
        RoaringBitmap sample = RoaringBitmap.bitmapOf(0, (int) lastPage);
        Random random = new Random();
        int resident = all.getCardinality();
        for (int i = 0; i < CANARY_FRAMES && resident > 0; i++) {
            sample.add(all.select(random.nextInt(resident)));
        }
        return sample;
    }

    /** Reads a whole segment, zeros past the end of the store. */
    private static void readPadded(BackingStore store, long position, MemorySegment target) throws IOException {
        long done = 0;
        while (done < target.byteSize()) {
            int read = store.read(position + done, target.asSlice(done));
            if (read < 0) {
                break;
            }
            done += read;
        }
        target.asSlice(done).fill((byte) 0);
    }

    // ---- scrub
    // -------------------------------------------------------------------------------------------------------

    /**
     * Validates the next frames found in memory, of files mapped or not. By the maintenance thread.
     *
     * @return whether there is more to do
     */
    boolean scrub(int most) {
        if (rescan) {
            rescan = false;
            scrubbed = 0;
        }
        int end = Math.min(frames.frames, scrubbed + most);
        for (; scrubbed < end; scrubbed++) {
            scrubFrame(scrubbed);
        }
        if (scrubbed < frames.frames || cache.resizing.moving || rescan) {
            return true;
        }
        if (counters.unvalidated.get() != 0) {
            scrubbed = 0; // a canary or a reader owned the frame when it was passed, and may yet die at it
            return true;
        }
        if (!finished) {
            finished = true;
            cache.backend.recoveryFinished();
            logFinished();
        }
        return false;
    }

    void rescan() {
        rescan = true;
    }

    /** What validation dropped, in one line; of interest only if it dropped anything. */
    private void logFinished() {
        RecoveryReport report = report();
        if (report.found() > 0) {
            LOG.log(
                    report.droppedTotal() > 0 ? System.Logger.Level.INFO : System.Logger.Level.DEBUG,
                    () -> "cache \"" + cache.config.name() + "\" has validated what it found: " + frames(report));
        }
    }

    /** Found, kept and dropped frames, for a line of the log. */
    private static String frames(RecoveryReport report) {
        return report.kept() + " of " + report.found() + " frames kept (" + (report.bytesKept() >> 10) + " KiB)"
                + (report.droppedTotal() == 0 ? "" : ", dropped " + new TreeMap<>(report.dropped()));
    }

    /** The line of an open in the log. */
    static String describe(RecoveryReport report) {
        return (report.warm()
                        ? "warm, " + frames(report) + ", the last owner "
                                + (report.cleanStop() ? "had closed it" : "was killed")
                        : "cold: " + report.coldReason())
                + "; ready after " + report.timeToReady().toMillis() + " ms"
                + (report.ownerWait().toMillis() < 100
                        ? ""
                        : ", of which " + report.ownerWait().toMillis() + " ms were spent waiting for the last owner");
    }

    private void scrubFrame(int frame) {
        if ((frames.survivorFlags(frame) & FrameTable.UNVALIDATED) == 0) {
            return;
        }
        FrameTable.Owner owner = frames.ownerOf(frame);
        if (owner == null) {
            return;
        }
        int slot = RadixIndex.slot(owner.page());
        long word = TranslationWord.acquire(owner.leaf(), slot);
        if (TranslationWord.state(word) != UNVERIFIED
                || TranslationWord.frame(word) != frame
                || !TranslationWord.cas(owner.leaf(), slot, word, TranslationWord.withState(word, LOADING))) {
            return; // touched or evicted meanwhile: whoever did has validated it or let it go
        }
        // What ownerOf() guessed was read piece by piece; with the word owned it stands still.
        boolean stale = frames.pageOf[frame] != owner.page() || frames.fileOf[frame] != owner.file();
        if (stale || validate(owner.file(), owner.page(), frame, FrameHistory.Check.SCRUB)) {
            TranslationWord.set(owner.leaf(), slot, word);
            owner.file().waiters.wake(owner.page());
        } else {
            owner.file().giveUp(owner.leaf(), slot, owner.page(), word, frame);
        }
    }

    // ---- close of a file
    // ---------------------------------------------------------------------------------------------

    /** C2: pages of a file that pins or latches still hold. */
    static int held(CachedFile file) {
        int[] held = {0};
        file.index.forEachLeaf(0, (first, leaf) -> {
            for (int slot = 0; slot < RadixIndex.LEAF_SLOTS; slot++) {
                long word = TranslationWord.get(leaf, slot);
                long state = TranslationWord.state(word);
                if (TranslationWord.pins(word) > 0
                        || state == LOADING
                        || state == EXCLUSIVE
                        || TranslationWord.isFlushing(word)) {
                    held[0]++;
                }
            }
        });
        return held[0];
    }

    /**
     * C3: resident pages wait for the gates of the next mapping. The file is not open, and no user holds its pages; the
     * evictor, a resize, and a pin that will see the file closed may, for a moment, and leave them resident. Also where
     * a mapping fails after its pages were validated.
     *
     * @throws LatchTimeoutException if a page stays held, of which the first one is waited for; all others are parked
     */
    void park(CachedFile file) {
        @Nullable LatchTimeoutException[] held = new @Nullable LatchTimeoutException[1];
        file.index.forEachLeaf(0, (first, leaf) -> {
            for (int slot = 0; slot < RadixIndex.LEAF_SLOTS; slot++) {
                long deadline = CachedFile.NO_WAIT;
                while (true) {
                    long word = TranslationWord.acquire(leaf, slot);
                    long state = TranslationWord.state(word);
                    if (state == EXCLUSIVE
                            || state == LOADING
                            || (state == RESIDENT
                                    && (TranslationWord.pins(word) > 0 || TranslationWord.isFlushing(word)))) {
                        if (deadline == CachedFile.NO_WAIT) {
                            deadline = held[0] == null ? file.deadline() : System.nanoTime();
                        }
                        try {
                            file.waiters.await(leaf, slot, first + slot, word, deadline);
                        } catch (LatchTimeoutException e) {
                            held[0] = e;
                            break;
                        }
                        continue;
                    }
                    if (state != RESIDENT) {
                        break;
                    }
                    long owned = TranslationWord.withState(word, EXCLUSIVE);
                    if (TranslationWord.cas(leaf, slot, word, owned)) {
                        int frame = TranslationWord.frame(word);
                        int found = frames.survivorFlags(frame) & FrameTable.FOUND;
                        frames.survivorFlags(frame, found | FrameTable.VALIDATED);
                        var _ = frames.takeAhead(frame); // nobody is there to use it
                        TranslationWord.set(
                                leaf, slot, file.epoch.nextVersion(TranslationWord.withState(word, UNVERIFIED)));
                        file.waiters.wake(first + slot);
                        break;
                    }
                }
            }
        });
        if (held[0] != null) {
            throw held[0];
        }
    }
}
