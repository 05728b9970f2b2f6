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
import io.warmcache.WritePolicy;
import io.warmcache.spi.FrameRecord;
import io.warmcache.spi.FrameState;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What an attach makes of the records it finds, on several threads; and that the policy hears of it in time. */
class AttachScanTest {
    private static final int FRAMES = 2048;
    private static final CacheConfig QUIET =
            Bench.patient(FRAMES).withOptions(Map.of("core.maintenance", "off"));

    private record Key(long file, long page) {}

    /** Files 1 to 3 are known; keys come twice and thrice, and beside records that are not reusable. */
    private static HeapBackend.Segment randomRecords(long seed) throws IOException {
        Random random = new Random(seed);
        Bench bench = new Bench(QUIET, WritePolicy.WRITE_BACK, Bench.pages(0, 1));
        List<MemoryStore> stores = List.of(new MemoryStore(new byte[0]), new MemoryStore(new byte[0]));
        for (MemoryStore store : stores) {
            bench.cache.map(store, MapOptions.DEFAULT);
        }
        HeapBackend.Segment segment = bench.segment.copy(QUIET);
        FrameState[] states = FrameState.values();
        for (int frame = 0; frame < FRAMES; frame++) {
            FrameRecord record = segment.records[frame];
            record.state = random.nextInt(10) < 8 ? FrameState.CLEAN : states[random.nextInt(states.length)];
            record.fileId = random.nextInt(100) == 0 ? 77 : 1 + random.nextInt(3);
            record.page = random.nextInt(200) == 0 ? -1 : random.nextInt(FRAMES);
            segment.hints[frame] = random.nextInt();
        }
        return segment;
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3, 4, 5, 6, 7, 8})
    void keepsEachKeyThatIsThereOnceAndNothingElse(long seed) throws Exception {
        System.out.println("seed " + seed);
        HeapBackend.Segment segment = randomRecords(seed);
        Map<Key, Integer> frameOf = new HashMap<>();
        Map<Key, Integer> seen = new HashMap<>();
        Set<Key> spoilt = new HashSet<>();
        int found = 0;
        for (int frame = 0; frame < FRAMES; frame++) {
            FrameRecord record = segment.records[frame];
            Key key = new Key(record.fileId, record.page);
            switch (record.state) {
                case FREE -> {}
                case FILLING, DIRTY -> {
                    found++;
                    spoilt.add(key);
                }
                case CLEAN, WRITTEN -> {
                    found++;
                    seen.merge(key, 1, Integer::sum);
                    frameOf.put(key, frame);
                }
            }
        }
        Map<Key, Integer> expected = new HashMap<>(frameOf);
        expected.keySet().removeIf(
                key -> key.file() == 77 || key.page() < 0 || seen.get(key) > 1 || spoilt.contains(key));
        List<Integer> progress = new ArrayList<>();

        Cache cache = segment.attach(QUIET, 16, (frames, of) -> {
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
                kept.put(new Key(owner.file().fileId, owner.page()), frame);
                used.set(frame);
            }
        }
        assertEquals(expected, kept);
        assertEquals(FRAMES - kept.size(), cache.frames.freeCount());
        assertEquals(found, cache.recovery().found());
        assertEquals(kept.size(), cache.recovery().kept());
        assertEquals(kept.size(), cache.counters.unvalidated.get());
        assertTrue(cache.recovery().dropped().get(DropReason.DUPLICATE) > 0);
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

    @Test
    void aListenerThatFailsEndsTheOpenAndNothingIsLost() throws Exception {
        HeapBackend.Segment segment = randomRecords(11);
        HeapBackend.Segment untouched = segment.copy(QUIET);
        assertThrows(
                IllegalStateException.class,
                () -> segment.attach(QUIET, 16, (frames, of) -> {
                    throw new IllegalStateException("stop");
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
