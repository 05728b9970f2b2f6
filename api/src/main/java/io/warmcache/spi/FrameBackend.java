/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.spi;

import io.warmcache.BackingStore;
import io.warmcache.MapOptions;
import io.warmcache.StoreId;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;

/**
 * Memory that outlives the cache, the ledger kept of it, and the block I/O path into it: what the VMM owns in Kourai's
 * warm-cache reboot. The cache decides which frame holds which page and who may touch it when; a back end records it,
 * so that after a death at any instant the ledger never calls a frame {@code CLEAN} or {@code WRITTEN} that does not
 * equal its store.
 *
 * <p>The cache calls {@code markDirty}, {@code release}, {@code hint} and the verbs of {@link BackendFile} from many
 * threads, but never two of them (other than {@code hint}) at once for the same frame. Frames are numbered from 0.
 *
 * <p>{@code hint} and {@code policyWord} are called by one thread at a time, with a lock held, a few times for each
 * fault. They must be cheap and must not throw; a back end to which a call is dear may gather them and lose the last.
 */
public interface FrameBackend extends AutoCloseable {
    FailureDomain domain();

    AttachReport attachReport();

    /** The number of frames that exist now, 0 to {@code frames()} - 1; changed by {@link #resize} alone. */
    int frames();

    /** The number of frames that {@link #resize} may make exist while this back end is attached; constant. */
    default int maxFrames() {
        return frames();
    }

    /**
     * The most frames that the memory limits of this process leave room for; the cache shrinks to as many when it is
     * opened. At least 1. By default no limit.
     */
    default int affordableFrames() {
        return Integer.MAX_VALUE;
    }

    /**
     * Changes the number of frames. Growing adds frames whose records are {@code FREE}; shrinking takes away the last
     * ones, whose records the caller has released, and gives their memory back where the platform lets it. Memory of
     * frames that do not exist may be read without harm, and is no page's. A death at any step leaves a segment of the
     * old or the new number of frames. Other verbs may run at the same time. The present number changes nothing, and
     * asks whether it could be changed.
     *
     * @throws UnsupportedOperationException if this back end cannot; names the mend
     * @throws IllegalArgumentException if {@code frames} is less than 1 or more than {@link #maxFrames}
     * @throws IllegalStateException if a frame that is to go is not {@code FREE}; the number is unchanged then
     * @throws IOException if memory cannot be had or given back, or not in this place; the number is unchanged then
     */
    default void resize(int frames) throws IOException {
        throw new UnsupportedOperationException("this back end has no way to change its number of frames while it is"
                + " attached: close the cache, and open it with another capacity");
    }

    /**
     * Moves the page of a {@code CLEAN} or {@code WRITTEN} frame, bytes, record and hint, to a {@code FREE} one,
     * without computing a checksum: bytes that do not match the record do not match the new one either. The old frame
     * is {@code FREE} afterwards. At no instant do two records that are {@code CLEAN} or {@code WRITTEN} name the
     * page.
     *
     * @return false, with nothing done, if the record of {@code from} is damaged
     * @throws UnsupportedOperationException if this back end cannot {@link #resize}
     */
    default boolean move(int from, int to) {
        throw new UnsupportedOperationException("this back end has no way to move pages between frames, so it cannot be"
                + " resized: close the cache, and open it with another capacity");
    }

    /** Bytes of a frame. */
    int pageSize();

    /** The segment's incarnation: random, of one formatting. */
    long incarnation();

    /** The algorithm of this segment, which may differ from the configured one. */
    BlockChecksum checksum();

    /**
     * All frames there is room for, one after another: frame {@code f} starts at {@code f * pageSize()}. Valid until
     * {@link #close}.
     */
    MemorySegment memory();

    /**
     * Visits the records of existing frames {@code from} (inclusive) to {@code to} (exclusive) as the attach found
     * them, in ascending order. May be called for disjoint ranges from several threads, before any other verb.
     */
    void survivors(int from, int to, SurvivorVisitor visitor);

    /** Whether the ledger has a file of this number. */
    boolean knowsFile(long fileId);

    /**
     * The identity of a plain file without opening it, so that a second mapping is found before it disturbs anything;
     * creates the file when it is missing and the options say so.
     */
    StoreId identify(Path file, MapOptions options) throws IOException;

    /**
     * Opens a plain file as a store, exclusively among all caches on this machine.
     *
     * @throws io.warmcache.BusyException if another cache has it open
     */
    BackingStore openStore(Path file, MapOptions options) throws IOException;

    /**
     * Opens the ledger's entry of a store, making one if it is new. Forgets the least recently opened file that is not
     * open when the table is full, after asking {@code evictor} to release its frames.
     *
     * @throws IOException if the table is full of open files; names the limit and the mend
     */
    BackendFile openFile(BackingStore store, FileEvictor evictor) throws IOException;

    /**
     * Copies the record of a frame if it is whole.
     *
     * @return false if its self-check fails
     */
    boolean readRecord(int frame, FrameRecord into);

    /**
     * {@code CLEAN} or {@code WRITTEN} to {@code DIRTY}, ordered before every later store to the frame. No effect on
     * the order is lost when it is {@code DIRTY} already.
     */
    void markDirty(int frame);

    /** Any state to {@code FREE}, ordered before every later verb. */
    void release(int frame);

    /** {@code WRITTEN} to {@code CLEAN}; no effect in any other state. */
    void forced(int frame);

    /**
     * Leaves 32 bits that the replacement policy wants to find after a restart; may be lost, may be torn from the rest.
     */
    void hint(int frame, int hint);

    /** The hint last left for a frame. */
    int hint(int frame);

    /**
     * How many words this back end keeps for the replacement policy beside the frames' hints. The policy has use for up
     * to {@code maxFrames() + maxFrames() / 2 + 8}; of fewer the first are used. By default none: then a restart
     * forgets which pages were evicted last, and what the policy had learned.
     */
    default int policyWords() {
        return 0;
    }

    /**
     * Leaves a word that the replacement policy wants to find after a restart; may be lost, may be torn from the others
     * and from the hints.
     *
     * @param index from 0 to {@link #policyWords} - 1
     */
    default void policyWord(int index, long word) {
        throw new IndexOutOfBoundsException("no words are kept for the policy, so not number " + index);
    }

    /**
     * The word last left at an index, 0 if none was; any value if the memory was damaged.
     *
     * @param index from 0 to {@link #policyWords} - 1
     */
    default long policyWord(int index) {
        throw new IndexOutOfBoundsException("no words are kept for the policy, so not number " + index);
    }

    /** Says that every survivor has been validated or dropped: this attach no longer counts as unfinished. */
    void recoveryFinished();

    /** Gives the memory back as after a clean stop, and ownership last. Files must be closed before. */
    @Override
    void close() throws IOException;

    /**
     * Lets go of the memory as a death of the process would, with nothing written, so that an attach that fails again
     * and again is seen to. The stores of files that are open are the caller's.
     */
    default void abandon() throws IOException {
        close();
    }

    /** As {@link #close}, but wipes and removes the memory. */
    void drop() throws IOException;

    /** Releases all frames of a file that the ledger is about to forget. */
    @FunctionalInterface
    interface FileEvictor {
        void evict(long fileId);
    }
}
