/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static io.warmcache.core.TranslationWord.EMPTY;
import static io.warmcache.core.TranslationWord.LOADING;
import static io.warmcache.core.TranslationWord.RESIDENT;

import io.warmcache.RecoveryReport;
import io.warmcache.core.GuardedFile.WriteSet;
import io.warmcache.core.image.DamagedImageException;
import io.warmcache.core.image.ImageReader;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;

/**
 * An image found when its file was mapped: refused, or restored by P1 to P7 of {@code docs/internals.md}, section 12.
 */
final class ImageRestore extends WarmUpJob {
    private static final int MOST_REASONS = 8;

    private final Path path;
    private final boolean accepted;
    private final long pages;
    private final AtomicLong restored = new AtomicLong();
    private final AtomicLong damaged = new AtomicLong();
    private final AtomicLong skipped = new AtomicLong();
    private final List<String> reasons = new ArrayList<>();
    private @Nullable ImageReader reader;
    private volatile boolean finished;
    private final @Nullable WriteSet written;

    /**
     * An image.
     *
     * @param reader null if it cannot be read; closed by {@link #finish}
     * @param refusal why it is not restored; empty if it is
     */
    ImageRestore(
            Images owner,
            CachedFile file,
            GuardedFile guard,
            Path path,
            @Nullable ImageReader reader,
            String refusal) {
        super(owner, file, guard);
        this.path = path;
        this.reader = reader;
        accepted = refusal.isEmpty();
        pages = reader == null ? 0 : reader.pages();
        written = accepted ? guard.beginWriteSet() : null;
        if (!accepted) {
            reasons.add(refusal);
        }
    }

    RecoveryReport.ImageRecovery report() {
        String verdict;
        synchronized (reasons) {
            verdict = String.join("; ", reasons);
        }
        return new RecoveryReport.ImageRecovery(
                file.name, path, accepted, verdict, pages, restored.get(), damaged.get(), skipped.get());
    }

    /** Whether it was not restored as far as it can be. */
    boolean isUnfinished() {
        return accepted && !finished;
    }

    private void damaged(DamagedImageException why, long count) {
        damaged(String.valueOf(why.getMessage()), count);
    }

    private void damaged(String why, long count) {
        damaged.addAndGet(count);
        synchronized (reasons) {
            if (reasons.size() < MOST_REASONS) {
                reasons.add(why);
            }
        }
    }

    @Override
    void run() throws IOException {
        ImageReader image = reader;
        WriteSet set = written;
        if (image == null || set == null) {
            return;
        }
        for (int chunk = 0; chunk < image.chunks() && goesOn(); chunk++) {
            if (!restore(image, set, chunk)) {
                return;
            }
        }
        finished = goesOn();
    }

    /** Returns false when the file is closed. */
    private boolean restore(ImageReader image, WriteSet set, int chunk) throws IOException {
        int count;
        try {
            count = image.readTable(chunk);
        } catch (DamagedImageException e) {
            damaged(e, image.pagesOf(chunk));
            return true;
        }
        boolean wanted = false;
        for (int i = 0; i < count && !wanted; i++) {
            wanted = !image.isVoid(image.page(i)) && isEmpty(image.page(i));
        }
        if (!wanted) {
            skipped.addAndGet(count);
            owner.present.add(count);
            return true;
        }
        if (owner.cache.frames.freeCount() == 0) {
            skipped.addAndGet(count);
            owner.noFrame.add(count);
            return true;
        }
        try {
            image.readPages();
        } catch (DamagedImageException e) {
            damaged(e, count);
            return true;
        }
        for (int from = 0; from < count && goesOn(); from += BATCH) {
            int first = from;
            int end = Math.min(count, from + BATCH);
            boolean open = use(() -> {
                for (int i = first; i < end; i++) {
                    restorePage(image, set, i);
                }
            });
            if (!open) {
                return false;
            }
            pay(end - first);
        }
        return true;
    }

    private boolean isEmpty(long page) {
        long[] leaf = file.index.leaf(page);
        return leaf == null
                || TranslationWord.state(TranslationWord.acquire(leaf, RadixIndex.slot(page))) == EMPTY;
    }

    private void restorePage(ImageReader image, WriteSet set, int i) {
        long page = image.page(i);
        if (!image.isVoid(page) && !image.isIntact(i)) {
            damaged("page " + page + " does not match its checksums", 1);
        } else if (!image.isVoid(page) && put(set, page, image.uses(i), image.bytes(i))) {
            restored.incrementAndGet();
            owner.restored.increment();
            owner.bytes.add(file.pageSize);
        } else {
            skipped.incrementAndGet();
        }
    }

    /** P3 to P7. The caller holds the file's usage lock. */
    private boolean put(WriteSet set, long page, int uses, MemorySegment bytes) {
        if (page >= file.pages()) {
            return false;
        }
        long[] leaf = file.index.leafOrCreate(page);
        int slot = RadixIndex.slot(page);
        long word = TranslationWord.acquire(leaf, slot);
        if (TranslationWord.state(word) != EMPTY
                || !TranslationWord.cas(leaf, slot, word, TranslationWord.of(word, LOADING, 0))) {
            owner.present.increment();
            return false;
        }
        if (file.admit(leaf, slot, page, word, CachedFile.NO_WAIT, false) == null) {
            return false;
        }
        FrameTable frames = file.frames;
        int frame = -1;
        boolean published = false;
        try {
            if (set.contains(page)) {
                return false;
            }
            frame = frames.tryTakeFree(CachedFile.keyHash(file.fileId, page));
            if (frame < 0) {
                owner.noFrame.increment();
                return false;
            }
            guard.blank(page, frame);
            frames.slice(frame).copyFrom(bytes);
            guard.seal(page, frame, frames.allBlocks);
            file.backend.forced(frame);
            frames.assign(frame, file, leaf, page);
            frames.history.arrived(frame, FrameHistory.FROM_IMAGE);
            long resident = TranslationWord.of(word, RESIDENT, frame);
            file.publish(leaf, slot, page, TranslationWord.withUses(resident, uses & TranslationWord.MAX_USE));
            published = true;
            return true;
        } finally {
            if (!published) {
                file.giveUp(leaf, slot, page, word, frame);
            }
        }
    }

    @Override
    void finish() {
        ImageReader image = reader;
        reader = null;
        if (image != null) {
            try {
                image.close();
            } catch (IOException e) {
                System.getLogger("io.warmcache").log(System.Logger.Level.DEBUG, "closing " + path, e);
            }
        }
        WriteSet set = written;
        if (set != null) {
            guard.endWriteSet(set);
        }
    }
}
