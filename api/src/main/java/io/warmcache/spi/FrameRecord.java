/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.spi;

/** A copy of one frame's record, reused from call to call; see {@link FrameBackend#readRecord}. Not thread-safe. */
public final class FrameRecord {
    /** The state. */
    public FrameState state = FrameState.FREE;
    /** The ledger's number of the file. */
    public long fileId;
    /** The page in the file. */
    public long page;
    /** How often the frame was filled. */
    public int generation;
    /** The checksum of each block of the page; as many are set as a page has blocks. */
    public final long[] checksums = new long[16];

    /** An empty record. */
    public FrameRecord() {}
}
