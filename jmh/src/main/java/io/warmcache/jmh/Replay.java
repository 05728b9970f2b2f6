/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.jmh;

import com.github.benmanes.caffeine.cache.Cache;
import com.github.benmanes.caffeine.cache.Caffeine;
import io.warmcache.CacheConfig;
import io.warmcache.MapOptions;
import io.warmcache.PageCache;
import io.warmcache.PageCursor;
import io.warmcache.PagedFile;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.PriorityQueue;
import java.util.function.ToLongFunction;
import java.util.zip.GZIPInputStream;

/**
 * Replays page traces through the cache as an engine would read them, and through the usual yardsticks beside it. A
 * trace is a gzip file of little-endian unsigned 32-bit page numbers.
 */
final class Replay {
    private static final int PAGE_SIZE = 4096;

    private static final String USAGE =
            """
            usage: replay TRACE PAGES [--policy warmcache|lru|caffeine|belady]
                     replays one trace from an empty cache of PAGES pages; the last line is "hits accesses ratio"
                   replay --table DIRECTORY
                     replays every known trace of the directory through all four, as docs/benchmarks.md shows it

            A trace is a gzip file of little-endian unsigned 32-bit page numbers.
            """;

    /** The traces and cache sizes of the table in docs/benchmarks.md. */
    private static final Map<String, int[]> TABLE = new LinkedHashMap<>();

    static {
        TABLE.put("w106", new int[] {2752, 13_759, 27_517, 55_034});
        TABLE.put("sprite", new int[] {100, 400, 700, 1000});
        TABLE.put("multi1", new int[] {600, 1200, 1800});
        TABLE.put("multi2", new int[] {600, 1800, 3000});
        TABLE.put("cpp", new int[] {35, 100, 400});
        TABLE.put("gli", new int[] {500, 1000, 2000});
        TABLE.put("loop", new int[] {250, 500, 1000});
        TABLE.put("web07", new int[] {300, 1200, 3000});
    }

    private final PrintStream out;

    private Replay(PrintStream out) {
        this.out = out;
    }

    public static void main(String[] arguments) throws IOException {
        List<String> rest = new ArrayList<>(List.of(arguments));
        String policy = "warmcache";
        int option = rest.indexOf("--policy");
        if (option >= 0 && option + 1 < rest.size()) {
            policy = rest.get(option + 1);
            rest.subList(option, option + 2).clear();
        }
        Replay replay = new Replay(System.out);
        if (rest.size() == 2 && rest.get(0).equals("--table")) {
            replay.table(Path.of(rest.get(1)));
        } else if (rest.size() == 2
                && rest.get(1).matches("[0-9]{1,8}")
                && List.of("warmcache", "lru", "caffeine", "belady").contains(policy)) {
            replay.one(Path.of(rest.get(0)), Integer.parseInt(rest.get(1)), policy);
        } else {
            System.err.print(USAGE);
            System.exit(2);
        }
    }

    private void one(Path file, int pages, String policy) throws IOException {
        int[] trace = read(file);
        long hits = switch (policy) {
            case "lru" -> leastRecentlyUsed(trace, pages);
            case "caffeine" -> caffeine(trace, pages);
            case "belady" -> belady(trace, pages);
            default -> warmcache(trace, pages);
        };
        out.printf(Locale.ROOT, "%d %d %.6f%n", hits, trace.length, ratio(hits, trace));
    }

    private static double ratio(long hits, int[] trace) {
        return trace.length == 0 ? 0 : (double) hits / trace.length;
    }

    private void table(Path directory) throws IOException {
        List<ToLongFunction<Case>> policies = List.of(
                c -> unchecked(() -> warmcache(c.trace, c.pages)),
                c -> caffeine(c.trace, c.pages),
                c -> leastRecentlyUsed(c.trace, c.pages),
                c -> belady(c.trace, c.pages));
        double[] sums = new double[policies.size()];
        int rows = 0;
        out.println("| trace | pages | warmcache | Caffeine | LRU | Belady | against Caffeine | against LRU |");
        out.println("|---|---:|---:|---:|---:|---:|---:|---:|");
        for (Map.Entry<String, int[]> entry : TABLE.entrySet()) {
            int[] trace = read(directory.resolve(entry.getKey() + ".u32le.gz"));
            for (int pages : entry.getValue()) {
                double[] row = new double[policies.size()];
                for (int i = 0; i < row.length; i++) {
                    row[i] = 100 * ratio(policies.get(i).applyAsLong(new Case(trace, pages)), trace);
                    sums[i] += row[i];
                }
                rows++;
                line(entry.getKey(), Integer.toString(pages), row);
            }
        }
        int count = rows;
        line("**mean**", "", Arrays.stream(sums).map(sum -> sum / count).toArray());
    }

    private void line(String trace, String pages, double[] row) {
        out.printf(
                Locale.ROOT,
                "| %s | %s | %.2f | %.2f | %.2f | %.2f | %+.2f | %+.2f |%n",
                trace,
                pages,
                row[0],
                row[1],
                row[2],
                row[3],
                row[0] - row[1],
                row[0] - row[2]);
    }

    /** A trace and a cache. */
    @SuppressWarnings("ArrayRecordComponent") // never compared
    private record Case(int[] trace, int pages) {}

    /** Something that reads. */
    private interface Work {
        long run() throws IOException;
    }

    private static long unchecked(Work work) {
        try {
            return work.run();
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }

    private static int[] read(Path file) throws IOException {
        try (InputStream in = new GZIPInputStream(Files.newInputStream(file), 1 << 16)) {
            ByteBuffer bytes = ByteBuffer.wrap(in.readAllBytes()).order(ByteOrder.LITTLE_ENDIAN);
            int[] pages = new int[bytes.remaining() / Integer.BYTES];
            bytes.asIntBuffer().get(pages);
            return pages;
        }
    }

    /** Opens a cache of this many frames over a store of zeros, and reads 8 bytes of each page; what it need not load
     * is a hit. */
    private static long warmcache(int[] trace, int pages) throws IOException {
        // What is read ahead is read from the store as well, and would count as missed here, used or not.
        CacheConfig config = CacheConfig.of(
                        "jmh-replay-" + ProcessHandle.current().pid(), (long) pages * PAGE_SIZE)
                .withOptions(Map.of("core.readAhead", "off"));
        long most = 0;
        for (int page : trace) {
            most = Math.max(most, Integer.toUnsignedLong(page));
        }
        NullStore store = new NullStore((most + 1) * PAGE_SIZE);
        PageCache cache = PageCache.open(config);
        try (PagedFile file = cache.map(store, MapOptions.DEFAULT);
                PageCursor cursor = file.cursor()) {
            long sum = 0;
            for (int page : trace) {
                cursor.seek(Integer.toUnsignedLong(page));
                long value;
                do {
                    value = cursor.getLong(0);
                } while (cursor.shouldRetry());
                sum += value;
            }
            if (sum != 0) {
                throw new IllegalStateException("a store of zeros was read as something else");
            }
        } finally {
            cache.drop();
        }
        return trace.length - store.bytesRead() / PAGE_SIZE;
    }

    private static long leastRecentlyUsed(int[] trace, int pages) {
        Map<Integer, Boolean> cache = new LinkedHashMap<>(16, 0.75f, true);
        long hits = 0;
        for (int page : trace) {
            if (cache.put(page, true) != null) {
                hits++;
            } else if (cache.size() > pages) {
                cache.remove(cache.keySet().iterator().next());
            }
        }
        return hits;
    }

    private static long caffeine(int[] trace, int pages) {
        Cache<Integer, Boolean> cache = Caffeine.newBuilder()
                .maximumSize(pages)
                .initialCapacity(pages)
                .executor(Runnable::run)
                .build();
        long hits = 0;
        for (int page : trace) {
            if (cache.getIfPresent(page) != null) {
                hits++;
            } else {
                cache.put(page, true);
            }
        }
        return hits;
    }

    /** What could be had by knowing the future: the page whose next access is furthest away goes. */
    private static long belady(int[] trace, int pages) {
        int[] next = new int[trace.length];
        Map<Integer, Integer> seen = new LinkedHashMap<>();
        for (int i = trace.length - 1; i >= 0; i--) {
            Integer later = seen.put(trace[i], i);
            next[i] = later == null ? Integer.MAX_VALUE : later;
        }
        // The next access of each resident page; entries of earlier accesses are left behind and skipped.
        Map<Integer, Integer> resident = new LinkedHashMap<>();
        PriorityQueue<long[]> furthest = new PriorityQueue<>((a, b) -> Long.compare(b[0], a[0]));
        long hits = 0;
        for (int i = 0; i < trace.length; i++) {
            int page = trace[i];
            if (resident.put(page, next[i]) != null) {
                hits++;
            }
            furthest.add(new long[] {next[i], page});
            while (resident.size() > pages) {
                long[] first = furthest.remove();
                resident.remove((int) first[1], (int) first[0]);
            }
        }
        return hits;
    }
}
