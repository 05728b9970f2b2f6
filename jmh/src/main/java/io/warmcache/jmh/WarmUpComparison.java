/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.jmh;

import io.warmcache.CacheConfig;
import io.warmcache.Checkpoint;
import io.warmcache.MapOptions;
import io.warmcache.PageCache;
import io.warmcache.PagedFile;
import io.warmcache.WarmUpOptions;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.SplittableRandom;
import java.util.stream.Stream;

/**
 * How long a cache whose memory is gone takes until a working set is in memory again: from an image, by the hot list,
 * and by the misses of a reader who asks for the pages one by one in random order. {@code jmh/warm-up} runs it.
 *
 * <p>The working set is a third of the file, in runs of 1 to 16 pages; half of each page is random, half zeros. The
 * store is read by direct I/O where its file system takes it. The image is put out of the operating system's memory
 * before each round (with {@code dd}); where that fails, it is said. A fourth argument names a file for the raw
 * results, as JSON.
 */
public final class WarmUpComparison {
    private static final int PAGE = 4096;

    private WarmUpComparison() {}

    /** One way of becoming warm. */
    private enum Way {
        IMAGE,
        HOT_LIST,
        MISSES
    }

    /** Prints one line a way and round. */
    public static void main(String[] args) throws IOException, InterruptedException {
        Path directory = Files.createTempDirectory(Path.of(args.length > 0 ? args[0] : "."), "warm-up");
        int pages = (args.length > 1 ? Integer.parseInt(args[1]) : 256) * (1 << 20) / PAGE;
        int rounds = args.length > 2 ? Integer.parseInt(args[2]) : 3;
        CacheConfig config = CacheConfig.of(
                        "warm-up-comparison-" + ProcessHandle.current().pid(), (long) (pages + pages / 8) * PAGE)
                .withMaxUnfinishedAttaches(0);
        try {
            List<String> results = new ArrayList<>();
            compare(directory, config, pages, rounds, results);
            if (args.length > 3) {
                Files.writeString(Path.of(args[3]), "[\n  " + String.join(",\n  ", results) + "\n]\n");
            }
        } finally {
            PageCache.drop(config);
            try (Stream<Path> files = Files.walk(directory)) {
                for (Path file : files.sorted((a, b) -> b.compareTo(a)).toList()) {
                    Files.deleteIfExists(file);
                }
            }
        }
    }

    private static void compare(
            Path directory, CacheConfig config, int pages, int rounds, List<String> results)
            throws IOException, InterruptedException {
        Path data = directory.resolve("data");
        Path images = directory.resolve("images");
        WarmUpOptions free = WarmUpOptions.in(images).withCheckpointRate(0).withWarmUpRate(0);
        long[] set = workingSet(pages);
        write(data, set[set.length - 1] + 1);
        Checkpoint.Image image;
        Path imageFile;
        try (PageCache cache = PageCache.open(config.withWarmUp(free))) {
            PagedFile file = cache.map(data, MapOptions.DEFAULT);
            read(file, set);
            long began = System.nanoTime();
            image = cache.checkpoint(images).await().images().getFirst();
            Path sealed = image.file();
            long took = System.nanoTime() - began;
            if (image.pages() != set.length || sealed == null) {
                throw new IOException("the image has " + image.pages() + " of " + set.length + " pages: "
                        + image.outcome());
            }
            imageFile = sealed;
            System.out.printf(
                    "checkpoint of %,d pages: %.2f s, %,d MiB to %,d MiB, writes held up %.1f ms%n",
                    image.pages(),
                    took / 1e9,
                    mib((long) set.length * PAGE),
                    mib(image.bytes()),
                    image.sealTime().toNanos() / 1e6);
        }
        double load = ManagementFactory.getOperatingSystemMXBean().getSystemLoadAverage();
        System.out.printf("load average before the first round: %.1f%n", load);
        System.out.printf("%-9s %6s %10s %10s %14s %14s%n", "way", "round", "seconds", "MiB/s", "from store", "image");
        for (int round = 1; round <= rounds; round++) {
            for (Way way : Way.values()) {
                PageCache.drop(config);
                String note = evict(imageFile);
                WarmUpOptions options =
                        switch (way) {
                            case IMAGE -> free.withHotList(false);
                            case HOT_LIST -> free;
                            case MISSES -> WarmUpOptions.NONE;
                        };
                Path aside = directory.resolve("aside");
                if (way == Way.HOT_LIST) {
                    Files.move(imageFile, aside);
                }
                long began = System.nanoTime();
                try (PageCache cache = PageCache.open(config.withWarmUp(options))) {
                    PagedFile file = cache.map(data, MapOptions.DEFAULT);
                    if (way != Way.MISSES && !cache.warmUp().await(Duration.ofMinutes(10))) {
                        throw new IOException("not warm after ten minutes");
                    } else if (way == Way.MISSES) {
                        read(file, shuffled(set));
                    }
                    double seconds = (System.nanoTime() - began) / 1e9;
                    long before = cache.stats().misses();
                    read(file, set);
                    long missed = cache.stats().misses() - before;
                    if (missed > set.length / 1000) { // warming leaves out a page that somebody else is at
                        throw new IOException("not warm: " + missed + " misses");
                    }
                    double mib = (double) set.length * PAGE / (1 << 20);
                    System.out.printf(
                            "%-9s %6d %10.2f %10.0f %10d MiB %10d MiB %s%n",
                            way.name().toLowerCase(Locale.ROOT),
                            round,
                            seconds,
                            mib / seconds,
                            mib(cache.stats().bytesRead()),
                            way == Way.IMAGE ? mib(image.bytes()) : 0,
                            note);
                    results.add(String.format(
                            Locale.ROOT,
                            "{\"way\": \"%s\", \"round\": %d, \"seconds\": %.3f, \"pages\": %d, \"missed\": %d,"
                                    + " \"bytesFromStore\": %d, \"imageBytes\": %d, \"load\": %.1f}",
                            way.name().toLowerCase(Locale.ROOT),
                            round,
                            seconds,
                            set.length,
                            missed,
                            cache.stats().bytesRead(),
                            way == Way.IMAGE ? image.bytes() : 0,
                            load));
                }
                if (way == Way.HOT_LIST) {
                    Files.move(aside, imageFile);
                }
            }
        }
    }

    private static long mib(long bytes) {
        return bytes / (1 << 20);
    }

    /** Page numbers, ascending: runs with gaps twice as long between them. */
    private static long[] workingSet(int pages) {
        SplittableRandom random = new SplittableRandom(3);
        long[] set = new long[pages];
        long page = 0;
        for (int i = 0; i < pages; ) {
            int run = Math.min(1 + random.nextInt(16), pages - i);
            for (int k = 0; k < run; k++) {
                set[i++] = page++;
            }
            page += 2L * run;
        }
        return set;
    }

    private static long[] shuffled(long[] set) {
        SplittableRandom random = new SplittableRandom(4);
        long[] shuffled = set.clone();
        for (int i = shuffled.length - 1; i > 0; i--) {
            int k = random.nextInt(i + 1);
            long swap = shuffled[i];
            shuffled[i] = shuffled[k];
            shuffled[k] = swap;
        }
        return shuffled;
    }

    private static void write(Path data, long pages) throws IOException {
        SplittableRandom random = new SplittableRandom(5);
        byte[] bytes = new byte[PAGE * 256];
        byte[] half = new byte[PAGE / 2];
        try (var out = Files.newOutputStream(data)) {
            for (long page = 0; page < pages; page += 256) {
                for (int at = 0; at < bytes.length; at += PAGE) {
                    random.nextBytes(half);
                    System.arraycopy(half, 0, bytes, at, half.length);
                }
                out.write(bytes);
            }
        }
    }

    private static void read(PagedFile file, long[] pages) throws IOException {
        byte[] bytes = new byte[PAGE];
        for (long page : pages) {
            file.read(page * PAGE, MemorySegment.ofArray(bytes));
        }
    }

    /** Returns what is to be said if it could not be done. */
    private static String evict(Path file) throws IOException, InterruptedException {
        List<String> command = new ArrayList<>(List.of("dd", "if=" + file, "iflag=nocache", "count=0", "status=none"));
        try {
            Process process = new ProcessBuilder(command).inheritIO().start();
            return process.waitFor() == 0 ? "" : "(the image may be in the operating system's memory)";
        } catch (IOException e) {
            return "(the image may be in the operating system's memory: " + e.getMessage() + ")";
        }
    }
}
