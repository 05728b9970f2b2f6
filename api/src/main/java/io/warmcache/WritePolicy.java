/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache;

/** When a change made through a {@link WritePin} reaches the {@link BackingStore}. */
public enum WritePolicy {
    /**
     * Closing the write pin returns after the store has taken the bytes; nobody reads them before. A failed write drops
     * the frame and is thrown to the closer. The default: no reader ever sees bytes that a kill can take back.
     */
    WRITE_THROUGH,
    /**
     * Closing the write pin leaves the page dirty in memory; {@link PagedFile#flush()}, eviction or the background
     * flusher write it later. What was not yet written is lost with the process, as with any write-back cache.
     */
    WRITE_BACK
}
