/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.spi;

import io.warmcache.BackingStore;
import java.io.IOException;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * One file of the ledger and the only way from its store to frames and back. Runs are of consecutive pages, at most
 * {@link #MAX_RUN}; block masks have bit {@code b} for block {@code b} of the page.
 *
 * <p>All I/O is synchronous: no verb returns or throws while the store may still touch a frame.
 */
public interface BackendFile {
    /** The most pages of one {@link #fill} or {@link #writeBack}. */
    int MAX_RUN = 64;

    /** The ledger's number of the file, positive, never used for another. */
    long fileId();

    BackingStore store();

    /** What the ledger knew when the file was opened. */
    FileVerdict verdict();

    /**
     * Says that the gates are passed (frames kept or dropped), after the store has been forced: from here on the
     * store's present version is the one that counts. Called once, before any fill or write.
     */
    void accept() throws IOException;

    /**
     * {@code FREE} to {@code FILLING}, reads pages from the store, zeroes what lies past {@code size}, checksums, to
     * {@code CLEAN} or {@code WRITTEN}. When this throws, each frame is {@code FREE} or {@code FILLING} and must be
     * released.
     *
     * @param count from 0 to {@link #MAX_RUN}, here and below; {@link IndexOutOfBoundsException} otherwise
     * @param size the file's present length in bytes
     * @param writtenMask bit {@code i} set: page {@code firstPage + i} holds blocks that were written and not forced
     *     yet
     */
    void fill(long firstPage, int[] frames, int count, long size, long writtenMask) throws IOException;

    /** Told by {@link #fillRuns} of each run as it ends. Throws nothing. */
    @FunctionalInterface
    interface RunFilled {
        /**
         * A run's frames are {@code CLEAN} or {@code WRITTEN}, and the caller's; or, if it failed, {@code FREE} or
         * {@code FILLING}, and must be released.
         *
         * @param run its index in the arrays
         * @param failure what {@link #fill} of it would have thrown, or null
         */
        void ended(int run, @Nullable Throwable failure);

        /**
         * Asked, in the calling thread, before a further run is begun: whether those that were not begun are wanted
         * still. If not they are left out.
         */
        default boolean goesOn() {
            return true;
        }
    }

    /**
     * How many runs one call of {@link #fillRuns} would read at once now; 1 if it would read one after the other, so
     * that a caller with threads to spare had better call {@link #fill} from each of them. Only a hint.
     */
    default int runsAtOnce() {
        return 1;
    }

    /**
     * As {@link #fill} of each of several runs, in any order or together. {@code told} is called in the calling thread,
     * once for each run when it has ended, be it that others have not: a run that fails, fails alone. Runs may be left
     * out: those that are not wanted any more, and all of them where none can be read together with another one now.
     * When this returns or throws, runs that were not told are {@code FREE} or {@code FILLING} and must be released; if
     * it returns they may be filled again, one by one.
     *
     * @param runs from 0 up; the arrays are at least as long, and are not changed by anybody during the call
     * @param counts pages of each run, which are no other run's
     */
    default void fillRuns(
            int runs,
            long[] firstPages,
            int[][] frames,
            int[] counts,
            long[] writtenMasks,
            long size,
            RunFilled told)
            throws IOException {
        Objects.checkIndex(runs, firstPages.length + 1);
        Objects.requireNonNull(told, "told");
        for (int i = 0; i < runs && told.goesOn(); i++) {
            Throwable failure = null;
            try {
                fill(firstPages[i], frames[i], counts[i], size, writtenMasks[i]);
            } catch (Throwable t) {
                failure = t;
            }
            told.ended(i, failure);
        }
    }

    /**
     * Reads single blocks of a {@code DIRTY} or {@code FILLING} frame again from the store, into the frame. The record
     * stays as it is.
     *
     * @throws IllegalStateException as {@link #writeBack}
     */
    void refill(long page, int frame, int blockMask, long size) throws IOException;

    /**
     * {@code FREE} to {@code FILLING} for a page that is not read but written as a whole; zeroes the frame; to
     * {@code DIRTY}.
     */
    void blank(long page, int frame);

    /**
     * Writes the given blocks of {@code DIRTY} frames to the store, nothing past {@code size}, records their checksums
     * (those of other blocks stay), to {@code WRITTEN}. When this throws every frame of the run stays {@code DIRTY}.
     *
     * @param blockMasks the blocks to write, by page of the run
     * @param size the file's length in bytes, the bytes to be written included
     * @throws IllegalStateException if a record is not that of its page in this state, as after a wild write: nothing
     *     was done then, and {@link FrameBackend#readRecord} tells which it is, for the cache to make it anew
     */
    void writeBack(long firstPage, int[] frames, int[] blockMasks, int count, long size) throws IOException;

    /**
     * As {@link #writeBack}, but only of bytes with these checksums: what is written is what was compared, so that a
     * frame that is damaged meanwhile damages no store.
     *
     * @param sums of each block of each page of the run, as {@link #writeBack} would record them; those of blocks that
     *     are not written do not matter
     * @throws IOException if a block has another checksum: nothing of the run was written then
     * @throws UnsupportedOperationException if the back end does not do this
     */
    default void writeBackVerified(
            long firstPage, int[] frames, int[] blockMasks, int count, long size, long[] sums) throws IOException {
        throw new UnsupportedOperationException(
                "the back end does not verify what it writes: open the cache without the option core.paranoid");
    }

    /**
     * Records the checksums of the given blocks of a {@code DIRTY} frame without writing it, to {@code WRITTEN}: for a
     * boundary page whose tail the store cut off in step with the frame.
     *
     * @throws IllegalStateException as {@link #writeBack}
     */
    void seal(long page, int frame, int blockMask);

    /**
     * Makes every {@link #writeBack} that ended before this call durable. {@link FrameBackend#forced} is the cache's
     * business.
     */
    void force() throws IOException;

    /** Sets the store's length under an open intent. */
    void truncate(long size) throws IOException;

    /**
     * Called about every 100 ms, and not while a truncate runs: takes the store's version when it has been quiet for
     * long enough.
     */
    void settle() throws IOException;

    /** Records the store's version for the next open, as after a clean stop, and closes the store. */
    void close() throws IOException;
}
