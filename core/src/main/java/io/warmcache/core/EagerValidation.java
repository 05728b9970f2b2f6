/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import io.warmcache.CacheConfig;
import io.warmcache.spi.FrameRecord;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;

/**
 * M5b of {@code docs/internals.md}, section 8: validates all frames of a file that is about to be opened, in the order
 * of memory and on several threads, and makes their pages resident.
 */
final class EagerValidation {
    /** How many threads validate; as many as there are processors if it is not given. */
    private static final String OPTION_THREADS = "core.validationThreads";

    private static final int MOST_THREADS = 256;

    /** Frames that a thread takes at a time. */
    private static final int SHARE = 1024;

    /** Frames whose words are looked up together, so that the processor waits for many cache lines at a time. */
    private static final int BATCH = 64;

    private final CachedFile file;
    private final FrameTable frames;
    private final AtomicInteger next = new AtomicInteger();
    private volatile @Nullable Throwable failure;

    EagerValidation(CachedFile file) {
        this.file = file;
        frames = file.frames;
    }

    /**
     * The number of threads that a cache's options ask for.
     *
     * @throws IllegalArgumentException if that is no number, or out of range
     */
    static int threads(CacheConfig config) {
        String asked = config.options().get(OPTION_THREADS);
        int threads = 0;
        try {
            threads = asked == null ? Runtime.getRuntime().availableProcessors() : Integer.parseInt(asked);
        } catch (NumberFormatException e) {
            // said below, with the range
        }
        if (asked != null && (threads < 1 || threads > MOST_THREADS)) {
            throw new IllegalArgumentException(
                    "option " + OPTION_THREADS + " is \"" + asked + "\": it must be from 1 to " + MOST_THREADS);
        }
        return threads;
    }

    void run(int threads) {
        int[] found = found();
        int helpers = Math.min(threads, (found.length + SHARE - 1) / SHARE) - 1;
        List<Thread> all = new ArrayList<>(Math.max(0, helpers));
        try {
            for (int i = 0; i < helpers; i++) {
                Thread thread = file.cache.threads.make(
                        () -> work(found), "warmcache-validate-" + file.cache.config.name());
                all.add(thread);
                thread.start();
            }
        } catch (OutOfMemoryError e) {
            // no further thread to be had: fewer will do
        }
        try {
            work(found); // what fails in there is kept, and ends the others
        } finally {
            AttachScan.join(all);
        }
        Throwable failed = failure;
        if (failed != null) {
            throw CachedFile.sneaky(failed);
        }
        validateMissed();
    }

    /** The frames of the file's UNVERIFIED pages, in their order: that of the memory. */
    private int[] found() {
        BitSet found = new BitSet();
        file.index.forEachLeaf(0, (first, leaf) -> {
            for (int slot = 0; slot < RadixIndex.LEAF_SLOTS; slot++) {
                long word = TranslationWord.acquire(leaf, slot);
                if (TranslationWord.state(word) == TranslationWord.UNVERIFIED) {
                    found.set(TranslationWord.frame(word));
                }
            }
        });
        int[] frames = new int[found.cardinality()];
        int count = 0;
        for (int frame = found.nextSetBit(0); frame >= 0; frame = found.nextSetBit(frame + 1)) {
            frames[count++] = frame;
        }
        return frames;
    }

    private void work(int[] found) {
        try {
            Batch batch = new Batch();
            while (failure == null) {
                int from = next.getAndAdd(SHARE);
                if (from >= found.length) {
                    return;
                }
                int to = Math.min(from + SHARE, found.length);
                for (int at = from; at < to; at += BATCH) {
                    batch.validate(found, at, Math.min(at + BATCH, to));
                }
            }
        } catch (Throwable t) {
            failure = t;
        }
    }

    /** Frames that were moved meanwhile, or that the scrub, the evictor or a resize owned for a moment. */
    private void validateMissed() {
        FrameRecord record = new FrameRecord();
        file.index.forEachLeaf(0, (first, leaf) -> {
            for (int slot = 0; slot < RadixIndex.LEAF_SLOTS; slot++) {
                long deadline = CachedFile.NO_WAIT;
                while (true) {
                    long word = TranslationWord.acquire(leaf, slot);
                    long state = TranslationWord.state(word);
                    if (state == TranslationWord.UNVERIFIED) {
                        frames.countValidated(file.validateClosed(leaf, first + slot, word, record));
                    } else if (state == TranslationWord.LOADING || state == TranslationWord.EXCLUSIVE) {
                        deadline = deadline == CachedFile.NO_WAIT ? file.deadline() : deadline;
                        file.waiters.await(leaf, slot, first + slot, word, deadline);
                    } else {
                        break;
                    }
                }
            }
        });
    }

    /** What one thread needs. */
    private final class Batch {
        private final FrameRecord record = new FrameRecord();
        private final long[] pages = new long[BATCH];
        private final long[] @Nullable [] leaves = new long[BATCH] @Nullable [];
        private final long[] words = new long[BATCH];

        void validate(int[] found, int from, int to) {
            for (int i = from; i < to; i++) {
                // A guess, as nobody's word is owned: one that is wrong finds a word that names another frame.
                pages[i - from] = frames.pageOf[found[i]];
            }
            for (int i = 0; i < to - from; i++) {
                leaves[i] = file.index.leaf(pages[i]);
            }
            for (int i = 0; i < to - from; i++) {
                long[] leaf = leaves[i];
                words[i] = leaf == null
                        ? TranslationWord.EMPTY
                        : TranslationWord.acquire(leaf, RadixIndex.slot(pages[i]));
            }
            int validated = 0;
            try {
                for (int i = 0; i < to - from; i++) {
                    long[] leaf = leaves[i];
                    if (leaf != null
                            && TranslationWord.state(words[i]) == TranslationWord.UNVERIFIED
                            && TranslationWord.frame(words[i]) == found[from + i]) {
                        validated += file.validateClosed(leaf, pages[i], words[i], record);
                    }
                }
            } finally {
                frames.countValidated(validated);
            }
        }
    }
}
