/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

/**
 * Takes leaves out of a file's index that hold nothing any more (section 5 of {@code docs/internals.md}): an index
 * grows with the pages that were touched, and is to stay as large as the resident ones need. As a collector does, it
 * waits until there are twice as many leaves as the last time left, so a sweep costs each leaf that was made since a
 * look or two.
 */
final class IndexSweep {
    /** Fewer leaves are no trouble: half a MiB. */
    static final int SLACK = 1024;

    /** Leaves owned at once, whose readers wait meanwhile, for one step of the epoch. */
    private static final int BATCH = 256;

    private final CachedFile file;

    /** Leaves that the last sweep left. */
    private int left;

    IndexSweep(CachedFile file) {
        this.file = file;
    }

    /** Sweeps if that is due. */
    void runIfDue() {
        if (file.index.leaves() > 2L * left + SLACK) {
            run();
        }
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

        Batch(CachedFile file) {
            this.file = file;
        }

        void add(long firstPage, long[] leaf) {
            if (RadixIndex.own(leaf)) {
                firstPages[count] = firstPage;
                leaves[count++] = leaf;
                if (count == BATCH) {
                    bury();
                }
            } else {
                file.wakeLeaf(firstPage);
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
        }
    }
}
