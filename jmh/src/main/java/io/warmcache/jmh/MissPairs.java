/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.jmh;

import com.sun.management.OperatingSystemMXBean;
import io.warmcache.CacheConfig;
import io.warmcache.IoMode;
import io.warmcache.MapOptions;
import io.warmcache.PageCache;
import io.warmcache.PageCursor;
import io.warmcache.PagedFile;
import io.warmcache.ReadPin;
import io.warmcache.core.checksum.Xxh64;
import java.io.IOException;
import java.io.PrintStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.LongAdder;
import java.util.concurrent.locks.LockSupport;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/**
 * Misses through the cache against raw direct reads of the same file, by turns of some hundred milliseconds, so that a
 * disk or machine that is faster or slower now than a minute ago is so for both: rates and the ratio of each to its
 * peer, by pairs, with the 95 % interval of its mean. The file is {@value #FILE_TO_CACHE} times the cache, read by
 * {@code O_DIRECT}, so that neither keeps much of it. Prints a row a form and leaves all rates in a JSON file.
 */
final class MissPairs {
    private static final String USAGE =
            """
            usage: misses DIRECTORY [--what null|random|virtual|batch|scan|plain-scan]
                          [--mib N] [--pairs N] [--millis N] [--reads auto|threads|uring]
                          [--ahead KIB] [--json FILE] [--keep]
              the working file is made in DIRECTORY, and removed unless --keep is given: then the next run finds it;
              random, a file of 4096 MiB, 12 pairs of turns of 500 ms, and what the cache reads ahead by itself if not
              given; null needs no disk
            """;

    private static final int PAGE = 4096;
    private static final int FILE_TO_CACHE = 16;

    /** Pairs before those that count. */
    private static final int WARM_UP = 2;

    private static final int LARGE = 1 << 20;
    private static final int BATCH = 32;
    private static final int MANY = 10_000;

    /** Of the frames, the share that a hot set takes beside a scan. */
    private static final double HOT_SHARE = 0.7;

    private final int pairs;
    private final long millis;
    private final Path path;
    private final long pages;
    private final PrintStream out = System.out;

    /** By form: what is done a second, in each pair. */
    private final Map<String, double[]> rates = new LinkedHashMap<>();

    /** By form: processor time of the process for each of what is done, in microseconds, in each pair. */
    private final Map<String, double[]> costs = new LinkedHashMap<>();

    private final List<String> notes = new ArrayList<>();

    private MissPairs(Path path, long pages, int pairs, long millis) {
        this.path = path;
        this.pages = pages;
        this.pairs = pairs;
        this.millis = millis;
    }

    public static void main(String[] arguments) throws IOException, InterruptedException {
        Path directory = null;
        String what = "random";
        long mib = 4096;
        int pairs = 12;
        long millis = 500;
        String ahead = "";
        Path json = null;
        boolean keep = false;
        String reads = "auto";
        List<String> rest = new ArrayList<>(List.of(arguments));
        while (!rest.isEmpty()) {
            String option = rest.remove(0);
            if (!option.startsWith("--") && directory == null) {
                directory = Path.of(option);
                continue;
            }
            if (option.equals("--keep")) {
                keep = true;
                continue;
            }
            if (rest.isEmpty()) {
                usage();
            }
            String value = rest.remove(0);
            switch (option) {
                case "--what" -> what = value;
                case "--mib" -> mib = Math.max(64, Long.parseLong(value));
                case "--pairs" -> pairs = Math.max(Ratios.LEAST_PAIRS, Integer.parseInt(value));
                case "--millis" -> millis = Long.parseLong(value);
                case "--ahead" -> ahead = value;
                case "--reads" -> reads = value;
                case "--json" -> json = Path.of(value);
                default -> usage();
            }
        }
        if (directory == null) {
            usage();
            return;
        }
        Path path = directory.resolve("misses-" + mib + "-mib.data");
        MissPairs measured = new MissPairs(path, (mib << 20) / PAGE, pairs, millis);
        try {
            if (!what.equals("null")) {
                make(path, mib);
            }
            switch (what) {
                case "null" -> measured.overhead();
                case "random" -> measured.random();
                case "virtual" -> measured.virtual();
                case "batch" -> measured.batch(reads);
                case "scan" -> measured.scan(ahead);
                case "plain-scan" -> measured.scan("off");
                default -> usage();
            }
            if (json != null) {
                Files.writeString(json, Ratios.json(
                        "misses: " + what + ", " + mib + " MiB, " + pairs + " pairs of " + millis + " ms"
                                + String.join("", measured.notes.stream().map(n -> "; " + n).toList()),
                        "perSecond",
                        measured.rates,
                        Map.of()));
            }
        } finally {
            if (!keep) {
                Files.deleteIfExists(path);
            }
        }
    }

    private static void usage() {
        System.err.print(USAGE);
        System.exit(2);
    }

    /** A file without holes, all of it on the disk. */
    private static void make(Path path, long mib) throws IOException {
        if (Files.exists(path) && Files.size(path) == mib << 20) {
            return;
        }
        ByteBuffer chunk = ByteBuffer.allocateDirect(1 << 20);
        SplittableRandom random = new SplittableRandom(7);
        try (FileChannel channel = FileChannel.open(
                path, StandardOpenOption.CREATE, StandardOpenOption.WRITE, StandardOpenOption.TRUNCATE_EXISTING)) {
            for (long i = 0; i < mib; i++) {
                chunk.clear();
                for (int at = 0; at < chunk.capacity(); at += 8) {
                    chunk.putLong(at, random.nextLong());
                }
                while (chunk.hasRemaining()) {
                    channel.write(chunk);
                }
            }
            channel.force(true);
        }
    }

    // ---- turns -----------------------------------------------------------------------------------------------------

    /** One thread's part of a load: goes on until it is told to stop. */
    private interface Worker {
        void run(int number, Stop stop) throws Exception;
    }

    /** Whether a turn is over. */
    private static final class Stop {
        private volatile boolean now;

        boolean isNow() {
            return now;
        }
    }

    /** Something to measure: so many threads, what each does, and what counts. */
    private record Load(int threads, boolean isVirtual, Worker worker, LongSupplier done) {}

    /** What a load gets done a second, once all its threads are at work, and the processor time each took. */
    private record Turn(double rate, double micros) {}

    private Turn turn(Load load) throws InterruptedException {
        Stop stop = new Stop();
        List<Throwable> failures = new ArrayList<>();
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < load.threads(); i++) {
            int number = i;
            Runnable work = () -> {
                try {
                    load.worker().run(number, stop);
                } catch (Throwable t) {
                    synchronized (failures) {
                        failures.add(t);
                    }
                }
            };
            threads.add(load.isVirtual() ? Thread.ofVirtual().start(work) : Thread.ofPlatform().start(work));
        }
        Thread.sleep(millis / 4); // not measured: all threads come to be at work
        long before = load.done().getAsLong();
        long worked = processorNanos();
        long start = System.nanoTime();
        Thread.sleep(millis); // what is measured
        long done = load.done().getAsLong() - before;
        worked = processorNanos() - worked;
        double seconds = (System.nanoTime() - start) / 1e9;
        stop.now = true;
        for (Thread thread : threads) {
            thread.join();
        }
        if (!failures.isEmpty()) {
            throw new IllegalStateException("a thread failed", failures.get(0));
        }
        return new Turn(done / seconds, worked / 1e3 / Math.max(1, done));
    }

    /** Of all threads of the process. */
    private static long processorNanos() {
        return ((OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
    }

    /** All loads by turns, in this order and the reverse of it alternately. */
    private void measure(Map<String, Load> loads) throws InterruptedException {
        for (String name : loads.keySet()) {
            rates.put(name, new double[pairs]);
            costs.put(name, new double[pairs]);
        }
        List<String> order = new ArrayList<>(loads.keySet());
        for (int pair = -WARM_UP; pair < pairs; pair++) {
            for (String name : order) {
                Load load = loads.get(name);
                double[] of = rates.get(name);
                double[] cost = costs.get(name);
                if (load != null && of != null && cost != null) {
                    Turn turn = turn(load);
                    if (pair >= 0) {
                        of[pair] = turn.rate();
                        cost[pair] = turn.micros();
                    }
                }
            }
            order = order.reversed();
        }
    }

    private void print(String unit, String form, String peer) {
        double[] of = rates.getOrDefault(form, new double[pairs]);
        double[] floor = rates.getOrDefault(peer, of);
        Ratios ratios = new Ratios(of, floor);
        out.printf(
                Locale.ROOT,
                "| %s | %,.0f %s | %.2f | %s | %.2f | %.3f ± %.3f | %.3f |%n",
                form,
                Ratios.median(of),
                unit,
                Ratios.median(costs.getOrDefault(form, new double[1])),
                peer,
                Ratios.median(costs.getOrDefault(peer, new double[1])),
                ratios.mean(),
                ratios.interval(),
                ratios.median());
    }

    private void header() {
        out.println("| form | a second, median | processor µs | peer | processor µs | × peer, mean ± 95 % | median |");
        out.println("|---|---:|---:|---|---:|---:|---:|");
    }

    private void note(String text) {
        out.println(text);
        notes.add(text);
    }

    // ---- the cache and the raw file --------------------------------------------------------------------------------

    private CacheConfig config(String checksum) {
        return CacheConfig.of(
                        "jmh-misses-" + checksum + "-" + ProcessHandle.current().pid(),
                        pages / FILE_TO_CACHE * PAGE)
                .withChecksum(checksum);
    }

    private static PagedFile map(PageCache cache, Path path) throws IOException {
        return cache.map(path, MapOptions.DEFAULT.withIoMode(IoMode.DIRECT).withReadOnly(true));
    }

    private Load misses(PageCache cache, PagedFile file, int threads, boolean isVirtual) {
        return new Load(threads, isVirtual, (number, stop) -> miss(file, stop), () -> cache.stats().misses());
    }

    private void miss(PagedFile file, Stop stop) {
        SplittableRandom random = new SplittableRandom();
        while (!stop.isNow()) {
            long page = random.nextLong(pages);
            long stamp = file.stamp(page);
            long value = file.memory().get(ValueLayout.JAVA_LONG, file.offset(stamp));
            if (value == 0 && file.valid(page, stamp)) {
                throw new IllegalStateException("page " + page + " is not what was written");
            }
        }
    }

    /**
     * Raw reads.
     *
     * @param memory bytes that each thread reads into, here and there: if more than a page, what was read is also
     *     summed, as no cache can do without that is to know later what it has
     */
    private Load raw(RawFile file, int threads, long memory) {
        Xxh64 checksum = new Xxh64();
        LongAdder reads = new LongAdder();
        return new Load(
                threads,
                false,
                (number, stop) -> {
                    SplittableRandom random = new SplittableRandom();
                    try (Arena arena = Arena.ofConfined()) {
                        MemorySegment target = arena.allocate(memory, PAGE);
                        while (!stop.isNow()) {
                            long at = random.nextLong(memory / PAGE) * PAGE;
                            file.read(random.nextLong(pages) * PAGE, target.asSlice(at, PAGE));
                            if (memory > PAGE && checksum.block(target, at, 1, 2, 3, 4, 5) == 0) {
                                throw new IllegalStateException("a checksum is never 0");
                            }
                            reads.increment();
                        }
                    }
                },
                reads::sum);
    }

    // ---- what is measured ------------------------------------------------------------------------------------------

    /** One thread's misses of a store that costs nothing, and of those the checksum alone. */
    private void overhead() throws IOException, InterruptedException {
        Map<String, Load> loads = new LinkedHashMap<>();
        List<PageCache> caches = new ArrayList<>();
        try {
            for (String form : List.of("xxh64", "crc32c", "volatile")) {
                CacheConfig config = form.equals("volatile")
                        ? config("xxh64").withBackend("volatile")
                        : config(form);
                PageCache cache = PageCache.open(config);
                caches.add(cache);
                PagedFile file = cache.map(new NullStore(pages * PAGE), MapOptions.DEFAULT);
                loads.put(
                        form,
                        new Load(
                                1,
                                false,
                                (number, stop) -> {
                                    SplittableRandom random = new SplittableRandom();
                                    while (!stop.isNow()) {
                                        var _ = file.stamp(random.nextLong(pages));
                                    }
                                },
                                () -> cache.stats().misses()));
            }
            measure(loads);
        } finally {
            for (PageCache cache : caches) {
                cache.drop();
            }
        }
        header();
        for (String form : loads.keySet()) {
            print("misses", form, "xxh64");
        }
        for (String form : loads.keySet()) {
            note(String.format(
                    Locale.ROOT,
                    "%s: %.0f ns a miss",
                    form,
                    1e9 / Ratios.median(rates.getOrDefault(form, new double[1]))));
        }
    }

    private void random() throws IOException, InterruptedException {
        int[] threads = {1, 2, 16};
        try (RawFile direct = new RawFile(path)) {
            PageCache cache = PageCache.open(config("xxh64"));
            try (PagedFile file = map(cache, path)) {
                Map<String, Load> loads = new LinkedHashMap<>();
                for (int n : threads) {
                    loads.put("cache, " + n, misses(cache, file, n, false));
                    loads.put("raw, " + n, raw(direct, n, PAGE));
                    loads.put("raw and checksum, " + n, raw(direct, n, cache.capacity() / n));
                }
                measure(loads);
            } finally {
                cache.drop();
            }
        }
        header();
        for (int n : threads) {
            print("misses", "cache, " + n, "raw, " + n);
            print("misses", "cache, " + n, "raw and checksum, " + n);
        }
    }

    private void virtual() throws IOException, InterruptedException {
        PageCache cache = PageCache.open(config("xxh64"));
        try (PagedFile file = map(cache, path)) {
            HotReader alone = new HotReader(file);
            Map<String, Load> loads = new LinkedHashMap<>();
            loads.put("16 platform", misses(cache, file, 16, false));
            loads.put("10000 virtual", misses(cache, file, MANY, true));
            measure(loads);
            header();
            print("misses", "10000 virtual", "16 platform");
            // Not among the pairs, so that what is measured of them is not the load of the reader.
            note("a virtual thread that hits, sleeping 1 ms between: " + alone.beside(this, null));
            note("the same beside 16 platform threads that miss: "
                    + alone.beside(this, misses(cache, file, 16, false)));
            note("the same beside 10,000 virtual threads that miss: "
                    + alone.beside(this, misses(cache, file, MANY, true)));
        } finally {
            cache.drop();
        }
    }

    /** @param reads the option of that name: how a batch is read */
    private void batch(String reads) throws IOException, InterruptedException {
        PageCache cache = PageCache.open(config("xxh64").withOptions(Map.of("shm.reads", reads)));
        try (RawFile direct = new RawFile(path);
                PagedFile file = map(cache, path)) {
            Map<String, Load> loads = new LinkedHashMap<>();
            loads.put("16 threads", misses(cache, file, 16, false));
            loads.put(
                    "load of " + BATCH + ", " + reads,
                    new Load(1, false, (number, stop) -> loadBatches(file, stop), () -> cache.stats().misses()));
            loads.put("raw, 16", raw(direct, 16, PAGE));
            measure(loads);
            header();
            print("misses", "load of " + BATCH + ", " + reads, "16 threads");
            print("misses", "load of " + BATCH + ", " + reads, "raw, 16");
        } finally {
            cache.drop();
        }
    }

    private void loadBatches(PagedFile file, Stop stop) throws IOException {
        SplittableRandom random = new SplittableRandom();
        long[] batch = new long[BATCH];
        while (!stop.isNow()) {
            Arrays.setAll(batch, i -> random.nextLong(pages));
            var _ = file.load(batch);
        }
    }

    /** @param ahead the cache's option, or empty for its default */
    private void scan(String ahead) throws IOException, InterruptedException {
        PageCache cache = PageCache.open(
                config("xxh64").withOptions(ahead.isEmpty() ? Map.of() : Map.of("core.readAhead", ahead)));
        try (RawFile direct = new RawFile(path);
                PagedFile file = map(cache, path)) {
            long from = pages / 8;
            hotSet(cache, file, from);
            // Each goes on where the last one stopped, so that none finds what another one has read.
            AtomicLong next = new AtomicLong(from);
            AtomicLong done = new AtomicLong();
            Map<String, Load> loads = new LinkedHashMap<>();
            loads.put(
                    "cursor",
                    new Load(
                            1,
                            false,
                            (number, stop) -> {
                                try (PageCursor cursor = file.cursor()) {
                                    while (!stop.isNow()) {
                                        touch(cursor, next.get());
                                        done.lazySet(done.get() + 1);
                                        next.lazySet(next.get() + 1 < pages ? next.get() + 1 : from);
                                    }
                                }
                            },
                            done::get));
            int many = LARGE / 4 / PAGE;
            loads.put(
                    "read of 256 KiB",
                    new Load(
                            1,
                            false,
                            (number, stop) -> {
                                try (Arena arena = Arena.ofConfined()) {
                                    MemorySegment target = arena.allocate((long) many * PAGE, PAGE);
                                    while (!stop.isNow()) {
                                        var _ = file.read(next.get() * PAGE, target);
                                        done.lazySet(done.get() + many);
                                        next.lazySet(next.get() + 2L * many <= pages ? next.get() + many : from);
                                    }
                                }
                            },
                            done::get));
            loads.put("raw, 1 MiB", rawScan(direct, 1, from, LARGE));
            loads.put("raw, 4 x 1 MiB", rawScan(direct, 4, from, LARGE));
            // A cache reads into memory that was not used a moment ago: what that alone costs.
            String wide = "raw, 4 x 1 MiB, memory of the cache's size";
            loads.put(wide, rawScan(direct, 4, from, cache.capacity() / 4 / LARGE * LARGE));
            measure(loads);
            header();
            for (String form : List.of("cursor", "read of 256 KiB", wide)) {
                print("pages", form, "raw, 1 MiB");
                print("pages", form, "raw, 4 x 1 MiB");
            }
            print("pages", "cursor", wide);
            print("pages", "read of 256 KiB", wide);
            note(String.format(
                    Locale.ROOT,
                    "%,d pages read ahead, %,d of them evicted unused; %,d misses",
                    cache.stats().readAhead(),
                    cache.stats().readAheadUnused(),
                    cache.stats().misses()));
        } finally {
            cache.drop();
        }
    }

    private static void touch(PageCursor cursor, long page) {
        cursor.seek(page);
        long value;
        do {
            value = cursor.getLong(0);
        } while (cursor.shouldRetry());
        if (value == 0) {
            throw new IllegalStateException("page " + page + " is not what was written");
        }
    }

    /** @param memory bytes that each thread reads into, one MiB after the other, again and again */
    private Load rawScan(RawFile file, int threads, long from, long memory) {
        AtomicLong next = new AtomicLong();
        LongAdder read = new LongAdder();
        int many = LARGE / PAGE;
        return new Load(
                threads,
                false,
                (number, stop) -> {
                    try (Arena arena = Arena.ofConfined()) {
                        MemorySegment target = arena.allocate(memory, PAGE);
                        for (long at = 0; !stop.isNow(); at = (at + LARGE) % memory) {
                            long page = from + next.getAndIncrement() * many % (pages - from - many);
                            file.read(page * PAGE, target.asSlice(at, LARGE));
                            read.add(many);
                        }
                    }
                },
                read::sum);
    }

    /** What is left of a hot set after one pass over the rest of the file, during which nobody uses it. */
    private void hotSet(PageCache cache, PagedFile file, long below) {
        SplittableRandom random = new SplittableRandom(11);
        long frames = cache.capacity() / PAGE;
        long[] hot = random.longs(2 * frames, 0, below)
                .distinct()
                .limit((long) (frames * HOT_SHARE))
                .toArray();
        try (PageCursor cursor = file.cursor()) {
            for (int round = 0; round < 8; round++) {
                for (long page : hot) {
                    touch(cursor, page);
                }
            }
            for (long page = below; page < pages; page++) {
                touch(cursor, page);
            }
        }
        long left = Arrays.stream(hot).filter(page -> file.tryStamp(page) != 0).count();
        note(String.format(
                Locale.ROOT,
                "%.1f %% of a hot set of %,d pages (%.0f %% of the cache) left after a scan of %,d pages",
                100.0 * left / hot.length,
                hot.length,
                100 * HOT_SHARE,
                pages - below));
    }

    /** A virtual thread that hits one page again and again, and how long it is kept from doing so. */
    private static final class HotReader {
        private final PagedFile file;

        HotReader(PagedFile file) {
            this.file = file;
        }

        /** Latencies from when it should have run to when it had its hit, beside a load or none. */
        String beside(MissPairs pairs, @Nullable Load load) throws InterruptedException {
            Stop stop = new Stop();
            List<Long> late = new ArrayList<>();
            Semaphore ready = new Semaphore(0);
            Thread reader = Thread.ofVirtual().start(() -> {
                try (ReadPin pin = file.pin(0)) {
                    ready.release();
                    while (!stop.isNow()) {
                        long due = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(1);
                        LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(1));
                        long stamp = file.stamp(0);
                        if (!file.valid(0, stamp)) {
                            throw new IllegalStateException("a pinned page was changed: " + pin);
                        }
                        late.add(System.nanoTime() - due);
                    }
                }
            });
            ready.acquire();
            for (int i = 0; i < 4; i++) {
                if (load == null) {
                    Thread.sleep(pairs.millis); // what is measured, beside nothing
                } else {
                    var _ = pairs.turn(load);
                }
            }
            stop.now = true;
            reader.join();
            long[] sorted = late.stream().mapToLong(Long::longValue).sorted().toArray();
            return String.format(
                    Locale.ROOT,
                    "late by %.2f ms (median), %.2f ms (99 %%), %.2f ms (most) of %,d turns",
                    sorted[sorted.length / 2] / 1e6,
                    sorted[sorted.length * 99 / 100] / 1e6,
                    sorted[sorted.length - 1] / 1e6,
                    sorted.length);
        }
    }
}
