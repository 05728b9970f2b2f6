/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.PageCursor;
import io.warmcache.ReadPin;
import io.warmcache.WritePolicy;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import java.util.Set;
import java.util.stream.LongStream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** A scan through the real cache, by each way of reading, leaves the pages that are in use. */
class ScanTest {
    private static final int FRAMES = 256;
    private static final int HOT = FRAMES * 7 / 10;
    private static final int SCANNED = 6 * FRAMES;
    private static final int TOUCHES = 8;

    enum Way {
        CURSOR,
        STAMP,
        PIN,
        BULK
    }

    private static byte read(Bench bench, PageCursor cursor, Way way, long page) throws IOException {
        switch (way) {
            case CURSOR -> {
                cursor.seek(page);
                byte value;
                do {
                    value = cursor.getByte(7);
                } while (cursor.shouldRetry());
                return value;
            }
            case STAMP -> {
                return (byte) bench.file.read(page, (memory, offset) ->
                        memory.get(ValueLayout.JAVA_BYTE, offset + 7));
            }
            case PIN -> {
                try (ReadPin pin = bench.file.pin(page)) {
                    return pin.segment().get(ValueLayout.JAVA_BYTE, 7);
                }
            }
            default -> {
                byte[] one = new byte[1];
                assertEquals(1, bench.file.read((page << 12) + 7, MemorySegment.ofArray(one)));
                return one[0];
            }
        }
    }

    @ParameterizedTest
    @EnumSource(Way.class)
    void aScanThatTouchesEachPageEightTimesLeavesTheHotSet(Way way) throws IOException {
        long seed = 20_261_122;
        Random random = new Random(seed);
        Bench bench = new Bench(
                Bench.patient(FRAMES), WritePolicy.WRITE_THROUGH, Bench.pages(0, HOT + SCANNED));
        PageCursor cursor = bench.file.cursor();
        for (int i = 0; i < 20 * FRAMES; i++) {
            read(bench, cursor, way, random.nextInt(HOT));
        }
        for (int i = 0; i < SCANNED; i++) {
            for (int touch = 0; touch < TOUCHES; touch++) {
                assertEquals((byte) (HOT + i), read(bench, cursor, way, HOT + i));
            }
            read(bench, cursor, way, random.nextInt(HOT));
        }
        long left = LongStream.range(0, HOT)
                .filter(page -> bench.state(page) == TranslationWord.RESIDENT)
                .count();
        assertTrue(left >= 0.95 * HOT, left + " of " + HOT + " left, seed " + seed);
        assertEquals(Set.of(), bench.cache.problems());
        bench.cache.close();
    }
}
