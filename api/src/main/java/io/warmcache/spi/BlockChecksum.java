/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.spi;

import java.lang.foreign.MemorySegment;

/**
 * Checksum of one 4 KiB block that depends on where the block belongs as much as on its bytes. Implementations are
 * stateless, allocate nothing and never return 0.
 */
public interface BlockChecksum {
    /** Bytes of a block. */
    int BLOCK_SIZE = 4096;

    /** The name under which a segment's header records the algorithm, such as {@code xxh64}. */
    String algorithm();

    /** The number under which a segment's header records the algorithm; never 0. */
    int algorithmId();

    /**
     * The checksum of the {@link #BLOCK_SIZE} bytes at {@code offset} of {@code memory}, hashed together with each of
     * the other arguments as a field of its own.
     *
     * @param incarnation the segment's incarnation
     * @param fileId the ledger's number of the file
     * @param page the page in the file
     * @param block the block in the page
     * @param generation how often the frame was filled
     */
    long block(MemorySegment memory, long offset, long incarnation, long fileId, long page, int block, int generation);

    /** The plain hash of {@code length} bytes at {@code offset} of {@code memory}, for records and headers; never 0. */
    long bytes(MemorySegment memory, long offset, long length, long seed);
}
