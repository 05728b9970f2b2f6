/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import io.warmcache.CacheConfig;
import java.util.Objects;

/**
 * Where things lie in a segment; all of it follows from the first four components.
 *
 * <pre>
 *  offset         what                        bytes
 *  0              header copy A               4096, see {@link Header}
 *  4096           header copy B               4096
 *  8192           file table                  maxFiles * 2048, see {@link StoreJournal}
 *  framesOffset   frames                      frames * pageSize
 *  ledgerOffset   ledger                      frames * recordSize, see {@link Ledger}
 *  policyOffset   words of the replacement    8 * policyWords, any values: hints of the cache to its successor
 *                 policy
 * </pre>
 * The frames start at a multiple of 2 MiB in a segment of 64 MiB or more when it is formatted, so that huge pages can
 * back them, else of 4 KiB. They come first so that a segment can be given room for more without moving any of them.
 * The policy's words start at a multiple of 4 KiB.
 *
 * <p>Of the frames there is room for, the first ones exist, as many as the header says; the file has a hole between the
 * last of these and the ledger, rounded to the unit of the file system's storage.
 *
 * @param pageSize bytes of a frame
 * @param frames number of frames there is room for
 * @param maxFiles slots of the file table
 * @param framesOffset offset of the first frame
 * @param recordSize bytes of a ledger record
 * @param ledgerOffset offset of the first record
 * @param policyOffset offset of the policy's first word
 * @param length bytes in all
 */
record Geometry(
        int pageSize,
        int frames,
        int maxFiles,
        long framesOffset,
        int recordSize,
        long ledgerOffset,
        long policyOffset,
        long length) {
    static final long HEADER_SIZE = 4096;
    static final long TABLE_OFFSET = 2 * HEADER_SIZE;
    static final int MAX_FRAMES = 1 << 24;

    private static final long SMALL_PAGE = 4096;
    private static final long HUGE_PAGE = 2L << 20;
    private static final long HUGE_FROM = 64L << 20;

    static Geometry of(int pageSize, int frames, int maxFiles) {
        Geometry small = at(pageSize, frames, maxFiles, framesAt(maxFiles, SMALL_PAGE));
        return small.length >= HUGE_FROM ? at(pageSize, frames, maxFiles, framesAt(maxFiles, HUGE_PAGE)) : small;
    }

    /** What the policy of a cache with this many frames has use for: ghosts for half as many again, and 8 words. */
    private static int policyWords(int frames) {
        return frames + frames / 2 + 8;
    }

    int policyWords() {
        return policyWords(frames);
    }

    static Geometry of(CacheConfig config) {
        return of(config.pageSize(), config.maxFrames(), config.maxFiles());
    }

    private static long framesAt(int maxFiles, long unit) {
        return Layout.roundUp(TABLE_OFFSET + (long) maxFiles * StoreJournal.SLOT_SIZE, unit);
    }

    /** Of a header, which is to be checked: see {@link #isPlausible}. */
    static Geometry at(int pageSize, int frames, int maxFiles, long framesOffset) {
        int recordSize = (int) Layout.roundUp(Ledger.CHECKSUMS + 8L * (pageSize / Layout.BLOCK), 64);
        long ledger = framesOffset + (long) frames * pageSize;
        long policy = Layout.roundUp(ledger + (long) frames * recordSize, 4096);
        return new Geometry(
                pageSize,
                frames,
                maxFiles,
                framesOffset,
                recordSize,
                ledger,
                policy,
                policy + 8L * policyWords(frames));
    }

    /** This segment with room for another number of frames: what lies before the ledger stays where it is. */
    Geometry withRoom(int count) {
        return at(pageSize, count, maxFiles, framesOffset);
    }

    /** Whether the frames start where a formatting may have put them. */
    boolean isPlausible() {
        return framesOffset == framesAt(maxFiles, SMALL_PAGE) || framesOffset == framesAt(maxFiles, HUGE_PAGE);
    }

    /**
     * The room to take where {@code wanted} frames are wanted: no ledger of the old room may overlap one of the new, so
     * it may be a little more than wanted, or the present one where a smaller one would not differ enough.
     *
     * @param capacity frames that exist
     */
    int roomFor(int wanted, int capacity) {
        if (wanted > frames) {
            long least = frames + (length - ledgerOffset + pageSize - 1) / pageSize;
            return (int) Math.min(MAX_FRAMES, Math.max(wanted, least));
        }
        boolean fits = capacity <= wanted && withRoom(wanted).length <= ledgerOffset;
        return wanted < frames && fits ? wanted : frames;
    }

    /** Whether the ledgers of both rooms can exist at the same time. */
    boolean isApartFrom(Geometry other) {
        return other.ledgerOffset >= length || other.length <= ledgerOffset;
    }

    /** The length of the file that holds the segment, on a file system that allocates in {@code unit}s. */
    long fileLength(long unit) {
        return Layout.roundUp(length, unit);
    }

    /** Where the hole behind {@code capacity} frames starts; not before {@link #holeEnd} if there is none. */
    long holeStart(int capacity, long unit) {
        return Layout.roundUp(framesOffset + (long) capacity * pageSize, unit);
    }

    long holeEnd(long unit) {
        return ledgerOffset / unit * unit;
    }

    /** Bytes of the file that are backed by storage. */
    long backed(int capacity, long unit) {
        return fileLength(unit) - Math.max(0, holeEnd(unit) - holeStart(capacity, unit));
    }

    int blocks() {
        return pageSize / Layout.BLOCK;
    }

    /** The offset of a frame's record; a frame there is no room for has none, and is somebody's mistake. */
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
