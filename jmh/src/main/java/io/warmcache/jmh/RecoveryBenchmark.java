/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.jmh;

import io.warmcache.CacheConfig;
import io.warmcache.MapOptions;
import io.warmcache.PageCache;
import io.warmcache.PagedFile;
import io.warmcache.Validation;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
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
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * From {@code open} until every page of the file can be looked up, with all frames full: warm with validation at
 * first touch or at once, and beside them what a cold engine does, reading the same pages from the store. Includes
 * the close that follows.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.SingleShotTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Fork(2)
@Warmup(iterations = 3)
@Measurement(iterations = 10)
public class RecoveryBenchmark {
    private static final int PAGE_SIZE = 4096;

    /** Frames, all of them in use. */
    @Param("65536")
    private int frames;

    private @Nullable CacheConfig config;
    private @Nullable Path data;

    /** Fills the cache from a file that is no larger. */
    @Setup(Level.Trial)
    public void setUp() throws IOException {
        Path path = Files.createTempFile("warmcache-jmh", ".data");
        data = path;
        CacheConfig warm = CacheConfig.of(
                "jmh-recovery-" + ProcessHandle.current().pid(), (long) frames * PAGE_SIZE)
                .withMaxUnfinishedAttaches(0);
        config = warm;
        byte[] bytes = new byte[1 << 20];
        new SplittableRandom(7).nextBytes(bytes);
        try (PageCache cache = PageCache.open(warm);
                PagedFile file = cache.map(path, MapOptions.DEFAULT)) {
            for (long at = 0; at < (long) frames * PAGE_SIZE; at += bytes.length) {
                file.write(at, MemorySegment.ofArray(bytes));
            }
            file.force();
        }
    }

    /** Leaves nothing in shared memory nor on disk. */
    @TearDown(Level.Trial)
    public void tearDown() throws IOException {
        if (config != null) {
            PageCache.drop(config);
        }
        if (data != null) {
            Files.deleteIfExists(data);
        }
    }

    private int open(Validation validation) throws IOException {
        CacheConfig warm = config;
        Path path = data;
        if (warm == null || path == null) {
            throw new IllegalStateException("not set up");
        }
        try (PageCache cache = PageCache.open(warm.withValidation(validation));
                PagedFile file = cache.map(path, MapOptions.DEFAULT)) {
            int kept = cache.recovery().kept();
            if (kept != frames || file.pages() != frames) {
                throw new IllegalStateException("only " + kept + " of " + frames + " frames were kept");
            }
            return kept;
        }
    }

    @Benchmark
    public int lazy() throws IOException {
        return open(Validation.LAZY);
    }

    @Benchmark
    public int eager() throws IOException {
        return open(Validation.EAGER);
    }

    /** Every page read from the store by direct I/O in runs of 64, as after a cold start. */
    @Benchmark
    public long cold() throws IOException {
        CacheConfig warm = config;
        Path path = data;
        if (warm == null || path == null) {
            throw new IllegalStateException("not set up");
        }
        CacheConfig other =
                CacheConfig.of(warm.name() + "-cold", warm.capacity()).withMaxUnfinishedAttaches(0);
        byte[] bytes = new byte[64 * PAGE_SIZE];
        long sum = 0;
        PageCache cache = PageCache.open(other);
        try {
            PagedFile file = cache.map(path, MapOptions.DEFAULT);
            for (long at = 0; at < file.size(); at += bytes.length) {
                sum += file.read(at, MemorySegment.ofArray(bytes));
            }
        } finally {
            cache.drop();
        }
        return sum;
    }
}
