/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache;

import java.io.IOException;
import java.lang.foreign.MemorySegment;

/**
 * A store seen as an array of pages, cached. Safe for use by many threads, platform and virtual.
 *
 * <p>An interrupt ends no call, is pending again when the call returns, and neither closes the store nor loses a latch:
 * waits are ended by what they wait for, or by {@link CacheConfig#latchTimeout()}. A virtual thread occupies its
 * carrier in none of these methods while it waits, for others or for the store: at most 64 calls of a file's store at
 * once are made for virtual threads, the rest queue; platform threads make their own. Misses, and waits for a free
 * frame, are served first come, first served.
 *
 * <p>Page {@code p} holds the bytes from {@code p * pageSize()} on; the last one may be partial, and reads as zeros
 * past the end of the file. All methods throw {@link CacheClosedException} after {@link #close()},
 * {@link IndexOutOfBoundsException} for a page that is negative or past the end, {@link java.io.UncheckedIOException}
 * when the store fails a read that a non-{@code IOException} method needs, {@link CacheFullException} when no frame can
 * be freed, {@link LatchTimeoutException} when others keep the page for too long. A caller's segment that is closed or
 * another thread's throws as it does by itself ({@link IllegalStateException}, {@link WrongThreadException}).
 */
public interface PagedFile extends AutoCloseable {
    /** Bytes of a page, a power of two from 4,096 to 65,536. */
    int pageSize();

    /** The file's length in bytes. */
    long size();

    /** The number of pages, the last partial one included. */
    default long pages() {
        return (size() + pageSize() - 1) / pageSize();
    }

    WritePolicy policy();

    /** A new cursor for the calling thread. */
    PageCursor cursor();

    /**
     * Makes the page resident and returns a stamp for reading it optimistically: read at {@link #offset} in
     * {@link #memory} and use what was read only if {@link #valid} says so afterwards. Never 0.
     */
    long stamp(long page);

    /** As {@link #stamp}, but returns 0 when the page is not readable without waiting or I/O. */
    long tryStamp(long page);

    /**
     * Whether everything read through {@code stamp} before this call was good.
     *
     * @throws IndexOutOfBoundsException if the page is negative
     */
    boolean valid(long page, long stamp);

    /** Where the page of a stamp starts in {@link #memory}, in bytes. */
    long offset(long stamp);

    /** The read-only memory of all frames of the cache. */
    MemorySegment memory();

    /**
     * Runs {@code reader} on the page until it has run undisturbed, and returns its result. Bounded: after some
     * disturbed runs the page is pinned for one more.
     */
    long read(long page, PageReader reader);

    /** Pins a page for reading. */
    ReadPin pin(long page);

    /** Latches a page exclusively for writing; at most one page past the present end extends the file when written. */
    WritePin pinForWrite(long page);

    /**
     * As {@link #pinForWrite}, but the page starts as zeros, already announced as {@link WritePin#dirty dirty} as a
     * whole, and is not read from the store.
     */
    WritePin pinForOverwrite(long page);

    /**
     * Copies bytes from the file. Page boundaries do not matter; each page is copied undisturbed, the whole range is
     * not one atomic read.
     *
     * @return the bytes copied: fewer than asked for at the end of the file, -1 when {@code position} is at or past it
     */
    int read(long position, MemorySegment target) throws IOException;

    /**
     * As {@link #read(long, MemorySegment)}, for bytes that are not expected to be wanted again soon: when a store is
     * checked, copied or rewritten. What was in memory is not taken for used; a page that had to be read from the store
     * is the first to be evicted, so that such a pass leaves the working set where it is.
     */
    int readOnce(long position, MemorySegment target) throws IOException;

    /**
     * Writes all of {@code source} at {@code position}, extending the file where needed; a gap reads as zeros. Each
     * page is changed atomically. After an exception the pages written so far stay written, as with a plain file.
     */
    void write(long position, MemorySegment source) throws IOException;

    /**
     * Starts reading those of {@code count} pages from {@code first} on that are not in memory, in the background.
     * Pages past the end are ignored, as are more than the cache holds, and those that cannot be had at once: whose
     * store fails, or for which no frame can be evicted.
     *
     * @throws IllegalArgumentException if {@code first} or {@code count} is negative
     */
    void prefetch(long first, int count);

    /**
     * As {@link #prefetch(long, int)}, of pages anywhere in the file, in any order: up to 32 reads at a time.
     *
     * @throws IllegalArgumentException if a page is negative
     */
    void prefetch(long[] pages);

    /**
     * Reads those of {@code pages} that are not in memory, up to 33 at a time, neighbours by one call of the store, and
     * returns when the last of them is there: for a caller that knows of several pages it will need, such as the leaves
     * under an inner node, and would else wait for one after the other. Order does not matter, nor does a page named
     * twice. Nothing is held afterwards: the pages are read as any others, and are hits unless they were evicted
     * meanwhile, so a batch should be small beside the cache.
     *
     * @return the number of pages that this call read from the store
     * @throws IOException if the store fails a read; all other pages have been read as far as that could be done
     */
    int load(long[] pages) throws IOException;

    /**
     * What the cache knows of a page: what it is now, where the content of its frame came from, which gates it passed
     * and when. For people and tools; brings nothing into memory, counts no hit, waits for nobody, and of a page that
     * others are changing tells what was seen last.
     */
    PageExplanation explain(long page);

    /** Writes every page that was dirty when this was called. */
    void flush() throws IOException;

    /**
     * {@link #flush}, then makes everything written durable.
     *
     * @throws IOException if the store fails. What it may have lost is dirty again and written by the next flush; where
     *     that is not possible the file is poisoned
     */
    void force() throws IOException;

    /** Sets the file's length in bytes. Pages past it are dropped; pins held on them stay readable until closed. */
    void truncate(long size) throws IOException;

    /**
     * Writes what is dirty and gives the mapping back; the store is closed with its last mapping. The frames stay for
     * the next mapping or process. Closing again has no effect. The last close calls the store itself, and takes as
     * long as it does; no other file waits for that.
     *
     * @throws LatchTimeoutException if the file stays in use by a flush, force, truncate or another close for longer
     *     than {@link CacheConfig#latchTimeout()}; it stays open then
     * @throws CacheException if pages stay pinned for as long; it stays open then
     * @throws FilePoisonedException if the file was poisoned and no call had said so; it is closed then
     * @throws IOException if the store does not take what is dirty, and the file stays open then; or fails to close; or
     *     if the cache has been closed, and could not write all of it
     */
    @Override
    void close() throws IOException;
}
