/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.contract;

import io.warmcache.spi.BlockChecksum;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** A checksum of its own number, so that no back end can take another's. */
final class ContractChecksum implements BlockChecksum {
    @Override
    public String algorithm() {
        return "contract";
    }

    @Override
    public int algorithmId() {
        return 4711;
    }

    private static long mix(long hash, long word) {
        long h = Long.rotateLeft(hash ^ (word * 0x9E3779B97F4A7C15L), 29) * 0xBF58476D1CE4E5B9L;
        return h ^ (h >>> 32);
    }

    @Override
    public long block(
            MemorySegment memory,
            long offset,
            long incarnation,
            long fileId,
            long page,
            int block,
            int generation) {
        long h = mix(mix(mix(mix(mix(1, incarnation), fileId), page), block), generation);
        return bytes(memory, offset, BLOCK_SIZE, h);
    }

    @Override
    public long bytes(MemorySegment memory, long offset, long length, long seed) {
        long h = mix(seed, length);
        for (long i = 0; i < length; i++) {
            h = mix(h, memory.get(ValueLayout.JAVA_BYTE, offset + i));
        }
        return h == 0 ? 1 : h;
    }
}
