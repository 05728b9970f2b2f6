/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import org.jspecify.annotations.Nullable;

/**
 * How the readers of one mapping find leaves, and the base of the mapping itself so that this takes no further step: in
 * a single array for a file's first pages, through the whole of the tree for those behind. A lookup that has ended
 * finds nothing, so that the range check which every lookup makes tells a closed mapping as well, and a hit looks at
 * no flag for it.
 */
class PageLookup {
    private static final long[] @Nullable [] ENDED = {};

    /** Finds nothing: of a cursor that is closed, or that reads a page it has pinned. */
    static final PageLookup NONE = new PageLookup(new RadixIndex());

    static {
        NONE.endLookup();
    }

    private final RadixIndex index;
    private volatile long[] @Nullable [] near;

    PageLookup(RadixIndex index) {
        this.index = index;
        near = index.near;
    }

    /** The leaf of a page; null if there is none, or the mapping is closed. */
    final long @Nullable [] leaf(long page) {
        long[] @Nullable [] leaves = near;
        long number = page >>> RadixIndex.LEAF_BITS;
        // Read plainly: a leaf's words are zeros, which say EMPTY, or what is read of them with acquire.
        return number < leaves.length ? leaves[(int) number] : far(leaves, page);
    }

    private long @Nullable [] far(long[] @Nullable [] leaves, long page) {
        return leaves.length == 0 ? null : index.leaf(page);
    }

    final void endLookup() {
        near = ENDED;
    }
}
