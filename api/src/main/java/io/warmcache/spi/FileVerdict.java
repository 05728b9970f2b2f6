/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.spi;

/**
 * What a back end knows of a file's store since it was last open.
 *
 * @param kind the verdict
 * @param detail the reason in a few words
 * @param canaryBlocks for {@link Kind#PROBE}: 4 KiB blocks of the file that were written last, none with a write in
 *     flight
 * @param canaryChecksums for {@link Kind#PROBE}: what {@link BlockChecksum#block} gave for each, with page = the
 *     block's number in the file, block 0 and generation 0; bytes past the end of the file count as zeros
 */
@SuppressWarnings("ArrayRecordComponent") // handed from back end to core once, never compared or kept as a value
public record FileVerdict(Kind kind, String detail, long[] canaryBlocks, long[] canaryChecksums) {
    /** What may be done with the file's frames. */
    public enum Kind {
        /** The ledger did not know the file. */
        NEW,
        /** The store is as the ledger left it. */
        SAME,
        /**
         * The owner died while writing and the store's version fits that: compare the canary, and frames, with the
         * store.
         */
        PROBE,
        /** The store was changed, or nothing can be said. */
        CHANGED
    }

    public FileVerdict(Kind kind, String detail) {
        this(kind, detail, new long[0], new long[0]);
    }
}
