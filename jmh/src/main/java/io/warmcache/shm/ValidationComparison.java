/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import io.warmcache.BackingStore;
import io.warmcache.CacheConfig;
import io.warmcache.MapOptions;
import io.warmcache.PageCache;
import io.warmcache.PageCursor;
import io.warmcache.PagedFile;
import io.warmcache.StoreId;
import io.warmcache.StoreVersion;
import io.warmcache.Validation;
import io.warmcache.core.checksum.Checksums;
import io.warmcache.jmh.Ratios;
import io.warmcache.spi.BlockChecksum;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;

/**
 * What validation costs: eager validation of a file's frames beside the same checksum over the same memory by as many
 * threads, and the first and later touches of a page beside a checksum and a hit. {@code jmh/validate} runs it.
 *
 * <p>Lies in the package of the segment's layout, so that the bare passes know where the frames are. They map the
 * segment afresh for each pass, as an attach does, and so pay the same page faults.
 */
public final class ValidationComparison {
    private static final int PAGE = 4096;
    private static final int SHARE = 1024;
    private static final int WARM_UP = 2;

    private final int frames;
    private final int pairs;
    private final CacheConfig config;
    private final Path segment;
    private final BlockChecksum checksum = Checksums.ALL.getFirst();
    private final int[] order;
    private final Map<String, double[]> times = new LinkedHashMap<>();

    private ValidationComparison(int frames, int pairs, CacheConfig config, Path segment) {
        this.frames = frames;
        this.pairs = pairs;
        this.config = config;
        this.segment = segment;
        order = new int[frames];
        SplittableRandom random = new SplittableRandom(3);
        for (int i = 0; i < frames; i++) {
            int other = random.nextInt(i + 1);
            order[i] = order[other];
            order[other] = i;
        }
    }

    /** Prints the medians and ratios; the raw figures go to a file if one is named. */
    public static void main(String[] args) throws IOException, InterruptedException {
        int mib = args.length > 0 ? Integer.parseInt(args[0]) : 2048;
        int pairs = Math.max(10, args.length > 1 ? Integer.parseInt(args[1]) : 12);
        int frames = mib << 8;
        CacheConfig config = CacheConfig.of(
                        "jmh-validate-" + ProcessHandle.current().pid(), (long) mib << 20)
                .withMaxUnfinishedAttaches(0)
                .withOptions(Map.of("core.maintenance", "off"));
        try {
            ValidationComparison comparison = new ValidationComparison(
                    frames, pairs, config, Path.of(SegmentFile.path(config)));
            comparison.fill();
            comparison.measure();
            comparison.print();
            if (args.length > 2) {
                Files.writeString(Path.of(args[2]), comparison.json());
            }
        } finally {
            PageCache.drop(config);
        }
    }

    /** All pages in memory, in random frames, and used as often as is counted. */
    private void fill() throws IOException {
        try (PageCache cache = PageCache.open(config);
                PagedFile file = cache.map(new Store((long) frames * PAGE), MapOptions.DEFAULT)) {
            for (int i = 0; i < 4; i++) {
                touch(file);
            }
        }
    }

    private void measure() throws IOException, InterruptedException {
        for (int i = -WARM_UP; i < pairs; i++) {
            for (int threads : new int[] {1, 2}) {
                // The order changes, so that neither always follows the other.
                if (i % 2 == 0) {
                    stream(i, threads);
                }
                eager(i, threads);
                if (i % 2 != 0) {
                    stream(i, threads);
                }
            }
            if (i % 2 == 0) {
                scattered(i);
            }
            lazy(i);
            if (i % 2 != 0) {
                scattered(i);
            }
        }
    }

    private void took(int pair, String what, long nanos) {
        if (pair >= 0) {
            times.computeIfAbsent(what, name -> new double[pairs])[pair] = (double) nanos / frames;
        }
    }

    // ---- bare passes
    // ----------------------------------------------------------------------------------------------

    private MemorySegment map(Arena arena) throws IOException {
        try (FileChannel channel =
                FileChannel.open(segment, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            MemorySegment all = channel.map(FileChannel.MapMode.READ_WRITE, 0, channel.size(), arena);
            return all.asSlice(Geometry.of(config).framesOffset(), (long) frames * PAGE);
        }
    }

    /** In the order of memory. */
    private void stream(int pair, int threads) throws IOException, InterruptedException {
        try (Arena arena = Arena.ofShared()) {
            long start = System.nanoTime();
            MemorySegment memory = map(arena);
            pass(memory, threads);
            took(pair, "stream, " + threads, System.nanoTime() - start);
            start = System.nanoTime();
            pass(memory, threads);
            took(pair, "stream again, " + threads, System.nanoTime() - start);
        }
    }

    private void pass(MemorySegment memory, int threads) throws InterruptedException {
        AtomicInteger next = new AtomicInteger();
        AtomicLong sum = new AtomicLong();
        Runnable work = () -> {
            long own = 0;
            for (int from = next.getAndAdd(SHARE); from < frames; from = next.getAndAdd(SHARE)) {
                for (int frame = from; frame < Math.min(from + SHARE, frames); frame++) {
                    own += checksum.block(memory, (long) frame * PAGE, 1, 1, frame, 0, 1);
                }
            }
            sum.addAndGet(own);
        };
        List<Thread> others = new ArrayList<>();
        for (int i = 1; i < threads; i++) {
            Thread other = new Thread(work, "stream-" + i);
            other.start();
            others.add(other);
        }
        work.run();
        for (Thread other : others) {
            other.join();
        }
        if (sum.get() == 0) {
            throw new IllegalStateException("a sum of checksums is 0");
        }
    }

    /** A checksum of each frame in random order: what a first touch must do. */
    private void scattered(int pair) throws IOException {
        try (Arena arena = Arena.ofShared()) {
            MemorySegment memory = map(arena);
            long start = System.nanoTime();
            long sum = 0;
            for (int frame : order) {
                sum += checksum.block(memory, (long) frame * PAGE, 1, 1, frame, 0, 1);
            }
            took(pair, "checksum, scattered", System.nanoTime() - start);
            if (sum == 0) {
                throw new IllegalStateException("a sum of checksums is 0");
            }
        }
    }

    // ---- the cache
    // ------------------------------------------------------------------------------------------------

    private void requireAll(PageCache cache, int unvalidated) {
        if (cache.recovery().kept() != frames || cache.recovery().unvalidated() != unvalidated) {
            throw new IllegalStateException("not all frames are as expected: " + cache.recovery());
        }
    }

    private void eager(int pair, int threads) throws IOException {
        CacheConfig eager = config.withValidation(Validation.EAGER)
                .withOptions(Map.of("core.maintenance", "off", "core.validationThreads", "" + threads));
        try (PageCache cache = PageCache.open(eager)) {
            requireAll(cache, frames);
            long start = System.nanoTime();
            try (PagedFile file = cache.map(new Store((long) frames * PAGE), MapOptions.DEFAULT)) {
                took(pair, "eager, " + threads, System.nanoTime() - start);
                requireAll(cache, 0);
                if (threads == 1) {
                    took(pair, "first touch after eager", touch(file));
                }
            }
        }
    }

    private void lazy(int pair) throws IOException {
        try (PageCache cache = PageCache.open(config);
                PagedFile file = cache.map(new Store((long) frames * PAGE), MapOptions.DEFAULT)) {
            requireAll(cache, frames);
            took(pair, "first touch", touch(file));
            requireAll(cache, 0);
            took(pair, "second touch", touch(file));
            took(pair, "third touch", touch(file));
            took(pair, "fourth touch", touch(file));
        }
    }

    /** Reads 8 bytes of each page in random order. */
    private long touch(PagedFile file) {
        PageCursor cursor = file.cursor();
        long start = System.nanoTime();
        for (int page : order) {
            cursor.seek(page);
            long value;
            do {
                value = cursor.getLong(0);
            } while (cursor.shouldRetry());
            if (value != page) {
                throw new IllegalStateException("page " + page + " holds " + value);
            }
        }
        return System.nanoTime() - start;
    }

    // ---- what is said
    // ---------------------------------------------------------------------------------------------

    private double[] of(String what) {
        return times.getOrDefault(what, new double[pairs]);
    }

    private void print() {
        System.out.printf(Locale.ROOT, "%,d frames, %d pairs%n", frames, pairs);
        System.out.println("| pass | ns a page, median | GiB/s |");
        System.out.println("|---|---:|---:|");
        times.forEach((what, nanos) -> System.out.printf(
                Locale.ROOT,
                "| %s | %.0f | %.2f |%n",
                what,
                Ratios.median(nanos),
                PAGE / 1.073741824 / Ratios.median(nanos)));
        for (int threads : new int[] {1, 2}) {
            ratio("rate of eager validation, of stream, " + threads, of("stream, " + threads), of("eager, " + threads));
            ratio(
                    "rate of eager validation, of stream over mapped memory, " + threads,
                    of("stream again, " + threads),
                    of("eager, " + threads));
        }
        double[] checksumAndHit = of("checksum, scattered").clone();
        for (int i = 0; i < pairs; i++) {
            checksumAndHit[i] += of("fourth touch")[i];
        }
        ratio("first touch, of checksum and hit", of("first touch"), checksumAndHit);
        ratio("first touch after eager validation, of hit", of("first touch after eager"), of("fourth touch"));
        ratio("second touch, of hit", of("second touch"), of("fourth touch"));
        ratio("third touch, of hit", of("third touch"), of("fourth touch"));
    }

    private void ratio(String what, double[] of, double[] to) {
        Ratios ratios = new Ratios(of, to);
        System.out.printf(Locale.ROOT, "%s: %.3f ± %.3f%n", what, ratios.mean(), ratios.interval());
    }

    private String json() {
        return Ratios.json(frames + " frames of 4 KiB", "nanosPerPage", times, Map.of());
    }

    /** Pages that begin with their number. */
    private record Store(long size) implements BackingStore {
        @Override
        public StoreId id() {
            return new StoreId(0x7661_6C69, 1);
        }

        @Override
        public StoreVersion version() {
            return StoreVersion.exact(1, 1);
        }

        @Override
        public int read(long position, MemorySegment target) {
            long length = Math.min(target.byteSize(), size - position) / PAGE * PAGE;
            if (length <= 0) {
                return -1;
            }
            for (long at = 0; at < length; at += Long.BYTES) {
                boolean first = at % PAGE == 0;
                target.set(Layout.LONG, at, first ? (position + at) / PAGE : (position + at) * 0x9E3779B97F4A7C15L);
            }
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
            return "numbered pages";
        }

        @Override
        public void close() {}

        @Override
        public boolean equals(@Nullable Object other) {
            return this == other;
        }

        @Override
        public int hashCode() {
            return 1;
        }
    }
}
