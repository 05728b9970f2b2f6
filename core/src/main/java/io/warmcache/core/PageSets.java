/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import org.roaringbitmap.RoaringBitmap;

/**
 * The pages of one file that are dirty, and those that were written and not forced yet ({@code docs/internals.md},
 * section 6). Thread-safe. Page numbers are unsigned 32-bit.
 */
final class PageSets {
    private final RoaringBitmap dirty = new RoaringBitmap();
    private RoaringBitmap unforced = new RoaringBitmap();
    private RoaringBitmap forcing = new RoaringBitmap();

    synchronized void dirty(long page) {
        dirty.add((int) page);
    }

    /** The page is no longer dirty, since it was written (then it is unforced) or dropped. */
    synchronized void written(long page, boolean toStore) {
        dirty.remove((int) page);
        if (toStore) {
            unforced.add((int) page);
        }
    }

    synchronized RoaringBitmap dirtyPages() {
        return dirty.clone();
    }

    synchronized int dirtyCount() {
        return dirty.getCardinality();
    }

    /** The first dirty page at or after {@code page}, or -1. */
    synchronized long nextDirty(long page) {
        return dirty.nextValue((int) page);
    }

    /** Bit i: page {@code first + i} has blocks that were written and not forced. */
    synchronized long unforcedMask(long first, int count) {
        if (unforced.isEmpty() && forcing.isEmpty()) {
            return 0;
        }
        long mask = 0;
        for (int i = 0; i < count; i++) {
            int page = (int) (first + i);
            if (unforced.contains(page) || forcing.contains(page)) {
                mask |= 1L << i;
            }
        }
        return mask;
    }

    /** S2: what was written so far is being forced from now on. */
    synchronized RoaringBitmap startForce() {
        forcing = unforced;
        unforced = new RoaringBitmap();
        return forcing.clone();
    }

    synchronized boolean anyUnforced() {
        return !unforced.isEmpty();
    }

    synchronized boolean writtenAgain(long page) {
        return unforced.contains((int) page);
    }

    /** S5, or on failure: what was being forced is unforced as before. */
    synchronized void endForce(boolean success) {
        if (!success) {
            unforced.or(forcing);
        }
        forcing = new RoaringBitmap();
    }

    /** The pages from {@code first} on are no longer part of the file. */
    synchronized void truncate(long first) {
        dirty.remove(first, RadixIndex.MAX_PAGES);
        unforced.remove(first, RadixIndex.MAX_PAGES);
        forcing.remove(first, RadixIndex.MAX_PAGES);
    }

    synchronized void clear() {
        dirty.clear();
        unforced.clear();
        forcing = new RoaringBitmap();
    }
}
