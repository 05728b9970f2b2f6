/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core.checksum;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;
import io.warmcache.spi.BlockChecksum;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.management.ManagementFactory;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class ChecksumsTest {
    private static final int BLOCK = BlockChecksum.BLOCK_SIZE;
    private static final long SEED = 20_260_101;

    static Stream<BlockChecksum> all() {
        return Checksums.ALL.stream();
    }

    @Test
    void everyAlgorithmIsFoundByItsNameAndItsNumberAndNothingElseIs() {
        Set<Integer> ids = new HashSet<>();
        for (BlockChecksum checksum : Checksums.ALL) {
            assertEquals(Optional.of(checksum), Checksums.byName(checksum.algorithm()));
            assertEquals(Optional.of(checksum), Checksums.byId(checksum.algorithmId()));
            assertTrue(checksum.algorithmId() != 0 && ids.add(checksum.algorithmId()));
        }
        assertEquals(
                List.of("xxh64", "crc32c"),
                Checksums.ALL.stream().map(BlockChecksum::algorithm).toList());
        assertEquals(Optional.empty(), Checksums.byName("XXH64"));
        for (int id : new int[] {0, -1, 3, Integer.MIN_VALUE, Integer.MAX_VALUE}) {
            assertEquals(Optional.empty(), Checksums.byId(id));
        }
    }

    @ParameterizedTest
    @MethodSource("all")
    void everyBitOfABlockCounts(BlockChecksum checksum) {
        Random random = new Random(SEED);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment memory = filled(arena, BLOCK, random);
            long sum = sum(checksum, memory);
            for (int bit = 0; bit < 8 * BLOCK; bit += 1 + random.nextInt(4)) {
                flip(memory, bit);
                assertNotEquals(sum, sum(checksum, memory), "bit " + bit + ", seed " + SEED);
                flip(memory, bit);
            }
            assertEquals(sum, sum(checksum, memory));
        }
    }

    @ParameterizedTest
    @MethodSource("all")
    void everyBitOfEveryFieldCountsAndNoTwoFieldsCancelOut(BlockChecksum checksum) {
        Random random = new Random(SEED);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment memory = filled(arena, BLOCK, random);
            Set<Long> sums = new HashSet<>();
            long[] f = {random.nextLong(), random.nextLong(), random.nextLong(), random.nextInt(), random.nextInt()};
            sums.add(sum(checksum, memory, f));
            int expected = 1;
            for (int field = 0; field < f.length; field++) {
                for (int bit = 0; bit < (field < 3 ? 64 : 32); bit++) {
                    long[] g = f.clone();
                    g[field] ^= 1L << bit;
                    sums.add(sum(checksum, memory, g));
                    expected++;
                }
            }
            // The same change in two fields at once, and two fields exchanged: what a XOR of fields would not see.
            for (int i = 0; i < f.length; i++) {
                for (int j = i + 1; j < f.length; j++) {
                    long[] g = f.clone();
                    g[i] ^= 1;
                    g[j] ^= 1;
                    sums.add(sum(checksum, memory, g));
                    g = new long[] {1, 2, 3, 4, 5};
                    g[i] = 77;
                    g[j] = 78;
                    sums.add(sum(checksum, memory, g));
                    g[i] = 78;
                    g[j] = 77;
                    sums.add(sum(checksum, memory, g));
                    expected += 3;
                }
            }
            assertEquals(expected, sums.size(), "seed " + SEED);
        }
    }

    @ParameterizedTest
    @MethodSource("all")
    void everyBitOfAnyLengthAndOfTheSeedCounts(BlockChecksum checksum) {
        Random random = new Random(SEED);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment memory = filled(arena, 5000, random);
            for (int length : new int[] {1, 3, 4, 7, 8, 31, 32, 33, 63, 100, 4095, 4096, 4097, 4999}) {
                long sum = checksum.bytes(memory, 1, length, SEED);
                for (int bit = 0; bit < 8 * length; bit += 1 + random.nextInt(1 + length / 20)) {
                    flip(memory, 8 + bit);
                    assertNotEquals(sum, checksum.bytes(memory, 1, length, SEED));
                    flip(memory, 8 + bit);
                }
                for (int bit = 0; bit < 64; bit++) {
                    assertNotEquals(sum, checksum.bytes(memory, 1, length, SEED ^ 1L << bit));
                }
                assertEquals(sum, checksum.bytes(memory, 1, length, SEED));
            }
        }
    }

    @ParameterizedTest
    @MethodSource("all")
    void zeroesOfDifferentLengthsDiffer(BlockChecksum checksum) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment memory = arena.allocate(10_000);
            Set<Long> sums = new HashSet<>();
            for (int length = 0; length <= 10_000; length++) {
                sums.add(checksum.bytes(memory, 0, length, 0));
            }
            assertEquals(10_001, sums.size());
            assertTrue(!sums.contains(0L));
        }
    }

    @Test
    void zeroIsNeverAChecksum() {
        assertNotEquals(0, Xxh64.nonZero(0));
        assertEquals(Long.MIN_VALUE, Xxh64.nonZero(Long.MIN_VALUE));
        assertEquals(1, Xxh64.nonZero(1));
    }

    @ParameterizedTest
    @MethodSource("all")
    void bytesBeyondTheSegmentAreRefused(BlockChecksum checksum) {
        MemorySegment memory = MemorySegment.ofArray(new byte[BLOCK]);
        assertThrows(IndexOutOfBoundsException.class, () -> checksum.block(memory, 1, 1, 1, 1, 0, 1));
        assertThrows(IndexOutOfBoundsException.class, () -> checksum.block(memory, -1, 1, 1, 1, 0, 1));
        assertThrows(IndexOutOfBoundsException.class, () -> checksum.bytes(memory, 1, BLOCK, 0));
        assertThrows(IndexOutOfBoundsException.class, () -> checksum.bytes(memory, -1, 1, 0));
        assertThrows(IndexOutOfBoundsException.class, () -> checksum.bytes(memory, 0, -1, 0));
        assertNotEquals(0, checksum.bytes(memory, BLOCK, 0, 0));
    }

    @ParameterizedTest
    @MethodSource("all")
    void memoryTakenAwayUnderTheMappingIsAnErrorNotACrash(BlockChecksum checksum, @TempDir Path dir) throws Exception {
        try (Arena arena = Arena.ofConfined();
                FileChannel file = FileChannel.open(
                        dir.resolve("segment"),
                        StandardOpenOption.CREATE_NEW,
                        StandardOpenOption.READ,
                        StandardOpenOption.WRITE)) {
            MemorySegment memory = file.map(FileChannel.MapMode.READ_WRITE, 0, 1 << 20, arena);
            long before = sum(checksum, memory);
            file.truncate(0);
            assertThrows(InternalError.class, () -> sum(checksum, memory));
            assertThrows(InternalError.class, () -> checksum.bytes(memory, 0, 1 << 20, 0));
            assertEquals(before, sum(checksum, MemorySegment.ofArray(new byte[BLOCK])), "usable after the error");
        }
    }

    @ParameterizedTest
    @MethodSource("all")
    void aWarmChecksumAllocatesNothing(BlockChecksum checksum) {
        int calls = 1_000_000;
        try (Arena arena = Arena.ofShared()) {
            MemorySegment memory = filled(arena, 64 * BLOCK, new Random(SEED));
            ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
            long sum = blocks(checksum, memory, 100_000);
            long before = threads.getCurrentThreadAllocatedBytes();
            sum += blocks(checksum, memory, calls);
            long allocated = threads.getCurrentThreadAllocatedBytes() - before;
            assertTrue(allocated < calls, allocated + " bytes in " + calls + " calls, sum " + sum);
        }
    }

    private static long blocks(BlockChecksum checksum, MemorySegment memory, int calls) {
        long sum = 0;
        for (int i = 0; i < calls; i++) {
            sum += checksum.block(memory, (long) (i & 63) * BLOCK, 1, 2, i, 0, 3);
        }
        return sum;
    }

    private static long sum(BlockChecksum checksum, MemorySegment memory) {
        return checksum.block(memory, 0, 11, 22, 33, 44, 55);
    }

    private static long sum(BlockChecksum checksum, MemorySegment memory, long[] fields) {
        return checksum.block(memory, 0, fields[0], fields[1], fields[2], (int) fields[3], (int) fields[4]);
    }

    static MemorySegment filled(Arena arena, int size, Random random) {
        byte[] bytes = new byte[size];
        random.nextBytes(bytes);
        return arena.allocate(size, 64).copyFrom(MemorySegment.ofArray(bytes));
    }

    private static void flip(MemorySegment memory, int bit) {
        byte old = memory.get(ValueLayout.JAVA_BYTE, bit >> 3);
        memory.set(ValueLayout.JAVA_BYTE, bit >> 3, (byte) (old ^ 1 << (bit & 7)));
    }
}
