/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache;

/** Told how far an {@linkplain PageCache#open(CacheConfig, AttachProgress) open} has come in looking at its frames. */
@FunctionalInterface
public interface AttachProgress {
    /**
     * Called on the thread that opens the cache, about every 65,536 frames and once at the end. What it throws ends the
     * open, with the memory as it was but for frames that were dropped.
     *
     * @param frames frames looked at so far, 0 to {@code of}, never less than before
     * @param of frames of the cache
     */
    void scanned(int frames, int of);
}
