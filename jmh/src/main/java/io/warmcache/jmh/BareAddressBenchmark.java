/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.jmh;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;

/**
 * The floor under every hit: one 8-byte read of a random page found by an array of offsets, with no validation at all.
 * What a cache costs is what its hit takes beyond this.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Fork(2)
@Warmup(iterations = 3, time = 2)
@Measurement(iterations = 5, time = 2)
public class BareAddressBenchmark {
    private static final int PAGE_SIZE = 4096;
    private static final int ACCESSES = 1 << 20;
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED;

    /** Resident pages. */
    @Param("65536")
    private int pages;

    private final int[] accesses = new int[ACCESSES];
    private long[] offsets = {};
    private MemorySegment memory = MemorySegment.NULL;
    private int next;

    /** Frames in random order, so that neither pages nor accesses run with the hardware prefetcher. */
    @Setup(Level.Trial)
    public void setUp() {
        SplittableRandom random = new SplittableRandom(7);
        memory = Arena.ofAuto().allocate((long) pages * PAGE_SIZE, PAGE_SIZE);
        offsets = new long[pages];
        for (int page = 0; page < pages; page++) {
            int other = random.nextInt(page + 1);
            offsets[page] = offsets[other];
            offsets[other] = (long) page * PAGE_SIZE;
            memory.set(LONG, (long) page * PAGE_SIZE, random.nextLong());
        }
        for (int i = 0; i < ACCESSES; i++) {
            accesses[i] = random.nextInt(pages);
        }
    }

    @Benchmark
    public long uniform() {
        next = (next + 1) & (ACCESSES - 1);
        return memory.get(LONG, offsets[accesses[next]]);
    }
}
