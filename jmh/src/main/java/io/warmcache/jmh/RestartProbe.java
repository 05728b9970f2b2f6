/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.jmh;

import io.warmcache.CacheConfig;
import io.warmcache.IoMode;
import io.warmcache.MapOptions;
import io.warmcache.PageCache;
import io.warmcache.PageCursor;
import io.warmcache.PagedFile;
import io.warmcache.Validation;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Locale;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;

/**
 * A process that takes over what one that was killed has left, or starts without it, and tells how fast it was from its
 * first request on. {@link RestartComparison} starts it and kills it.
 *
 * <p>The file is a table of values of 1 KiB with an index of 8 bytes a key in front. A <em>kv</em> request looks a key
 * up in the index and copies its value; a <em>raw</em> one reads 8 bytes of a random page.
 */
final class RestartProbe {
    static final int PAGE = 4096;
    static final int VALUE = 1024;
    static final int KEYS_PER_INDEX_PAGE = PAGE / Long.BYTES;
    private static final int VALUES_PER_PAGE = PAGE / VALUE;
    private static final int LOOK_AT_CLOCK = 64;
    private static final ValueLayout.OfLong LONG =
            ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    /** How the file is laid out. {@code keys} is a power of two. */
    record Table(int keys) {
        long indexPages() {
            return Math.max(1, keys / KEYS_PER_INDEX_PAGE);
        }

        long pages() {
            return indexPages() + keys / VALUES_PER_PAGE;
        }

        /** Keys lie in the order of a permutation, so that neighbours share no page. */
        int slot(int key) {
            return (key * 0x9E3779B1 + 12345) & (keys - 1);
        }

        /** Writes the file, several MiB at a time. */
        void write(Path path) throws IOException {
            ByteBuffer buffer = ByteBuffer.allocateDirect(1 << 22).order(ByteOrder.LITTLE_ENDIAN);
            int[] keyOf = new int[keys];
            for (int key = 0; key < keys; key++) {
                keyOf[slot(key)] = key;
            }
            try (FileChannel channel = FileChannel.open(
                    path, StandardOpenOption.CREATE, StandardOpenOption.TRUNCATE_EXISTING, StandardOpenOption.WRITE)) {
                for (int key = 0; key < indexPages() * KEYS_PER_INDEX_PAGE; key++) {
                    buffer.putLong(key < keys ? slot(key) : -1);
                    drain(buffer, channel, false);
                }
                for (int slot = 0; slot < keys; slot++) {
                    for (int i = 0; i < VALUE / Long.BYTES; i++) {
                        buffer.putLong(i == 0 ? keyOf[slot] : keyOf[slot] * 0x9E3779B97F4A7C15L + i);
                    }
                    drain(buffer, channel, false);
                }
                drain(buffer, channel, true);
                channel.force(true);
            }
        }

        private static void drain(ByteBuffer buffer, FileChannel channel, boolean last) throws IOException {
            if (last || !buffer.hasRemaining()) {
                buffer.flip();
                while (buffer.hasRemaining()) {
                    channel.write(buffer);
                }
                buffer.clear();
            }
        }
    }

    /** How requests reach the file. */
    private interface Access {
        long word(long page, int offset) throws IOException;

        void copy(long page, int offset, MemorySegment target) throws IOException;
    }

    private record CacheAccess(PageCursor cursor) implements Access {
        @Override
        public long word(long page, int offset) {
            cursor.seek(page);
            long value;
            do {
                value = cursor.getLong(offset);
            } while (cursor.shouldRetry());
            return value;
        }

        @Override
        public void copy(long page, int offset, MemorySegment target) {
            cursor.seek(page);
            do {
                cursor.copyTo(offset, target, 0, VALUE);
            } while (cursor.shouldRetry());
        }
    }

    private record ChannelAccess(FileChannel channel, ByteBuffer word, ByteBuffer value) implements Access {
        @Override
        public long word(long page, int offset) throws IOException {
            read(word.clear(), page * PAGE + offset);
            return word.getLong(0);
        }

        @Override
        public void copy(long page, int offset, MemorySegment target) throws IOException {
            read(value.clear(), page * PAGE + offset);
        }

        private void read(ByteBuffer into, long position) throws IOException {
            if (channel.read(into, position) != into.capacity()) {
                throw new IOException("short read at " + position);
            }
        }
    }

    /** Where a {@link ChannelAccess} reads values to, or a copy out of the cache goes. */
    private final MemorySegment buffer = Arena.global().allocate(VALUE, 64);

    private final Table table;
    private final boolean raw;
    private final @Nullable MemorySegment keys;
    private final SplittableRandom random = new SplittableRandom(99);
    private long nextKey;

    private RestartProbe(Table table, boolean raw, @Nullable MemorySegment keys) {
        this.table = table;
        this.raw = raw;
        this.keys = keys;
    }

    private void request(Access access) throws IOException {
        if (raw || keys == null) {
            long page = random.nextLong(table.pages());
            if (access.word(page, 8) == 0x0123_4567_89AB_CDEFL) {
                throw new IllegalStateException("page " + page + " holds what nobody wrote");
            }
            return;
        }
        int key = keys.getAtIndex(ValueLayout.JAVA_INT, nextKey++ & (keys.byteSize() / Integer.BYTES - 1))
                & (table.keys - 1);
        long slot = access.word(key / KEYS_PER_INDEX_PAGE, key % KEYS_PER_INDEX_PAGE * Long.BYTES);
        access.copy(table.indexPages() + slot / VALUES_PER_PAGE, (int) (slot % VALUES_PER_PAGE) * VALUE, buffer);
        if (buffer.get(LONG, 0) != key) {
            throw new IllegalStateException("the value of key " + key + " is that of " + buffer.get(LONG, 0));
        }
    }

    /** Requests done in each of some consecutive intervals. */
    private long[] rates(Access access, int intervals, Duration interval) throws IOException {
        long[] done = new long[intervals];
        long start = System.nanoTime();
        while (true) {
            long at = (System.nanoTime() - start) / interval.toNanos();
            if (at >= intervals) {
                return done;
            }
            for (int i = 0; i < LOOK_AT_CLOCK; i++) {
                request(access);
            }
            done[(int) at] += LOOK_AT_CLOCK;
        }
    }

    // ---- the process
    // ----------------------------------------------------------------------------------------------

    /**
     * What the process is asked for.
     *
     * @param way "fill" (make all pages resident), {@code lazy}, {@code eager}, {@code reread} (everything,
     *     before the first request), {@code cold}, {@code channel}
     * @param warm whether the JVM runs the same code on another cache before
     * @param started when the process was started
     */
    private record Order(
            String way, boolean warm, boolean raw, Path file, Path keys, String cache, int keyCount, Instant started) {
        static Order of(String[] args) {
            return new Order(
                    args[0],
                    args[1].equals("warm"),
                    args[2].equals("raw"),
                    Path.of(args[3]),
                    Path.of(args[4]),
                    args[5],
                    Integer.parseInt(args[6]),
                    Instant.parse(args[7]));
        }
    }

    static CacheConfig config(String name, Table table) {
        return CacheConfig.of(name, (table.pages() + 64) * PAGE).withMaxUnfinishedAttaches(0);
    }

    public static void main(String[] args) throws IOException {
        Order order = Order.of(args);
        Table table = new Table(order.keyCount());
        MemorySegment keys = null;
        if (!order.raw()) {
            try (FileChannel channel = FileChannel.open(order.keys(), StandardOpenOption.READ)) {
                keys = channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size(), Arena.global());
            }
        }
        if (order.warm()) {
            warmUp(order, keys);
        }
        Instant start = order.warm() ? Instant.now() : order.started();
        RestartProbe probe = new RestartProbe(table, order.raw(), keys);
        long opening = System.nanoTime();
        if (order.way().equals("channel")) {
            try (FileChannel channel = FileChannel.open(order.file(), StandardOpenOption.READ)) {
                probe.serve(start, opening, opening, System.nanoTime(), channelAccess(probe, channel), false);
            }
            return;
        }
        CacheConfig config = config(order.cache(), table);
        PageCache cache =
                PageCache.open(order.way().equals("eager") ? config.withValidation(Validation.EAGER) : config);
        long opened = System.nanoTime();
        // Neither is closed: the process is to be killed.
        PagedFile file = cache.map(order.file(), MapOptions.DEFAULT.withIoMode(IoMode.DIRECT));
        long mapped = System.nanoTime();
        if (order.way().equals("fill") || order.way().equals("reread")) {
            readAll(file);
            mapped = System.nanoTime();
        }
        if (order.way().equals("fill")) {
            Access access = new CacheAccess(file.cursor());
            long missed = cache.stats().misses();
            for (int i = 0; i < 3; i++) {
                probe.touchAll(access);
            }
            if (cache.stats().misses() != missed) {
                throw new IllegalStateException("not all pages stay in memory: " + cache.stats());
            }
        }
        if (order.way().equals("lazy") || order.way().equals("eager")) {
            int kept = cache.recovery().kept();
            if (kept < table.pages()) {
                throw new IllegalStateException("only " + kept + " pages were there: " + cache.recovery());
            }
        }
        boolean cold = order.way().equals("cold");
        probe.serve(start, opening, opened, mapped, new CacheAccess(file.cursor()), cold);
    }

    private static void readAll(PagedFile file) throws IOException {
        MemorySegment run = Arena.ofAuto().allocate(64L * PAGE, PAGE);
        for (long at = 0; at < file.size(); at += run.byteSize()) {
            file.read(at, run);
        }
    }

    private static Access channelAccess(RestartProbe probe, FileChannel channel) {
        return new ChannelAccess(
                channel,
                ByteBuffer.allocateDirect(Long.BYTES).order(ByteOrder.LITTLE_ENDIAN),
                probe.buffer.asByteBuffer());
    }

    private void touchAll(Access access) throws IOException {
        for (long page = 0; page < table.pages(); page++) {
            access.word(page, 0);
        }
    }

    /** Everything this process will do, on a smaller file in a cache of its own that is closed and opened again. */
    private static void warmUp(Order order, @Nullable MemorySegment keys) throws IOException {
        // More pages than are found without a walk of the index, so that the walk is compiled, too.
        Table small = new Table(1 << 19);
        Path file = Files.createTempFile(order.file().getParent(), "warm-up", ".data");
        CacheConfig config = config(order.cache() + "-warm-up", small);
        try {
            small.write(file);
            RestartProbe probe = new RestartProbe(small, order.raw(), keys);
            for (int i = 0; i < 20; i++) {
                if (order.way().equals("channel")) {
                    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
                        var _ = probe.rates(channelAccess(probe, channel), 1, Duration.ofMillis(200));
                    }
                } else {
                    boolean eager = order.way().equals("eager");
                    try (PageCache cache =
                                    PageCache.open(eager ? config.withValidation(Validation.EAGER) : config);
                            PagedFile mapped =
                                    cache.map(file, MapOptions.DEFAULT.withIoMode(IoMode.DIRECT))) {
                        if (i == 0 || order.way().equals("reread")) {
                            readAll(mapped);
                        }
                        var _ = probe.rates(new CacheAccess(mapped.cursor()), 1, Duration.ofMillis(200));
                    }
                }
            }
        } finally {
            if (!order.way().equals("channel")) {
                PageCache.drop(config);
            }
            Files.delete(file);
        }
    }

    /** Serves from the first request on, prints what that was like, and waits to be killed. */
    private void serve(Instant start, long opening, long opened, long mapped, Access access, boolean cold)
            throws IOException {
        request(access);
        long micros = ChronoUnit.MICROS.between(start, Instant.now());
        long[] first = rates(access, 10, Duration.ofMillis(100));
        String steady = "null"; // which a cold cache does not reach for minutes
        if (!cold) {
            touchAll(access);
            var _ = rates(access, 1, Duration.ofSeconds(2));
            steady = Long.toString(rates(access, 1, Duration.ofSeconds(3))[0] / 3);
        }
        StringBuilder tenths = new StringBuilder();
        for (long count : first) {
            tenths.append(tenths.isEmpty() ? "" : ", ").append(count);
        }
        System.out.printf(
                Locale.ROOT,
                "{\"firstHitMillis\": %.1f, \"openMillis\": %.1f, \"mapMillis\": %.1f, \"tenths\": [%s], "
                        + "\"steady\": %s}%n",
                micros / 1e3,
                (opened - opening) / 1e6,
                (mapped - opened) / 1e6,
                tenths,
                steady);
        System.out.flush();
        var _ = System.in.read(); // until killed, or told to end by a training run
    }
}
