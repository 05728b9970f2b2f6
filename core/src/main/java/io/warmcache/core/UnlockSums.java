/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import io.warmcache.spi.FrameRecord;

/**
 * The checksums of blocks with changes not yet written, taken when the writer unlatched them: what is written to a
 * store is compared with them, so that nothing reaches it that no writer stored ({@code docs/internals.md}, section
 * 14). On the heap, out of reach of what damages frames.
 */
final class UnlockSums {
    private final Cache cache;
    private final int blocks;
    private final long[] sums;

    UnlockSums(Cache cache) {
        this.cache = cache;
        blocks = cache.frames.blocksPerPage;
        sums = new long[Math.multiplyExact(cache.frames.frames, blocks)];
    }

    private long sum(FrameRecord record, int frame, int block) {
        return cache.checksum.block(
                cache.memory,
                ((long) frame << cache.frames.pageShift) + ((long) block << 12),
                cache.incarnation,
                record.fileId,
                record.page,
                block,
                record.generation);
    }

    /** The record as it must be: the key is the caller's, so that a damaged one shows. */
    private FrameRecord record(CachedFile file, int frame, long page) {
        FrameRecord record = new FrameRecord();
        var _ = cache.backend.readRecord(frame, record);
        record.fileId = file.fileId;
        record.page = page;
        return record;
    }

    /** By the owner of the page's word, before it is unlatched. */
    void take(CachedFile file, int frame, long page, int mask) {
        FrameRecord record = record(file, frame, page);
        for (int b = 0; b < blocks; b++) {
            if ((mask >>> b & 1) != 0) {
                sums[frame * blocks + b] = sum(record, frame, b);
            }
        }
    }

    /** The blocks among {@code mask}, all of them dirty, that are not as their writer left them. */
    int mismatches(CachedFile file, int frame, long page, int mask) {
        FrameRecord record = record(file, frame, page);
        int bad = 0;
        for (int b = 0; b < blocks; b++) {
            if ((mask >>> b & 1) != 0 && sums[frame * blocks + b] != sum(record, frame, b)) {
                bad |= 1 << b;
            }
        }
        return bad;
    }

    /** Those of a run, for the back end. */
    long[] of(int[] run, int count) {
        long[] of = new long[count * blocks];
        for (int i = 0; i < count; i++) {
            System.arraycopy(sums, run[i] * blocks, of, i * blocks, blocks);
        }
        return of;
    }
}
