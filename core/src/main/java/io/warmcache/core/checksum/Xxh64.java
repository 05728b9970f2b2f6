/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core.checksum;

import static java.lang.Long.rotateLeft;

import io.warmcache.spi.BlockChecksum;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Objects;

/**
 * XXH64. A block's place is hashed first, as the five little-endian 8-byte lanes incarnation, file, page, block and
 * generation, and the result seeds the hash of the bytes; so no two fields can cancel each other out as they could
 * under XOR.
 *
 * <p>The loop over the bytes adds an {@code int} index to a {@code long} base: C2 then lifts the bounds and liveness
 * checks out of it, which it does not do for a {@code long} index. It sees native memory only; heap memory is copied
 * there first. Once a loop has met both, C2 inlines its accesses for neither, and every later hash of a mapped block
 * takes ten times as long. Bytes are read through {@link MemorySegment}, since that turns a fault on memory taken away
 * under the mapping into an {@link InternalError}, where intrinsics over a {@code ByteBuffer} end the JVM.
 */
public final class Xxh64 implements BlockChecksum {
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfByte BYTE = ValueLayout.JAVA_BYTE;

    private static final long P1 = 0x9E3779B185EBCA87L;
    private static final long P2 = 0xC2B2AE3D27D4EB4FL;
    private static final long P3 = 0x165667B19E3779F9L;
    private static final long P4 = 0x85EBCA77C2B2AE63L;
    private static final long P5 = 0x27D4EB2F165667C5L;

    private static final int STRIPE = 32;

    /** Bytes hashed through one slice, a multiple of the stripe that an {@code int} can index. */
    static final int MAX_RUN = 1 << 30;

    private final int maxRun;

    /** The algorithm; it has no state. */
    public Xxh64() {
        this(MAX_RUN);
    }

    /** With shorter slices, so that a test crosses their border without gigabytes. */
    Xxh64(int maxRun) {
        this.maxRun = maxRun;
    }

    @Override
    public String algorithm() {
        return "xxh64";
    }

    @Override
    public int algorithmId() {
        return 1;
    }

    @Override
    public long block(
            MemorySegment memory, long offset, long incarnation, long fileId, long page, int block, int generation) {
        return bytes(memory, offset, BLOCK_SIZE, key(incarnation, fileId, page, block, generation));
    }

    @Override
    public long bytes(MemorySegment memory, long offset, long length, long seed) {
        Objects.checkFromIndexSize(offset, length, memory.byteSize());
        if (memory.isNative()) {
            return hash(memory, offset, length, seed);
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment copy = arena.allocate(length).copyFrom(memory.asSlice(offset, length));
            return hash(copy, 0, length, seed);
        }
    }

    private long hash(MemorySegment memory, long offset, long length, long seed) {
        long at = offset;
        long end = offset + length;
        long hash = seed + P5;
        if (length >= STRIPE) {
            long a = seed + P1 + P2;
            long b = seed + P2;
            long c = seed;
            long d = seed - P1;
            long lastStripe = end - STRIPE;
            while (at <= lastStripe) {
                int n = (int) Math.min(end - at, maxRun) & -STRIPE;
                for (int i = 0; i < n; i += STRIPE) {
                    a = round(a, memory.get(LONG, at + i));
                    b = round(b, memory.get(LONG, at + i + 8));
                    c = round(c, memory.get(LONG, at + i + 16));
                    d = round(d, memory.get(LONG, at + i + 24));
                }
                at += n;
            }
            hash = merge(a, b, c, d);
        }
        hash += length;
        for (; end - at >= 8; at += 8) {
            hash = lane(hash, memory.get(LONG, at));
        }
        if (end - at >= 4) {
            hash = rotateLeft(hash ^ (memory.get(INT, at) & 0xFFFF_FFFFL) * P1, 23) * P2 + P3;
            at += 4;
        }
        for (; at < end; at++) {
            hash = rotateLeft(hash ^ (memory.get(BYTE, at) & 0xFF) * P5, 11) * P1;
        }
        return nonZero(avalanche(hash));
    }

    /** XXH64 with seed 0 of the five fields as 40 little-endian bytes. */
    static long key(long incarnation, long fileId, long page, int block, int generation) {
        long seed = 0;
        long a = round(seed + P1 + P2, incarnation);
        long b = round(seed + P2, fileId);
        long c = round(seed, page);
        long d = round(seed - P1, block);
        long hash = merge(a, b, c, d);
        return avalanche(lane(hash + 5 * Long.BYTES, generation));
    }

    /** Zero is what unwritten memory holds, so it is never a valid checksum. */
    static long nonZero(long hash) {
        return hash != 0 ? hash : P1;
    }

    private static long round(long accumulator, long lane) {
        return rotateLeft(accumulator + lane * P2, 31) * P1;
    }

    private static long lane(long hash, long lane) {
        return rotateLeft(hash ^ round(0, lane), 27) * P1 + P4;
    }

    private static long merge(long a, long b, long c, long d) {
        long hash = rotateLeft(a, 1) + rotateLeft(b, 7) + rotateLeft(c, 12) + rotateLeft(d, 18);
        hash = (hash ^ round(0, a)) * P1 + P4;
        hash = (hash ^ round(0, b)) * P1 + P4;
        hash = (hash ^ round(0, c)) * P1 + P4;
        return (hash ^ round(0, d)) * P1 + P4;
    }

    private static long avalanche(long hash) {
        hash = (hash ^ hash >>> 33) * P2;
        hash = (hash ^ hash >>> 29) * P3;
        return hash ^ hash >>> 32;
    }
}
