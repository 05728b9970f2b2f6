/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static io.warmcache.core.Bench.pages;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.CacheConfig;
import io.warmcache.CacheStats;
import io.warmcache.MapOptions;
import io.warmcache.PageCursor;
import io.warmcache.PagedFile;
import io.warmcache.ReadPin;
import io.warmcache.WritePin;
import io.warmcache.WritePolicy;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** Who reads from front to back finds the pages in memory, and nobody else's leave it ({@code docs/internals.md}). */
class ReadAheadTest {
    private static final int PAGES = 250;

    /** 32 of 64 frames for pages read ahead, 28 of them for one file: windows of 4, 8, and 14 pages. */
    private static CacheConfig config() {
        return Bench.patient(64).withOptions(Map.of("core.readAheadShare", "50"));
    }

    private static Bench bench() throws IOException {
        Bench bench = new Bench(config(), WritePolicy.WRITE_BACK, pages(1, PAGES));
        bench.inside().readAhead.forsakenNanos = Long.MAX_VALUE; // on a slow machine every reader seems to have left
        return bench;
    }

    private static CacheStats stats(Bench bench) {
        return bench.cache.stats();
    }

    private static void await(Bench bench, long readAhead) {
        Bench.awaitThat(readAhead + " pages read ahead", () -> stats(bench).readAhead() >= readAhead);
    }

    /** Ends all that is under way, so that what is counted stays. */
    private static void end(Bench bench) throws IOException {
        bench.assertSound();
        bench.cache.close();
    }

    enum Way {
        CURSOR,
        STAMP,
        PIN,
        BULK,
        LAMBDA,
        WRITE
    }

    private static void read(Bench bench, Way way, long page) throws IOException {
        byte expected = (byte) (page + 1);
        switch (way) {
            case CURSOR -> {
                try (PageCursor cursor = bench.file.cursor()) {
                    byte value;
                    cursor.seek(page);
                    do {
                        value = cursor.getByte(7);
                    } while (cursor.shouldRetry());
                    assertEquals(expected, value);
                }
            }
            case STAMP -> {
                long stamp;
                byte value;
                do {
                    stamp = bench.file.stamp(page);
                    value = bench.file.memory().get(ValueLayout.JAVA_BYTE, bench.file.offset(stamp) + 7);
                } while (!bench.file.valid(page, stamp));
                assertEquals(expected, value);
            }
            case PIN -> {
                try (ReadPin pin = bench.file.pin(page)) {
                    assertEquals(expected, pin.segment().get(ValueLayout.JAVA_BYTE, 7));
                }
            }
            case BULK -> assertEquals(expected, (byte) bench.first(page));
            case LAMBDA ->
                assertEquals(
                        expected,
                        (byte) bench.file.read(page, (memory, offset) ->
                                memory.get(ValueLayout.JAVA_BYTE, offset)));
            case WRITE -> {
                try (WritePin pin = bench.file.pinForWrite(page)) {
                    assertEquals(expected, pin.segment().get(ValueLayout.JAVA_BYTE, 7));
                }
            }
        }
    }

    @ParameterizedTest
    @EnumSource(Way.class)
    void theThirdMissInARowHasMoreReadAndFirstUsesHaveTheNext(Way way) throws IOException {
        Bench bench = bench();
        for (int page = 0; page < 3; page++) {
            assertEquals(0, stats(bench).readAhead());
            read(bench, way, page);
        }
        await(bench, 4); // 3 to 6
        read(bench, way, 3);
        await(bench, 4 + 8); // 7 to 14
        for (int page = 4; page < 7; page++) {
            read(bench, way, page);
        }
        assertEquals(4 + 8, stats(bench).readAhead());
        read(bench, way, 7);
        await(bench, 4 + 8 + 14);
        assertEquals(3, stats(bench).misses());
        for (int page = 8; page < 15; page++) {
            read(bench, way, page);
        }
        read(bench, way, 15);
        await(bench, 4 + 8 + 14 + 14); // no more than half of what may be unused
        assertEquals(3, stats(bench).misses());
        assertEquals(0, stats(bench).readAheadUnused());
        assertEquals((3 + 40) * 4096, stats(bench).bytesRead());
        end(bench);
    }

    /** Else the store would have nothing to do each time a reader comes to its last window. */
    @Test
    void firstUsesOfFurtherRunsOfAWindowHaveAsMuchReadAsWasUsed() throws IOException {
        Bench bench = bench(); // runs of 8 pages
        for (int page = 0; page < 15; page++) {
            bench.first(page);
            if (page == 2 || page == 3 || page == 7) {
                await(bench, page == 2 ? 4 : page == 3 ? 4 + 8 : 4 + 8 + 14);
            }
        }
        bench.first(15);
        await(bench, 40); // 29 to 42
        for (int page = 16; page < 23; page++) {
            bench.first(page);
        }
        assertEquals(40, stats(bench).readAhead());
        bench.first(23); // 20 pages are left of twice 14
        await(bench, 40 + 8);
        for (int page = 24; page < 29; page++) {
            bench.first(page);
        }
        assertEquals(48, stats(bench).readAhead());
        assertEquals(3, stats(bench).misses());
        end(bench);
    }

    @ParameterizedTest
    @CsvSource({"1", "5", "64"})
    void aScanReadsEachPageAsItIs(int count) throws IOException {
        Bench bench = bench();
        for (int round = 0; round < 3; round++) {
            for (int page = 0; page < PAGES; page += count) {
                byte[] bytes = bench.read(page * 4096L, count * 4096);
                for (int at = 0; at < bytes.length; at += 4096) {
                    assertEquals((byte) (page + at / 4096 + 1), bytes[at]);
                }
            }
        }
        bench.cache.maintenance.stop();
        assertTrue(stats(bench).misses() + stats(bench).readAhead() >= 3 * (PAGES - 64));
        end(bench);
    }

    @Test
    void pagesReadInNoOrderHaveNothingReadAhead() throws IOException {
        long seed = 17;
        List<Integer> order = new ArrayList<>(IntStream.range(0, PAGES).boxed().toList());
        Collections.shuffle(order, new Random(seed));
        Bench bench = bench();
        for (int page : order) {
            bench.first(page);
        }
        for (int page = PAGES; --page >= 0; ) {
            bench.first(page);
        }
        bench.cache.maintenance.stop();
        assertEquals(0, stats(bench).readAhead(), "seed " + seed);
        end(bench);
    }

    @ParameterizedTest
    @CsvSource({"core.readAhead, off", "core.readAhead, 0", "core.maintenance, off", "core.readAheadShare, 0"})
    void itCanBeTurnedOff(String option, String value) throws IOException {
        Bench bench = new Bench(
                config().withOptions(
                        option.equals("core.readAheadShare")
                                ? Map.of(option, value)
                                : Map.of("core.readAheadShare", "50", option, value)),
                WritePolicy.WRITE_BACK,
                pages(1, PAGES));
        for (int page = 0; page < PAGES; page++) {
            read(bench, Way.CURSOR, page);
        }
        assertEquals(0, stats(bench).readAhead());
        assertEquals(PAGES, stats(bench).misses());
        end(bench);
    }

    @ParameterizedTest
    @CsvSource({"core.readAhead, fast", "core.readAhead, -1", "core.readAheadShare, 51", "core.readAhead, 1048577"})
    void senselessSettingsAreRefusedByName(String option, String value) {
        CacheConfig config = Bench.patient(64).withOptions(Map.of(option, value));
        IllegalArgumentException refused = assertThrows(
                IllegalArgumentException.class, () -> new Bench(config, WritePolicy.WRITE_BACK, pages(1, 8)));
        assertTrue(String.valueOf(refused.getMessage()).contains(option), refused::toString);
    }

    @Test
    void readersOfDifferentPartsAreToldApart() throws IOException {
        Bench bench = bench();
        for (int step = 0; step < 3; step++) {
            for (int reader = 0; reader < 4; reader++) {
                bench.first(reader * 50 + step);
            }
        }
        await(bench, 4 * 4);
        for (int reader = 0; reader < 4; reader++) {
            bench.first(reader * 50 + 4);
        }
        assertEquals(12, stats(bench).misses());
        end(bench);
    }

    /** As of a page that a miss brings in: else a scan would look like use. */
    @ParameterizedTest
    @EnumSource(value = Way.class, names = {"CURSOR", "STAMP", "PIN", "BULK", "LAMBDA"})
    void theFirstUseIsNotCounted(Way way) throws IOException {
        Bench bench = bench();
        for (int page = 0; page < 3; page++) {
            read(bench, way, page);
        }
        await(bench, 4);
        assertEquals(0, TranslationWord.uses(bench.word(5)));
        read(bench, way, 5);
        assertEquals(0, TranslationWord.uses(bench.word(5)));
        read(bench, way, 5);
        assertTrue(TranslationWord.uses(bench.word(5)) > 0);
        end(bench);
    }

    @Test
    void whatIsNeverUsedIsEvictedAndCountedAndTheWindowShrinks() throws IOException {
        Bench bench = bench();
        for (int page = 0; page < 3; page++) {
            bench.first(page);
        }
        await(bench, 4);
        bench.first(3);
        await(bench, 12);
        bench.first(7);
        await(bench, 26); // 4 to 6 and 8 to 28 are there and not used
        Bench.awaitThat(
                "all there",
                () -> LongStream.range(0, 29).allMatch(page -> bench.state(page) == TranslationWord.RESIDENT));
        assertEquals(150, bench.file.load(LongStream.range(100, PAGES).toArray()));
        assertEquals(24, stats(bench).readAheadUnused());
        assertEquals(TranslationWord.EMPTY, bench.state(8));
        bench.first(8);
        await(bench, 26 + 7); // the last window had 14
        bench.cache.maintenance.stop();
        assertEquals(26 + 7, stats(bench).readAhead());
        end(bench);
    }

    @Test
    void callsOfMoreThanTwoWindowsHaveOneReadBehindThem() throws IOException {
        Bench bench = new Bench(
                Bench.patient(128).withOptions(Map.of("core.readAheadShare", "50", "core.readAhead", "32")),
                WritePolicy.WRITE_BACK,
                pages(1, PAGES));
        for (int page = 0; page < 3 * 16; page += 16) {
            assertEquals(page + 1, bench.read(page * 4096L, 16 * 4096)[0]);
        }
        await(bench, 8);
        assertEquals(49, bench.read(48 * 4096L, 16 * 4096)[0]);
        await(bench, 8 + 1);
        end(bench);
    }

    @Test
    void aWindowHalvedForPagesThatWentUnusedStaysSoUntilTheReaderComesThere() throws IOException {
        Bench bench = bench();
        for (int page = 0; page < 15; page++) {
            bench.first(page);
            if (page == 2 || page == 3 || page == 7) {
                await(bench, page == 2 ? 4 : page == 3 ? 4 + 8 : 4 + 8 + 14);
            }
        }
        bench.inside().readAhead.unused();
        bench.first(15);
        await(bench, 26 + 7); // 29 to 35
        for (int page = 16; page < 29; page++) {
            bench.first(page);
        }
        assertEquals(26 + 7, stats(bench).readAhead());
        bench.first(29);
        await(bench, 26 + 7 + 14);
        end(bench);
    }

    /** Reads the first pages of each 30, so that as much is read ahead, and not used, as may be for one file. */
    private static void fillPart(Bench bench) throws IOException {
        for (int reader = 0; reader < 8; reader++) {
            for (int step = 0; step < 3; step++) {
                bench.first(reader * 30 + step);
            }
        }
        await(bench, 7 * 4);
    }

    @Test
    void aFileLeavesSomethingOfWhatMayBeReadAheadToOthers() throws IOException {
        Bench bench = bench();
        fillPart(bench);
        assertEquals(28, bench.cache.frames.aheadUnused());
        try (PagedFile other = bench.cache.map(new MemoryStore(pages(50, 20)), MapOptions.DEFAULT)) {
            for (int page = 0; page < 3; page++) {
                other.pin(page).close();
            }
            await(bench, 8 * 4);
            long misses = stats(bench).misses();
            for (int page = 3; page < 7; page++) {
                try (ReadPin pin = other.pin(page)) {
                    assertEquals((byte) (50 + page), pin.segment().get(ValueLayout.JAVA_BYTE, 0));
                }
            }
            assertEquals(misses, stats(bench).misses());
        }
        end(bench);
    }

    @Test
    void aReaderThatHasLeftGivesWayToAnother() throws IOException {
        Bench bench = bench();
        bench.inside().readAhead.forsakenNanos = 0;
        for (int page : new int[] {0, 1, 2, 3, 7}) {
            bench.first(page);
            await(bench, page == 2 ? 4 : page == 3 ? 12 : page == 7 ? 26 : 0);
        }
        for (int page = 200; page < 203; page++) {
            bench.first(page);
        }
        await(bench, 26 + 4);
        assertEquals(24 + 4, bench.cache.frames.aheadUnused()); // as much as may be
        bench.first(203);
        await(bench, 26 + 4 + 8);
        assertEquals(3 + 3 + 8, bench.cache.frames.aheadUnused()); // 4 to 6 were passed over before it left
        for (int page = 8; page < 29; page++) {
            assertEquals(page + 1, bench.first(page)); // they are there all the same
        }
        assertEquals(6, stats(bench).misses());
        end(bench);
    }

    @Test
    void aFileThatIsClosedGivesBackWhatWasReadAhead() throws IOException {
        Bench bench = bench();
        fillPart(bench);
        bench.file.close();
        assertEquals(0, bench.cache.frames.aheadUnused());
        bench.map();
        long misses = stats(bench).misses();
        for (int reader = 0; reader < 7; reader++) {
            assertEquals((byte) (reader * 30 + 4), (byte) bench.first(reader * 30 + 3));
        }
        assertEquals(misses, stats(bench).misses());
        end(bench);
    }

    @Test
    void aReadThatFailsAheadFailsNobodyWhoHasNotGotThere() throws IOException {
        Bench bench = bench();
        bench.store.hook = (operation, position, length) -> {
            if (position >= 6 * 4096) {
                throw new IOException("injected at " + position);
            }
        };
        for (int page = 0; page < 6; page++) {
            assertEquals(page + 1, bench.first(page));
        }
        assertThrows(IOException.class, () -> bench.first(6));
        bench.fail("");
        for (int page = 6; page < 100; page++) {
            assertEquals(page + 1, bench.first(page));
        }
        assertTrue(bench.cache.health().healthy());
        end(bench);
    }

    @Test
    void aTruncateWaitsForWhatIsReadAhead() throws Exception {
        Bench bench = bench();
        Bench.Gate gate = gateAt(bench, 5);
        for (int page = 0; page < 3; page++) {
            bench.first(page);
        }
        gate.awaitReached();
        var cutting = Bench.run(() -> bench.file.truncate(4 * 4096 + 10));
        cutting.awaitParked();
        gate.open();
        cutting.get();
        assertThrows(IndexOutOfBoundsException.class, () -> bench.file.pin(5));
        bench.file.truncate(PAGES * 4096L);
        assertEquals(5, bench.first(4));
        for (int page = 5; page < 20; page++) {
            assertEquals(0, bench.first(page));
        }
        end(bench);
    }

    @Test
    void theCloseOfTheFileWaitsForWhatIsReadAhead() throws Exception {
        Bench bench = bench();
        Bench.Gate gate = gateAt(bench, 5);
        for (int page = 0; page < 3; page++) {
            bench.first(page);
        }
        gate.awaitReached();
        var closing = Bench.run(() -> bench.file.close());
        closing.awaitParked();
        assertEquals(false, bench.store.closed);
        gate.open();
        closing.get();
        bench.map();
        for (int page = 0; page < PAGES; page++) {
            assertEquals((byte) (page + 1), (byte) bench.first(page));
        }
        end(bench);
    }

    @Test
    void aDeathLeavesPagesReadAheadToItsSuccessor() throws IOException {
        Bench bench = bench();
        for (int page = 0; page < 3; page++) {
            bench.first(page);
        }
        await(bench, 4);
        bench.die();
        assertEquals(7, bench.cache.recovery().kept());
        for (int page = 0; page < 7; page++) {
            assertEquals(page + 1, bench.first(page));
        }
        assertEquals(0, stats(bench).misses());
        end(bench);
    }

    @Test
    void aScanTakesTheFramesOfNoPageInUse() throws IOException {
        int frames = 1024;
        int hot = frames * 7 / 10;
        int scanned = 3 * frames;
        long seed = 5;
        Random random = new Random(seed);
        Bench bench = new Bench(Bench.patient(frames), WritePolicy.WRITE_THROUGH, pages(0, hot + scanned));
        for (int i = 0; i < 20 * frames; i++) {
            bench.first(random.nextInt(hot));
        }
        for (int i = 0; i < scanned; i++) {
            if (i == 3) {
                await(bench, 1);
            }
            for (int touch = 0; touch < 8; touch++) {
                assertEquals((byte) (hot + i), (byte) bench.first(hot + i));
            }
        }
        long left = LongStream.range(0, hot)
                .filter(page -> bench.state(page) == TranslationWord.RESIDENT)
                .count();
        assertTrue(left >= 0.95 * hot, left + " of " + hot + " left, seed " + seed);
        end(bench);
    }

    @Test
    void whereAllButAFewFramesArePinnedAScanGoesOn() throws IOException {
        Bench bench = bench();
        List<ReadPin> pins = new ArrayList<>();
        for (int page = 100; page < 222; page += 2) {
            pins.add(bench.file.pin(page));
        }
        for (int page = 0; page < 30; page++) {
            assertEquals(page + 1, bench.first(page));
        }
        for (ReadPin pin : pins) {
            pin.close();
        }
        for (int page = 30; page < 60; page++) {
            assertEquals(page + 1, bench.first(page));
        }
        end(bench);
    }

    @ParameterizedTest
    @CsvSource({"1", "3"})
    void virtualThreadsThatScanReadWhatIsThere(int readers) throws Exception {
        Bench bench = bench();
        List<Thread> threads = new ArrayList<>();
        List<Throwable> failures = Collections.synchronizedList(new ArrayList<>());
        for (int reader = 0; reader < readers; reader++) {
            threads.add(Thread.ofVirtual().start(() -> {
                try {
                    for (int page = 0; page < 120; page++) {
                        assertEquals(page + 1, bench.first(page));
                    }
                } catch (Throwable t) {
                    failures.add(t);
                }
            }));
        }
        for (Thread thread : threads) {
            thread.join();
        }
        assertEquals(List.of(), failures);
        end(bench);
    }

    /** Holds the first read of a page. */
    private static Bench.Gate gateAt(Bench bench, long page) {
        Bench.Gate gate = bench.new Gate("read");
        MemoryStore.Hook hook = bench.store.hook;
        AtomicInteger passed = new AtomicInteger();
        bench.store.hook = (operation, position, length) -> {
            if (position == page << 12 && passed.getAndIncrement() == 0) {
                hook.before(operation, position, length);
            }
        };
        return gate;
    }
}
