/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core.checksum;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.warmcache.spi.BlockChecksum;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Random;
import java.util.zip.CRC32C;
import net.openhft.hashing.LongHashFunction;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** Our checksums against other people's implementations of them. */
@Tag("oracle")
class ChecksumOracleTest {
    private static final int BLOCK = BlockChecksum.BLOCK_SIZE;

    private final long seed = System.nanoTime();
    private final Random random = new Random(seed);

    @Test
    void xxh64EqualsTheOracleOnAMillionInputsOfAllLengthsAndAlignments() {
        Xxh64 ours = new Xxh64();
        byte[] heap = new byte[70_064];
        random.nextBytes(heap);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment nativeMemory = arena.allocate(heap.length, 64).copyFrom(MemorySegment.ofArray(heap));
            MemorySegment heapMemory = MemorySegment.ofArray(heap);
            for (int i = 0; i < 1_000_000; i++) {
                int length = i % 1000 == 0 ? random.nextInt(70_001) : i / 64 % 301;
                int at = i % 64;
                long hashSeed = (i & 1) == 0 ? random.nextLong() : i;
                long expected = LongHashFunction.xx(hashSeed).hashBytes(heap, at, length);
                if (expected != ours.bytes(nativeMemory, at, length, hashSeed)
                        || expected != ours.bytes(heapMemory, at, length, hashSeed)) {
                    throw new AssertionError(
                            "length " + length + " at " + at + " seed " + hashSeed + ", test seed " + seed);
                }
            }
        }
    }

    @Test
    void xxh64OfABlockIsTheOraclesHashSeededWithItsHashOfThePlace() {
        Xxh64 ours = new Xxh64();
        byte[] heap = new byte[BLOCK + 64];
        for (int i = 0; i < 10_000; i++) {
            random.nextBytes(heap);
            byte[] place = randomPlace();
            long key = LongHashFunction.xx().hashBytes(place);
            int at = i % 64;
            assertEquals(
                    LongHashFunction.xx(key).hashBytes(heap, at, BLOCK),
                    block(ours, MemorySegment.ofArray(heap), at, place),
                    () -> "test seed " + seed);
        }
    }

    @Test
    void xxh64CarriesItsStateFromRunToRun() {
        byte[] heap = new byte[2000];
        random.nextBytes(heap);
        for (int run = 32; run <= 256; run += 32) {
            Xxh64 ours = new Xxh64(run);
            for (int length = 0; length <= heap.length; length++) {
                assertEquals(
                        LongHashFunction.xx(seed).hashBytes(heap, 0, length),
                        ours.bytes(MemorySegment.ofArray(heap), 0, length, seed),
                        () -> "test seed " + seed);
            }
        }
        assertEquals(0, Xxh64.MAX_RUN % 32);
    }

    @Test
    void crc32cHoldsTheJdksSumOfPlaceAndBytesInItsLowHalf() {
        Crc32c ours = new Crc32c();
        byte[] heap = new byte[3 * BLOCK];
        for (int i = 0; i < 20_000; i++) {
            random.nextBytes(heap);
            byte[] place = randomPlace();
            int at = i % 64;
            int length = random.nextInt(heap.length - at);
            CRC32C expected = new CRC32C();
            expected.update(place);
            expected.update(heap, at, BLOCK);
            assertEquals(
                    expected.getValue(),
                    block(ours, MemorySegment.ofArray(heap), at, place) & 0xFFFF_FFFFL,
                    () -> "test seed " + seed);
            expected.reset();
            expected.update(place, 0, 8);
            expected.update(heap, at, length);
            assertEquals(
                    expected.getValue(),
                    ours.bytes(MemorySegment.ofArray(heap), at, length, field(place, 0)) & 0xFFFF_FFFFL,
                    () -> "test seed " + seed);
        }
    }

    /** The five fields as 40 little-endian bytes. */
    private byte[] randomPlace() {
        byte[] place = new byte[40];
        ByteBuffer.wrap(place)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putLong(random.nextLong())
                .putLong(random.nextLong())
                .putLong(random.nextLong())
                .putLong(random.nextInt())
                .putLong(random.nextInt());
        return place;
    }

    private static long block(BlockChecksum ours, MemorySegment memory, long at, byte[] place) {
        return ours.block(
                memory,
                at,
                field(place, 0),
                field(place, 1),
                field(place, 2),
                (int) field(place, 3),
                (int) field(place, 4));
    }

    private static long field(byte[] place, int index) {
        return ByteBuffer.wrap(place).order(ByteOrder.LITTLE_ENDIAN).getLong(8 * index);
    }
}
