/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.WritePolicy;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A pass over the whole store that says that it is one leaves the working set in memory. */
class ReadOnceTest {
    private static final int FRAMES = 256;
    private static final int PAGES = 4 * FRAMES;

    private static Bench bench() throws IOException {
        return new Bench(
                Bench.patient(FRAMES).withOptions(Map.of("core.maintenance", "off")),
                WritePolicy.WRITE_THROUGH,
                Bench.pages(0, PAGES));
    }

    private static byte[] readOnce(Bench bench, long position, int length) throws IOException {
        byte[] bytes = new byte[length];
        int n = bench.file.readOnce(position, MemorySegment.ofArray(bytes));
        return Arrays.copyOf(bytes, Math.max(0, n));
    }

    /** Fills the cache with pages of which each but the first was used at least once more. */
    private static void fill(Bench bench) throws IOException {
        for (int round = 0; round < 3; round++) {
            for (int page = 0; page < FRAMES; page++) {
                bench.first(page);
            }
        }
    }

    /** How many of the pages of {@link #fill} are not in memory any more. */
    private static long lost(Bench bench) throws IOException {
        long before = bench.cache.stats().misses();
        for (int page = FRAMES; --page >= 0; ) {
            assertEquals((byte) page, (byte) bench.first(page));
        }
        return bench.cache.stats().misses() - before;
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 100, 4096, 16 * 4096})
    void aPassOverTheStoreLeavesTheWorkingSet(int bytes) throws IOException {
        Bench bench = bench();
        fill(bench);
        byte[] whole = Bench.pages(0, PAGES);
        int step = Math.max(bytes, 4096);
        long before = bench.cache.stats().misses();
        for (int from = 0; from < whole.length; from += step) {
            assertArrayEquals(Arrays.copyOfRange(whole, from, from + bytes), readOnce(bench, from, bytes));
        }
        long passed = bench.cache.stats().misses() - before;
        assertTrue(passed >= PAGES - FRAMES, () -> passed + " pages were read from the store");
        long lost = lost(bench);
        // a run is in memory as a whole before the first page of it can go
        assertTrue(lost <= 2 * step / 4096, () -> lost + " pages of the working set were displaced");
        bench.assertSound();
        bench.cache.close();
    }

    @Test
    void aPageThatIsUsedAfterAllStays() throws IOException {
        Bench bench = bench();
        fill(bench);
        readOnce(bench, 4096L * FRAMES, 1);
        bench.first(FRAMES);
        long before = bench.cache.stats().misses();
        for (int page = FRAMES + 1; page < FRAMES + 10; page++) {
            readOnce(bench, 4096L * page, 1);
        }
        bench.first(FRAMES);
        assertEquals(9, bench.cache.stats().misses() - before);
        bench.cache.close();
    }

    @Test
    void aPassAfterADeathLeavesWhatSurvived() throws IOException {
        Bench bench = bench();
        fill(bench);
        bench.die();
        for (int page = PAGES; --page >= FRAMES; ) {
            assertEquals((byte) page, readOnce(bench, 4096L * page, 1)[0]);
        }
        long lost = lost(bench);
        assertTrue(lost <= 2, () -> lost + " pages of the working set were displaced");
        assertEquals(FRAMES, bench.cache.recovery().found());
        bench.cache.close();
    }
}
