/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import org.roaringbitmap.RoaringBitmap;

/**
 * The pages of one file that are dirty, and those whose bytes in the store are not forced yet ({@code
 * docs/internals.md}, section 6). Thread-safe. Page numbers are unsigned 32-bit.
 */
final class PageSets {
    private static final long NONE = Long.MAX_VALUE;

    private final RoaringBitmap dirty = new RoaringBitmap();
    private RoaringBitmap unforced = new RoaringBitmap();
    private RoaringBitmap forcing = new RoaringBitmap();

    /** Unforced pages that left the memory and were read again: what was written to them is not known any more. */
    private final RoaringBitmap reread = new RoaringBitmap();

    /** Pages from here on were cut since the last force, so what the store has of them now is not forced. */
    private long cut = NONE;

    private long forcingCut = NONE;

    /** A write could not be entered in {@link #unforced} for want of memory: a force that fails may lose it. */
    private boolean untracked;

    private boolean forcingUntracked;

    /** Forces that failed so far. */
    private int failedForces;

    /** Pages read since, for which that is the only reason: a force makes them good, but loses nothing if it fails. */
    private RoaringBitmap readBehindCut = new RoaringBitmap();

    private RoaringBitmap forcingReads = new RoaringBitmap();

    synchronized void dirty(long page) {
        dirty.add((int) page);
    }

    /**
     * The page is no longer dirty, since it was written (then it is unforced) or dropped. Does not throw: the caller is
     * in the middle of a publication.
     */
    synchronized void written(long page, boolean toStore) {
        try {
            dirty.remove((int) page);
        } catch (OutOfMemoryError e) {
            untracked |= toStore; // it stays in the set, and whoever writes the set finds nothing to write
        }
        if (toStore) {
            maybeWritten(page);
        }
    }

    synchronized int failedForces() {
        return failedForces;
    }

    /**
     * As {@link #written(long, boolean)}, for a page that the store took since {@link #failedForces} was {@code
     * before}.
     *
     * @return false, and the page stays dirty, if a force has failed since
     */
    synchronized boolean written(long page, int before) {
        if (failedForces != before) {
            maybeWritten(page);
            return false;
        }
        written(page, true);
        return true;
    }

    /**
     * A force failed. Returns what it may have lost: also what was written since it began, since the store may have
     * tried to make that durable, too, and tells of a failure once.
     */
    synchronized RoaringBitmap forceFailed() {
        failedForces++;
        return RoaringBitmap.or(forcing, unforced);
    }

    /** A write of the page failed: the store may hold any part of it, and what it holds is not forced. */
    synchronized void maybeWritten(long page) {
        try {
            unforced.add((int) page);
        } catch (OutOfMemoryError e) {
            untracked = true;
            cut = Math.min(cut, page); // needs no memory, and says the same of more pages than this one
        }
    }

    /** Whether a force that failed may have lost a write that nobody knows of. */
    synchronized boolean forcesUntracked() {
        return forcingUntracked || untracked;
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

    /** Notes that pages are being read from the store. Bit i: what is read of {@code first + i} is not forced. */
    synchronized long refill(long first, int count) {
        long oldest = Math.min(cut, forcingCut);
        boolean isAllForced = oldest == NONE && unforced.isEmpty() && forcing.isEmpty();
        if (isAllForced || Mutation.REFILL_OF_UNFORCED_IS_CLEAN.isOn()) {
            return 0;
        }
        long mask = 0;
        for (int i = 0; i < count; i++) {
            long page = first + i;
            if (unforced.contains((int) page) || forcing.contains((int) page)) {
                reread.add((int) page);
                mask |= 1L << i;
            } else if (page >= oldest) {
                readBehindCut.add((int) page);
                mask |= 1L << i;
            }
        }
        return mask;
    }

    /** S2: what was written so far is being forced from now on. Returns the pages that are forced when that is done. */
    synchronized RoaringBitmap startForce() {
        forcing = unforced;
        unforced = new RoaringBitmap();
        forcingCut = cut;
        cut = NONE;
        forcingUntracked = untracked;
        untracked = false;
        forcingReads = readBehindCut;
        readBehindCut = new RoaringBitmap();
        return RoaringBitmap.or(forcing, forcingReads);
    }

    synchronized boolean anyUnforced() {
        return cut != NONE || !unforced.isEmpty();
    }

    /** Whether the page was changed in the store since S2. */
    synchronized boolean writtenAgain(long page) {
        return page >= cut || unforced.contains((int) page);
    }

    /** Whether a write to the page since the last good force may be neither in the store nor in memory. */
    synchronized boolean mayBeLost(long page) {
        return reread.contains((int) page);
    }

    /** S5, or on failure: what was being forced is unforced as before. */
    synchronized void endForce(boolean success) {
        if (success) {
            reread.and(unforced);
        } else {
            unforced.or(forcing);
            untracked |= forcingUntracked;
            cut = Math.min(cut, forcingCut);
            readBehindCut.or(forcingReads);
        }
        forcing = new RoaringBitmap();
        forcingCut = NONE;
        forcingUntracked = false;
        forcingReads = new RoaringBitmap();
    }

    /** The pages from {@code first} on are no longer part of the file; the one before may have been cut into. */
    synchronized void truncate(long boundary, long first) {
        cut = Math.min(cut, boundary);
        if (first < RadixIndex.MAX_PAGES) {
            dirty.remove(first, RadixIndex.MAX_PAGES);
            unforced.remove(first, RadixIndex.MAX_PAGES);
            forcing.remove(first, RadixIndex.MAX_PAGES);
            readBehindCut.remove(first, RadixIndex.MAX_PAGES);
            forcingReads.remove(first, RadixIndex.MAX_PAGES);
            reread.remove(first, RadixIndex.MAX_PAGES);
        }
    }

    synchronized void clear() {
        dirty.clear();
        unforced.clear();
        forcing = new RoaringBitmap();
        reread.clear();
        untracked = false;
        forcingUntracked = false;
        cut = NONE;
        forcingCut = NONE;
        readBehindCut.clear();
        forcingReads = new RoaringBitmap();
    }
}
