/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.warmcache.CacheConfig;
import io.warmcache.CacheException;
import io.warmcache.MapOptions;
import io.warmcache.PageCursor;
import io.warmcache.PagedFile;
import io.warmcache.ReadPin;
import io.warmcache.WritePin;
import io.warmcache.WritePolicy;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLongArray;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Threads that read, write, flush, force, prefetch and truncate at once, on a store that fails at three rates. A page
 * is filled with one word that names the page and counts its writes: a mixed page was torn, another page's word was
 * misplaced, a lower count than one acknowledged before the read began was stale.
 */
class ConcurrentStressTest {
    private static final int PAGES = 96;
    private static final int CUT = 72;
    private static final int THREADS = 6;

    @ParameterizedTest
    @Timeout(120)
    @CsvSource({
        "11, 4096, WRITE_THROUGH, 0",
        "12, 4096, WRITE_BACK, 0",
        "13, 8192, WRITE_THROUGH, 0.01",
        "14, 8192, WRITE_BACK, 0.01",
        "15, 4096, WRITE_THROUGH, 0.2",
        "16, 4096, WRITE_BACK, 0.2",
    })
    void nothingIsTornMisplacedOrStale(long seed, int pageSize, WritePolicy policy, double faults)
            throws Exception {
        System.out.println("seed " + seed);
        new Run(seed, pageSize, policy, faults).run();
    }

    private static final class Run {
        final long seed;
        final int pageSize;
        final WritePolicy policy;
        final double faults;
        final MemoryStore store;
        final Cache cache;
        final PagedFile file;
        final AtomicLongArray acknowledged = new AtomicLongArray(PAGES);
        final AtomicLongArray started = new AtomicLongArray(PAGES);

        /** Pages whose last write failed: the store may hold half of it. */
        final AtomicLongArray unsure = new AtomicLongArray(PAGES);

        final Object[] writers = new Object[PAGES];
        final AtomicBoolean failing = new AtomicBoolean(true);

        Run(long seed, int pageSize, WritePolicy policy, double faults) throws IOException {
            this.seed = seed;
            this.pageSize = pageSize;
            this.policy = policy;
            this.faults = faults;
            store = new MemoryStore(new byte[PAGES * pageSize]);
            store.mostPerTransfer = 3000;
            for (int page = 0; page < PAGES; page++) {
                writers[page] = new Object();
            }
            CacheConfig config = CacheConfig.of("stress", 40L * pageSize)
                    .withPageSize(pageSize)
                    .withLatchTimeout(Duration.ofSeconds(20));
            cache = new HeapBackend.Segment(config).attach(config, 2);
            file = cache.map(store, MapOptions.DEFAULT.withPolicy(policy));
            Random random = new Random(seed);
            store.hook = (operation, position, length) -> {
                if (!operation.equals("truncate") && failing.get()) {
                    synchronized (random) {
                        // A failed force may poison the file, which has tests of its own.
                        if (!operation.equals("force") && random.nextDouble() < faults) {
                            throw new IOException("injected at " + operation + " " + position);
                        }
                    }
                }
            };
        }

        void run() throws Exception {
            List<Future<Void>> all = new ArrayList<>();
            try (ExecutorService pool = Executors.newFixedThreadPool(THREADS)) {
                for (int t = 0; t < THREADS; t++) {
                    Random random = new Random(seed * 1000 + t);
                    Callable<Void> work = () -> {
                        for (int i = 0; i < 3000; i++) {
                            step(random);
                        }
                        return null;
                    };
                    all.add(pool.submit(work));
                }
            }
            for (Future<Void> one : all) {
                one.get();
            }
            failing.set(false);
            file.flush();
            file.force();
            cache.maintenance.stop(); // and with it prefetches that are still under way
            assertEquals(Set.of(), cache.problems());
            for (int page = 0; page < Math.min(PAGES, file.pages()); page++) {
                check(page, read(page), acknowledged.get(page));
                byte[] bytes = store.bytes();
                MemorySegment stored = MemorySegment.ofArray(bytes).asSlice((long) page * pageSize, pageSize);
                check(page, stored.toArray(ValueLayout.JAVA_LONG_UNALIGNED), acknowledged.get(page));
            }
            cache.close();
        }

        void step(Random random) throws IOException {
            int page = random.nextInt(10) == 0 ? random.nextInt(PAGES) : random.nextInt(PAGES / 4) * 4;
            try {
                switch (random.nextInt(40)) {
                    case 0 -> file.flush();
                    case 1 -> file.force();
                    case 2 -> file.prefetch(page, 8);
                    case 3 -> {
                        if (random.nextInt(5) == 0) {
                            cut(random);
                        }
                    }
                    case 4, 5, 6, 7, 8, 9, 10, 11 -> write(random, page);
                    default -> {
                        long before = acknowledged.get(page);
                        long startedBefore = started.get(page);
                        if (unsure.get(page) != 0) {
                            return;
                        }
                        long[] words = read(random, page);
                        if (faults == 0 || started.get(page) == startedBefore) {
                            check(page, words, page < CUT ? before : 0);
                        }
                    }
                }
            } catch (IOException | UncheckedIOException e) {
                if (faults == 0) {
                    throw e;
                }
            } catch (IndexOutOfBoundsException e) {
                if (page < CUT) {
                    throw e;
                }
            }
        }

        /** Cuts off the last pages and lets them grow again; nobody else writes them meanwhile. */
        void cut(Random random) throws IOException {
            int first = CUT + random.nextInt(PAGES - CUT);
            synchronized (writers[PAGES - 1]) {
                file.truncate((long) first * pageSize - random.nextInt(2) * 104L);
                file.truncate((long) PAGES * pageSize);
                for (int page = CUT; page < PAGES; page++) {
                    acknowledged.set(page, 0);
                }
            }
        }

        void write(Random random, int page) throws IOException {
            synchronized (writers[page < CUT ? page : PAGES - 1]) {
                long wasUnsure = unsure.get(page);
                long count = started.incrementAndGet(page);
                long word = ((long) page << 40) | count;
                if (faults > 0 && policy == WritePolicy.WRITE_THROUGH) {
                    unsure.set(page, 1);
                }
                switch (random.nextInt(4)) {
                    case 0 -> {
                        byte[] bytes = new byte[pageSize];
                        fill(MemorySegment.ofArray(bytes), word);
                        file.write((long) page * pageSize, MemorySegment.ofArray(bytes));
                    }
                    case 1 -> {
                        try (WritePin pin = file.pinForOverwrite(page)) {
                            fill(pin.segment(), word);
                        }
                    }
                    case 2 -> {
                        WritePin pin = file.pinForWrite(page);
                        pin.dirty(0, pageSize);
                        fill(pin.segment(), -1);
                        pin.abort();
                        unsure.set(page, wasUnsure);
                        return;
                    }
                    default -> {
                        try (WritePin pin = file.pinForWrite(page)) {
                            int half = pageSize / 2;
                            pin.dirty(0, half);
                            fill(pin.segment().asSlice(0, half), word);
                            pin.dirty(half, half);
                            fill(pin.segment().asSlice(half), word);
                        }
                    }
                }
                acknowledged.set(page, count);
                unsure.set(page, 0);
            }
        }

        void fill(MemorySegment segment, long word) {
            for (long at = 0; at < segment.byteSize(); at += 8) {
                segment.set(ValueLayout.JAVA_LONG_UNALIGNED, at, word);
            }
        }

        long[] read(int page) throws IOException {
            byte[] bytes = new byte[pageSize];
            assertEquals(pageSize, file.read((long) page * pageSize, MemorySegment.ofArray(bytes)));
            return MemorySegment.ofArray(bytes).toArray(ValueLayout.JAVA_LONG_UNALIGNED);
        }

        long[] read(Random random, int page) throws IOException {
            switch (random.nextInt(4)) {
                case 0 -> {
                    try (ReadPin pin = file.pin(page)) {
                        try (ReadPin second = pin.retain()) {
                            return second.segment().toArray(ValueLayout.JAVA_LONG_UNALIGNED);
                        }
                    }
                }
                case 1 -> {
                    long[] words = new long[pageSize / 8];
                    try (PageCursor cursor = file.cursor()) {
                        cursor.seek(page);
                        do {
                            for (int i = 0; i < words.length; i++) {
                                words[i] = cursor.getLong(i * 8);
                            }
                        } while (cursor.shouldRetry());
                    }
                    return words;
                }
                case 2 -> {
                    long[] words = new long[pageSize / 8];
                    file.read(page, (memory, base) -> {
                        for (int i = 0; i < words.length; i++) {
                            words[i] = memory.get(ValueLayout.JAVA_LONG_UNALIGNED, base + i * 8L);
                        }
                        return 0;
                    });
                    return words;
                }
                default -> {
                    byte[] bytes = new byte[pageSize];
                    int n = file.read((long) page * pageSize, MemorySegment.ofArray(bytes));
                    if (n < pageSize) {
                        throw new IndexOutOfBoundsException("cut off: " + n);
                    }
                    return MemorySegment.ofArray(bytes).toArray(ValueLayout.JAVA_LONG_UNALIGNED);
                }
            }
        }

        void check(int page, long[] words, long least) {
            if (unsure.get(page) != 0) {
                return;
            }
            int whole = words.length;
            // A truncate may cut into a page before the file grows again.
            for (int i = 0; i < whole; i++) {
                if (words[i] != words[0] && (page < CUT - 1 || words[i] != 0)) {
                    throw new CacheException("page " + page + " is torn at " + i * 8 + ": "
                            + Long.toHexString(words[0]) + ", " + Long.toHexString(words[i]));
                }
            }
            long count = words[0] & ((1L << 40) - 1);
            if (words[0] != 0 && words[0] >>> 40 != page) {
                throw new CacheException("page " + page + " holds page " + (words[0] >>> 40));
            }
            if (page < CUT - 1 && count < least) {
                throw new CacheException("page " + page + " holds write " + count + ", acknowledged was " + least);
            }
            if (count > started.get(page)) {
                throw new CacheException("page " + page + " holds write " + count + ", which nobody made");
            }
        }
    }
}
