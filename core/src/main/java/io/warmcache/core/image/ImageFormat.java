/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core.image;

import io.warmcache.StoreId;
import io.warmcache.StoreVersion;
import io.warmcache.core.checksum.Checksums;
import io.warmcache.spi.BlockChecksum;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import net.jpountz.lz4.LZ4Factory;
import org.roaringbitmap.RoaringBitmap;

/**
 * The layout of an image. Little-endian; lengths in bytes.
 *
 * <pre>
 * header  0 magic 8, 8 format 4, 12 page size 4, 16 image number 8, 24 store identity 16, 40 checksum algorithm 4,
 *         44 zero 4, 48 incarnation 8, 56 file number 8, 64 taken at, ms of the epoch 8, 72 zero 16, 88 check 8
 * chunk   0 magic 4, 4 number 4, 8 pages 4, 12 length as stored 4, 16 check of the stored bytes 8, 24 check of the
 *         above and the table 8, table, stored bytes (LZ4 of the pages, or the pages if that is no longer)
 * table   a page: 0 number 4, 4 generation 4, 8 uses 4, 12 zero 4, block checksums 8 each
 * footer  0 magic 4, 4 length of the void pages 4, 8 pages 8, 16 version strength 4, 20 chunks 4, 24 version 24,
 *         48 store length 8, 56 first page of what was cut 8, 64 where each chunk starts 8 each, the void pages as a
 *         RoaringBitmap, check 8
 * end     0 length of the footer 8, 8 magic 8
 * </pre>
 *
 * <p>Every check is seeded with the image's number, which is random, so parts of different images do not mix.
 */
final class ImageFormat {
    static final long MAGIC = 0x3147_4d49_434d_5257L; // "WRMCIMG1"
    static final int VERSION = 1;
    static final int HEADER = 96;
    static final int CHUNK_MAGIC = 0x4b4e_4843;
    static final int CHUNK_HEADER = 32;
    static final int TABLE_ENTRY = 16;
    static final int FOOTER_MAGIC = 0x544f_4f46;
    static final int FOOTER = 64;
    static final long END_MAGIC = 0x444e_4547_414d_4957L;
    static final int END = 16;

    /** A chunk holds as many pages as fit, and one at least. */
    static final int CHUNK_BYTES = 1 << 20;

    /** Nothing of an image but its pages is larger, whatever it says. */
    static final long MAX_FOOTER = 1L << 30;

    /** Of pure Java: neither native code to load nor {@code sun.misc.Unsafe}, which a JVM may be told to refuse. */
    static final LZ4Factory LZ4 = LZ4Factory.safeInstance();

    private ImageFormat() {}

    /**
     * What an image is of.
     *
     * @param number random, of this image
     * @param algorithm under which the checksums of its pages were taken, with {@code incarnation} and {@code fileId}
     * @param takenAt when it was begun, in milliseconds of the epoch
     */
    record Header(
            long number,
            StoreId store,
            int pageSize,
            BlockChecksum algorithm,
            long incarnation,
            long fileId,
            long takenAt) {}

    /**
     * What held when it was sealed.
     *
     * @param pages pages in all chunks, the void ones included
     * @param size the store's length
     * @param cut pages from here on are void
     * @param voids pages that are void
     */
    record Footer(StoreVersion version, long size, long pages, long cut, RoaringBitmap voids) {}

    static int chunkPages(int pageSize) {
        return Math.max(1, CHUNK_BYTES / pageSize);
    }

    static int tableEntry(int pageSize) {
        return TABLE_ENTRY + pageSize / BlockChecksum.BLOCK_SIZE * Long.BYTES;
    }

    static long check(byte[] bytes, int from, int length, long seed) {
        return Checksums.ALL.getFirst().bytes(MemorySegment.ofArray(bytes), from, length, seed);
    }

    static ByteBuffer over(byte[] bytes) {
        return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }
}
