/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import java.lang.foreign.MemorySegment;

/**
 * The checksum of headers, file slots and records, part of the segment format. Each step is a bijection of the word
 * mixed in, so that a change within one word is always seen; it does not depend on the block checksum of the segment,
 * which a reader can only know once it trusts the header.
 */
final class WordHash {
    private static final long P1 = 0x9E3779B97F4A7C15L;
    private static final long P2 = 0xD6E8FEB86659FD93L;

    private WordHash() {}

    static long mix(long hash, long word) {
        long h = Long.rotateLeft(hash ^ word * P1, 31) * P2;
        return h ^ h >>> 32;
    }

    /** Never 0. */
    static long finish(long hash) {
        long h = (hash ^ hash >>> 33) * 0xFF51AFD7ED558CCDL;
        h = (h ^ h >>> 29) * 0xC4CEB9FE1A85EC53L;
        h ^= h >>> 32;
        return h == 0 ? 1 : h;
    }

    /** The checksum of {@code words} words at {@code offset}; never 0. */
    static long of(MemorySegment memory, long offset, int words, long seed) {
        long h = mix(seed, words);
        for (int i = 0; i < words; i++) {
            h = mix(h, memory.get(Layout.LONG, offset + 8L * i));
        }
        return finish(h);
    }
}
