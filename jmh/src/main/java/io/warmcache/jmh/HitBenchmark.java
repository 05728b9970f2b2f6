/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.jmh;

import com.github.benmanes.caffeine.cache.Cache;
import com.github.benmanes.caffeine.cache.Caffeine;
import io.warmcache.CacheConfig;
import io.warmcache.MapOptions;
import io.warmcache.PageCache;
import io.warmcache.PageCursor;
import io.warmcache.PageReader;
import io.warmcache.PagedFile;
import io.warmcache.ReadPin;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
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
 * validated) and two hash maps of the same pages. In a benchmark named {@code dependent} the next page depends on what
 * was read, so that nothing overlaps: latency, not throughput.
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

    /** Pages that a range read asks for. */
    private static final int RANGE = 64;

    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED;

    private static final PageReader[] READERS = {
        (memory, offset) -> memory.get(LONG, offset),
        (memory, offset) -> memory.get(LONG, offset + 8),
        (memory, offset) -> memory.get(LONG, offset + 16),
        (memory, offset) -> memory.get(LONG, offset + 24)
    };

    /** The pages, resident in every structure that is measured. */
    @State(Scope.Benchmark)
    public static class Pages {
        /** Resident pages. */
        @Param("65536")
        private int pages;

        /** How pages are chosen; {@code one} is a single hot page. */
        @Param({"uniform", "zipf"})
        private String access = "uniform";

        /** Whether the frames are in huge pages: {@code off} or {@code collapse}. */
        @Param("off")
        private String hugePages = "off";

        private final int[] accesses = new int[ACCESSES];
        private final ConcurrentHashMap<Long, MemorySegment> map = new ConcurrentHashMap<>();
        private final Cache<Long, MemorySegment> caffeine = Caffeine.newBuilder().build();
        private long[] offsets = {};
        private MemorySegment memory = MemorySegment.NULL;
        private @Nullable PageCache cache;
        private @Nullable PagedFile file;

        /** As JMH makes it, which sets what it has been told. */
        public Pages() {}

        Pages(int pages, String access, boolean huge) {
            this.pages = pages;
            this.access = access;
            hugePages = huge ? "collapse" : "off";
        }

        /**
         * Frames in random order, so that neither pages nor accesses run with the hardware prefetcher. All that is
         * compared reads the same memory: what differs is how the page is found, and that it is still there.
         */
        @Setup(Level.Trial)
        public void setUp() throws IOException {
            SplittableRandom random = new SplittableRandom(7);
            CacheConfig config = CacheConfig.of(
                            "jmh-hit-" + ProcessHandle.current().pid(), (long) pages * PAGE_SIZE * 17 / 16)
                    .withOptions(Map.of("shm.hugePages", hugePages));
            PageCache opened = PageCache.open(config);
            cache = opened;
            PagedFile mapped = opened.map(new NullStore((long) pages * PAGE_SIZE), MapOptions.DEFAULT);
            file = mapped;
            memory = mapped.memory();
            offsets = new long[pages];
            int[] order = new int[pages];
            for (int page = 0; page < pages; page++) {
                int other = random.nextInt(page + 1);
                order[page] = order[other];
                order[other] = page;
            }
            for (int i = 0; i < pages; i++) {
                long offset = mapped.offset(mapped.stamp(order[i]));
                offsets[order[i]] = offset;
                MemorySegment page = memory.asSlice(offset, PAGE_SIZE);
                map.put((long) order[i], page);
                caffeine.put((long) order[i], page);
            }
            choose(random, order);
            long sum = 0;
            for (int i = 0; i < 200_000; i++) {
                // The profile of the cache's own code sees many readers, as that of a real engine does.
                sum += mapped.read(order[i % pages], READERS[i % READERS.length]);
            }
            if (sum != 0) {
                throw new IllegalStateException("the file should be zeros");
            }
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
                accesses[i] = ranking[access.equals("one") ? 0 : found < 0 ? -found - 1 : found];
            }
        }

        /** Leaves nothing in shared memory. */
        @TearDown(Level.Trial)
        public void tearDown() throws IOException {
            if (cache != null) {
                cache.drop();
            }
        }

        private void read(long position, MemorySegment target) {
            try {
                file().read(position, target);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
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
        private final MemorySegment buffer = Arena.ofAuto().allocate((long) RANGE * PAGE_SIZE, PAGE_SIZE);
        private volatile PageReader escaped = (memory, offset) -> memory.get(LONG, offset);
        private int next = (int) Thread.currentThread().threadId() * 104_729;

        /** A cursor of the thread that will use it. */
        @Setup(Level.Iteration)
        public void setUp(Pages pages) {
            cursor = pages.file().cursor();
        }

        private PageCursor cursor() {
            PageCursor found = cursor;
            if (found == null) {
                throw new IllegalStateException("not set up");
            }
            return found;
        }

        private static long place(int page) {
            return (long) (page % RANGE) * PAGE_SIZE;
        }

        private int page(Pages pages) {
            next = (next + 1) & (ACCESSES - 1);
            return pages.accesses[next];
        }

        /** The next page depends on this value, which is always 0. */
        private long then(long value) {
            next += (int) value;
            return value;
        }
    }

    /** Many accesses of one form. */
    interface Form {
        long run(HitBenchmark benchmark, Pages pages, Reader reader, int times);
    }

    /** Pages copied in their order to a buffer: what one call for many of them spares. */
    static Map<String, Form> scans() {
        Map<String, Form> forms = new LinkedHashMap<>();
        forms.put("array", (b, pages, reader, times) -> {
            for (int i = 0; i < times; i++) {
                int page = i % pages.pages;
                MemorySegment.copy(pages.memory, pages.offsets[page], reader.buffer, Reader.place(i), PAGE_SIZE);
            }
            return 0;
        });
        forms.put("cursor", (b, pages, reader, times) -> {
            PageCursor cursor = reader.cursor();
            for (int i = 0; i < times; i++) {
                cursor.seek(i % pages.pages);
                do {
                    cursor.copyTo(0, reader.buffer, Reader.place(i), PAGE_SIZE);
                } while (cursor.shouldRetry());
            }
            return 0;
        });
        forms.put("readPage", (b, pages, reader, times) -> {
            for (int i = 0; i < times; i++) {
                long position = (long) (i % pages.pages) * PAGE_SIZE;
                pages.read(position, reader.buffer.asSlice(Reader.place(i), PAGE_SIZE));
            }
            return 0;
        });
        forms.put("readRange", (b, pages, reader, times) -> {
            for (int i = 0; i < times; i += RANGE) {
                pages.read((long) (i % pages.pages) * PAGE_SIZE, reader.buffer);
            }
            return 0;
        });
        return forms;
    }

    /** Every form in a loop of its own, since one loop for all would call what it cannot inline. */
    static Map<String, Form> forms(boolean ofDependent) {
        Map<String, Form> forms = new LinkedHashMap<>();
        Map<String, Form> dependent = new LinkedHashMap<>();
        forms.put("array", (b, pages, reader, times) -> {
            long sum = 0;
            for (int i = 0; i < times; i++) {
                sum += b.array(pages, reader);
            }
            return sum;
        });
        forms.put("cursor", (b, pages, reader, times) -> {
            long sum = 0;
            for (int i = 0; i < times; i++) {
                sum += b.cursor(pages, reader);
            }
            return sum;
        });
        forms.put("stamp", (b, pages, reader, times) -> {
            long sum = 0;
            for (int i = 0; i < times; i++) {
                sum += b.stamp(pages, reader);
            }
            return sum;
        });
        forms.put("lambda", (b, pages, reader, times) -> {
            long sum = 0;
            for (int i = 0; i < times; i++) {
                sum += b.lambda(pages, reader);
            }
            return sum;
        });
        forms.put("lambdaCapturing", (b, pages, reader, times) -> {
            long sum = 0;
            for (int i = 0; i < times; i++) {
                sum += b.lambdaCapturing(pages, reader);
            }
            return sum;
        });
        forms.put("lambdaMegamorphic", (b, pages, reader, times) -> {
            long sum = 0;
            for (int i = 0; i < times; i++) {
                sum += b.lambdaMegamorphic(pages, reader);
            }
            return sum;
        });
        forms.put("lambdaEscaping", (b, pages, reader, times) -> {
            long sum = 0;
            for (int i = 0; i < times; i++) {
                sum += b.lambdaEscaping(pages, reader);
            }
            return sum;
        });
        forms.put("pin", (b, pages, reader, times) -> {
            long sum = 0;
            for (int i = 0; i < times; i++) {
                sum += b.pin(pages, reader);
            }
            return sum;
        });
        forms.put("concurrentHashMap", (b, pages, reader, times) -> {
            long sum = 0;
            for (int i = 0; i < times; i++) {
                sum += b.concurrentHashMap(pages, reader);
            }
            return sum;
        });
        forms.put("caffeine", (b, pages, reader, times) -> {
            long sum = 0;
            for (int i = 0; i < times; i++) {
                sum += b.caffeine(pages, reader);
            }
            return sum;
        });
        dependent.put("array", (b, pages, reader, times) -> {
            long sum = 0;
            for (int i = 0; i < times; i++) {
                sum += b.arrayDependent(pages, reader);
            }
            return sum;
        });
        dependent.put("cursor", (b, pages, reader, times) -> {
            long sum = 0;
            for (int i = 0; i < times; i++) {
                sum += b.cursorDependent(pages, reader);
            }
            return sum;
        });
        dependent.put("stamp", (b, pages, reader, times) -> {
            long sum = 0;
            for (int i = 0; i < times; i++) {
                sum += b.stampDependent(pages, reader);
            }
            return sum;
        });
        dependent.put("lambda", (b, pages, reader, times) -> {
            long sum = 0;
            for (int i = 0; i < times; i++) {
                sum += b.lambdaDependent(pages, reader);
            }
            return sum;
        });
        dependent.put("pin", (b, pages, reader, times) -> {
            long sum = 0;
            for (int i = 0; i < times; i++) {
                sum += b.pinDependent(pages, reader);
            }
            return sum;
        });
        dependent.put("concurrentHashMap", (b, pages, reader, times) -> {
            long sum = 0;
            for (int i = 0; i < times; i++) {
                sum += b.concurrentHashMapDependent(pages, reader);
            }
            return sum;
        });
        dependent.put("caffeine", (b, pages, reader, times) -> {
            long sum = 0;
            for (int i = 0; i < times; i++) {
                sum += b.caffeineDependent(pages, reader);
            }
            return sum;
        });
        return ofDependent ? dependent : forms;
    }

    /** The floor: no index, no validation. */
    @Benchmark
    public long array(Pages pages, Reader reader) {
        return pages.memory.get(LONG, pages.offsets[reader.page(pages)]);
    }

    @Benchmark
    public long arrayDependent(Pages pages, Reader reader) {
        return reader.then(array(pages, reader));
    }

    @Benchmark
    public long cursorDependent(Pages pages, Reader reader) {
        return reader.then(cursor(pages, reader));
    }

    @Benchmark
    public long stampDependent(Pages pages, Reader reader) {
        return reader.then(stamp(pages, reader));
    }

    @Benchmark
    public long lambdaDependent(Pages pages, Reader reader) {
        return reader.then(lambda(pages, reader));
    }

    @Benchmark
    public long pinDependent(Pages pages, Reader reader) {
        return reader.then(pin(pages, reader));
    }

    @Benchmark
    public long concurrentHashMapDependent(Pages pages, Reader reader) {
        return reader.then(concurrentHashMap(pages, reader));
    }

    @Benchmark
    public long caffeineDependent(Pages pages, Reader reader) {
        return reader.then(caffeine(pages, reader));
    }

    @Benchmark
    public long cursor(Pages pages, Reader reader) {
        PageCursor cursor = reader.cursor();
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

    /** A new reader for each access, which holds something of its own. */
    @Benchmark
    public long lambdaCapturing(Pages pages, Reader reader) {
        int field = reader.next & 4088;
        return pages.file().read(reader.page(pages), (memory, offset) -> memory.get(LONG, offset + field));
    }

    /** One of four readers, so that the call of it cannot be inlined. */
    @Benchmark
    public long lambdaMegamorphic(Pages pages, Reader reader) {
        int page = reader.page(pages);
        return pages.file().read(page, READERS[page & 3]);
    }

    /** A reader that others hold, too. */
    @Benchmark
    public long lambdaEscaping(Pages pages, Reader reader) {
        return pages.file().read(reader.page(pages), reader.escaped);
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

    @Benchmark
    public long caffeine(Pages pages, Reader reader) {
        MemorySegment page = pages.caffeine.getIfPresent((long) reader.page(pages));
        return page == null ? 0 : page.get(LONG, 0);
    }
}
