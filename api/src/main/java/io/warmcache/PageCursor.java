/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache;

import java.lang.foreign.MemorySegment;

/**
 * Reads pages in place without writing to shared memory: the everyday way to read. For one thread.
 *
 * <pre>{@code
 * cursor.seek(page);
 * long value;
 * do {
 *     value = cursor.getLong(offset);
 * } while (cursor.shouldRetry());
 * }</pre>
 *
 * <p>Everything read is garbage until {@link #shouldRetry()} has returned false: bound loops and lengths that depend on
 * it. Multi-byte values are little-endian. Offsets are in bytes from the start of the page; one outside the page throws
 * {@link IndexOutOfBoundsException}. Reads are repeated a bounded number of times, then the page is pinned, so that a
 * loop like the one above ends however busy the writers are.
 */
public interface PageCursor extends AutoCloseable {
    /**
     * Moves to a page, reading it from the store if it is not in memory.
     *
     * @throws IndexOutOfBoundsException if the page is negative or past the end of the file
     * @throws java.io.UncheckedIOException if the store fails
     * @throws CacheFullException if no frame can be freed for it
     * @throws CacheClosedException if the cursor, the file or the cache is closed
     */
    void seek(long page);

    /** The page last sought, or -1. */
    long page();

    byte getByte(int offset);

    short getShort(int offset);

    int getInt(int offset);

    long getLong(int offset);

    /** Copies {@code length} bytes at {@code offset} of the page to {@code target} from {@code targetOffset} on. */
    void copyTo(int offset, MemorySegment target, long targetOffset, int length);

    /** Copies {@code length} bytes at {@code offset} of the page to {@code target} from {@code targetIndex} on. */
    void copyTo(int offset, byte[] target, int targetIndex, int length);

    /**
     * Whether what was read since {@link #seek}, or since this last returned true, must be read again.
     *
     * @throws IndexOutOfBoundsException if the page was meanwhile cut off the file
     */
    boolean shouldRetry();

    /** Ends the cursor. Closing again has no effect. */
    @Override
    void close();
}
