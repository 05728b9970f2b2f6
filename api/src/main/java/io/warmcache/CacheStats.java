/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache;

/**
 * Counters since the cache was opened, and gauges of now. Read without a lock: values of one snapshot may be a moment
 * apart from each other.
 *
 * @param hits accesses served from memory by cursors, pins and bulk reads. Optimistic accesses through bare stamps are
 *     not counted, and a cursor's hits are added when it is closed or every 1,024 seeks
 * @param misses pages that had to be read from a store, because somebody wanted them or had them prefetched
 * @param readAhead pages read from a store before anybody asked for them, since their file was being read from front to
 *     back; not among the misses
 * @param readAheadUnused those of them that were evicted before anybody did
 * @param evictions frames given up for other pages
 * @param pagesWritten pages written to a store
 * @param blocksWritten 4 KiB blocks written to a store
 * @param bytesRead bytes read from stores
 * @param bytesWritten bytes written to stores
 * @param forces successful forces of a store
 * @param validated frames validated by checksum after the restart
 * @param validationFailures frames found since open whose bytes did not match the record, or whose record was damaged:
 *     dropped, read again, or given another record
 * @param writeFailures failed writes and forces
 * @param residentFrames frames that hold a page now
 * @param freeFrames frames that hold nothing now
 * @param dirtyPages pages with changes not yet written
 * @param dirtyBlocks 4 KiB blocks with changes not yet written
 */
public record CacheStats(
        long hits,
        long misses,
        long readAhead,
        long readAheadUnused,
        long evictions,
        long pagesWritten,
        long blocksWritten,
        long bytesRead,
        long bytesWritten,
        long forces,
        long validated,
        long validationFailures,
        long writeFailures,
        int residentFrames,
        int freeFrames,
        int dirtyPages,
        int dirtyBlocks) {

    /** Hits as a share of hits and misses; 0 when there were none. */
    public double hitRatio() {
        long all = hits + misses;
        return all == 0 ? 0 : (double) hits / all;
    }
}
