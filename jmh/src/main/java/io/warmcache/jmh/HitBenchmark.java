/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.jmh;

import io.warmcache.CacheConfig;
import io.warmcache.MapOptions;
import io.warmcache.PageCache;
import io.warmcache.PageCursor;
import io.warmcache.PagedFile;
import io.warmcache.ReadPin;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.concurrent.ConcurrentHashMap;
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
 * One 8-byte read of a resident page, in every form the API has, beside the floor (an array of offsets, nothing
 * validated) and a hash map of the same pages.
 */
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Fork(2)
@Warmup(iterations = 3, time = 2)
@Measurement(iterations = 5, time = 2)
public class HitBenchmark {
    private static final int PAGE_SIZE = 4096;
    private static final int ACCESSES = 1 << 20;
    private static final double SKEW = 0.99;
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED;

    /** The pages, resident in every structure that is measured. */
    @State(Scope.Benchmark)
    public static class Pages {
        /** Resident pages. */
        @Param("65536")
        private int pages;

        /** How pages are chosen. */
        @Param({"uniform", "zipf"})
        private String access = "uniform";

        private final int[] accesses = new int[ACCESSES];
        private final ConcurrentHashMap<Long, MemorySegment> map = new ConcurrentHashMap<>();
        private long[] offsets = {};
        private MemorySegment memory = MemorySegment.NULL;
        private @Nullable Path data;
        private @Nullable PageCache cache;
        private @Nullable PagedFile file;

        /** Frames in random order, so that neither pages nor accesses run with the hardware prefetcher. */
        @Setup(Level.Trial)
        public void setUp() throws IOException {
            SplittableRandom random = new SplittableRandom(7);
            Path path = Files.createTempFile("warmcache-jmh", ".data");
            data = path;
            CacheConfig config = CacheConfig.of(
                    "jmh-hit-" + ProcessHandle.current().pid(), (long) pages * PAGE_SIZE * 17 / 16);
            PageCache opened = PageCache.open(config);
            cache = opened;
            PagedFile mapped = opened.map(path, MapOptions.DEFAULT);
            file = mapped;
            mapped.truncate((long) pages * PAGE_SIZE);
            memory = Arena.ofAuto().allocate((long) pages * PAGE_SIZE, PAGE_SIZE);
            offsets = new long[pages];
            int[] order = new int[pages];
            for (int page = 0; page < pages; page++) {
                int other = random.nextInt(page + 1);
                order[page] = order[other];
                order[other] = page;
            }
            for (int i = 0; i < pages; i++) {
                mapped.stamp(order[i]);
                offsets[order[i]] = (long) i * PAGE_SIZE;
                map.put((long) order[i], memory.asSlice((long) i * PAGE_SIZE, PAGE_SIZE));
            }
            choose(random, order);
        }

        private void choose(SplittableRandom random, int[] ranking) {
            double[] cumulative = new double[pages];
            double sum = 0;
            for (int rank = 0; rank < pages; rank++) {
                sum += access.equals("zipf") ? Math.pow(rank + 1, -SKEW) : 1;
                cumulative[rank] = sum;
            }
            for (int i = 0; i < ACCESSES; i++) {
                int found = Arrays.binarySearch(cumulative, random.nextDouble(sum));
                accesses[i] = ranking[found < 0 ? -found - 1 : found];
            }
        }

        /** Leaves nothing in shared memory nor on disk. */
        @TearDown(Level.Trial)
        public void tearDown() throws IOException {
            if (cache != null) {
                cache.drop();
            }
            if (data != null) {
                Files.deleteIfExists(data);
            }
        }

        private PagedFile file() {
            PagedFile mapped = file;
            if (mapped == null) {
                throw new IllegalStateException("not set up");
            }
            return mapped;
        }
    }

    /** What each thread has of its own. */
    @State(Scope.Thread)
    public static class Reader {
        private @Nullable PageCursor cursor;
        private int next = (int) Thread.currentThread().threadId() * 104_729;

        /** A cursor of the thread that will use it. */
        @Setup(Level.Iteration)
        public void setUp(Pages pages) {
            cursor = pages.file().cursor();
        }

        private int page(Pages pages) {
            next = (next + 1) & (ACCESSES - 1);
            return pages.accesses[next];
        }
    }

    /** The floor: no index, no validation. */
    @Benchmark
    public long array(Pages pages, Reader reader) {
        return pages.memory.get(LONG, pages.offsets[reader.page(pages)]);
    }

    @Benchmark
    public long cursor(Pages pages, Reader reader) {
        PageCursor cursor = reader.cursor;
        if (cursor == null) {
            throw new IllegalStateException("not set up");
        }
        cursor.seek(reader.page(pages));
        long value;
        do {
            value = cursor.getLong(0);
        } while (cursor.shouldRetry());
        return value;
    }

    @Benchmark
    public long stamp(Pages pages, Reader reader) {
        PagedFile file = pages.file();
        int page = reader.page(pages);
        while (true) {
            long stamp = file.stamp(page);
            long value = file.memory().get(LONG, file.offset(stamp));
            if (file.valid(page, stamp)) {
                return value;
            }
        }
    }

    @Benchmark
    public long lambda(Pages pages, Reader reader) {
        return pages.file().read(reader.page(pages), (memory, offset) -> memory.get(LONG, offset));
    }

    @Benchmark
    public long pin(Pages pages, Reader reader) {
        try (ReadPin pin = pages.file().pin(reader.page(pages))) {
            return pin.segment().get(LONG, 0);
        }
    }

    @Benchmark
    public long concurrentHashMap(Pages pages, Reader reader) {
        MemorySegment page = pages.map.get((long) reader.page(pages));
        return page == null ? 0 : page.get(LONG, 0);
    }
}
