/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import org.jspecify.annotations.Nullable;

/**
 * Rules of the protocols that a test breaks on purpose, to see the break caught. Possible only in a virtual machine
 * started with {@code -Dwarmcache.core.breakable=true}; in any other {@link #isOn} is a constant that costs nothing.
 */
enum Mutation {
    /** A frame found in memory, or written to, is taken for good without a look at its checksums. */
    CHECKSUM_NOT_COMPARED,
    /** A block is announced dirty without comparing what it held before (W4). */
    OLD_CHECKSUM_NOT_COMPARED,
    /** A store that changed while the cache was down keeps its frames. */
    STORE_CHANGE_IGNORED,
    /** The last writes are not compared with a store whose version is in doubt. */
    CANARY_SKIPPED,
    /** Frames of pages past the store's end are kept. */
    PAST_END_KEPT,
    /** Of two records of one page one is kept. */
    DUPLICATES_NOT_DROPPED,
    /** What was written is kept although the fsync at map failed. */
    WRITTEN_KEPT_AFTER_FAILED_FSYNC,
    /** Evicting leaves the record as it was (E4). */
    NO_FREE_ON_EVICT,
    /** A frame with dirty blocks is evicted. */
    DIRTY_EVICTED,
    /** A frame that a reader pins is evicted. */
    PINNED_EVICTED,
    /** Evicting starts the page's version again (E5). */
    VERSION_RESTARTS_ON_EVICT,
    /** A reader does not compare the wrap epoch (R6). */
    WRAP_EPOCH_NOT_COMPARED,
    /** An exception thrown by a reader of bytes that turned out invalid reaches the caller. */
    GARBAGE_EXCEPTION_RETHROWN,
    /** A leaf leaves the tree with words that can still be loaded (T9). */
    LEAF_NOT_DEAD,
    /** Bytes reach a frame whose record does not say DIRTY yet, as without the fence between the two (W3). */
    DIRTY_NOT_RECORDED,
    /** A write-back takes no notice of a writer's latch (B1). */
    LATCH_ELIDED,
    /** A page that is overwritten as a whole is put into a frame whose record was not begun. */
    RECORD_NOT_INITIALISED,
    /** Of a page's dirty blocks the first is written, and the page counts as written (B2, B3). */
    WRITE_BACK_TORN,
    /** A page is written as a whole while another thread loads it. */
    WRITE_RACES_A_FAULT,
    /** A page can be latched while it is written back (B1). */
    WRITE_BACK_NOT_EXCLUDING_WRITERS,
    /** A write-back that failed leaves the page clean (B3). */
    FAILED_WRITE_LEAVES_CLEAN,
    /** What a failed write-through wrote stays readable (W7). */
    FAILED_WRITE_THROUGH_STAYS,
    /** A failed fsync leaves clean what it may have lost. */
    FAILED_FORCE_LEAVES_CLEAN,
    /** A page written while its fsync ran counts as forced (S4). */
    WRITTEN_AGAIN_COUNTS_AS_FORCED,
    /** A block that was written and not forced is read again as if it were forced. */
    REFILL_OF_UNFORCED_IS_CLEAN,
    /** A failed write that lengthened the store leaves it longer. */
    FAILED_EXTENSION_NOT_CUT_BACK,
    /** The boundary page of a truncate is DIRTY only after the store was cut (T5 after T6). */
    BOUNDARY_DIRTY_AFTER_TRUNCATE,
    /** The boundary page keeps what was cut off (T8). */
    TAIL_NOT_ZEROED,
    /** A page is loaded behind a truncate under way (F2). */
    LOAD_BEHIND_TRUNCATE,
    /** A truncate frees the frames of pages that readers pin (T4). */
    PINNED_FREED_BY_TRUNCATE;

    private static final boolean BREAKABLE = Boolean.getBoolean("warmcache.core.breakable");

    private static volatile @Nullable Mutation on;

    /** Breaks one rule, or none. Has no effect in a virtual machine that is not breakable. */
    static void turnOn(@Nullable Mutation mutation) {
        on = mutation;
    }

    /** Whether the rule is broken. */
    @SuppressWarnings("ReferenceEquality") // an enum
    boolean isOn() {
        return BREAKABLE && on == this;
    }
}
