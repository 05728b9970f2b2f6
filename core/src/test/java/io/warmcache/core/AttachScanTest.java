/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.CacheConfig;
import io.warmcache.DropReason;
import io.warmcache.LatchTimeoutException;
import io.warmcache.MapOptions;
import io.warmcache.PagedFile;
import io.warmcache.WritePolicy;
import io.warmcache.core.evict.Replacement;
import io.warmcache.spi.FrameRecord;
import io.warmcache.spi.FrameState;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.LongSupplier;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What an attach makes of the records it finds, on several threads; and that the policy hears of it in time. */
class AttachScanTest {
    private static final int FRAMES = 2048;
    private static final CacheConfig QUIET =
            Bench.patient(FRAMES).withOptions(Map.of("core.maintenance", "off"));

    /** A file that no back end knows. */
    private static final long UNKNOWN = 7777;

    private record Key(long file, long page) {}

    private static HeapBackend.Segment randomRecords(long seed) throws IOException {
        Random random = new Random(seed);
        return randomRecords(random, 3, () -> random.nextInt(FRAMES));
    }

    /** Files 1 to {@code files} are known; keys come twice and thrice, and beside records that are not reusable. */
    private static HeapBackend.Segment randomRecords(Random random, int files, LongSupplier pages)
            throws IOException {
        Bench bench = new Bench(QUIET, WritePolicy.WRITE_BACK, Bench.pages(0, 1));
        for (int i = 1; i < files; i++) {
            bench.cache.map(new MemoryStore(new byte[0]), MapOptions.DEFAULT);
        }
        HeapBackend.Segment segment = bench.segment.copy(QUIET);
        FrameState[] states = FrameState.values();
        for (int frame = 0; frame < FRAMES; frame++) {
            FrameRecord record = segment.records[frame];
            record.state = random.nextInt(10) < 8 ? FrameState.CLEAN : states[random.nextInt(states.length)];
            record.fileId = random.nextInt(100) == 0 ? UNKNOWN : 1 + random.nextInt(files);
            record.page = random.nextInt(200) == 0 ? -1 : pages.getAsLong();
            segment.hints[frame] = random.nextInt();
        }
        return segment;
    }

    /** What an attach may keep of some records, and why it drops the others. */
    private static final class Expected {
        final Map<Key, Integer> kept = new HashMap<>();
        final Map<DropReason, Integer> dropped = new EnumMap<>(DropReason.class);
        final Set<Long> written = new HashSet<>();
        int found;

        Expected(HeapBackend.Segment segment) {
            Map<Key, Integer> seen = new HashMap<>();
            Set<Key> spoilt = new HashSet<>();
            for (int frame = 0; frame < FRAMES; frame++) {
                FrameRecord record = segment.records[frame];
                Key key = new Key(record.fileId, record.page);
                switch (record.state) {
                    case FREE -> {}
                    case FILLING, DIRTY -> {
                        drop(record.state == FrameState.DIRTY ? DropReason.DIRTY : DropReason.FILLING, 1);
                        spoilt.add(key);
                    }
                    case CLEAN, WRITTEN -> {
                        if (record.page < 0 || record.page >= RadixIndex.MAX_PAGES) {
                            drop(DropReason.RECORD_DAMAGED, 1);
                        } else if (record.fileId == UNKNOWN) {
                            drop(DropReason.UNKNOWN_FILE, 1);
                        } else {
                            found++;
                            seen.merge(key, 1, Integer::sum);
                            kept.put(key, frame);
                        }
                    }
                }
            }
            seen.forEach((key, times) -> {
                if (times > 1 || spoilt.contains(key)) {
                    kept.remove(key);
                    found -= times; // counted again as dropped
                    drop(DropReason.DUPLICATE, times);
                } else if (segment.records[kept.get(key)].state == FrameState.WRITTEN) {
                    written.add(key.file());
                }
            });
        }

        private void drop(DropReason reason, int frames) {
            found += frames;
            dropped.merge(reason, frames, Integer::sum);
        }
    }

    private static void keepsWhatItShould(HeapBackend.Segment segment, AttachScan.Plan plan) throws Exception {
        Expected expected = new Expected(segment);
        assertEquals(
                Set.of(
                        DropReason.FILLING,
                        DropReason.DIRTY,
                        DropReason.DUPLICATE,
                        DropReason.UNKNOWN_FILE,
                        DropReason.RECORD_DAMAGED),
                expected.dropped.keySet());
        List<Integer> progress = new ArrayList<>();

        Cache cache = segment.attach(QUIET, plan, (frames, of) -> {
            assertEquals(FRAMES, of);
            progress.add(frames);
        });

        Map<Key, Integer> kept = new HashMap<>();
        BitSet used = new BitSet();
        for (int frame = 0; frame < FRAMES; frame++) {
            FrameTable.Owner owner = cache.frames.ownerOf(frame);
            boolean released = segment.records[frame].state == FrameState.FREE;
            assertEquals(released, owner == null, "frame " + frame);
            if (owner != null) {
                long word = TranslationWord.get(owner.leaf(), RadixIndex.slot(owner.page()));
                assertEquals(TranslationWord.UNVERIFIED, TranslationWord.state(word));
                assertEquals(frame, TranslationWord.frame(word));
                assertEquals(Replacement.usesOf(segment.hints[frame]), TranslationWord.uses(word));
                kept.put(new Key(owner.file().fileId, owner.page()), frame);
                used.set(frame);
            }
        }
        assertEquals(expected.kept, kept);
        assertEquals(FRAMES - kept.size(), cache.frames.freeCount());
        assertEquals(expected.found, cache.recovery().found());
        assertEquals(kept.size(), cache.recovery().kept());
        assertEquals(kept.size(), cache.counters.unvalidated.get());
        assertEquals(expected.dropped, cache.recovery().dropped());
        for (CachedFile file : cache.files()) {
            assertTrue(file.mayHoldWritten || !expected.written.contains(file.fileId), file.name);
        }
        assertEquals(FRAMES, progress.getLast());
        for (int i = 1; i < progress.size(); i++) {
            assertTrue(progress.get(i) >= progress.get(i - 1), progress.toString());
        }

        cache.frames.restorePolicy();
        int[] hints = segment.hints.clone();
        cache.frames.saveHints();
        for (int frame = used.nextSetBit(0); frame >= 0; frame = used.nextSetBit(frame + 1)) {
            assertTrue(segment.hints[frame] != 0 || hints[frame] == 0, "a frame without a place in the policy");
        }
        cache.close();
    }

    private static AttachScan.Plan plan(int share, int threads) {
        return new AttachScan.Plan(share, threads, long[]::new, bucket -> {});
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3, 4, 5, 6, 7, 8})
    void keepsEachKeyThatIsThereOnceAndNothingElse(long seed) throws Exception {
        System.out.println("seed " + seed);
        keepsWhatItShould(randomRecords(seed), AttachScan.Plan.of(16));
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 7, 100, FRAMES})
    void sharesRoundsAndThreadsMakeNoDifference(int share) throws Exception {
        for (int threads = 1; threads <= 5; threads++) {
            keepsWhatItShould(randomRecords(100L * share + threads), plan(share, threads));
        }
    }

    /** One key is in every 64th frame: in each thread's shares, each round, and each thread's part of the bucket. */
    @Test
    void recordsOfOneKeyFromAllThreadsAndRoundsAreAllDropped() throws Exception {
        HeapBackend.Segment segment = randomRecords(31);
        for (int frame = 0; frame < FRAMES; frame += 64) {
            FrameRecord record = segment.records[frame];
            record.state = FrameState.CLEAN;
            record.fileId = 2;
            record.page = 5;
        }
        keepsWhatItShould(segment, plan(4, 4));
    }

    @Test
    void moreFilesThanBucketsShareThem() throws Exception {
        Random random = new Random(32);
        keepsWhatItShould(randomRecords(random, 700, () -> random.nextInt(5)), plan(1, 3));
    }

    @Test
    void pagesFarFromAFilesFirstOnesAreFoundToo() throws Exception {
        Random random = new Random(33);
        LongSupplier pages = () -> {
            int some = random.nextInt(2 * FRAMES);
            return some % 3 == 0 ? some : RadixIndex.MAX_PAGES - 1 - some * 1_000_003L % RadixIndex.MAX_PAGES;
        };
        keepsWhatItShould(randomRecords(random, 3, pages), plan(16, 2));
    }

    @Test
    void aRecordOfAPageThatNoFileCanHaveIsDropped() throws Exception {
        HeapBackend.Segment segment = randomRecords(34);
        segment.records[17].state = FrameState.WRITTEN;
        segment.records[17].page = RadixIndex.MAX_PAGES;
        segment.records[18].state = FrameState.DIRTY;
        segment.records[18].page = RadixIndex.MAX_PAGES;
        keepsWhatItShould(segment, plan(16, 2));
    }

    @Test
    void lessMemoryForSortingMakesMoreRoundsAndNoMemoryEndsTheOpenWithNothingLost() throws Exception {
        List<Integer> asked = new ArrayList<>();
        for (int fits : new int[] {17_000, 8_448, 0}) {
            HeapBackend.Segment segment = randomRecords(35);
            HeapBackend.Segment untouched = segment.copy(QUIET);
            AttachScan.Plan plan = new AttachScan.Plan(
                    64,
                    2,
                    length -> {
                        asked.add(length);
                        if (length > fits) {
                            throw new OutOfMemoryError("says the test");
                        }
                        return new long[length];
                    },
                    bucket -> {});
            if (fits == 0) {
                assertThrows(OutOfMemoryError.class, () -> segment.attach(QUIET, plan, (frames, of) -> {}));
                assertUntouched(untouched, segment);
            } else {
                keepsWhatItShould(segment, plan);
            }
        }
        List<Integer> halves = List.of(20_480, 18_432, 17_408, 16_896); // of rounds of 1,024, 512, 256, 128 frames
        List<Integer> fewer = List.of(16_640, 8_448); // 64 frames by two threads, by one
        List<Integer> all = new ArrayList<>(halves);
        for (int i = 0; i < 2; i++) {
            all.addAll(halves);
            all.addAll(fewer);
        }
        assertEquals(all, asked);
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void aThreadThatFailsWhileWordsAreMadeEndsTheOpenAndNothingIsLost(boolean opener) throws Exception {
        HeapBackend.Segment segment = randomRecords(36);
        HeapBackend.Segment untouched = segment.copy(QUIET);
        Thread opening = Thread.currentThread();
        CountDownLatch failing = new CountDownLatch(1);
        AttachScan.Plan plan = new AttachScan.Plan(16, 2, long[]::new, bucket -> {
            if (opener == (Thread.currentThread() == opening)) {
                failing.countDown();
                throw new IllegalArgumentException("bucket " + bucket);
            }
            try { // so that both have a bucket
                assertTrue(failing.await(60, TimeUnit.SECONDS));
            } catch (InterruptedException e) {
                throw new AssertionError(e);
            }
        });
        RuntimeException failed =
                assertThrows(RuntimeException.class, () -> segment.attach(QUIET, plan, (frames, of) -> {}));
        Throwable cause = opener ? failed : failed.getCause();
        assertEquals(opener, failed instanceof IllegalArgumentException);
        assertTrue(cause instanceof IllegalArgumentException, failed.toString());
        assertUntouched(untouched, segment);
        keepsWhatItShould(segment, plan(16, 2));
    }

    private static void assertUntouched(HeapBackend.Segment untouched, HeapBackend.Segment segment) {
        for (int frame = 0; frame < FRAMES; frame++) {
            assertEquals(untouched.records[frame].state, segment.records[frame].state, "frame " + frame);
        }
        assertEquals(1, segment.closes);
    }

    /** The leaf of a frame that was found is looked up each time, whatever has become of it meanwhile. */
    @Test
    void framesFoundAreValidatedMovedEvictedAndCutOffLikeAllOthers() throws Exception {
        int frames = 512;
        CacheConfig config = CacheConfig.of("found", frames * 4096L)
                .withMaxCapacity(2L * frames * 4096)
                .withLatchTimeout(Duration.ofSeconds(60))
                .withOptions(Map.of("core.maintenance", "off"));
        int pages = 450;
        Bench bench = new Bench(config, WritePolicy.WRITE_BACK, Bench.pages(0, pages));
        MemoryStore other = new MemoryStore(Bench.pages(7, 2 * frames));
        found(bench, pages);
        assertTrue(bench.cache.recovery.scrub(100)); // the first of them
        bench.assertSound();
        bench.cache.resize(300 * 4096L);
        bench.assertSound();
        assertEquals(300, bench.cache.frames.inUse());
        bench.cache.resize(600 * 4096L);
        bench.assertSound();
        readAll(bench, pages);

        found(bench, pages);
        try (PagedFile file = bench.cache.map(other, MapOptions.DEFAULT)) {
            MemorySegment page = MemorySegment.ofArray(new byte[1]);
            int leaves = bench.inside().index.leaves();
            for (int pass = 0; pass < 50 && bench.inside().index.leaves() == leaves; pass++) {
                for (int i = 0; i < 2 * frames; i++) {
                    assertEquals(1, file.read(i * 4096L, page));
                    assertEquals((byte) (7 + i), page.get(ValueLayout.JAVA_BYTE, 0));
                }
                bench.assertSound();
                bench.inside().sweep.run();
            }
            assertTrue(bench.inside().index.leaves() < leaves, "leaves gone with the pages found");
            readAll(bench, pages);
            bench.assertSound();
        }

        found(bench, pages);
        bench.file.truncate(200 * 4096L);
        bench.inside().sweep.run();
        assertEquals(4, bench.inside().index.leaves());
        bench.assertSound();
        bench.write(200 * 4096L, Bench.filled(9, 4096));
        assertEquals(9, bench.first(200));
        readAll(bench, 200);
        bench.cache.resize(64 * 4096L);
        bench.assertSound();
        readAll(bench, 200);

        found(bench, 201);
        bench.file.close();
        bench.assertSound();
        Objects.requireNonNull(bench.segment.evictor).evict(1);
        assertEquals(0, bench.cache.frames.inUse());
        bench.assertSound();
        bench.map();
        readAll(bench, 200);
        bench.cache.close();
    }

    /** Leaves {@code pages} pages to be found, as many as there is room for, by several threads. */
    private static void found(Bench bench, int pages) throws Exception {
        bench.cache.resize(512 * 4096L);
        readAll(bench, pages);
        bench.file.force();
        bench.cache = bench.segment.attach(bench.config, plan(16, 3), (frames, of) -> {});
        bench.map();
        assertTrue(bench.cache.recovery().kept() >= pages);
        bench.assertSound();
    }

    private static void readAll(Bench bench, int pages) throws IOException {
        for (int page = 0; page < pages; page++) {
            assertEquals(page == 200 ? bench.store.bytes()[200 * 4096] : (byte) page, (byte) bench.first(page));
        }
    }

    @Test
    void aHitBeforeThePolicyKnowsTheFrameIsNotForgotten() throws Exception {
        Bench bench = new Bench(QUIET, WritePolicy.WRITE_BACK, Bench.pages(0, 4));
        for (int page = 0; page < 4; page++) {
            bench.first(page);
        }
        HeapBackend.Segment segment = bench.segment.copy(QUIET);
        Arrays.fill(segment.hints, 0);
        bench.cache = segment.attach(QUIET);
        bench.map();
        assertEquals(0, TranslationWord.uses(bench.word(2)));
        bench.first(2);
        int uses = TranslationWord.uses(bench.word(2));
        assertTrue(uses > 0);
        bench.cache.frames.restorePolicy();
        assertEquals(uses, TranslationWord.uses(bench.word(2)));
        bench.cache.close();
    }

    @Test
    void aBackEndThatReportsRecordsOutOfOrderIsRefusedAndNothingIsLost() throws Exception {
        HeapBackend.Segment segment = randomRecords(12);
        HeapBackend.Segment untouched = segment.copy(QUIET);
        segment.backwards = true;
        assertThrows(IllegalStateException.class, () -> segment.attach(QUIET, 16, (frames, of) -> {}));
        for (int frame = 0; frame < FRAMES; frame++) {
            assertEquals(untouched.records[frame].state, segment.records[frame].state);
        }
        assertEquals(1, segment.closes);
    }

    /** Whether at the first of what it is told or at the last. */
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void aListenerThatFailsEndsTheOpenAndNothingIsLost(boolean last) throws Exception {
        HeapBackend.Segment segment = randomRecords(11);
        AtomicInteger told = new AtomicInteger();
        HeapBackend.Segment untouched = segment.copy(QUIET);
        assertThrows(
                IllegalStateException.class,
                () -> segment.attach(QUIET, plan(FRAMES, 1), (frames, of) -> {
                    if (!last || told.incrementAndGet() == 2) {
                        throw new IllegalStateException("stop");
                    }
                }));
        for (int frame = 0; frame < FRAMES; frame++) {
            assertEquals(untouched.records[frame].state, segment.records[frame].state);
        }
        assertEquals(1, segment.closes);
        Cache cache = segment.attach(QUIET, 16, (frames, of) -> {});
        Cache control = untouched.attach(QUIET);
        assertEquals(control.recovery().kept(), cache.recovery().kept());
        assertEquals(control.recovery().dropped(), cache.recovery().dropped());
        assertFalse(cache.recovery().dropped().isEmpty());
        cache.close();
        control.close();
    }

    @Test
    void aFileThatCannotBeForgottenYetKeepsTheIndexOfItsFrames() throws Exception {
        Bench bench = new Bench(
                QUIET.withLatchTimeout(Duration.ofMillis(50)), WritePolicy.WRITE_BACK, Bench.pages(0, 4));
        for (int page = 0; page < 4; page++) {
            bench.first(page);
        }
        CachedFile file = bench.inside();
        bench.file.close();
        long[] leaf = file.index.leaf(2);
        long word = TranslationWord.get(leaf, 2);
        TranslationWord.set(leaf, 2, TranslationWord.withState(word, TranslationWord.LOADING));
        var evictor = Objects.requireNonNull(bench.segment.evictor);
        assertThrows(LatchTimeoutException.class, () -> evictor.evict(file.fileId));
        TranslationWord.set(leaf, 2, word);

        bench.map();
        assertEquals(file, bench.inside());
        for (int page = 0; page < 4; page++) {
            assertEquals(page, bench.first(page));
        }
        bench.file.close();
        evictor.evict(file.fileId);
        assertEquals(0, bench.cache.frames.inUse());
        bench.map();
        assertEquals(3, bench.first(3));
        bench.cache.close();
    }
}
