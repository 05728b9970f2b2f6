/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core.checksum;

import io.warmcache.spi.BlockChecksum;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.concurrent.atomic.AtomicReferenceArray;
import java.util.zip.CRC32C;
import org.jspecify.annotations.Nullable;

/**
 * CRC-32C, widened to 64 bits: the low half is the CRC of the place followed by the bytes, the high half a hash of the
 * place (or of length and seed) alone. A wrong place is thus missed once in 2^64, wrong bytes once in 2^32.
 *
 * <p>The bytes are copied to the heap before they are summed. {@code CRC32C} over a {@code ByteBuffer} of mapped
 * memory ends the JVM with SIGBUS if the mapping was truncated under it; {@link MemorySegment#copy} throws an {@link
 * InternalError}.
 */
public final class Crc32c implements BlockChecksum {
    private static final int PLACE_SIZE = 5 * Long.BYTES;

    /** What a computation needs; kept and reused, so that a checksum allocates nothing. */
    private static final class Scratch {
        final CRC32C crc = new CRC32C();
        final byte[] heap = new byte[PLACE_SIZE + BLOCK_SIZE];
    }

    /**
     * Scratches at rest. A slot is chosen by thread, emptied by its user and filled again after; a thread that finds
     * its slot empty makes a scratch of its own. Thread locals would cost a scratch for each of ten thousand virtual
     * threads.
     */
    private static final AtomicReferenceArray<@Nullable Scratch> SCRATCHES = new AtomicReferenceArray<>(64);

    /** The algorithm; callers share nothing but scratch memory. */
    public Crc32c() {}

    @Override
    public String algorithm() {
        return "crc32c";
    }

    @Override
    public int algorithmId() {
        return 2;
    }

    @Override
    public long block(
            MemorySegment memory, long offset, long incarnation, long fileId, long page, int block, int generation) {
        int slot = slot();
        Scratch scratch = take(slot);
        byte[] heap = scratch.heap;
        putLong(heap, 0, incarnation);
        putLong(heap, 8, fileId);
        putLong(heap, 16, page);
        putLong(heap, 24, block);
        putLong(heap, 32, generation);
        MemorySegment.copy(memory, ValueLayout.JAVA_BYTE, offset, heap, PLACE_SIZE, BLOCK_SIZE);
        scratch.crc.reset();
        scratch.crc.update(heap, 0, PLACE_SIZE + BLOCK_SIZE);
        long low = scratch.crc.getValue();
        SCRATCHES.setRelease(slot, scratch);
        return widen(Xxh64.key(incarnation, fileId, page, block, generation), low);
    }

    @Override
    public long bytes(MemorySegment memory, long offset, long length, long seed) {
        MemorySegment all = memory.asSlice(offset, length);
        int slot = slot();
        Scratch scratch = take(slot);
        byte[] heap = scratch.heap;
        putLong(heap, 0, seed);
        scratch.crc.reset();
        scratch.crc.update(heap, 0, Long.BYTES);
        for (long at = 0; at < length; ) {
            int n = (int) Math.min(length - at, BLOCK_SIZE);
            MemorySegment.copy(all, ValueLayout.JAVA_BYTE, at, heap, 0, n);
            scratch.crc.update(heap, 0, n);
            at += n;
        }
        long low = scratch.crc.getValue();
        SCRATCHES.setRelease(slot, scratch);
        return widen(Xxh64.key(length, seed, 0, 0, 0), low);
    }

    private static long widen(long high, long low) {
        return Xxh64.nonZero((high & 0xFFFF_FFFF_0000_0000L) | low);
    }

    private static int slot() {
        return ((int) Thread.currentThread().threadId()) & (SCRATCHES.length() - 1);
    }

    private static Scratch take(int slot) {
        Scratch scratch = SCRATCHES.getAndSet(slot, null);
        return scratch != null ? scratch : new Scratch();
    }

    private static void putLong(byte[] bytes, int at, long value) {
        for (int i = 0; i < Long.BYTES; i++) {
            bytes[at + i] = (byte) (value >>> (8 * i));
        }
    }
}
