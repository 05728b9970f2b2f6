/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.CacheClosedException;
import io.warmcache.CacheConfig;
import io.warmcache.CacheException;
import io.warmcache.DropReason;
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
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLongArray;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Threads that read, write, flush, force, prefetch, truncate, resize, close and map again at once, each by a plan that
 * follows from its seed, on a store that fails, transfers short and is interrupted at three rates. A page is filled
 * with one word that names the page and counts its writes: a mixed page was torn, another page's word was misplaced, a
 * lower count than one acknowledged before the read began was stale. Each run ends in a {@link DeepCheck}, and in
 * another of what a successor finds after the process's death.
 *
 * <p>More plans: {@code -Dwarmcache.stress.plans=N}, from {@code -Dwarmcache.stress.seed=S} on.
 */
class ConcurrentStressTest {
    private static final int PAGES = 96;
    private static final int CUT = 72;
    private static final int THREADS = 6;
    private static final int PLANS = Integer.getInteger("warmcache.stress.plans", 1);
    private static final int STEPS = 3000;
    private static final String WORKER = "stress-worker";

    @ParameterizedTest
    @Timeout(value = 2, unit = TimeUnit.HOURS) // a hang; a plan takes seconds
    @CsvSource({
        "11, 4096, WRITE_THROUGH, 0",
        "12, 4096, WRITE_BACK, 0",
        "13, 8192, WRITE_THROUGH, 0.001",
        "14, 8192, WRITE_BACK, 0.001",
        "15, 4096, WRITE_THROUGH, 0.1",
        "16, 4096, WRITE_BACK, 0.1",
    })
    void nothingIsTornMisplacedOrStale(long offset, int pageSize, WritePolicy policy, double faults)
            throws Exception {
        long first = Long.getLong("warmcache.stress.seed", 0) + offset;
        for (long plan = 0; plan < PLANS; plan++) {
            long seed = first + 100 * plan;
            try {
                new Run(seed, pageSize, policy, faults).run();
            } catch (Throwable t) {
                throw new AssertionError("plan " + seed + ", " + policy + ", faults " + faults, t);
            }
        }
        System.out.println(PLANS + " plans from seed " + first + ", " + policy + ", faults " + faults + ": sound");
    }

    /** Held, since a logger that nobody holds forgets its level. */
    private static final Logger LOG = Logger.getLogger("io.warmcache");

    @BeforeAll
    static void logNoInjectedFailures() {
        LOG.setLevel(Level.OFF);
    }

    @AfterAll
    static void logAgain() {
        LOG.setLevel(null);
    }

    private static final class Run {
        final long seed;
        final int pageSize;
        final WritePolicy policy;
        final double faults;
        final MemoryStore store;
        final CacheConfig config;
        final MapOptions options;
        final HeapBackend.Segment segment;
        final Cache cache;
        volatile PagedFile file;

        /** Counted up before and after the file is closed and mapped again. */
        final AtomicInteger remaps = new AtomicInteger();

        final Object remapping = new Object();
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
            config = CacheConfig.of("stress", 40L * pageSize)
                    .withMaxCapacity(56L * pageSize)
                    .withPageSize(pageSize)
                    .withLatchTimeout(Duration.ofSeconds(60))
                    .withOptions(Map.of("core.readAheadShare", "50"));
            options = MapOptions.DEFAULT.withPolicy(policy);
            segment = new HeapBackend.Segment(config);
            segment.runsAtOnce = (seed & 1) == 0 ? 1 : 64;
            cache = segment.attach(config, 2);
            file = cache.map(store, options);
            Random random = new Random(seed);
            store.hook = (operation, position, length) -> {
                if (!operation.equals("truncate") && failing.get()) {
                    synchronized (random) {
                        if (Thread.currentThread().getName().startsWith(WORKER) && random.nextDouble() < faults) {
                            Thread.currentThread().interrupt();
                        }
                        store.mostPerTransfer = random.nextDouble() < faults ? 1 + random.nextInt(600) : 3000;
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
            ThreadFactory workers = Thread.ofPlatform().name(WORKER, 0).factory();
            try (ExecutorService pool = Executors.newFixedThreadPool(THREADS, workers)) {
                for (int t = 0; t < THREADS; t++) {
                    Random random = new Random(seed * 1000 + t);
                    Callable<Void> work = () -> {
                        for (int i = 0; i < STEPS; i++) {
                            step(random);
                            Thread.interrupted();
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
            DeepCheck.assertValid(cache);
            byte[] stored = store.bytes();
            compare(stored, file);
            // The process dies, and its successor serves what the store has.
            Cache successor = segment.attach(config, 2);
            PagedFile found = successor.map(store, options);
            Set<DropReason> reasons = EnumSet.of(DropReason.CAPACITY); // for a resize may have left more frames
            reasons.addAll(successor.recovery().dropped().keySet());
            assertEquals(EnumSet.of(DropReason.CAPACITY), reasons);
            DeepCheck.assertValid(successor);
            compare(stored, found);
            DeepCheck.assertValid(successor);
            assertEquals(0, successor.stats().validationFailures());
            successor.close();
        }

        private void compare(byte[] stored, PagedFile served) throws IOException {
            assertEquals(stored.length, served.size());
            byte[] bytes = new byte[stored.length];
            assertEquals(stored.length, served.read(0, MemorySegment.ofArray(bytes)));
            assertArrayEquals(stored, bytes);
            for (int page = 0; page < Math.min(PAGES, served.pages()); page++) {
                MemorySegment one = MemorySegment.ofArray(bytes).asSlice((long) page * pageSize, pageSize);
                check(page, one.toArray(ValueLayout.JAVA_LONG_UNALIGNED), acknowledged.get(page));
            }
        }

        void step(Random random) throws IOException {
            int page = random.nextInt(10) == 0 ? random.nextInt(PAGES) : random.nextInt(PAGES / 4) * 4;
            int remapsBefore = remaps.get();
            try {
                switch (random.nextInt(43)) {
                    case 0 -> file.flush();
                    case 1 -> file.force();
                    case 2 -> ahead(random, page);
                    case 3 -> {
                        if (random.nextInt(5) == 0) {
                            cut(random);
                        }
                    }
                    case 4, 5, 6, 7, 8, 9, 10, 11 -> write(random, page);
                    case 40 -> {
                        if (random.nextInt(8) == 0) {
                            remap();
                        }
                    }
                    case 41 -> {
                        if (random.nextInt(4) == 0) {
                            cache.resize((32L + random.nextInt(25)) * pageSize);
                        }
                    }
                    case 42 -> file.explain(page);
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
            } catch (CacheClosedException e) {
                if (remapsBefore == remaps.get() && remapsBefore % 2 == 0) {
                    throw e;
                }
            } catch (IndexOutOfBoundsException e) {
                if (page < CUT - 1) { // a truncate may cut into the page before the first one it drops
                    throw e;
                }
            }
        }

        /** Pages are wanted early: by their neighbours' reader, or as a set that somebody names. */
        private void ahead(Random random, int page) throws IOException {
            int end = Math.min(PAGES, page + 16);
            try {
                switch (random.nextInt(4)) {
                    case 0 -> file.prefetch(page, 8);
                    case 1 -> file.prefetch(random.longs(6, 0, PAGES).toArray());
                    case 2 -> {
                        int loaded = file.load(random.longs(6, page, end).toArray());
                        assertTrue(loaded <= 6, () -> loaded + " of 6 pages read");
                    }
                    default -> {
                        try (PageCursor cursor = file.cursor()) {
                            for (int next = page; next < end; next++) {
                                cursor.seek(next);
                            }
                        }
                    }
                }
            } catch (IndexOutOfBoundsException e) {
                if (end < CUT - 1) { // as below
                    throw e;
                }
            }
        }

        /** Closes the file under everybody, and maps it again. */
        void remap() throws IOException {
            synchronized (remapping) {
                remaps.incrementAndGet();
                try {
                    file.close();
                } catch (IOException e) {
                    if (faults == 0) {
                        throw e;
                    }
                }
                for (int tries = 0; tries < 1000; tries++) {
                    try {
                        file = cache.map(store, options);
                        break;
                    } catch (IOException | UncheckedIOException e) {
                        if (faults == 0) {
                            throw e;
                        }
                    }
                }
                remaps.incrementAndGet();
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

        long[] read(Random random, int page) throws IOException {
            PagedFile file = this.file;
            switch (random.nextInt(6)) {
                case 4 -> {
                    long[] words = new long[pageSize / 8];
                    long stamp;
                    do {
                        stamp = file.stamp(page);
                        long base = file.offset(stamp);
                        for (int i = 0; i < words.length; i++) {
                            words[i] = file.memory().get(ValueLayout.JAVA_LONG_UNALIGNED, base + i * 8L);
                        }
                    } while (!file.valid(page, stamp));
                    return words;
                }
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
                    MemorySegment target = MemorySegment.ofArray(bytes);
                    long at = (long) page * pageSize;
                    int n = random.nextBoolean() ? file.read(at, target) : file.readOnce(at, target);
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
