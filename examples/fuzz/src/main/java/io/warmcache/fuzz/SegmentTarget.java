/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.fuzz;

import io.warmcache.CacheConfig;
import io.warmcache.DoubtPolicy;
import io.warmcache.IoMode;
import io.warmcache.MapOptions;
import io.warmcache.PageCache;
import io.warmcache.PagedFile;
import io.warmcache.RecoveryReport;
import io.warmcache.StoreId;
import io.warmcache.StoreVersion;
import io.warmcache.Validation;
import io.warmcache.WritePin;
import io.warmcache.WritePolicy;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.TreeSet;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;

/**
 * Attaches mutated segments with the back end {@code shm}, maps what they know and reads every byte of it: all must be
 * the stores', however little of it comes from memory. Then, at times, it writes, and attaches again.
 */
final class SegmentTarget implements Target {
    private static final Set<StandardOpenOption> REPLACE =
            Set.of(StandardOpenOption.CREATE, StandardOpenOption.WRITE, StandardOpenOption.TRUNCATE_EXISTING);
    private static final int LARGEST = 1 << 20;

    /** What the mutations start from. */
    private static final class Base {
        final String name;
        final CacheConfig config;
        final byte[] image;
        /** What the stores hold when the segment is attached. */
        final byte[][] contents;
        final long[] versions;

        Base(String name, CacheConfig config, byte[] image, byte[][] contents, long[] versions) {
            this.name = name;
            this.config = config;
            this.image = image;
            this.contents = contents;
            this.versions = versions;
        }
    }

    private final boolean files;
    private final Path directory;
    private final Path segment;
    private final List<Base> bases = new ArrayList<>();
    private final byte[] bytes = new byte[LARGEST];
    private byte[] read = new byte[LARGEST];
    /** Those mapped last. */
    private final List<HeapStore> stores = new ArrayList<>();

    private long served;

    /**
     * Prepares.
     *
     * @param files whether stores are plain files, and the file table alone is changed
     */
    SegmentTarget(Path directory, boolean files) throws Exception {
        this.files = files;
        this.directory = directory;
        segment = Path.of("/dev/shm/warmcache.fuzz-" + ProcessHandle.current().pid() + (files ? "-journal" : ""));
        Files.createDirectories(directory);
        boolean done = false;
        try {
            makeBases();
            done = true;
        } finally {
            if (!done) {
                close();
            }
        }
    }

    private CacheConfig config(int frames, int pageSize) {
        return CacheConfig.of(segment.toString(), (long) frames * pageSize)
                .withPageSize(pageSize)
                .withMaxFiles(4)
                .withMaxUnfinishedAttaches(0)
                .withLatchTimeout(Duration.ofSeconds(30))
                .withOwnerWait(Duration.ofSeconds(30))
                .withOptions(Map.of("shm.cgroupCheck", "off", "core.maintenance", "off"));
    }

    private void makeBases() throws Exception {
        makeBase("clean", config(24, 4096), 3, 9, false);
        makeBase("killed", config(24, 4096), 3, 9, true);
        if (files) {
            return;
        }
        makeBase("full", config(12, 4096), 3, 14, true);
        makeBase("other", config(24, 4096), 3, 9, true);
        makeBase("crc", config(16, 16384).withChecksum("crc32c"), 2, 6, true);
        makeBase("room", config(16, 4096).withMaxCapacity(64 << 12), 2, 8, true);
        makeBase("large", config(12, 65536), 2, 5, false);
    }

    /** A cache that was used, and closed or killed; kept, since no two have the same incarnation. */
    private void makeBase(String name, CacheConfig config, int stores, int pages, boolean killed) throws Exception {
        Path kept = directory.resolve("base-" + (files ? "journal-" : "") + name + ".bin");
        byte[][] contents = new byte[stores][];
        long[] versions = new long[stores];
        SplittableRandom random = new SplittableRandom(name.hashCode());
        for (int i = 0; i < stores; i++) {
            contents[i] = new byte[pages * config.pageSize() - 1000 * i];
            random.nextBytes(contents[i]);
            versions[i] = random.nextLong();
        }
        if (Files.exists(kept)) {
            Base base = new Base(name, config, Files.readAllBytes(kept), contents, versions);
            for (int i = 0; i < stores; i++) {
                Path content = directory.resolve(kept.getFileName() + "." + i);
                contents[i] = Files.readAllBytes(content);
                if (name.equals("full") && i == stores - 1) {
                    versions[i]++;
                }
            }
            if (!files && isWarm(base)) {
                bases.add(base);
                return;
            }
        }
        Files.deleteIfExists(segment);
        byte[] image = null;
        HeapStore[] heap = new HeapStore[stores];
        try (PageCache cache = PageCache.open(config)) {
            List<PagedFile> mapped = new ArrayList<>();
            for (int i = 0; i < stores; i++) {
                if (files) {
                    Files.write(file(name, i), contents[i]);
                    Thread.sleep(30); // a time younger than a tick of the clock is not trusted at the map
                }
                heap[i] = new HeapStore(id(name, i), version(versions[i]), contents[i]);
                // What is dirty in memory alone would reach a file after all when this cache is closed.
                MapOptions options =
                        options().withPolicy(i == 1 && !files ? WritePolicy.WRITE_BACK : WritePolicy.WRITE_THROUGH);
                mapped.add(files ? cache.map(file(name, i), options) : cache.map(heap[i], options));
            }
            for (int round = 0; round < 3; round++) {
                for (PagedFile each : mapped) {
                    each.read(0, MemorySegment.ofArray(new byte[(int) each.size()]));
                }
                write(mapped.get(round % stores), random, null);
                if (round == 1) {
                    mapped.get(1).force();
                }
            }
            for (PagedFile each : mapped) {
                each.flush();
            }
            if (killed) {
                // Dirty pages, one latched, and writes the file table still has as open.
                write(mapped.get(0), random, null);
                write(mapped.get(1), random, null);
                try (WritePin pin = mapped.get(stores - 1).pinForWrite(0)) {
                    pin.dirty(0, 100);
                    image = Files.readAllBytes(segment);
                    pin.abort();
                }
                for (int i = 0; i < stores; i++) {
                    // What the store holds at the kill: what is dirty only in memory is lost.
                    contents[i] = (files ? Files.readAllBytes(file(name, i)) : heap[i].bytes().clone());
                }
            }
        }
        if (image == null) {
            image = Files.readAllBytes(segment);
            for (int i = 0; i < stores; i++) {
                contents[i] = files ? Files.readAllBytes(file(name, i)) : heap[i].bytes();
            }
        }
        if (name.equals("full")) {
            // Changed by somebody else since: nothing of it may be served, whatever the segment is made to say.
            random.nextBytes(contents[stores - 1]);
            versions[stores - 1]++;
        }
        if (image.length > LARGEST) {
            throw new IllegalStateException("base " + name + " has " + image.length + " bytes");
        }
        Base base = new Base(name, config, image, contents, versions);
        if (!isWarm(base)) {
            throw new IllegalStateException("base " + name + " is not warm as it is");
        }
        if (!files) {
            Files.write(kept, image);
            for (int i = 0; i < stores; i++) {
                Files.write(directory.resolve(kept.getFileName() + "." + i), contents[i]);
            }
        }
        bases.add(base);
    }

    private Path file(String base, int index) {
        return directory.resolve("store-" + base + "-" + index);
    }

    private static StoreId id(String base, int index) {
        return new StoreId((0x46555a5aL << 32) | (base.hashCode() & 0xFFFFFFFFL), index + 1);
    }

    private static StoreVersion version(long value) {
        return StoreVersion.exact(value, ~value);
    }

    private MapOptions options() {
        return MapOptions.DEFAULT.withIoMode(IoMode.BUFFERED).withCreate(false);
    }

    /** Whether it is taken over as it is; also that nothing wrong is served of it. */
    private boolean isWarm(Base base) throws Exception {
        put(base.image, base.image.length);
        try (PageCache cache = PageCache.open(base.config)) {
            readAll(base, base.contents, cache, new SplittableRandom(1), false);
            return cache.recovery().warm() && cache.recovery().kept() > 0;
        }
    }

    private void put(byte[] content, int length) throws IOException {
        try (FileChannel out = FileChannel.open(
                segment, REPLACE, PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")))) {
            ByteBuffer buffer = ByteBuffer.wrap(content, 0, length);
            while (buffer.hasRemaining()) {
                out.write(buffer);
            }
        }
    }

    @Override
    public String run(RandomGenerator random) throws Exception {
        Base base = bases.get(Math.min(bases.size() - 1, random.nextInt(bases.size() + 1)) % bases.size());
        if (base.image.length > 400_000 && random.nextInt(4) > 0) {
            base = bases.get(0);
        }
        System.arraycopy(base.image, 0, bytes, 0, base.image.length);
        Arrays.fill(bytes, base.image.length, Math.min(LARGEST, base.image.length + (1 << 17)), (byte) 0);
        List<byte[]> others = new ArrayList<>();
        for (Base other : bases) {
            if (other != base) {
                others.add(other.image);
            }
        }
        int length = new SegmentMutator(random, bytes, base.image.length, base.image, others).mutate(files);
        put(bytes, length);
        CacheConfig config = varied(base.config, random);
        String outcome;
        boolean dropped = random.nextInt(64) == 0;
        byte[][] contents = base.contents.clone();
        PageCache cache = PageCache.open(config);
        boolean closed = false;
        try {
            List<PagedFile> mapped = readAll(base, contents, cache, random, true);
            outcome = outcome(cache.recovery());
            requireSound(base, cache);
            if (!files && random.nextInt(8) == 0) {
                writeAndCompare(base, contents, mapped, random);
            }
            if (dropped) {
                closed = true;
                cache.drop();
            }
        } finally {
            if (!closed) {
                cache.close();
            }
        }
        if (dropped && Files.exists(segment)) {
            throw new Finding("base " + base.name + ": the segment is still there after drop");
        }
        if (!dropped && random.nextInt(8) == 0) {
            again(base, contents, config);
        }
        return base.name + ": " + outcome;
    }

    /** What an attach left is a segment as any other. */
    private void again(Base base, byte[][] contents, CacheConfig config) throws Exception {
        try (PageCache cache = PageCache.open(config)) {
            if (!cache.recovery().warm()) {
                throw new Finding("base " + base.name + ": cold when attached again: " + cache.recovery().coldReason());
            }
            readAll(base, contents, cache, new SplittableRandom(1), false);
        }
    }

    private static CacheConfig varied(CacheConfig config, RandomGenerator random) {
        int pageSize = config.pageSize();
        return switch (random.nextInt(16)) {
            case 0 -> config.withCapacity((long) (8 + random.nextInt(config.maxFrames() - 7)) * pageSize);
            case 1 -> config.withMaxCapacity(
                    (long) (config.frames() + random.nextInt(40)) * pageSize);
            case 2 -> config.withMaxCapacity(0).withCapacity((long) (8 + random.nextInt(40)) * pageSize);
            case 3 -> config.withChecksum(random.nextBoolean() ? "crc32c" : "xxh64");
            case 4 -> config.withValidation(Validation.EAGER);
            case 5 -> config.withOptions(Map.of(
                    "shm.cgroupCheck", "off", "core.maintenance", "off", "shm.domain", "os-reboot"));
            case 6 -> random.nextInt(4) == 0
                    ? config.withOptions(Map.of("shm.cgroupCheck", "off"))
                    : config.withDebug(true);
            default -> config;
        };
    }

    private List<PagedFile> readAll(
            Base base, byte[][] contents, PageCache cache, RandomGenerator random, boolean vary) throws Exception {
        List<PagedFile> mapped = new ArrayList<>();
        stores.clear();
        for (int i = 0; i < contents.length; i++) {
            MapOptions options = options();
            if (vary) {
                options = options.withDoubt(random.nextInt(4) == 0 ? DoubtPolicy.VERIFY : DoubtPolicy.DROP)
                        .withPolicy(random.nextBoolean() ? WritePolicy.WRITE_BACK : WritePolicy.WRITE_THROUGH);
            }
            PagedFile file;
            if (files) {
                file = cache.map(file(base.name, i), options);
            } else {
                HeapStore store =
                        new HeapStore(id(base.name, i), version(base.versions[i]), contents[i].clone());
                stores.add(store);
                file = cache.map(store, options);
            }
            mapped.add(file);
            compare(base, i, file, contents[i]);
        }
        served += cache.recovery().kept();
        return mapped;
    }

    private void compare(Base base, int index, PagedFile file, byte[] wanted) throws Exception {
        if (file.size() != wanted.length) {
            throw new Finding("base " + base.name + ", store " + index + ": " + file.size() + " bytes instead of "
                    + wanted.length);
        }
        if (read.length < wanted.length) {
            read = new byte[wanted.length];
        }
        int n = file.read(0, MemorySegment.ofArray(read).asSlice(0, wanted.length));
        int wrong = n != wanted.length ? n : Arrays.mismatch(read, 0, wanted.length, wanted, 0, wanted.length);
        if (n != wanted.length || wrong >= 0) {
            throw new Finding("WRONG BYTES: base " + base.name + ", store " + index + ", byte " + wrong + " of "
                    + wanted.length + " (page " + wrong / file.pageSize() + "), " + n + " read; "
                    + file.explain(wrong / file.pageSize()));
        }
    }

    private static void requireSound(Base base, PageCache cache) throws Finding {
        RecoveryReport report = cache.recovery();
        if (report.found() != report.kept() + report.droppedTotal() || report.kept() < 0) {
            throw new Finding("base " + base.name + ": the report does not add up: " + report);
        }
        if (!cache.health().healthy()) {
            throw new Finding("base " + base.name + ": not healthy: " + cache.health().problems());
        }
    }

    /** Writes a few bytes to random places of a file, and to {@code model} if it is given. */
    private static void write(PagedFile file, RandomGenerator random, byte @Nullable [] model)
            throws IOException {
        for (int i = 0; i < 3; i++) {
            int length = 1 + random.nextInt(6000);
            int at = random.nextInt((int) file.size() - length);
            byte[] some = new byte[length];
            Arrays.fill(some, (byte) random.nextInt(256));
            file.write(at, MemorySegment.ofArray(some));
            if (model != null) {
                System.arraycopy(some, 0, model, at, length);
            }
        }
    }

    /** What is written over recovered pages must reach the store, and nothing else with it. */
    private void writeAndCompare(Base base, byte[][] contents, List<PagedFile> mapped, RandomGenerator random)
            throws Exception {
        int index = random.nextInt(mapped.size());
        byte[] model = contents[index].clone();
        contents[index] = model;
        PagedFile file = mapped.get(index);
        write(file, random, model);
        compare(base, index, file, model);
        file.force();
        if (!Arrays.equals(stores.get(index).bytes(), model)) {
            throw new Finding("WRONG BYTES in the store: base " + base.name + ", store " + index + ", from byte "
                    + Arrays.mismatch(stores.get(index).bytes(), model));
        }
    }

    private static String outcome(RecoveryReport report) {
        if (!report.warm()) {
            return "cold, " + report.coldReason().replaceAll("0x[0-9a-f]+|-?[0-9]+", "N");
        }
        return "warm" + (report.kept() == report.found() ? "" : report.kept() == 0 ? ", all dropped" : ", some dropped")
                + (report.dropped().isEmpty() ? "" : " " + new TreeSet<>(report.dropped().keySet()));
    }

    @Override
    public long served() {
        return served;
    }

    @Override
    public void close() throws IOException {
        Files.deleteIfExists(segment);
    }
}
