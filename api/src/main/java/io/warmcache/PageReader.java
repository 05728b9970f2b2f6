/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache;

import java.lang.foreign.MemorySegment;

/** Reads one page in place and computes a {@code long} from it; see {@link PagedFile#read(long, PageReader)}. */
@FunctionalInterface
public interface PageReader {
    /**
     * Reads from a page whose bytes may change meanwhile: the result is thrown away and the call repeated in that case,
     * so this must have no effects, must bound its loops and lengths by the page size whatever the bytes say, and may
     * throw (the exception reaches the caller only if the bytes were good).
     *
     * @param memory read-only memory of all frames
     * @param offset where the page starts in it, in bytes
     */
    long read(MemorySegment memory, long offset);
}
