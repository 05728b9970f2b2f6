/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache;

import java.lang.foreign.MemorySegment;

/**
 * A counted pin: while it is held the page stays in its frame and nobody writes it. For views that outlive a call, such
 * as a buffer lent to the network. May be closed by another thread than the one that pinned.
 */
public interface ReadPin extends AutoCloseable {
    /** The page's number in its file. */
    long page();

    /**
     * The page's bytes, read-only, valid until {@link #close()}.
     *
     * @throws CacheClosedException if the pin is closed. A segment obtained before keeps pointing at the frame: use
     *     after unpin is only detected through this accessor and, with {@link CacheConfig#debug()}, through the segment
     *     itself
     */
    MemorySegment segment();

    /**
     * Takes a further count on the page, as an independent pin.
     *
     * @throws CacheClosedException if this pin is closed
     */
    ReadPin retain();

    /** Gives the page back. Closing again has no effect. */
    @Override
    void close();
}
