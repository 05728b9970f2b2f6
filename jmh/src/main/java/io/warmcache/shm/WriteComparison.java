/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import io.warmcache.CacheConfig;
import io.warmcache.IoMode;
import io.warmcache.MapOptions;
import io.warmcache.PageCache;
import io.warmcache.PagedFile;
import io.warmcache.WritePin;
import io.warmcache.WritePolicy;
import io.warmcache.jmh.NullStore;
import io.warmcache.jmh.Ratios;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;

/**
 * What writes cost, beside the least they could: a bare store into the same memory, and a raw writer of the same pages
 * that sorts them and writes each run with one {@code pwritev} past the kernel's cache. By turns in one JVM. {@code
 * jmh/writes} runs it.
 *
 * <p>Lies in the package of the system calls, so that both sides make the same ones in the same way.
 */
public final class WriteComparison {
    private static final String USAGE =
            """
            usage: writes store [--pages N] [--page-size BYTES] [--pairs N] [--json FILE]
                   writes back DIRECTORY [--share OF_PAGES] [--mib N] [--pairs N] [--json FILE]
                   writes behind DIRECTORY [--mib N] [--cache-mib N] [--seconds N] [--pairs N] [--json FILE]
              store: the first write to a clean page and one to a dirty page beside a bare store
              back: flush and force of random dirty pages beside a raw writer
              behind: a writer of random pages that is faster than the disk beside a raw writer
              DIRECTORY: on the disk to be measured, with room for two files
            """;

    private static final MapOptions WRITE_BACK = MapOptions.DEFAULT.withPolicy(WritePolicy.WRITE_BACK);
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED;
    private static final int WARM_UP = 3;

    /** Pages of one system call, as many as the cache writes at once. */
    private static final int MOST_RUN = 64;

    private int pageSize = 4096;
    private int pages = 65_536;
    private int pairs = 12;
    private double share = 0.1;
    private int mib = 1024;
    private int cacheMib = 256;
    private double seconds = 3;
    private @Nullable Path json;

    private WriteComparison() {}

    /** Prints a table; the raw figures go to a file if one is named. */
    public static void main(String[] arguments) throws IOException {
        List<String> rest = new ArrayList<>(List.of(arguments));
        WriteComparison comparison = new WriteComparison();
        String mode = rest.isEmpty() ? "" : rest.remove(0);
        Path directory = Path.of("");
        if (!mode.equals("store")) {
            if (rest.isEmpty() || !(mode.equals("back") || mode.equals("behind"))) {
                usage();
            }
            directory = Path.of(rest.remove(0)).toAbsolutePath();
        }
        while (!rest.isEmpty()) {
            if (rest.size() < 2) {
                usage();
            }
            comparison.option(rest.remove(0), rest.remove(0));
        }
        switch (mode) {
            case "store" -> comparison.stores();
            case "back" -> comparison.back(directory);
            default -> comparison.behind(directory);
        }
    }

    private static void usage() {
        System.err.print(USAGE);
        System.exit(2);
    }

    private void option(String option, String value) {
        switch (option) {
            case "--pages" -> pages = Integer.parseInt(value);
            case "--page-size" -> pageSize = Integer.parseInt(value);
            case "--pairs" -> pairs = Math.max(Ratios.LEAST_PAIRS, Integer.parseInt(value));
            case "--share" -> share = Double.parseDouble(value);
            case "--mib" -> mib = Integer.parseInt(value);
            case "--cache-mib" -> cacheMib = Integer.parseInt(value);
            case "--seconds" -> seconds = Double.parseDouble(value);
            case "--json" -> json = Path.of(value);
            default -> usage();
        }
    }

    private void print(
            String title, String unit, String floor, Map<String, double[]> figures, Map<String, Double> allocated)
            throws IOException {
        System.out.println(title + ", " + pairs + " pairs");
        System.out.println("| form | " + unit + ", median | x " + floor + ", mean ± 95 % | B |");
        System.out.println("|---|---:|---:|---:|");
        figures.forEach((name, of) -> {
            Ratios ratios = new Ratios(of, figures.getOrDefault(floor, of));
            System.out.printf(
                    Locale.ROOT,
                    "| %s | %.1f | %.3f ± %.3f | %.1f |%n",
                    name,
                    Ratios.median(of),
                    ratios.mean(),
                    ratios.interval(),
                    allocated.getOrDefault(name, 0.0));
        });
        if (json != null) {
            Files.writeString(json, Ratios.json(title, unit, figures, allocated));
        }
    }

    private static int[] shuffled(int count, SplittableRandom random) {
        int[] order = new int[count];
        for (int i = 0; i < count; i++) {
            int other = random.nextInt(i + 1);
            order[i] = order[other];
            order[other] = i;
        }
        return order;
    }

    private PageCache open(String what, long capacity, String maintenance) throws IOException {
        return PageCache.open(CacheConfig.of("jmh-" + what + "-" + ProcessHandle.current().pid(), capacity)
                .withPageSize(pageSize)
                .withOptions(Map.of("core.maintenance", maintenance)));
    }

    // ---- one store -------------------------------------------------------------------------------------------------

    /** One form of a write to a page. */
    private interface Form {
        void write(int page) throws IOException;
    }

    @SuppressWarnings("restricted") // the bare store goes by address
    private void stores() throws IOException {
        // Nothing is written behind our back: what is dirty here is so because we say so.
        PageCache cache = open("store", (long) pages * pageSize * 17 / 16, "off");
        try (Arena arena = Arena.ofConfined()) {
            PagedFile file = cache.map(new NullStore((long) pages * pageSize), WRITE_BACK);
            MemorySegment zeros = arena.allocate(8);
            MemorySegment all = MemorySegment.NULL.reinterpret(Long.MAX_VALUE);
            long[] addresses = new long[pages];
            for (int page : shuffled(pages, new SplittableRandom(7))) {
                try (WritePin pin = file.pinForWrite(page)) {
                    addresses[page] = pin.segment().address();
                }
            }
            Form pin = page -> {
                try (WritePin written = file.pinForWrite(page)) {
                    written.dirty(64, 8);
                    written.segment().set(LONG, 64, 0);
                }
            };
            Form range = page -> file.write((long) page * pageSize + 64, zeros);
            Map<String, Form> forms = new LinkedHashMap<>();
            forms.put("store", page -> all.set(LONG, addresses[page] + 64, 0));
            forms.put("dirty pin", pin);
            forms.put("dirty write", range);
            forms.put("clean pin", pin);
            forms.put("clean write", range);
            int[] order = shuffled(pages, new SplittableRandom(11));
            var bean = (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
            Map<String, double[]> times = new LinkedHashMap<>();
            Map<String, Double> allocated = new LinkedHashMap<>();
            int slice = pages / 4;
            for (int pair = -WARM_UP; pair < pairs; pair++) {
                int from = (pair + WARM_UP) % 4 * slice;
                for (Map.Entry<String, Form> form : forms.entrySet()) {
                    if (form.getKey().startsWith("clean")) {
                        file.flush();
                    } else if (form.getKey().startsWith("dirty")) {
                        for (int i = from; i < from + slice; i++) {
                            pin.write(order[i]);
                        }
                    }
                    long before = bean.getCurrentThreadAllocatedBytes();
                    long start = bean.getCurrentThreadCpuTime();
                    for (int i = from; i < from + slice; i++) {
                        form.getValue().write(order[i]);
                    }
                    double nanos = (double) (bean.getCurrentThreadCpuTime() - start) / slice;
                    double bytes = (double) (bean.getCurrentThreadAllocatedBytes() - before) / slice;
                    if (pair >= 0) {
                        times.computeIfAbsent(form.getKey(), name -> new double[pairs])[pair] = nanos;
                        allocated.merge(form.getKey(), bytes / pairs, Double::sum);
                    }
                }
            }
            print(
                    pages + " pages of " + pageSize + " bytes in random frames, uniform",
                    "nanosPerWrite",
                    "store",
                    times,
                    allocated);
        } finally {
            cache.drop();
        }
    }

    // ---- write-back and force --------------------------------------------------------------------------------------

    /** A file of some size with bytes in all of it, so that writing allocates nothing. */
    private Path file(Path directory, String name, long bytes) throws IOException {
        Path path = directory.resolve("writes-" + name + "-" + ProcessHandle.current().pid());
        int fd = Libc.open(path.toString(), Libc.O_RDWR | Libc.O_CREAT | Libc.O_EXCL, 0600);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment chunk = arena.allocate(1 << 20, 4096);
            for (long at = 0; at < bytes; at += chunk.byteSize()) {
                Libc.vector(0, chunk.address(), chunk.byteSize());
                if (Libc.writeVectors(fd, 1, at, path.toString()) != chunk.byteSize()) {
                    throw new IOException("short write of " + path);
                }
            }
            Libc.sync(fd, path.toString());
        } finally {
            Libc.close(fd);
        }
        return path;
    }

    /** Writes pages of a buffer to the places they have in a file. */
    private static final class RawWriter implements AutoCloseable {
        private final String path;
        private final int fd;
        @SuppressWarnings("MustBeClosedChecker") // closed with the writer
        private final Arena arena = Arena.ofShared();

        private final MemorySegment memory;
        private final int pageSize;

        RawWriter(Path path, int pages, int pageSize) throws IOException {
            this.path = path.toString();
            this.pageSize = pageSize;
            fd = Libc.open(this.path, Libc.O_RDWR, 0);
            Libc.setDirect(fd, true, this.path);
            memory = arena.allocate((long) pages * pageSize, 4096).fill((byte) 1);
        }

        private long address(int page) {
            return memory.address() + (long) page * pageSize;
        }

        /** Sorted pages, a run of neighbours with one call. */
        void write(int[] sorted, int count) throws IOException {
            for (int i = 0; i < count; ) {
                int run = 0;
                while (run < MOST_RUN && i + run < count && sorted[i + run] == sorted[i] + run) {
                    // As from frames, which do not lie side by side.
                    Libc.vector(run, address(sorted[count - 1 - i - run]), pageSize);
                    run++;
                }
                long bytes = (long) run * pageSize;
                if (Libc.writeVectors(fd, run, (long) sorted[i] * pageSize, path) != bytes) {
                    throw new IOException("short write of " + path);
                }
                i += run;
            }
        }

        void force() throws IOException {
            Libc.sync(fd, path);
        }

        @Override
        public void close() {
            Libc.close(fd);
            arena.close();
        }
    }

    private static int[] choose(int pages, int count, SplittableRandom random) {
        int[] chosen = Arrays.copyOf(shuffled(pages, random), count);
        Arrays.sort(chosen);
        return chosen;
    }

    private void back(Path directory) throws IOException {
        long bytes = (long) mib << 20;
        int all = (int) (bytes / pageSize);
        int count = (int) (all * share);
        Path ours = file(directory, "cache", bytes);
        Path theirs = file(directory, "raw", bytes);
        SplittableRandom random = new SplittableRandom(5);
        Map<String, double[]> times = new LinkedHashMap<>();
        for (String name : List.of("raw", "flush", "raw fsync", "force")) {
            times.put(name, new double[pairs]);
        }
        PageCache cache = open("back", bytes + bytes / 16, "on");
        try (RawWriter raw = new RawWriter(theirs, all, pageSize);
                PagedFile file = cache.map(ours, WRITE_BACK.withIoMode(IoMode.DIRECT));
                Arena arena = Arena.ofConfined()) {
            MemorySegment buffer = arena.allocate(1 << 20);
            for (long at = 0; at < bytes; at += buffer.byteSize()) {
                var _ = file.read(at, buffer);
            }
            for (int pair = -WARM_UP; pair < pairs; pair++) {
                int[] chosen = choose(all, count, random);
                for (int turn = 0; turn < 2; turn++) {
                    if ((turn ^ (pair & 1)) == 0) {
                        // From the first change on, since write-back begins as soon as much is dirty.
                        long start = System.nanoTime();
                        for (int page : chosen) {
                            try (WritePin pin = file.pinForWrite(page)) {
                                pin.dirty(0, pageSize);
                                pin.segment().set(LONG, 0, pair);
                            }
                        }
                        file.flush();
                        long flushed = System.nanoTime();
                        file.force();
                        note(times, "flush", pair, flushed - start);
                        note(times, "force", pair, System.nanoTime() - flushed);
                    } else {
                        long start = System.nanoTime();
                        raw.write(chosen, count);
                        long written = System.nanoTime();
                        raw.force();
                        note(times, "raw", pair, written - start);
                        note(times, "raw fsync", pair, System.nanoTime() - written);
                    }
                }
            }
        } finally {
            cache.drop();
            Files.delete(ours);
            Files.delete(theirs);
        }
        print(
                count + " random dirty pages of " + all + " of " + pageSize + " bytes, " + directory,
                "millis",
                "raw",
                times,
                Map.of());
        double[] none = {};
        Ratios force = new Ratios(times.getOrDefault("force", none), times.getOrDefault("raw fsync", none));
        System.out.printf(Locale.ROOT, "force x raw fsync: %.3f ± %.3f%n", force.mean(), force.interval());
    }

    private static void note(Map<String, double[]> times, String name, int pair, long nanos) {
        double[] of = times.get(name);
        if (pair >= 0 && of != null) {
            of[pair] = nanos / 1e6;
        }
    }

    // ---- a writer that is faster than the disk ---------------------------------------------------------------------

    /** How often a call took how long, in steps of an eighth of a power of two. */
    private static final class Latencies {
        private final long[] counts = new long[64 * 8];
        private long total;
        private long max;

        private static int bucket(long nanos) {
            int log = 63 - Long.numberOfLeadingZeros(Math.max(8, nanos));
            return log * 8 + (int) ((nanos >>> (log - 3)) & 7);
        }

        void add(long nanos) {
            counts[bucket(nanos)]++;
            total++;
            max = Math.max(max, nanos);
        }

        /** The upper end of the bucket in which that share of all calls is reached, in microseconds. */
        double micros(double share) {
            long sum = 0;
            for (int i = 0; i < counts.length; i++) {
                sum += counts[i];
                if (sum >= total * share) {
                    return Math.min(max, (1L << (i / 8)) * (9 + i % 8) / 8) / 1e3;
                }
            }
            return max / 1e3;
        }
    }

    private void behind(Path directory) throws IOException {
        long bytes = (long) mib << 20;
        int all = (int) (bytes / pageSize);
        Path ours = file(directory, "cache", bytes);
        Path theirs = file(directory, "raw", bytes);
        SplittableRandom random = new SplittableRandom(5);
        Map<String, double[]> rates = new LinkedHashMap<>();
        for (String name :
                List.of("raw", "cache", "p50 us", "p99 us", "p99.9 us", "max us", "round us", "raw round us")) {
            rates.put(name, new double[pairs]);
        }
        PageCache cache = open("behind", (long) cacheMib << 20, "on");
        try (RawWriter raw = new RawWriter(theirs, all, pageSize);
                PagedFile file = cache.map(ours, WRITE_BACK.withIoMode(IoMode.DIRECT));
                Arena arena = Arena.ofConfined()) {
            MemorySegment page = arena.allocate(pageSize, 4096).fill((byte) 1);
            int batch = (int) (((long) cacheMib << 20) / pageSize / 2);
            for (int pair = -1; pair < pairs; pair++) {
                for (int turn = 0; turn < 2; turn++) {
                    if ((turn ^ (pair & 1)) == 0) {
                        cached(file, page, all, random, pair, rates);
                    } else {
                        raw(raw, batch, all, random, pair, rates);
                    }
                }
            }
        } finally {
            cache.drop();
            Files.delete(ours);
            Files.delete(theirs);
        }
        print(
                "random pages of " + all + " of " + pageSize + " bytes without a pause, cache of " + cacheMib
                        + " MiB, " + seconds + " s a turn, " + directory,
                "pagesPerSecond",
                "raw",
                rates,
                Map.of());
    }

    private void cached(
            PagedFile file, MemorySegment page, int all, SplittableRandom random, int pair, Map<String, double[]> rates)
            throws IOException {
        // To where writing is behind before it counts: what fits into memory takes no disk.
        long end = System.nanoTime() + (long) (seconds * 1e9);
        while (System.nanoTime() - end < 0) {
            file.write((long) random.nextInt(all) * pageSize, page);
        }
        Latencies latencies = new Latencies();
        long start = System.nanoTime();
        end = start + (long) (seconds * 1e9);
        long now = start;
        while (now - end < 0) {
            file.write((long) random.nextInt(all) * pageSize, page);
            long then = now;
            now = System.nanoTime();
            latencies.add(now - then);
        }
        double rate = latencies.total * 1e9 / (now - start);
        long flushing = System.nanoTime();
        file.flush();
        double round = (System.nanoTime() - flushing) / 1e3;
        file.force();
        set(rates, "cache", pair, rate);
        set(rates, "p50 us", pair, latencies.micros(0.5));
        set(rates, "p99 us", pair, latencies.micros(0.99));
        set(rates, "p99.9 us", pair, latencies.micros(0.999));
        set(rates, "max us", pair, latencies.max / 1e3);
        set(rates, "round us", pair, round);
        System.out.printf(
                Locale.ROOT,
                "cache %.0f pages/s, p50 %.1f p99 %.1f p99.9 %.1f max %.1f us; a round %.0f us%n",
                rate,
                latencies.micros(0.5),
                latencies.micros(0.99),
                latencies.micros(0.999),
                latencies.max / 1e3,
                round);
    }

    /** Collects half a cache of pages and writes them sorted, as often as there is time for. */
    private void raw(
            RawWriter raw, int batch, int all, SplittableRandom random, int pair, Map<String, double[]> rates)
            throws IOException {
        long start = System.nanoTime();
        long pagesWritten = 0;
        long longest = 0;
        while (System.nanoTime() - start < seconds * 1e9) {
            int[] sorted = random.ints(batch, 0, all).sorted().distinct().toArray();
            long round = System.nanoTime();
            raw.write(sorted, sorted.length);
            longest = Math.max(longest, System.nanoTime() - round);
            pagesWritten += batch;
        }
        double rate = pagesWritten * 1e9 / (System.nanoTime() - start);
        raw.force();
        set(rates, "raw", pair, rate);
        set(rates, "raw round us", pair, longest / 1e3);
        System.out.printf(Locale.ROOT, "raw %.0f pages/s, a round %.0f us%n", rate, longest / 1e3);
    }

    private static void set(Map<String, double[]> rates, String name, int pair, double value) {
        double[] of = rates.get(name);
        if (pair >= 0 && of != null) {
            of[pair] = value;
        }
    }
}
