/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.CacheConfig;
import io.warmcache.MapOptions;
import io.warmcache.PageCursor;
import io.warmcache.PagedFile;
import io.warmcache.ReadPin;
import io.warmcache.WritePin;
import io.warmcache.WritePolicy;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** One thread, every operation, against a byte array; with restarts by close and by death in between. */
class RandomOperationsTest {
    private static final int MOST = 300_000;

    @ParameterizedTest
    @CsvSource({
        "1, 4096, WRITE_THROUGH, false, 12",
        "2, 4096, WRITE_BACK, false, 12",
        "3, 16384, WRITE_THROUGH, false, 12",
        "4, 16384, WRITE_BACK, false, 12",
        "5, 65536, WRITE_BACK, true, 12",
        "6, 8192, WRITE_THROUGH, true, 12",
        "7, 4096, WRITE_THROUGH, false, 32",
        "8, 4096, WRITE_BACK, false, 32",
    })
    void matchesAByteArray(long offset, int pageSize, WritePolicy policy, boolean debug, int frames)
            throws IOException {
        long seed = Long.getLong("warmcache.random.seed", 0) + offset;
        System.out.println("seed " + seed);
        new Run(seed, pageSize, policy, debug, frames).run(4000);
    }

    private static final class Run {
        final Random random;
        final WritePolicy policy;
        final CacheConfig config;
        final HeapBackend.Segment segment;
        final MemoryStore store = new MemoryStore(new byte[0]);
        byte[] model = new byte[0];
        Cache cache;
        PagedFile file;

        /** With 32 frames or more there is reading ahead. */
        Run(long seed, int pageSize, WritePolicy policy, boolean debug, int frames) throws IOException {
            random = new Random(seed);
            this.policy = policy;
            config = CacheConfig.of("model", (long) frames * pageSize)
                    .withPageSize(pageSize)
                    .withDebug(debug)
                    .withOptions(Map.of("core.readAheadShare", "50"));
            segment = new HeapBackend.Segment(config);
            segment.runsAtOnce = (seed & 2) == 0 ? 1 : 64;
            open();
        }

        void open() throws IOException {
            cache = segment.attach(config, 3);
            file = cache.map(store, MapOptions.DEFAULT.withPolicy(policy));
        }

        void run(int steps) throws IOException {
            store.mostPerTransfer = 1 + random.nextInt(5000);
            for (int step = 0; step < steps; step++) {
                try {
                    step();
                } catch (Throwable t) {
                    throw new AssertionError("step " + step, t);
                }
            }
            file.flush();
            assertArrayEquals(model, store.bytes());
            cache.maintenance.stop(); // and with it prefetches that are still under way
            assertEquals(Set.of(), cache.problems());
            cache.close();
        }

        int offset() {
            return switch (random.nextInt(4)) {
                case 0 -> random.nextInt(MOST);
                case 1 -> random.nextInt(MOST / 4096) * 4096;
                case 2 -> Math.max(0, random.nextInt(MOST / 4096) * 4096 + random.nextInt(3) - 1);
                default -> random.nextInt(Math.max(1, model.length));
            };
        }

        int length() {
            return switch (random.nextInt(4)) {
                case 0 -> random.nextInt(20);
                case 1 -> random.nextInt(9000);
                case 2 -> 4096 * random.nextInt(20);
                default -> random.nextInt(80_000);
            };
        }

        byte[] fresh(int length) {
            byte[] bytes = new byte[length];
            random.nextBytes(bytes);
            return bytes;
        }

        void put(int at, byte[] bytes) {
            if (bytes.length > 0) {
                model = Arrays.copyOf(model, Math.max(model.length, at + bytes.length));
                System.arraycopy(bytes, 0, model, at, bytes.length);
            }
        }

        void step() throws IOException {
            assertEquals(model.length, file.size());
            int page = file.pages() == 0 ? 0 : random.nextInt((int) file.pages());
            switch (random.nextInt(22)) {
                case 0, 1, 2, 3, 4 -> {
                    int at = offset();
                    byte[] target = new byte[length()];
                    int n = file.read(at, MemorySegment.ofArray(target));
                    int there = at >= model.length ? -1 : Math.min(target.length, model.length - at);
                    int expected = target.length == 0 ? 0 : there;
                    assertEquals(expected, n);
                    if (n > 0) {
                        assertArrayEquals(Arrays.copyOfRange(model, at, at + n), Arrays.copyOf(target, n));
                    }
                }
                case 5, 6, 7, 8 -> {
                    int at = offset();
                    byte[] bytes = fresh(length());
                    file.write(at, MemorySegment.ofArray(bytes));
                    put(at, bytes);
                }
                case 9, 10 -> writePin(page, random.nextInt(4) == 0);
                case 11 -> readPage(page);
                case 12 -> {
                    int size = random.nextInt(3) == 0 ? offset() : random.nextInt(model.length + 1);
                    file.truncate(size);
                    model = Arrays.copyOf(model, size);
                }
                case 13 -> file.flush();
                case 14 -> file.force();
                case 15 -> overwritePin();
                case 16 -> file.prefetch(page, 5);
                case 20 -> batch(page);
                case 21 -> scan(page);
                case 17 -> {
                    if (random.nextInt(10) == 0) {
                        file.close();
                        file.close();
                        file = cache.map(store, MapOptions.DEFAULT.withPolicy(policy));
                    }
                }
                case 18 -> {
                    if (random.nextInt(20) == 0) {
                        cache.close();
                        open();
                        assertEquals(0, cache.recovery().droppedTotal());
                    }
                }
                default -> {
                    if (random.nextInt(20) == 0) {
                        file.flush();
                        cache.maintenance.stop(); // what a death leaves
                        open();
                    }
                }
            }
        }

        void batch(int page) throws IOException {
            long[] pages = random.longs(random.nextInt(9), 0, Math.max(1, file.pages()))
                    .toArray();
            if (file.pages() == 0) {
                return;
            }
            if (random.nextBoolean()) {
                file.prefetch(pages);
                return;
            }
            int read = file.load(pages);
            assertTrue(read <= pages.length, () -> read + " of " + pages.length + " pages read");
            readPage(page);
        }

        /** From somewhere to the end, so that what comes is read ahead, if the cache is large enough. */
        void scan(int from) {
            int pageSize = file.pageSize();
            try (PageCursor cursor = file.cursor()) {
                for (int page = from; page < file.pages(); page++) {
                    int at = random.nextInt(Math.min(pageSize, model.length - page * pageSize));
                    cursor.seek(page);
                    byte value;
                    do {
                        value = cursor.getByte(at);
                    } while (cursor.shouldRetry());
                    assertEquals(model[page * pageSize + at], value, "byte " + at + " of page " + page);
                }
            }
        }

        void writePin(int page, boolean abort) throws IOException {
            int pageSize = file.pageSize();
            int target = random.nextInt(6) == 0 && model.length % pageSize == 0 ? model.length / pageSize : page;
            if (model.length == 0) {
                target = 0;
            }
            WritePin pin = file.pinForWrite(target);
            int rounds = random.nextInt(3);
            byte[] before = model.clone();
            for (int i = 0; i < rounds; i++) {
                int at = random.nextInt(pageSize);
                byte[] bytes = fresh(random.nextInt(Math.min(5000, pageSize - at) + 1));
                pin.dirty(at, bytes.length);
                MemorySegment.copy(MemorySegment.ofArray(bytes), 0, pin.segment(), at, bytes.length);
                put(target * pageSize + at, bytes);
            }
            if (abort) {
                pin.abort();
                model = before;
            } else {
                pin.close();
            }
        }

        void overwritePin() throws IOException {
            int pageSize = file.pageSize();
            int target = model.length / pageSize;
            if (target > 0 && random.nextBoolean()) {
                target = random.nextInt(target);
            }
            byte[] bytes = fresh(pageSize);
            try (WritePin pin = file.pinForOverwrite(target)) {
                pin.segment().copyFrom(MemorySegment.ofArray(bytes));
            }
            put(target * pageSize, bytes);
        }

        void readPage(int page) {
            if (file.pages() == 0) {
                return;
            }
            int pageSize = file.pageSize();
            int end = Math.min(model.length, (page + 1) * pageSize);
            byte[] expected = Arrays.copyOf(Arrays.copyOfRange(model, page * pageSize, end), pageSize);
            try (ReadPin pin = file.pin(page)) {
                assertArrayEquals(expected, pin.segment().toArray(ValueLayout.JAVA_BYTE));
            }
            try (PageCursor cursor = file.cursor()) {
                cursor.seek(page);
                byte[] read = new byte[pageSize];
                do {
                    cursor.copyTo(0, read, 0, pageSize);
                } while (cursor.shouldRetry());
                assertArrayEquals(expected, read);
            }
            int at = random.nextInt(pageSize);
            assertEquals(
                    expected[at],
                    (byte) file.read(page, (memory, base) ->
                            memory.get(ValueLayout.JAVA_BYTE, base + at)));
        }
    }
}
