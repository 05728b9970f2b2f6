/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.CacheConfig;
import io.warmcache.DropReason;
import io.warmcache.LatchTimeoutException;
import io.warmcache.MapOptions;
import io.warmcache.StoreVersion;
import io.warmcache.Validation;
import io.warmcache.WritePolicy;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** With {@link Validation#EAGER} every frame of a file is validated while it is mapped, by as many threads as asked. */
class EagerValidationTest {
    private static final int PAGES = 5000;
    private static final int FRAMES = PAGES + 1000;

    private static CacheConfig eager(int threads) {
        return Bench.patient(FRAMES)
                .withValidation(Validation.EAGER)
                .withOptions(Map.of("core.maintenance", "off", "core.validationThreads", "" + threads));
    }

    private static Bench filled(CacheConfig config) throws IOException {
        Bench bench = new Bench(config, WritePolicy.WRITE_BACK, Bench.pages(0, PAGES));
        Random random = new Random(5);
        for (int i = 0; i < PAGES / 2; i++) {
            bench.first(random.nextInt(PAGES)); // frames in another order than pages
        }
        for (int page = 0; page < PAGES; page++) {
            bench.first(page);
        }
        return bench;
    }

    /** The successor of a cache that died; nothing is mapped yet. */
    private static void die(Bench bench) throws IOException {
        bench.cache.maintenance.stop();
        bench.cache = bench.segment.attach(bench.config);
    }

    /** The file before it is mapped. */
    private static CachedFile file(Bench bench) {
        return bench.cache.files().iterator().next();
    }

    private static void await(CountDownLatch latch, String otherwise) {
        try {
            assertTrue(latch.await(60, TimeUnit.SECONDS), otherwise);
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 5})
    void everyGoodPageIsResidentWhenMapReturnsAndEveryDamagedOneIsGone(int threads) throws Exception {
        Bench bench = filled(eager(threads));
        long seed = System.nanoTime();
        System.out.println("seed " + seed);
        Random random = new Random(seed);
        Set<Integer> damaged = new TreeSet<>();
        for (int i = 0; i < 20; i++) {
            int page = random.nextInt(PAGES);
            if (damaged.add(page)) {
                long at = ((long) TranslationWord.frame(bench.word(page)) << 12) + random.nextInt(4096);
                byte old = bench.segment.memory.get(ValueLayout.JAVA_BYTE, at);
                bench.segment.memory.set(ValueLayout.JAVA_BYTE, at, (byte) (old ^ 1 << random.nextInt(8)));
            }
        }
        die(bench);
        assertEquals(PAGES, bench.cache.recovery().unvalidated());
        bench.map();
        for (int page = 0; page < PAGES; page++) {
            assertEquals(
                    damaged.contains(page) ? TranslationWord.EMPTY : TranslationWord.RESIDENT,
                    bench.state(page),
                    "page " + page);
        }
        assertEquals(0, bench.cache.recovery().unvalidated());
        assertEquals(Map.of(DropReason.CHECKSUM, damaged.size()), bench.cache.recovery().dropped());
        assertEquals(PAGES - damaged.size(), bench.cache.recovery().kept());
        bench.assertSound();
        assertArrayEquals(Bench.pages(0, PAGES), bench.read(0, PAGES * 4096));
        assertEquals(damaged.size(), bench.cache.stats().misses());
        bench.cache.close();
    }

    @Test
    void asManyThreadsValidateAtATimeAsAreAskedFor() throws Exception {
        Bench bench = filled(eager(4));
        die(bench);
        CountDownLatch together = new CountDownLatch(4);
        Set<Thread> threads = ConcurrentHashMap.newKeySet();
        bench.segment.look = () -> {
            if (threads.add(Thread.currentThread())) {
                together.countDown();
                await(together, "fewer threads than asked for");
            }
        };
        bench.map();
        assertEquals(4, threads.size());
        bench.cache.close();
    }

    @Test
    void aPageThatSomebodyElseOwnsIsWaitedFor() throws Exception {
        Bench bench = filled(eager(1));
        die(bench);
        CachedFile file = file(bench);
        long[] leaf = file.index.leaf(777);
        int slot = RadixIndex.slot(777);
        long word = TranslationWord.get(leaf, slot);
        TranslationWord.set(leaf, slot, TranslationWord.withState(word, TranslationWord.EXCLUSIVE));
        Bench.Task<Void> map = Bench.run(bench::map).awaitParked();
        assertFalse(map.isDone());
        TranslationWord.set(leaf, slot, word);
        file.waiters.wake(777);
        map.get();
        assertEquals(TranslationWord.RESIDENT, bench.state(777));
        bench.assertSound();
        bench.cache.close();
    }

    @Test
    void aMappingThatFailsAfterwardsLeavesNoPageReadableWithoutTheNextGates() throws Exception {
        Bench bench = filled(eager(2));
        die(bench);
        bench.segment.refusesAccept = true;
        assertThrows(IOException.class, bench::map);
        CachedFile file = file(bench);
        for (int page = 0; page < PAGES; page++) {
            long word = TranslationWord.get(file.index.leaf(page), RadixIndex.slot(page));
            assertEquals(TranslationWord.UNVERIFIED, TranslationWord.state(word), "page " + page);
        }
        bench.segment.refusesAccept = false;
        byte[] other = Bench.pages(1, PAGES);
        bench.store.replace(other);
        bench.store.version = StoreVersion.exact(8, 8);
        bench.map();
        assertEquals(Map.of(DropReason.STORE_CHANGED, PAGES), bench.cache.recovery().dropped());
        assertArrayEquals(other, bench.read(0, PAGES * 4096));
        bench.cache.close();
    }

    @Test
    void aThreadThatFailsFailsTheMappingAndTheNextOneValidatesAgain() throws Exception {
        Bench bench = filled(eager(3));
        die(bench);
        Thread caller = Thread.currentThread();
        CountDownLatch failed = new CountDownLatch(1);
        bench.segment.look = () -> {
            if (Thread.currentThread() != caller) {
                failed.countDown();
                throw new IllegalStateException("injected");
            }
            await(failed, "no other thread validates");
        };
        assertThrows(IllegalStateException.class, bench::map);
        bench.segment.look = () -> {};
        bench.map();
        assertArrayEquals(Bench.pages(0, PAGES), bench.read(0, PAGES * 4096));
        assertEquals(0, bench.cache.recovery().unvalidated());
        assertEquals(PAGES, bench.cache.recovery().kept(), "a thread that failed says nothing about a frame");
        assertEquals(0, bench.cache.stats().misses());
        bench.assertSound();
        bench.cache.close();
    }

    @Test
    void aFailedMappingIsGivenBackThoughAPageOfItIsHeld() throws Exception {
        Bench bench = filled(eager(2).withLatchTimeout(Duration.ofMillis(50)));
        die(bench);
        bench.segment.refusesAccept = true;
        CachedFile file = file(bench);
        long[] leaf = file.index.leaf(777);
        int slot = RadixIndex.slot(777);
        // Owned by somebody from the moment on in which all of the file is validated.
        bench.segment.refusing = () -> {
            long word = TranslationWord.get(leaf, slot);
            assertEquals(TranslationWord.RESIDENT, TranslationWord.state(word));
            TranslationWord.set(leaf, slot, TranslationWord.withState(word, TranslationWord.LOADING));
        };
        var failure = assertThrows(IOException.class, bench::map);
        assertEquals("injected at accept", failure.getMessage());
        assertEquals(LatchTimeoutException.class, failure.getSuppressed()[0].getClass());
        for (int page = 0; page < PAGES; page++) {
            long word = TranslationWord.get(file.index.leaf(page), RadixIndex.slot(page));
            assertEquals(
                    page == 777 ? TranslationWord.LOADING : TranslationWord.UNVERIFIED,
                    TranslationWord.state(word),
                    "page " + page);
        }
        bench.segment.refusesAccept = false;
        TranslationWord.set(
                leaf, slot, TranslationWord.withState(TranslationWord.get(leaf, slot), TranslationWord.UNVERIFIED));
        bench.map();
        assertArrayEquals(Bench.pages(0, PAGES), bench.read(0, PAGES * 4096));
        bench.cache.close();
        assertTrue(bench.segment.clean);
    }

    @Test
    void fewerThreadsDoWhereNoMoreCanBeHad() throws Exception {
        Bench bench = filled(eager(4));
        die(bench);
        AtomicInteger made = new AtomicInteger();
        bench.cache.threads = (task, name) -> new Thread(task, name) {
            @Override
            public void start() {
                if (made.incrementAndGet() == 2) {
                    throw new OutOfMemoryError("injected: no further thread");
                }
                super.start();
            }
        };
        bench.map();
        assertEquals(2, made.get());
        assertEquals(0, bench.cache.recovery().unvalidated());
        bench.assertSound();
        bench.cache.close();
    }

    @Test
    void whatIsEvictedAndMovedMeanwhileIsNoObstacle() throws Exception {
        CacheConfig config = eager(2).withOptions(Map.of("core.validationThreads", "2"));
        Bench bench = filled(config);
        MemoryStore other = new MemoryStore(Bench.pages(3, 2 * FRAMES));
        bench.cache.map(other, MapOptions.DEFAULT).close();
        die(bench); // with its background thread, which scrubs
        var mapped = bench.cache.map(other, MapOptions.DEFAULT);
        CountDownLatch validating = new CountDownLatch(1);
        CountDownLatch evicted = new CountDownLatch(1);
        Thread mapping = Thread.currentThread();
        bench.segment.look = () -> {
            Thread current = Thread.currentThread();
            if (current.equals(mapping) || current.getName().startsWith("warmcache-validate")) {
                validating.countDown();
                await(evicted, "nothing was evicted");
            }
        };
        Bench.Task<Void> evicting = Bench.run(() -> {
            await(validating, "nobody validates");
            byte[] buffer = new byte[1];
            for (int page = 0; page < 2 * FRAMES; page++) {
                if (page == FRAMES / 2) {
                    evicted.countDown();
                }
                assertEquals(1, mapped.read((long) page << 12, MemorySegment.ofArray(buffer)));
                assertEquals((byte) (3 + page), buffer[0]);
            }
        });
        Bench.Task<Void> resizing = Bench.run(() -> {
            for (int i = 0; i < 4; i++) {
                bench.cache.resize((FRAMES - 500 * (i + 1)) * 4096L);
            }
        });
        bench.map();
        evicting.get();
        resizing.get();
        for (int page = 0; page < PAGES; page++) {
            long state = bench.state(page);
            assertTrue(state == TranslationWord.EMPTY || state == TranslationWord.RESIDENT, "page " + page);
        }
        assertArrayEquals(Bench.pages(0, PAGES), bench.read(0, PAGES * 4096));
        bench.assertSound();
        bench.cache.close();
    }

    @ParameterizedTest
    @ValueSource(strings = {"0", "257", "two"})
    void anImpossibleNumberOfThreadsIsRefused(String threads) {
        CacheConfig config = eager(1).withOptions(Map.of("core.validationThreads", threads));
        HeapBackend.Segment segment = new HeapBackend.Segment(config);
        var refused = assertThrows(IllegalArgumentException.class, () -> segment.attach(config));
        assertEquals(
                "option core.validationThreads is \"" + threads + "\": it must be from 1 to 256", refused.getMessage());
        assertEquals(1, segment.closes);
    }
}
