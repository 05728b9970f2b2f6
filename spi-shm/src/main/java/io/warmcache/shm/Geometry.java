/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import io.warmcache.CacheConfig;
import java.util.Objects;

/**
 * Where things lie in a segment; all of it follows from the first three components.
 *
 * <pre>
 *  offset         what                        bytes
 *  0              header copy A               4096, see {@link Header}
 *  4096           header copy B               4096
 *  8192           file table                  maxFiles * 2048, see {@link StoreJournal}
 *  ledgerOffset   ledger                      frames * recordSize, see {@link Ledger}
 *  policyOffset   words of the replacement    8 * policyWords, any values: hints of the cache to its successor
 *                 policy
 *  framesOffset   frames                      frames * pageSize
 * </pre>
 * The ledger and the policy's words start at a multiple of 4 KiB; the frames at one of 2 MiB in a segment of 64 MiB or
 * more, so that huge pages can back them, else of 4 KiB.
 *
 * @param pageSize bytes of a frame
 * @param frames number of frames
 * @param maxFiles slots of the file table
 * @param recordSize bytes of a ledger record
 * @param ledgerOffset offset of the first record
 * @param policyOffset offset of the policy's first word
 * @param framesOffset offset of the first frame
 * @param length bytes in all
 */
record Geometry(
        int pageSize,
        int frames,
        int maxFiles,
        int recordSize,
        long ledgerOffset,
        long policyOffset,
        long framesOffset,
        long length) {
    static final long HEADER_SIZE = 4096;
    static final long TABLE_OFFSET = 2 * HEADER_SIZE;

    private static final long HUGE_PAGE = 2L << 20;
    private static final long HUGE_FROM = 64L << 20;

    static Geometry of(int pageSize, int frames, int maxFiles) {
        int blocks = pageSize / Layout.BLOCK;
        int recordSize = (int) Layout.roundUp(Ledger.CHECKSUMS + 8L * blocks, 64);
        long ledger = Layout.roundUp(TABLE_OFFSET + (long) maxFiles * StoreJournal.SLOT_SIZE, 4096);
        long policy = Layout.roundUp(ledger + (long) frames * recordSize, 4096);
        long end = policy + 8L * policyWords(frames);
        long bytes = (long) frames * pageSize;
        long start = Layout.roundUp(end, end + bytes >= HUGE_FROM ? HUGE_PAGE : 4096);
        return new Geometry(pageSize, frames, maxFiles, recordSize, ledger, policy, start, start + bytes);
    }

    /** What the policy of a cache with this many frames has use for: ghosts for half as many again, and 8 words. */
    private static int policyWords(int frames) {
        return frames + frames / 2 + 8;
    }

    int policyWords() {
        return policyWords(frames);
    }

    static Geometry of(CacheConfig config) {
        return of(config.pageSize(), config.frames(), config.maxFiles());
    }

    /** The length of the file that holds the segment, on a file system that allocates in {@code unit}s. */
    long fileLength(long unit) {
        return Layout.roundUp(length, unit);
    }

    int blocks() {
        return pageSize / Layout.BLOCK;
    }

    /** The offset of a frame's record; a frame that does not exist has none, and is somebody's mistake. */
    long record(int frame) {
        return ledgerOffset + (long) Objects.checkIndex(frame, frames) * recordSize;
    }

    /** The offset of one of the policy's words. */
    long policyWord(int index) {
        return policyOffset + 8L * Objects.checkIndex(index, policyWords());
    }

    long slot(int index) {
        return TABLE_OFFSET + (long) index * StoreJournal.SLOT_SIZE;
    }
}
