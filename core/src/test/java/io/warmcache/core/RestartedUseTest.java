/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.CacheConfig;
import io.warmcache.MapOptions;
import io.warmcache.PageCursor;
import io.warmcache.PagedFile;
import io.warmcache.WritePolicy;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * What the replacement policy knew survives a death, as far as that serves the hit ratio; and whatever is found in its
 * place harms nothing else.
 */
class RestartedUseTest {
    private static final int FRAMES = 512;
    private static final int PAGES = 4 * FRAMES;
    private static final CacheConfig CONFIG = Bench.patient(FRAMES).withOptions(Map.of("core.maintenance", "off"));

    /** One cache, and the pages it was asked for. */
    private static final class Reader {
        final Cache cache;
        final PagedFile file;
        private final PageCursor cursor;

        Reader(Cache cache, MemoryStore store) throws IOException {
            this.cache = cache;
            file = cache.map(store, MapOptions.DEFAULT);
            cursor = file.cursor();
        }

        void read(int page) {
            byte first;
            cursor.seek(page);
            do {
                first = cursor.getByte(0);
            } while (cursor.shouldRetry());
            assertEquals((byte) page, first, () -> "page " + page);
        }

        Set<Integer> resident() {
            RadixIndex index = ((MappedFile) file).file().index;
            Set<Integer> pages = new TreeSet<>();
            index.forEachLeaf(0, (first, leaf) -> IntStream.range(0, RadixIndex.LEAF_SLOTS)
                    .filter(slot -> TranslationWord.state(TranslationWord.get(leaf, slot)) != TranslationWord.EMPTY)
                    .forEach(slot -> pages.add((int) first + slot)));
            return pages;
        }

        long evictions() {
            return cache.stats().evictions();
        }

        /** The next pages to be evicted, in order. */
        List<Integer> nextEvicted(int count, Random random) {
            List<Integer> gone = new ArrayList<>();
            Set<Integer> before = resident();
            while (gone.size() < count) {
                long evicted = evictions();
                read(next(random));
                if (evictions() > evicted) {
                    Set<Integer> after = resident();
                    before.removeAll(after);
                    gone.addAll(before);
                    before = after;
                }
            }
            return gone;
        }
    }

    /** Most accesses to few pages, now and then one of a run. */
    private static int next(Random random) {
        return (int) (PAGES * Math.pow(random.nextDouble(), 3));
    }

    /**
     * The use counts in the ledger are {@code lag} faults old at the death; the background thread copies them after
     * fewer, or after a second.
     */
    @ParameterizedTest
    @CsvSource({"0, 1", "16, 2", "64, 3", "64, 4"})
    void ofTheFirstEvictionsAfterADeathNineInTenAreThoseOfAnUnkilledControl(int lag, long seed) throws IOException {
        MemoryStore store = new MemoryStore(Bench.pages(0, PAGES));
        HeapBackend.Segment segment = new HeapBackend.Segment(CONFIG);
        Reader control = new Reader(segment.attach(CONFIG), store);
        Random random = new Random(seed);
        for (int i = 0; i < 40_000; i++) {
            control.read(next(random));
        }
        control.cache.frames.saveHints();
        long dies = control.evictions() + lag;
        while (control.evictions() < dies) {
            control.read(next(random));
        }
        HeapBackend.Segment left = segment.copy(CONFIG);
        Reader restarted = new Reader(left.attach(CONFIG), store);
        assertEquals(control.resident(), restarted.resident());
        assertTrue(restarted.cache.recovery().warm());

        List<Integer> expected = control.nextEvicted(FRAMES / 10, new Random(-seed));
        List<Integer> actual = restarted.nextEvicted(FRAMES / 10, new Random(-seed));
        int same = common(expected, actual);
        System.out.println("use counts " + lag + " faults old: " + same + " of " + expected.size()
                + " evictions as in the control, seed " + seed);
        assertTrue(same >= 0.9 * expected.size(), () -> expected + " but " + actual);
        assertEquals(Set.of(), restarted.cache.problems());
    }

    /** Without what was left, the restarted cache does not know what to evict: the test above can fail. */
    @Test
    void withoutTheHintsOtherPagesGoFirst() throws IOException {
        MemoryStore store = new MemoryStore(Bench.pages(0, PAGES));
        HeapBackend.Segment segment = new HeapBackend.Segment(CONFIG);
        Reader control = new Reader(segment.attach(CONFIG), store);
        Random random = new Random(1);
        for (int i = 0; i < 40_000; i++) {
            control.read(next(random));
        }
        HeapBackend.Segment left = segment.copy(CONFIG);
        Arrays.fill(left.hints, 0);
        Arrays.fill(left.policyWords, 0);
        Reader restarted = new Reader(left.attach(CONFIG), store);
        List<Integer> expected = control.nextEvicted(FRAMES / 10, new Random(7));
        int same = common(expected, restarted.nextEvicted(FRAMES / 10, new Random(7)));
        assertTrue(same < 0.5 * expected.size(), same + " of " + expected.size());
    }

    private static int common(List<Integer> some, List<Integer> others) {
        List<Integer> left = new ArrayList<>(others);
        return (int) some.stream().filter(left::remove).count();
    }

    /** Random, torn half-way between two states, all bits set: any page is still read right and can be evicted. */
    @Test
    void whateverIsFoundInPlaceOfHintsAndWordsCostsHitsAlone() throws IOException {
        long seed = System.nanoTime();
        System.out.println("seed " + seed);
        Random random = new Random(seed);
        MemoryStore store = new MemoryStore(Bench.pages(0, PAGES));
        HeapBackend.Segment segment = new HeapBackend.Segment(CONFIG);
        Reader first = new Reader(segment.attach(CONFIG), store);
        HeapBackend.Segment earlier = segment.copy(CONFIG);
        for (int round = 0; round < 16; round++) {
            HeapBackend.Segment left = segment.copy(CONFIG);
            switch (round % 4) {
                case 0 -> {
                    Arrays.setAll(left.hints, i -> random.nextInt());
                    Arrays.setAll(left.policyWords, i -> random.nextLong());
                }
                case 1 -> {
                    Arrays.fill(left.hints, -1);
                    Arrays.fill(left.policyWords, -1);
                }
                case 2 -> {
                    // A copy of it that was torn: some of a former state, half-written words among them.
                    Arrays.setAll(left.hints, i -> random.nextBoolean() ? earlier.hints[i] : left.hints[i]);
                    Arrays.setAll(left.policyWords, i -> {
                        long mask = new long[] {0, -1, -1L << 32, -1L >>> 32}[random.nextInt(4)];
                        return (left.policyWords[i] & mask) | (earlier.policyWords[i] & ~mask);
                    });
                }
                default -> {
                    for (int flips = 0; flips < 20; flips++) {
                        left.hints[random.nextInt(FRAMES)] ^= 1 << random.nextInt(32);
                        left.policyWords[random.nextInt(8)] ^= 1L << random.nextInt(64);
                        left.policyWords[random.nextInt(left.policyWords.length)] ^= 1L << random.nextInt(64);
                    }
                }
            }
            Reader restarted = new Reader(left.attach(CONFIG), store);
            assertEquals(first.resident(), restarted.resident(), "seed " + seed);
            for (int i = 0; i < 2000; i++) {
                restarted.read(random.nextInt(PAGES));
            }
            assertTrue(restarted.evictions() > 0);
            assertEquals(Set.of(), restarted.cache.problems(), "seed " + seed);
            for (int i = 0; i < 1000; i++) {
                first.read(next(random)); // the next round finds another state
            }
        }
    }

    /** The background thread copies use counts too, which no fault does. */
    @Test
    void useCountsReachTheLedgerWithoutAFault() throws IOException {
        Bench bench = new Bench(Bench.patient(8), WritePolicy.WRITE_THROUGH, Bench.pages(0, 4));
        for (int page = 0; page < 4; page++) {
            bench.first(page);
        }
        PageCursor cursor = bench.file.cursor();
        int frame = TranslationWord.frame(bench.word(2));
        for (int i = 0; i < 3; i++) {
            cursor.seek(2);
        }
        Bench.awaitThat("the hint", () -> bench.segment.hints[frame] == bench.cache.frames.policy.hint(frame)
                && TranslationWord.uses(bench.word(2)) == TranslationWord.MAX_USE);
        bench.cache.close();
    }
}
