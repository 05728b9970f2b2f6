/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.fuzz;

import io.warmcache.CacheConfig;
import io.warmcache.MapOptions;
import io.warmcache.PageCache;
import io.warmcache.PagedFile;
import io.warmcache.StoreId;
import io.warmcache.StoreVersion;
import io.warmcache.WarmUpOptions;
import io.warmcache.core.inspect.ImageInspector;
import io.warmcache.spi.BlockChecksum;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.ServiceLoader;
import java.util.SplittableRandom;
import java.util.random.RandomGenerator;
import java.util.stream.Stream;

/**
 * A cache without preserved memory that becomes warm by a file: the file is changed, the cache opened, and every byte
 * compared with the store. Also looked at as {@code warmcache image} does.
 */
abstract class WarmUpTarget implements Target {
    private static final int PAGE = 4096;
    private static final int PAGES = 40;
    private static final Duration LONG = Duration.ofSeconds(100);

    /** What every check in an image or a hot list is made with. */
    private static final BlockChecksum CHECK = ServiceLoader.load(BlockChecksum.class).stream()
            .map(ServiceLoader.Provider::get)
            .filter(each -> each.algorithm().equals("xxh64"))
            .findFirst()
            .orElseThrow();

    private final byte[] content = new byte[PAGES * PAGE - 1234];
    private final CacheConfig config;
    private final Path directory;
    private long served;
    private final byte[] read = new byte[PAGES * PAGE];

    WarmUpTarget(Path out, boolean hotList) throws IOException {
        SplittableRandom random = new SplittableRandom(5);
        random.nextBytes(content);
        // Some of it is to shrink, and some not to.
        Arrays.fill(content, 0, content.length / 2, (byte) 7);
        directory = Files.createTempDirectory(out, "warm-");
        config = CacheConfig.of("fuzz-warm-up", 64L * PAGE)
                .withBackend("volatile")
                .withWarmUp(WarmUpOptions.in(directory).withHotList(hotList).withWarmUpRate(0).withCheckpointRate(0));
    }

    private HeapStore store() {
        return new HeapStore(new StoreId(3, 4), StoreVersion.exact(5, 6), content.clone());
    }

    /** A cache that has read all of its store is checkpointed and closed; returns the file it has left. */
    final byte[] make(String suffix) throws IOException, InterruptedException {
        try (PageCache cache = PageCache.open(config)) {
            PagedFile file = cache.map(store(), MapOptions.DEFAULT);
            file.read(0, MemorySegment.ofArray(read));
            var _ = cache.checkpoint(directory).await();
        }
        try (Stream<Path> all = Files.list(directory)) {
            return Files.readAllBytes(all.filter(each -> each.toString().endsWith(suffix)).findFirst().orElseThrow());
        }
    }

    final Path directory() {
        return directory;
    }

    /** The check of bytes as {@code io.warmcache.core.image} makes it. */
    static long check(byte[] bytes, int from, int length, long seed) {
        return CHECK.bytes(MemorySegment.ofArray(bytes), from, length, seed);
    }

    static ByteBuffer over(byte[] bytes) {
        return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }

    /** Puts a changed file into the directory, which holds nothing else. */
    abstract void put(RandomGenerator random) throws IOException;

    @Override
    public final String run(RandomGenerator random) throws Exception {
        try (Stream<Path> all = Files.list(directory)) {
            for (Path each : all.toList()) {
                Files.delete(each);
            }
        }
        put(random);
        int problems = 0;
        if (random.nextInt(4) == 0) {
            ImageInspector.Contents contents = ImageInspector.inspect(directory, true, (done, all) -> {});
            problems = contents.damagedImages().size();
        }
        try (PageCache cache = PageCache.open(config)) {
            PagedFile file = cache.map(store(), MapOptions.DEFAULT);
            if (!cache.warmUp().await(LONG)) {
                throw new Finding("HANG: the warm-up does not end");
            }
            compare(cache, file);
            var status = cache.warmUp().status();
            served += status.restored() + status.reread();
            String verdict = cache.recovery().images().stream()
                    .map(each -> (each.accepted() ? "accepted " : "refused ") + each.verdict())
                    .findFirst()
                    .orElse("");
            return (verdict + " " + String.join("; ", status.problems()) + (problems > 0 ? " inspected" : "")
                            + (status.restored() + status.reread() >= PAGES
                                    ? " all"
                                    : status.restored() + status.reread() > 0 ? " some" : " none"))
                    .replace(directory.toString(), "DIR")
                    .replaceAll("0x[0-9a-f]+|-?[0-9]+", "N")
                    .trim();
        }
    }

    private void compare(PageCache cache, PagedFile file) throws Exception {
        int n = file.read(0, MemorySegment.ofArray(read));
        if (n != content.length || !Arrays.equals(read, 0, n, content, 0, n)) {
            int wrong = Arrays.mismatch(read, 0, content.length, content, 0, content.length);
            throw new Finding("WRONG BYTES: " + n + " read, byte " + wrong + " differs; "
                    + file.explain(Math.max(0, wrong / PAGE)) + "; " + cache.recovery().images());
        }
    }

    @Override
    public final long served() {
        return served;
    }

    @Override
    public final void close() throws IOException {
        try (Stream<Path> all = Files.list(directory)) {
            for (Path each : all.toList()) {
                Files.delete(each);
            }
        }
        Files.delete(directory);
    }
}
