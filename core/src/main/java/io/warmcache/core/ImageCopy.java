/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static io.warmcache.core.TranslationWord.DEAD;
import static io.warmcache.core.TranslationWord.DETACHED;
import static io.warmcache.core.TranslationWord.EMPTY;
import static io.warmcache.core.TranslationWord.LOADING;
import static io.warmcache.core.TranslationWord.RESIDENT;
import static io.warmcache.core.TranslationWord.UNVERIFIED;

import io.warmcache.CacheClosedException;
import io.warmcache.Checkpoint;
import io.warmcache.StoreVersion;
import io.warmcache.core.GuardedFile.WriteSet;
import io.warmcache.core.image.ImageDisk;
import io.warmcache.core.image.ImageWriter;
import io.warmcache.spi.BlockChecksum;
import io.warmcache.spi.FrameRecord;
import io.warmcache.spi.FrameState;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;
import org.roaringbitmap.PeekableIntIterator;
import org.roaringbitmap.RoaringBitmap;

/** Takes the image of one file: I1 to I9 of {@code docs/internals.md}, section 12. For one thread. */
final class ImageCopy {
    static final String SEALED = "sealed";
    static final String NOTHING = "nothing of it was in memory";
    private static final String CANCELLED = "cancelled";

    private static final int SEAL_TRIES = 10;

    /** Looks at a page that somebody else has latched, before it is left out. */
    private static final int COPY_TRIES = 1000;

    /** Pages copied under one hold of the file. */
    private static final int BATCH = 64;

    private final CachedFile file;
    private final GuardedFile guard;
    private final FrameTable frames;
    private final ImageDisk disk;
    private final Path target;
    private final Path temporary;
    private final Throttle throttle;
    private final BooleanSupplier goesOn;
    private final Runnable told;

    /** Nobody uses the file, and everything written to it is forced. */
    private final boolean quiescent;

    private final FrameRecord record = new FrameRecord();
    private final RoaringBitmap copied = new RoaringBitmap();
    private @Nullable ImageWriter writer;
    private long sealNanos;
    private long voided;
    private long found;
    private long looked;

    /**
     * An image of {@code file} to be put at {@code target}.
     *
     * @param goesOn asked now and then whether to go on
     * @param told called after each chunk
     */
    ImageCopy(
            CachedFile file,
            GuardedFile guard,
            ImageDisk disk,
            Path target,
            Throttle throttle,
            boolean quiescent,
            BooleanSupplier goesOn,
            Runnable told) {
        this.file = file;
        this.guard = guard;
        frames = file.frames;
        this.disk = disk;
        this.target = target;
        temporary = temporary(target, quiescent);
        this.throttle = throttle;
        this.quiescent = quiescent;
        this.goesOn = goesOn;
        this.told = told;
    }

    /**
     * What becomes an image. A checkpoint that is under way when the file is closed still has its own, and deletes it
     * when it ends.
     */
    static Path temporary(Path target, boolean quiescent) {
        return target.resolveSibling(target.getFileName() + (quiescent ? ".close.tmp" : ".tmp"));
    }

    /** Pages in memory when the copying began. */
    long found() {
        return found;
    }

    /** Pages copied or left out. */
    long looked() {
        return looked;
    }

    /** Bytes of the image so far. */
    long length() {
        ImageWriter w = writer;
        return w == null ? 0 : w.length();
    }

    /** Takes the image. What fails is said in the result. */
    Checkpoint.Image run(List<RoaringBitmap> classes) {
        String outcome;
        try {
            outcome = take(classes);
        } catch (CacheClosedException e) {
            outcome = "the file was closed";
        } catch (IOException | RuntimeException e) {
            outcome = "it failed: " + e.getMessage();
        } finally {
            ImageWriter w = writer;
            if (w != null) {
                try {
                    w.close();
                    disk.delete(temporary);
                } catch (IOException e) {
                    System.getLogger("io.warmcache")
                            .log(System.Logger.Level.DEBUG, temporary + " was left behind", e);
                }
            }
        }
        boolean sealed = outcome.equals(SEALED);
        long pages = copied.getLongCardinality() - voided;
        return new Checkpoint.Image(
                file.name,
                sealed ? target : null,
                sealed ? pages : 0,
                sealed ? found - pages : found,
                sealed ? length() : 0,
                Duration.ofNanos(sealNanos),
                outcome);
    }

    private String take(List<RoaringBitmap> classes) throws IOException {
        StoreVersion.Strength strength = guard.store().version().strength();
        if (strength == StoreVersion.Strength.NONE) {
            return "the store has no version by which a later change could be seen";
        }
        if (guard.mayHaveLost()) {
            return "the store could not be forced when it was mapped";
        }
        for (RoaringBitmap pages : classes) {
            found += pages.getLongCardinality();
        }
        if (found == 0) {
            return NOTHING;
        }
        long failures = guard.failedForces();
        ImageWriter out = new ImageWriter(
                disk.create(temporary),
                guard.store().id(),
                frames.pageSize,
                file.cache.checksum,
                file.cache.incarnation,
                file.fileId,
                System.currentTimeMillis());
        writer = out;
        WriteSet written = guard.beginWriteSet();
        try {
            force();
            if (!copy(classes, written, out)) {
                return CANCELLED;
            }
            boolean times = strength == StoreVersion.Strength.HEURISTIC;
            for (int tries = 0; tries < SEAL_TRIES; tries++) {
                long writes = guard.writes();
                force();
                out.force();
                while (times && !guard.isQuiet() && goesOn.getAsBoolean()) {
                    LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(1));
                    if (guard.writes() != writes) {
                        break;
                    }
                }
                if (!goesOn.getAsBoolean()) {
                    return CANCELLED;
                }
                long forced = times ? writes : -1;
                boolean[] sealed = {false};
                // Mapped again meanwhile, the file would have another gate, and be written in spite of this one.
                use(() -> sealed[0] = guard.seal(forced, failures, () -> seal(out, written)));
                if (sealed[0]) {
                    return SEALED;
                }
            }
            return "the store is written without a pause of 25 ms: its image would not outlive the next write";
        } finally {
            guard.endWriteSet(written);
        }
    }

    /** I2, I4. */
    private void force() throws IOException {
        if (!quiescent) {
            use(() -> file.writeBack.force(guard));
        }
    }

    /** Something done to the file while nobody may close it. */
    private interface Use {
        void run() throws IOException;
    }

    @SuppressWarnings("ReferenceEquality") // a file that was closed and mapped again has another guard
    private void use(Use work) throws IOException {
        file.usage.readLock().lock();
        try {
            if (file.poison != null || (!quiescent && (file.backing() != guard))) {
                throw new CacheClosedException(file.name + " was closed");
            }
            work.run();
        } finally {
            file.usage.readLock().unlock();
        }
    }

    // ---- I3 --------------------------------------------------------------------------------------------------------

    private boolean copy(List<RoaringBitmap> classes, WriteSet written, ImageWriter out) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment stage = arena.allocate(frames.pageSize, BlockChecksum.BLOCK_SIZE);
            for (RoaringBitmap pages : classes) {
                PeekableIntIterator iterator = pages.getIntIterator();
                while (iterator.hasNext()) {
                    int count = 0;
                    boolean[] chunk = {false};
                    long[] batch = new long[BATCH];
                    while (count < BATCH && iterator.hasNext()) {
                        batch[count++] = Integer.toUnsignedLong(iterator.next());
                    }
                    int most = count;
                    use(() -> {
                        for (int i = 0; i < most; i++) {
                            int uses = copy(batch[i], written, stage);
                            if (uses >= 0) {
                                chunk[0] |= out.add(batch[i], record, uses, stage);
                                copied.add((int) batch[i]);
                            }
                        }
                    });
                    looked += count;
                    if (chunk[0]) {
                        told.run();
                    }
                    throttle.pay((long) count << frames.pageShift, goesOn);
                    if (!goesOn.getAsBoolean()) {
                        return false;
                    }
                }
            }
            return true;
        }
    }

    /** Copies a page and its record; returns its use count, or -1 if it is to be left out. */
    private int copy(long page, WriteSet written, MemorySegment stage) {
        long[] leaf = file.index.leaf(page);
        if (leaf == null) {
            return -1;
        }
        int slot = RadixIndex.slot(page);
        for (int tries = 0; tries < COPY_TRIES; tries++) {
            long word = TranslationWord.acquire(leaf, slot);
            long state = TranslationWord.state(word);
            int frame = TranslationWord.frame(word);
            boolean good;
            if (state == RESIDENT && !TranslationWord.isFlushing(word)) {
                if (!TranslationWord.cas(leaf, slot, word, word | TranslationWord.FLUSH)) {
                    continue;
                }
                try {
                    good = copyOwned(page, frame, written, stage);
                } finally {
                    file.writeBack.clearFlush(leaf, slot, page);
                }
            } else if (state == UNVERIFIED) {
                if (!TranslationWord.cas(leaf, slot, word, TranslationWord.withState(word, LOADING))) {
                    continue;
                }
                boolean kept = false;
                try {
                    kept = file.cache.recovery.validate(file, page, frame, FrameHistory.Check.IMAGE);
                    good = kept && copyOwned(page, frame, written, stage);
                } finally {
                    if (kept) {
                        TranslationWord.set(leaf, slot, word);
                        file.waiters.wake(page);
                    } else {
                        file.giveUp(leaf, slot, page, word, frame);
                    }
                }
            } else if (state == EMPTY || state == DETACHED || state == DEAD) {
                return -1;
            } else {
                Thread.onSpinWait();
                continue;
            }
            return good && isWhole(page, stage) ? TranslationWord.uses(word) : -1;
        }
        return -1;
    }

    /** With the word owned, or flushing: no write of the page is in flight, and none begins. */
    private boolean copyOwned(long page, int frame, WriteSet written, MemorySegment stage) {
        if (frames.dirtyBlocks[frame] != 0
                || !file.backend.readRecord(frame, record)
                || record.fileId != file.fileId
                || record.page != page
                || (record.state != FrameState.CLEAN && record.state != FrameState.WRITTEN)) {
            return false;
        }
        written.forget(page);
        stage.copyFrom(frames.slice(frame));
        return true;
    }

    /** Whether the copy is what the record says: corruption is not to be made good by a new check. */
    private boolean isWhole(long page, MemorySegment stage) {
        for (int b = 0; b < frames.blocksPerPage; b++) {
            long sum = file.cache.checksum.block(
                    stage, (long) b << 12, file.cache.incarnation, file.fileId, page, b, record.generation);
            if (sum != record.checksums[b]) {
                return false;
            }
        }
        return true;
    }

    // ---- I7 to I9 --------------------------------------------------------------------------------------------------

    private void seal(ImageWriter out, WriteSet written) throws IOException {
        long began = System.nanoTime();
        long cut = written.cut();
        RoaringBitmap voids = RoaringBitmap.and(written.pages(), copied);
        RoaringBitmap all = voids.clone();
        if (cut < RadixIndex.MAX_PAGES) {
            RoaringBitmap beyond = copied.clone();
            beyond.remove(0L, cut);
            all.or(beyond);
        }
        voided = all.getLongCardinality();
        if (voided == copied.getLongCardinality()) {
            throw new IOException("none of its pages was left unchanged in memory");
        }
        out.finish(guard.store().version(), guard.store().size(), cut, voids);
        guard.arm(target);
        disk.rename(temporary, target);
        Path directory = target.getParent();
        if (directory != null) {
            disk.forceDirectory(directory);
        }
        sealNanos = System.nanoTime() - began;
    }
}
