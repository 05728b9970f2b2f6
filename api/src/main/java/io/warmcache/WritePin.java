/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache;

import java.io.IOException;
import java.lang.foreign.MemorySegment;

/**
 * Exclusive access to one page. For one thread at a time. Announce every range with {@link #dirty} before storing to
 * it: a store that was not announced is not written back and is found as corruption.
 */
public interface WritePin extends AutoCloseable {
    /** The page's number in its file. */
    long page();

    /**
     * Announces a store to {@code length} bytes at {@code offset} of the page, and verifies that the bytes there are
     * what the record says before they are changed.
     *
     * @throws IndexOutOfBoundsException if the range is not within the page
     * @throws java.io.UncheckedIOException if the frame was found damaged and the store fails to give the page again
     */
    void dirty(int offset, int length);

    /**
     * The page's bytes, writable until {@link #close()}.
     *
     * @throws CacheClosedException if the pin is closed
     */
    MemorySegment segment();

    /**
     * Takes back every change made through this pin: the page reads afterwards as before, from memory or from the
     * store. The pin is closed by it.
     */
    void abort();

    /**
     * Publishes the changes. With {@link WritePolicy#WRITE_THROUGH} writes them to the store first. Closing again has
     * no effect.
     *
     * @throws IOException if the store did not take them; the frame is dropped then and the page reads as the store has
     *     it
     */
    @Override
    void close() throws IOException;
}
