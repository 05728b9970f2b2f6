/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import io.warmcache.spi.BlockChecksum;
import java.lang.foreign.MemorySegment;

/** A checksum for tests, of a number and strength of its own. */
record TestChecksum(int algorithmId) implements BlockChecksum {
    static final TestChecksum INSTANCE = new TestChecksum(77);

    @Override
    public String algorithm() {
        return "test" + algorithmId;
    }

    @Override
    public long block(
            MemorySegment memory, long offset, long incarnation, long fileId, long page, int block, int generation) {
        long h = WordHash.mix(algorithmId, incarnation);
        h = WordHash.mix(h, fileId);
        h = WordHash.mix(h, page);
        h = WordHash.mix(h, block);
        h = WordHash.mix(h, generation);
        return WordHash.of(memory, offset, BLOCK_SIZE / 8, h);
    }

    @Override
    public long bytes(MemorySegment memory, long offset, long length, long seed) {
        long h = WordHash.mix(seed, length);
        for (long i = 0; i < length; i++) {
            h = WordHash.mix(h, memory.get(java.lang.foreign.ValueLayout.JAVA_BYTE, offset + i));
        }
        return WordHash.finish(h);
    }
}
