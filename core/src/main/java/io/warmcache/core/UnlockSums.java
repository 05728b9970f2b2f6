/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import io.warmcache.spi.FrameRecord;
import java.lang.foreign.MemorySegment;

/**
 * The checksums of blocks with changes not yet written, taken when the writer unlatched them: what is written to a
 * store is compared with them, so that nothing reaches it that no writer stored ({@code docs/internals.md}, section
 * 14). On the heap, out of reach of what damages frames.
 */
final class UnlockSums {
    private final Cache cache;
    private final int blocks;
    private final long[] sums;

    /** Of each frame's record when its first sums were taken; a page with changes stays in its frame. */
    private final int[] generations;

    UnlockSums(Cache cache) {
        this.cache = cache;
        blocks = cache.frames.blocksPerPage;
        sums = new long[Math.multiplyExact(cache.frames.frames, blocks)];
        generations = new int[cache.frames.frames];
    }

    /** The key is the caller's and the generation that of {@link #begin}, so that a damaged record does not matter. */
    private long sum(CachedFile file, int frame, long page, int block, MemorySegment bytes) {
        return cache.checksum.block(
                bytes, (long) block << 12, cache.incarnation, file.fileId, page, block, generations[frame]);
    }

    /** By the owner of the page's word, once its frame has a record of its own with nothing dirty in it, or another. */
    void begin(int frame) {
        FrameRecord record = new FrameRecord();
        var _ = cache.backend.readRecord(frame, record);
        generations[frame] = record.generation;
    }

    /** By the owner of the page's word, before it is unlatched. */
    void take(CachedFile file, int frame, long page, int mask) {
        take(file, frame, page, mask, cache.frames.readOnly(frame));
    }

    /** The same, of bytes that the page is to have. */
    void take(CachedFile file, int frame, long page, int mask, MemorySegment bytes) {
        for (int b = 0; b < blocks; b++) {
            if ((mask >>> b & 1) != 0) {
                sums[frame * blocks + b] = sum(file, frame, page, b, bytes);
            }
        }
    }

    /** Whether this is the generation under which the blocks of a frame were taken. */
    boolean isOf(int frame, int generation) {
        return generations[frame] == generation;
    }

    /** The blocks among {@code mask}, all of them dirty, that are not as their writer left them. */
    int mismatches(CachedFile file, int frame, long page, int mask) {
        return mismatches(file, frame, page, mask, cache.frames.readOnly(frame));
    }

    /** The same, of a copy of the page. */
    int mismatches(CachedFile file, int frame, long page, int mask, MemorySegment bytes) {
        int bad = 0;
        for (int b = 0; b < blocks; b++) {
            if ((mask >>> b & 1) != 0 && sums[frame * blocks + b] != sum(file, frame, page, b, bytes)) {
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
