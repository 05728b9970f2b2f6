/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import io.warmcache.BackingStore;
import io.warmcache.CacheConfig;
import io.warmcache.MapOptions;
import io.warmcache.PageCache;
import io.warmcache.PagedFile;
import io.warmcache.StoreId;
import io.warmcache.StoreVersion;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;

/**
 * How long an attach takes until every page found in memory can be looked up, beside the least it could: threads that
 * do nothing but check each record and store its frame in an array that exists already. {@code jmh/attach} runs it.
 *
 * <p>Lies in the package of the segment's descriptors, with which it fills a ledger: no cache could fill that many
 * frames here. The frames themselves are holes, of a segment whose file system claims to have room for them, and are
 * never touched: no background thread validates them.
 */
public final class AttachComparison {
    private static final int PAGE = 4096;
    /** Each round faults a page that no round before it has. */
    private static final long MOST_ROUNDS = 1000;

    private static final int SHARE = 1 << 16;
    private static final Map<String, String> OPTIONS =
            Map.of(ShmBackend.OPTION_CGROUP_CHECK, "off", "core.maintenance", "off");

    private final int frames;
    private final int files;
    private final int threads = Runtime.getRuntime().availableProcessors();
    private final Path segment;
    private final long pagesPerFile;

    private AttachComparison(Path segment, int frames, int files) {
        this.segment = segment;
        this.frames = frames;
        this.files = files;
        pagesPerFile = ((long) frames + files - 1) / files;
    }

    /** What one round took, in nanoseconds. */
    private record Round(long bare, long open, long map, long firstFault) {}

    /** Prints a line a round, then the medians and ratios; the raw figures go to a file if one is named. */
    public static void main(String[] args) throws IOException, InterruptedException {
        if (args.length < 1) {
            System.err.println("""
                    usage: jmh/attach DIRECTORY [frames] [files] [rounds] [json file]
                    DIRECTORY must lie on a tmpfs with room for all frames; only their ledger takes any. As root:
                    mount -t tmpfs -o size=80g none DIRECTORY""");
            System.exit(2);
        }
        int frames = args.length > 1 ? Integer.parseInt(args[1]) : 1 << 24;
        int files = args.length > 2 ? Integer.parseInt(args[2]) : 10_000;
        int rounds = args.length > 3 ? Integer.parseInt(args[3]) : 12;
        Path segment = Path.of(args[0])
                .toAbsolutePath()
                .resolve("attach-" + ProcessHandle.current().pid());
        AttachComparison comparison = new AttachComparison(segment, frames, files);
        try {
            comparison.fill();
            List<Round> measured = comparison.measure(rounds);
            if (args.length > 4) {
                Files.writeString(Path.of(args[4]), comparison.json(measured));
            }
        } finally {
            Files.deleteIfExists(segment);
        }
    }

    private CacheConfig config(long capacity) {
        return CacheConfig.of(segment.toString(), capacity)
                .withMaxCapacity((long) frames * PAGE)
                .withMaxFiles(files + 1)
                .withMaxUnfinishedAttaches(0)
                .withOptions(OPTIONS);
    }

    /** A segment of CLEAN records of random pages of all files. */
    private void fill() throws IOException {
        try (PageCache cache = PageCache.open(config(64L << 20))) {
            for (int i = 0; i < files; i++) {
                cache.map(new Store(i, pagesPerFile * PAGE), MapOptions.DEFAULT).close();
            }
        }
        try (Arena arena = Arena.ofShared()) {
            MemorySegment memory = map(arena);
            Header header = header(memory);
            header.capacity = frames;
            header.write(memory);
            Ledger ledger = new Ledger(memory, header.geometry, header.incarnation, null);
            SplittableRandom random = new SplittableRandom(1);
            // Multiplying by an odd number permutes the numbers below a power of two.
            int power = Integer.highestOneBit(Math.max(1, 2 * frames - 1));
            int factor = (random.nextInt() & (power - 1)) | 1;
            int key = 0;
            for (int frame = 0; frame < frames; frame++) {
                do {
                    key = (key + factor) & (power - 1);
                } while (key >= frames);
                ledger.begin(frame, 1 + key % files, key / files);
                for (int block = 0; block < header.geometry.blocks(); block++) {
                    ledger.checksum(frame, block, random.nextLong());
                }
                ledger.hint(frame, 3 << 30 | random.nextInt(1 << 30));
                ledger.publish(frame, Ledger.CLEAN);
            }
        }
    }

    private MemorySegment map(Arena arena) throws IOException {
        try (FileChannel channel =
                FileChannel.open(segment, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            return channel.map(FileChannel.MapMode.READ_WRITE, 0, channel.size(), arena);
        }
    }

    private static Header header(MemorySegment memory) throws IOException {
        Header.Reading reading = Header.read(memory.asSlice(0, 2 * Geometry.HEADER_SIZE), Format.CURRENT);
        Header header = reading.header();
        if (header == null) {
            throw new IOException(reading.problem());
        }
        return header;
    }

    private List<Round> measure(int rounds) throws IOException, InterruptedException {
        System.out.printf("%,d frames in %,d files, %d threads%n", frames, files, threads);
        List<Round> measured = new ArrayList<>();
        // Two more, that warm the code up; the order changes so that neither always follows the other.
        for (int i = -2; i < rounds; i++) {
            long bare = i % 2 == 0 ? bare() : 0;
            Round attach = attach(i + 2);
            Round round = new Round(
                    i % 2 == 0 ? bare : bare(), attach.open(), attach.map(), attach.firstFault());
            System.out.printf(
                    "%s bare %s, open %s, map %s, first fault %s%n",
                    i < 0 ? "warm-up" : "round " + i,
                    ms(round.bare()),
                    ms(round.open()),
                    ms(round.map()),
                    ms(round.firstFault()));
            if (i >= 0) {
                measured.add(round);
            }
        }
        double[] open = ratios(measured, Round::open);
        double[] all = ratios(measured, r -> r.open() + r.map());
        System.out.printf(
                "open: %s the bare loop, %.1f ns a frame%nopen and map: %s the bare loop; map alone %.1f us a file%n",
                interval(open),
                median(measured, Round::open) / frames,
                interval(all),
                median(measured, Round::map) / 1000 / files);
        return measured;
    }

    private static String ms(long nanos) {
        return String.format(Locale.ROOT, "%,.0f ms", nanos / 1e6);
    }

    /** A figure of a round. */
    private interface Figure {
        long of(Round round);
    }

    private static double median(List<Round> rounds, Figure figure) {
        long[] sorted = rounds.stream().mapToLong(figure::of).sorted().toArray();
        return sorted.length == 0 ? Double.NaN : sorted[sorted.length / 2];
    }

    private static double[] ratios(List<Round> rounds, Figure figure) {
        return rounds.stream()
                .mapToDouble(r -> (double) figure.of(r) / r.bare())
                .sorted()
                .toArray();
    }

    /** Mean of the pairs' ratios with its 95 % interval, by Student's t. */
    private static String interval(double[] ratios) {
        double mean = Arrays.stream(ratios).average().orElse(Double.NaN);
        double squares = Arrays.stream(ratios).map(r -> (r - mean) * (r - mean)).sum();
        int n = ratios.length;
        double t = n < 11 ? 2.6 : 2.2;
        double error = t * Math.sqrt(squares / Math.max(1, n - 1) / Math.max(1, n));
        return String.format(Locale.ROOT, "%.2f +- %.2f times", mean, error);
    }

    private String json(List<Round> rounds) {
        StringBuilder json = new StringBuilder(String.format(
                Locale.ROOT,
                "{\"frames\": %d, \"files\": %d, \"threads\": %d, \"unit\": \"ns\", \"rounds\": [",
                frames,
                files,
                threads));
        for (int i = 0; i < rounds.size(); i++) {
            Round r = rounds.get(i);
            json.append(String.format(
                    Locale.ROOT,
                    "%s%n  {\"bare\": %d, \"open\": %d, \"map\": %d, \"firstFault\": %d}",
                    i == 0 ? "" : ",",
                    r.bare(),
                    r.open(),
                    r.map(),
                    r.firstFault()));
        }
        return json.append("\n]}\n").toString();
    }

    // ---- the bare loop
    // -----------------------------------------------------------------------------------------------

    private long bare() throws IOException, InterruptedException {
        long[][] index = new long[files][(int) pagesPerFile];
        System.gc();
        try (Arena arena = Arena.ofShared()) {
            long start = System.nanoTime();
            MemorySegment memory = map(arena);
            Header header = header(memory);
            AtomicInteger next = new AtomicInteger();
            AtomicInteger kept = new AtomicInteger();
            Thread[] others = new Thread[threads - 1];
            for (int i = 0; i < others.length; i++) {
                others[i] = new Thread(() -> bare(memory, header, next, index, kept));
                others[i].start();
            }
            bare(memory, header, next, index, kept);
            for (Thread other : others) {
                other.join();
            }
            long took = System.nanoTime() - start;
            if (kept.get() < frames - 1000) {
                throw new IOException("only " + kept + " records are whole");
            }
            return took;
        }
    }

    private void bare(
            MemorySegment memory, Header header, AtomicInteger next, long[][] index, AtomicInteger kept) {
        Geometry geometry = header.geometry;
        Ledger ledger = new Ledger(memory, geometry, header.incarnation, null);
        int whole = 0;
        for (int from = next.getAndAdd(SHARE); from < frames; from = next.getAndAdd(SHARE)) {
            int to = Math.min(frames, from + SHARE);
            for (int frame = from; frame < to; frame++) {
                if (ledger.stateWord(frame) == Ledger.CLEAN && ledger.isWhole(frame)) {
                    int file = (int) ledger.fileId(frame) - 1;
                    if (file < files) {
                        index[file][(int) ledger.page(frame)] = frame;
                        whole++;
                    }
                }
            }
        }
        kept.addAndGet(whole);
    }

    // ---- the cache
    // ---------------------------------------------------------------------------------------------------

    private Round attach(int round) throws IOException {
        System.gc();
        long start = System.nanoTime();
        PageCache cache = PageCache.open(config((long) frames * PAGE));
        try {
            long opened = System.nanoTime();
            int kept = cache.recovery().kept();
            if (kept < frames - 1000) {
                throw new IOException("only " + kept + " frames were kept: " + cache.recovery());
            }
            List<PagedFile> mapped = new ArrayList<>(files);
            long mapping = System.nanoTime();
            for (int i = 0; i < files; i++) {
                mapped.add(cache.map(new Store(i, pagesPerFile * PAGE), MapOptions.DEFAULT));
            }
            long ready = System.nanoTime();
            try (PagedFile another = cache.map(new Store(files, MOST_ROUNDS * PAGE), MapOptions.DEFAULT)) {
                long asked = System.nanoTime();
                var _ = another.read((long) round * PAGE, MemorySegment.ofArray(new byte[8]));
                long faulted = System.nanoTime();
                return new Round(0, opened - start, ready - mapping, faulted - asked);
            } finally {
                for (PagedFile file : mapped) {
                    file.close();
                }
            }
        } finally {
            cache.close(Duration.ZERO);
        }
    }

    /** Zeros under an exact version. */
    private record Store(int number, long size) implements BackingStore {
        @Override
        public StoreId id() {
            return new StoreId(0x6174_7463, number);
        }

        @Override
        public StoreVersion version() {
            return StoreVersion.exact(1, number);
        }

        @Override
        public int read(long position, MemorySegment target) {
            long length = Math.min(target.byteSize(), size - position);
            if (length <= 0) {
                return -1;
            }
            target.asSlice(0, length).fill((byte) 0);
            return (int) length;
        }

        @Override
        public int write(long position, MemorySegment source) throws IOException {
            throw new IOException("not to be written to");
        }

        @Override
        public void force() {}

        @Override
        public void truncate(long newSize) throws IOException {
            throw new IOException("not to be written to");
        }

        @Override
        public String name() {
            return "store " + number;
        }

        @Override
        public void close() {}

        @Override
        public boolean equals(@Nullable Object other) {
            return this == other;
        }

        @Override
        public int hashCode() {
            return number;
        }
    }
}
