/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache;

import io.warmcache.spi.PageCacheProvider;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.function.Consumer;

/**
 * An embeddable page cache whose frames outlive the process. Safe for use by many threads.
 *
 * <p>Every byte it serves after a restart without I/O equals the byte that a cold read of the store would have returned
 * when the file was mapped: a frame in doubt is dropped, counted in {@link #recovery()} and read again.
 *
 * <p>No call is ended by an interrupt, which stays pending, but a wait in {@link #open} for another owner. {@link
 * #open}, {@link #map} and {@link #drop()} block the carrier of a virtual thread while they read and write;
 * everything else parks it.
 */
public interface PageCache extends AutoCloseable {
    /**
     * Opens the cache named in {@code config}, taking over what an earlier process left in it.
     *
     * @throws BusyException if another live process, class loader or cache owns it; names the owner's pid
     * @throws IOException if memory cannot be had; names both sizes and the mend
     * @throws CacheException if no back end of that name is on the class or module path, or native access is denied
     */
    static PageCache open(CacheConfig config) throws IOException {
        return open(config, (frames, of) -> {});
    }

    /** As {@link #open(CacheConfig)}, telling {@code progress} how far it has come. */
    static PageCache open(CacheConfig config, AttachProgress progress) throws IOException {
        return PageCacheProvider.load().open(config, progress);
    }

    /**
     * Wipes and removes the memory of the cache named in {@code config}, which must not be open.
     *
     * @return whether there was any
     * @throws BusyException if it is open anywhere
     */
    static boolean drop(CacheConfig config) throws IOException {
        return PageCacheProvider.load().drop(config);
    }

    CacheConfig config();

    /**
     * Maps a plain file. Hard links, symbolic links and second calls share one mapping.
     *
     * @throws BusyException if another process or cache has the file mapped
     * @throws IOException if it cannot be opened, or does not take the {@link IoMode} asked for
     */
    PagedFile map(Path file, MapOptions options) throws IOException;

    /**
     * Maps an engine's own store and takes ownership of it: it is closed with its last mapping, and at once when a
     * store of the same identity is mapped already (that one is shared).
     */
    PagedFile map(BackingStore store, MapOptions options) throws IOException;

    /** Bytes of the frames there are now; {@link CacheConfig#capacity()} until {@link #resize} is called. */
    long capacity();

    /**
     * Changes the capacity while the cache is in use. Growing takes memory first. Shrinking keeps the hottest pages:
     * the coldest are evicted, others move to frames that stay, and the memory of the rest goes back to the system.
     * Dirty pages in the way are written first; pinned ones are waited for up to {@link CacheConfig#latchTimeout()}.
     * One resize runs at a time, later ones wait for it. The next {@link #open} goes by its own configuration.
     *
     * @param capacity bytes of all frames together, at least 8 pages and at most {@link CacheConfig#maxCapacity()};
     *     rounded down to whole pages
     * @throws IllegalArgumentException if it is out of range; names the mend
     * @throws CacheException if pages in the way stayed pinned, or dirty since their store fails, or the back end
     *     cannot resize: the capacity is unchanged then
     * @throws IOException if the memory cannot be had or given back; names the sizes. The capacity is unchanged then
     */
    void resize(long capacity) throws IOException;

    RecoveryReport recovery();

    CacheStats stats();

    Health health();

    /**
     * Writes every dirty page of every file, all of them even if some fail; the failures of the others are suppressed
     * in the first.
     *
     * @throws CacheClosedException if a close of the cache meets it: whether all was written is what that close says
     */
    void flush() throws IOException;

    /**
     * Takes an image of every mapped store in the background, each in a file of its own, at no more than {@link
     * WarmUpOptions#checkpointRate}. An image holds the pages that are in memory, verified and as the store has them
     * when it is sealed. It is deleted before the next write to its store; a later cache restores it when it maps the
     * store with {@code directory} as its {@link WarmUpOptions#directory}. Sealing holds up the writes of that store
     * for three small forces.
     *
     * @param directory where the images go; created if it is missing
     * @param progress called on the checkpoint's thread after each chunk; what it throws ends the checkpoint
     * @throws CacheException if one is under way already
     * @throws CacheClosedException if the cache is closed
     */
    Checkpoint checkpoint(Path directory, Consumer<Checkpoint.Progress> progress);

    /** {@link #checkpoint(Path, Consumer)} without anybody told. */
    default Checkpoint checkpoint(Path directory) {
        return checkpoint(directory, progress -> {});
    }

    /** What is restored from images and read because of the hot list. */
    WarmUp warmUp();

    /** {@link #close(Duration)} with a grace of 10 s. */
    @Override
    default void close() throws IOException {
        close(Duration.ofSeconds(10));
    }

    /**
     * Stops new accesses, waits up to {@code grace} for pins, writes and forces what is dirty, and gives the memory
     * back warm, or wiped with {@link CacheConfig#wipeOnClose()}. Stores are waited for as long as they get on: until
     * no call of any has ended for the longest of {@code grace}, {@link CacheConfig#latchTimeout()} and a second. What
     * is held longer, by a pin or by a store that stands still, is never unmapped: the memory stays mapped and owned,
     * all other files are written and closed, and the close ends by itself when that is let go. Only a store that
     * stands still while it is being mapped keeps all files from being closed. Closing again waits for the end anew,
     * and has no effect on a cache that is closed. Without threads of its own ({@code core.maintenance=off}, or where
     * no thread is to be had) the cache's stores are called by the caller, who waits for them however long they take.
     *
     * @param grace from zero on; less counts as zero
     * @throws CacheException if pins are still held, or a store stands still: names the files, what is waited for, the
     *     number of changed pages that are not in their stores yet, and, with {@link CacheConfig#debug()}, where pins
     *     were taken
     * @throws IOException if a store did not take its dirty pages: names the files and their number. They are lost
     *     then. Of a close that has ended by itself the next call throws it, once
     */
    void close(Duration grace) throws IOException;

    /**
     * Closes the cache as {@link #close()} does, then overwrites its memory with zeros and removes it: the next {@link
     * #open} starts cold. No image is taken and no hot list written; those there are stay.
     *
     * @throws CacheException as {@link #close(Duration)}; and if the cache was closed already, or about to be, with its
     *     memory kept: {@link #drop(CacheConfig)} removes that
     */
    void drop() throws IOException;
}
