/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.jmh;

import io.warmcache.CacheConfig;
import io.warmcache.MapOptions;
import io.warmcache.PageCache;
import io.warmcache.PageCursor;
import io.warmcache.PagedFile;
import io.warmcache.ReadPin;
import io.warmcache.WritePin;
import io.warmcache.WritePolicy;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.ValueLayout;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.Callable;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * How the cost of each operation grows with one dimension, all others being those of a small cache. A store that does
 * nothing is behind it, so what is measured is the cache's own work. {@code jmh/scale} runs it.
 */
final class ScaleTable {
    private static final String USAGE =
            """
            usage: scale pages|threads|page-size|pinned|dirty|stores [--most N] [--json FILE]
                   scale files DIRECTORY [--most N] [--json FILE]
              pages: 2^12 to 2^22, or to --most of them; stores: 1 to 100,000; files: 1 to 10,000 plain ones
            """;

    private static final MapOptions WRITE_BACK = MapOptions.DEFAULT.withPolicy(WritePolicy.WRITE_BACK);
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED;
    private static final int ROUNDS = 11;

    /** Operations of a round, or fewer where there are not so many pages. */
    private static final int SLICE = 1 << 14;

    private final Map<String, Map<String, double[]>> rows = new LinkedHashMap<>();
    private long sum;

    private ScaleTable() {}

    public static void main(String[] arguments) throws IOException, InterruptedException, ExecutionException {
        List<String> rest = new ArrayList<>(List.of(arguments));
        String dimension = rest.isEmpty() ? "" : rest.remove(0);
        Path directory = dimension.equals("files") && !rest.isEmpty() ? Path.of(rest.remove(0)) : null;
        int most = Integer.MAX_VALUE;
        Path json = null;
        while (rest.size() > 1) {
            String option = rest.remove(0);
            String value = rest.remove(0);
            switch (option) {
                case "--most" -> most = Integer.parseInt(value);
                case "--json" -> json = Path.of(value);
                default -> rest.add(option);
            }
        }
        ScaleTable table = new ScaleTable();
        boolean known = rest.isEmpty() && table.measure(dimension, directory, most);
        if (!known) {
            System.err.print(USAGE);
            System.exit(2);
        }
        table.print(dimension);
        if (json != null) {
            Files.writeString(json, table.json(dimension));
        }
    }

    private boolean measure(String dimension, @Nullable Path directory, int most)
            throws IOException, InterruptedException, ExecutionException {
        // Compiles what is measured before the first row.
        operations("warm-up", 1 << 12, 4096, 1, 0, 0);
        operations("warm-up", 1 << 14, 4096, 1, 0, 0);
        switch (dimension) {
            case "pages" -> {
                for (int shift : new int[] {12, 14, 16, 18, 20, 21, 22}) {
                    if (1 << shift <= most) {
                        operations("2^" + shift, 1 << shift, 4096, 1, 0, 0);
                    }
                }
            }
            case "threads" -> {
                for (int threads = 1; threads <= Math.min(16, most); threads *= 2) {
                    operations("" + threads, 1 << 16, 4096, threads, 0, 0);
                }
            }
            case "page-size" -> {
                for (int size = 4096; size <= Math.min(65_536, most); size *= 2) {
                    operations("" + size, 1 << 14, size, 1, 0, 0);
                }
            }
            case "pinned" -> {
                for (int percent : new int[] {0, 50, 75, 90, 99}) {
                    operations(percent + " %", 1 << 18, 4096, 1, percent, 0);
                }
            }
            case "dirty" -> {
                for (int percent : new int[] {0, 50, 75, 90, 99}) {
                    operations(percent + " %", 1 << 18, 4096, 1, 0, percent);
                }
            }
            case "stores" -> {
                for (int stores = 1; stores <= Math.min(100_000, most); stores *= 10) {
                    files(stores, null);
                }
            }
            case "files" -> {
                if (directory == null) {
                    return false;
                }
                for (int count = 1; count <= Math.min(10_000, most); count *= 10) {
                    files(count, directory);
                }
            }
            default -> {
                return false;
            }
        }
        rows.remove("warm-up");
        if (sum != 0) {
            throw new IllegalStateException("the file should be zeros");
        }
        return true;
    }

    private void note(String row, String column, int round, double value) {
        double[] of = rows.computeIfAbsent(row, name -> new LinkedHashMap<>())
                .computeIfAbsent(column, name -> new double[ROUNDS]);
        of[round] = value;
    }

    /** The same value in every round: what is done once. */
    private void noteOnce(String row, String column, double value) {
        for (int round = 0; round < ROUNDS; round++) {
            note(row, column, round, value);
        }
    }

    /** One operation on a page. */
    private interface Operation {
        long run(PagedFile file, PageCursor cursor, long page);
    }

    private static final Operation HIT = (file, cursor, page) -> hit(cursor, page);
    private static final Operation WRITE = (file, cursor, page) -> write(file, page);

    private static long hit(PageCursor cursor, long page) {
        long value;
        cursor.seek(page);
        do {
            value = cursor.getLong(64);
        } while (cursor.shouldRetry());
        return value;
    }

    private static long write(PagedFile file, long page) {
        try (WritePin pin = file.pinForWrite(page)) {
            pin.dirty(64, 8);
            pin.segment().set(LONG, 64, 0);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return 0;
    }

    private void operations(String row, int pages, int pageSize, int threads, int pinned, int dirty)
            throws IOException, InterruptedException, ExecutionException {
        long opening = System.nanoTime();
        PageCache cache = PageCache.open(CacheConfig.of(
                        "jmh-scale-" + ProcessHandle.current().pid(), (long) pages * pageSize)
                .withPageSize(pageSize)
                // Dirty pages stay so until they are needed.
                .withOptions(Map.of("core.maintenance", dirty > 0 ? "off" : "on", "shm.cgroupCheck", "off")));
        long opened = System.nanoTime() - opening;
        ExecutorService pool = Executors.newFixedThreadPool(threads);
        List<ReadPin> pins = new ArrayList<>();
        try {
            long all = 16L * pages;
            NullStore store = new NullStore(all * pageSize);
            PagedFile file = cache.map(store, WRITE_BACK);
            long filling = System.nanoTime();
            for (int page = 0; page < pages; page++) {
                var _ = file.stamp(page);
            }
            noteOnce(row, "fill", (double) (System.nanoTime() - filling) / pages);
            SplittableRandom random = new SplittableRandom(9);
            int slice = Math.min(SLICE, pages / 4);
            for (int round = 0; round < ROUNDS; round++) {
                long[][] resident = pages(random, threads, slice / threads, 0, pages);
                note(row, "hit", round, each(pool, file, resident, HIT));
                if (pinned == 0 && dirty == 0) {
                    note(row, "write, clean", round, each(pool, file, resident, WRITE));
                    note(row, "write, dirty", round, each(pool, file, resident, WRITE));
                    file.flush();
                }
            }
            for (int page = 0; page < (long) pages * pinned / 100; page++) {
                pins.add(file.pin(page));
            }
            for (int page = 0; page < (long) pages * dirty / 100; page++) {
                var _ = write(file, page);
            }
            // Two caches full of misses first, so that those that can be evicted have been looked for.
            long[][] before = pages(random, threads, slice / threads, pages, all);
            for (int i = 0; i < Math.max(2, 2 * pages / slice / (pinned + dirty > 0 ? 8 : 1)); i++) {
                var _ = each(pool, file, before, HIT);
                before = pages(random, threads, slice / threads, pages, all);
            }
            for (int round = 0; round < ROUNDS; round++) {
                long[][] absent = pages(random, threads, slice / threads, pages, all);
                long bytes = store.bytesRead();
                double nanos = each(pool, file, absent, HIT);
                double misses = (double) (store.bytesRead() - bytes) / pageSize;
                note(row, "miss", round, nanos * slice / threads * threads / Math.max(1, misses));
            }
            pins.forEach(ReadPin::close);
            pins.clear();
            long closing = System.nanoTime();
            cache.close(Duration.ofSeconds(10));
            noteOnce(row, "open ms", opened / 1e6);
            noteOnce(row, "close ms", (System.nanoTime() - closing) / 1e6);
        } finally {
            pool.shutdownNow();
            pins.forEach(ReadPin::close);
            PageCache.drop(cache.config());
        }
    }

    private static long[][] pages(SplittableRandom random, int threads, int count, long from, long to) {
        long[][] pages = new long[threads][];
        for (int i = 0; i < threads; i++) {
            pages[i] = random.longs(count, from, to).toArray();
        }
        return pages;
    }

    /** Wall-clock nanoseconds for each operation of all threads together. */
    private double each(ExecutorService pool, PagedFile file, long[][] pages, Operation operation)
            throws InterruptedException, ExecutionException {
        CyclicBarrier start = new CyclicBarrier(pages.length);
        List<Future<long[]>> all = new ArrayList<>();
        for (long[] own : pages) {
            Callable<long[]> work = () -> {
                long value = 0;
                try (PageCursor cursor = file.cursor()) {
                    start.await();
                    long begun = System.nanoTime();
                    for (long page : own) {
                        value += operation.run(file, cursor, page);
                    }
                    return new long[] {begun, System.nanoTime(), value};
                }
            };
            all.add(pool.submit(work));
        }
        long first = Long.MAX_VALUE;
        long last = Long.MIN_VALUE;
        for (Future<long[]> each : all) {
            long[] result = each.get();
            first = Math.min(first, result[0]);
            last = Math.max(last, result[1]);
            sum += result[2];
        }
        return (double) (last - first) / ((long) pages.length * pages[0].length);
    }

    private void files(int count, @Nullable Path directory) throws IOException, InterruptedException {
        String row = String.format(Locale.ROOT, "%,d", count);
        List<Path> paths = new ArrayList<>();
        CacheConfig config = CacheConfig.of("jmh-scale-" + ProcessHandle.current().pid(), 1L << 28)
                .withMaxFiles(count + 1)
                .withOptions(Map.of("shm.cgroupCheck", "off"));
        try {
            for (int i = 0; directory != null && i < count; i++) {
                Path path = directory.resolve("scale-" + ProcessHandle.current().pid() + "-" + i);
                Files.write(path, new byte[8192]);
                paths.add(path);
            }
            try (PageCache cache = PageCache.open(config)) {
                files(row, count, cache, paths);
            }
            long opening = System.nanoTime();
            PageCache again = PageCache.open(config);
            noteOnce(row, "open again ms", (System.nanoTime() - opening) / 1e6);
            again.close();
        } finally {
            PageCache.drop(config);
            for (Path path : paths) {
                Files.delete(path);
            }
        }
    }

    private void files(String row, int count, PageCache cache, List<Path> paths)
            throws IOException, InterruptedException {
        List<PagedFile> files = new ArrayList<>();
        long mapping = System.nanoTime();
        for (int i = 0; i < count; i++) {
            files.add(paths.isEmpty()
                    ? cache.map(new NullStore(i, 8192), WRITE_BACK)
                    : cache.map(paths.get(i), WRITE_BACK));
        }
        noteOnce(row, "map us", (System.nanoTime() - mapping) / 1e3 / count);
        long missing = System.nanoTime();
        for (PagedFile file : files) {
            var _ = file.stamp(0);
        }
        noteOnce(row, "miss us", (System.nanoTime() - missing) / 1e3 / count);
        long writing = System.nanoTime();
        for (PagedFile file : files) {
            var _ = write(file, 0);
        }
        noteOnce(row, "write us", (System.nanoTime() - writing) / 1e3 / count);
        hits(row, "hit ns", files);
        awaitClean(cache);
        noteOnce(row, "written lately, % of a CPU", processorShare());
        Thread.sleep(6000); // nothing tells when a cache looks at a file no more: five seconds after its last write
        noteOnce(row, "idle, % of a CPU", processorShare());
        hits(row, "hit ns, idle", files);
        long closing = System.nanoTime();
        for (PagedFile file : files) {
            file.close();
        }
        noteOnce(row, "close us", (System.nanoTime() - closing) / 1e3 / count);
    }

    /** What was written is written back a second later, by the cache's own threads. */
    private static void awaitClean(PageCache cache) throws InterruptedException {
        long begun = System.nanoTime();
        while (cache.stats().dirtyPages() > 0) {
            if (System.nanoTime() - begun > TimeUnit.MINUTES.toNanos(2)) {
                throw new IllegalStateException(cache.stats().dirtyPages() + " pages are dirty still");
            }
            Thread.sleep(10);
        }
    }

    private void hits(String row, String name, List<PagedFile> files) {
        SplittableRandom random = new SplittableRandom(3);
        for (int round = 0; round < ROUNDS; round++) {
            int[] chosen = random.ints(SLICE, 0, files.size()).toArray();
            long start = System.nanoTime();
            for (int each : chosen) {
                long page = 0;
                sum += files.get(each).read(page, (memory, offset) -> memory.get(LONG, offset));
            }
            note(row, name, round, (double) (System.nanoTime() - start) / SLICE);
        }
    }

    /** What the threads of a cache take while nobody uses it. */
    private static double processorShare() throws InterruptedException {
        var bean = (com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
        long before = bean.getProcessCpuTime();
        long begun = System.nanoTime();
        Thread.sleep(2000); // what is measured
        return 100.0 * (bean.getProcessCpuTime() - before) / (System.nanoTime() - begun);
    }

    private void print(String dimension) {
        List<String> columns =
                rows.values().stream().flatMap(r -> r.keySet().stream()).distinct().toList();
        System.out.println("| " + dimension + " | " + String.join(" | ", columns) + " |");
        System.out.println("|---:" + "|---:".repeat(columns.size()) + "|");
        rows.forEach((row, values) -> System.out.println("| " + row + " | "
                + columns.stream()
                        .map(c -> {
                            double[] of = values.get(c);
                            return of == null ? "" : String.format(Locale.ROOT, "%,.1f", Ratios.median(of));
                        })
                        .collect(Collectors.joining(" | "))
                + " |"));
    }

    private String json(String dimension) {
        return rows.entrySet().stream()
                .map(row -> "    {\"" + dimension + "\": \"" + row.getKey() + "\", "
                        + row.getValue().entrySet().stream()
                                .map(c -> "\"" + c.getKey() + "\": "
                                        + Arrays.stream(c.getValue())
                                                .mapToObj(v -> String.format(Locale.ROOT, "%.1f", v))
                                                .collect(Collectors.joining(", ", "[", "]")))
                                .collect(Collectors.joining(", "))
                        + "}")
                .collect(Collectors.joining(",\n", "{\n  \"rows\": [\n", "\n  ]\n}\n"));
    }
}
