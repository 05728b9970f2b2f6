/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.jmh;

import io.warmcache.core.checksum.Checksums;
import io.warmcache.spi.BlockChecksum;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import java.util.zip.CRC32C;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * Passes over 1 GiB of native memory, block by block, with each algorithm as the cache uses it, and with the bare
 * CRC32C.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.SingleShotTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Fork(3)
@Warmup(iterations = 3)
@Measurement(iterations = 10)
public class ChecksumBenchmark {
    /** Bytes of a pass. */
    @Param("1073741824")
    private long length;

    private Arena arena = Arena.ofAuto();
    private MemorySegment memory = MemorySegment.NULL;
    private final BlockChecksum xxh64 = Checksums.byName("xxh64").orElseThrow();
    private final BlockChecksum crc32c = Checksums.byName("crc32c").orElseThrow();

    /** As JMH makes it, which sets what it has been told. */
    public ChecksumBenchmark() {}

    ChecksumBenchmark(long length) {
        this.length = length;
    }

    /** Random bytes. */
    @Setup
    @SuppressWarnings("MustBeClosedChecker") // closed by tearDown
    public void setUp() {
        arena = Arena.ofShared();
        memory = arena.allocate(length, BlockChecksum.BLOCK_SIZE);
        SplittableRandom random = new SplittableRandom(7);
        for (long at = 0; at < length; at += 8) {
            memory.set(ValueLayout.JAVA_LONG, at, random.nextLong());
        }
    }

    /** Gives the memory back. */
    @TearDown
    public void tearDown() {
        arena.close();
    }

    private long pass(BlockChecksum checksum) {
        long sum = 0;
        for (long at = 0; at < length; at += BlockChecksum.BLOCK_SIZE) {
            sum += checksum.block(memory, at, 1, 2, at >>> 12, 0, 3);
        }
        return sum;
    }

    @Benchmark
    public long xxh64() {
        return pass(xxh64);
    }

    @Benchmark
    public long crc32c() {
        return pass(crc32c);
    }

    /** The JDK's intrinsic over the memory itself, without the block's place. */
    @Benchmark
    public long crc32cBare() {
        CRC32C crc = new CRC32C();
        long sum = 0;
        for (long at = 0; at < length; at += BlockChecksum.BLOCK_SIZE) {
            ByteBuffer block = memory.asSlice(at, BlockChecksum.BLOCK_SIZE).asByteBuffer();
            crc.reset();
            crc.update(block);
            sum += crc.getValue();
        }
        return sum;
    }
}
