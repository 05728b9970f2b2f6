/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

/**
 * Takes leaves out of a file's index that hold nothing any more (section 5 of {@code docs/internals.md}): an index
 * grows with the pages that were touched, and is to stay as large as the resident ones need. {@link Maintenance} says
 * when.
 */
final class IndexSweep {
    /** Leaves owned at once, whose readers wait meanwhile, for one step of the epoch. */
    private static final int BATCH = 256;

    /** Leaves looked at while some are owned: a long index must not keep their readers waiting. */
    private static final int WALK = 4096;

    private final CachedFile file;

    /** Leaves that the last sweep left. */
    private volatile int left;

    IndexSweep(CachedFile file) {
        this.file = file;
    }

    int left() {
        return left;
    }

    /** Takes every leaf out that holds nothing, and that nobody else is at work on. */
    synchronized void run() {
        Batch batch = new Batch(file);
        try {
            file.index.forEachLeaf(0, batch::add);
        } finally {
            batch.bury();
        }
        left = file.index.leaves();
    }

    /** Leaves that are owned. All it needs is there before the first one is. */
    private static final class Batch {
        private final CachedFile file;
        private final long[] firstPages = new long[BATCH];
        private final long[][] leaves = new long[BATCH][];
        private int count;
        private int passed;

        Batch(CachedFile file) {
            this.file = file;
        }

        void add(long firstPage, long[] leaf) {
            passed++;
            if (RadixIndex.isEmpty(leaf)) {
                if (RadixIndex.own(leaf)) {
                    firstPages[count] = firstPage;
                    leaves[count++] = leaf;
                } else {
                    file.wakeLeaf(firstPage);
                }
            }
            if (count == BATCH || (count > 0 && passed >= WALK)) {
                bury();
            }
        }

        void bury() {
            if (count > 0) {
                file.epoch.raise();
            }
            while (count > 0) {
                count--;
                file.index.bury(firstPages[count], leaves[count]);
                file.wakeLeaf(firstPages[count]);
            }
            passed = 0;
        }
    }
}
