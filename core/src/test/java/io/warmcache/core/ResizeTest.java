/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.CacheClosedException;
import io.warmcache.CacheConfig;
import io.warmcache.CacheException;
import io.warmcache.DropReason;
import io.warmcache.MapOptions;
import io.warmcache.PageCache;
import io.warmcache.PagedFile;
import io.warmcache.ReadPin;
import io.warmcache.StoreVersion;
import io.warmcache.WritePin;
import io.warmcache.WritePolicy;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** A cache made smaller and larger while it is used, and opened at another capacity than it was closed with. */
class ResizeTest {
    private static final int PAGE = 4096;

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

    private static CacheConfig frames(int frames, int most) {
        // What is read ahead while a cache fills is in probation, where uses count for less: heat would depend on it.
        return Bench.patient(frames)
                .withMaxCapacity((long) most * PAGE)
                .withOptions(Map.of("core.readAhead", "off"));
    }

    private static void resize(Bench b, int frames) throws IOException {
        b.cache.resize((long) frames * PAGE);
        assertEquals((long) frames * PAGE, b.cache.capacity());
        assertEquals(frames, b.cache.stats().freeFrames() + b.cache.stats().residentFrames());
    }

    /** Which of {@code pages} are in memory. */
    private static int resident(Bench b, BitSet pages) {
        return (int) pages.stream()
                .filter(page -> {
                    long state = b.state(page);
                    return state == TranslationWord.RESIDENT || state == TranslationWord.UNVERIFIED;
                })
                .count();
    }

    private static BitSet choose(Random random, int count, int of) {
        List<Integer> all = new ArrayList<>();
        for (int i = 0; i < of; i++) {
            all.add(i);
        }
        Collections.shuffle(all, random);
        BitSet chosen = new BitSet();
        all.subList(0, count).forEach(chosen::set);
        return chosen;
    }

    /** Several uses of each page, apart from each other as a working set's are. */
    private static void heat(Bench b, BitSet pages) {
        for (int round = 0; round < 3; round++) {
            pages.stream().forEach(page -> b.file.pin(page).close());
        }
    }

    private static void assertKept(String what, int kept, int hottest) {
        System.out.printf(
                "%s: %d of the %d hottest pages survive (%.2f %%)%n", what, kept, hottest, 100.0 * kept / hottest);
        assertTrue(kept >= 0.99 * hottest, what + ": " + kept + " of " + hottest);
    }

    @Test
    void whatMemoryLimitsLeaveNoRoomForIsGivenBackAtOpen() throws Exception {
        long seed = 62;
        System.out.println("seed " + seed);
        Bench b = new Bench(frames(1000, 1000), WritePolicy.WRITE_THROUGH, new byte[1000 * PAGE]);
        for (int page = 0; page < 1000; page++) {
            b.file.pin(page).close();
        }
        BitSet hot = choose(new Random(seed), 600, 1000);
        heat(b, hot);
        b.cache.close();
        b.segment.affordable = 600;
        b.cache = b.segment.attach(b.config);
        b.map();
        assertEquals(600L * PAGE, b.cache.capacity());
        assertKept("open, 600 of 1000 affordable", resident(b, hot), 600);
        b.assertSound();
        b.cache.close();
    }

    @Test
    void theHottestPagesSurviveAShrinkOfACacheInUse() throws Exception {
        long seed = 61;
        System.out.println("seed " + seed);
        Bench b = new Bench(frames(4000, 4000), WritePolicy.WRITE_BACK, new byte[4000 * PAGE]);
        for (int page = 0; page < 4000; page++) {
            b.file.pin(page).close();
        }
        BitSet hot = choose(new Random(seed), 1000, 4000);
        heat(b, hot);
        resize(b, 1000);
        assertKept("online, 4000 to 1000", resident(b, hot), 1000);
        b.assertSound();
        heat(b, hot);
        resize(b, 4000);
        assertKept("online, 1000 to 4000", resident(b, hot), 1000);
        b.assertSound();
        b.cache.close();
    }

    @Test
    void theHottestPagesSurviveAmongAScan() throws Exception {
        long seed = 62;
        System.out.println("seed " + seed);
        int pages = 20_000;
        Bench b = new Bench(frames(2000, 2000), WritePolicy.WRITE_BACK, new byte[pages * PAGE]);
        BitSet hot = choose(new Random(seed), 900, 1000);
        for (int from = 1000; from < pages; from += 1000) {
            heat(b, hot);
            for (int page = from; page < from + 1000; page++) {
                b.file.pin(page).close();
            }
        }
        heat(b, hot);
        assertEquals(900, resident(b, hot));
        resize(b, 1000);
        assertKept("among a scan, 2000 to 1000", resident(b, hot), 900);
        b.assertSound();
        b.cache.close();
    }

    @Test
    void theHottestPagesSurviveAnOpenAtASmallerCapacityAndAreCounted() throws Exception {
        long seed = 63;
        System.out.println("seed " + seed);
        Bench b = new Bench(frames(3000, 3000), WritePolicy.WRITE_BACK, new byte[3000 * PAGE]);
        for (int page = 0; page < 3000; page++) {
            b.file.pin(page).close();
        }
        BitSet hot = choose(new Random(seed), 1000, 3000);
        heat(b, hot);
        b.cache.close();
        b.cache = b.segment.attach(frames(1000, 1000));
        assertEquals(1000L * PAGE, b.cache.capacity());
        assertEquals(3000, b.cache.recovery().found());
        assertEquals(1000, b.cache.recovery().kept());
        assertEquals(1000, b.cache.recovery().framesTotal());
        assertEquals(2000, b.cache.recovery().dropped().get(DropReason.CAPACITY));
        b.map();
        assertKept("on reopen, 3000 to 1000", resident(b, hot), 1000);
        assertEquals(0, b.cache.stats().misses());
        b.assertSound();
        b.cache.close();
        b.cache = b.segment.attach(frames(3000, 3000));
        b.map();
        assertKept("on reopen, 1000 to 3000", resident(b, hot), 1000);
        b.assertSound();
        b.cache.close();
    }

    @Test
    void movedPagesKeepTheirBytesAndReadNothing() throws Exception {
        Bench b = new Bench(frames(64, 64), WritePolicy.WRITE_BACK, Bench.pages(1, 64));
        for (int page = 0; page < 64; page++) {
            b.first(page);
        }
        BitSet hot = new BitSet();
        for (int page = 0; page < 64; page++) {
            if (TranslationWord.frame(b.word(page)) >= 32) {
                hot.set(page);
            }
        }
        heat(b, hot);
        long misses = b.cache.stats().misses();
        resize(b, 32);
        assertEquals(32, resident(b, hot));
        hot.stream().forEach(page -> {
            assertTrue(TranslationWord.frame(b.word(page)) < 32);
            try {
                assertEquals(page + 1, b.first(page));
            } catch (IOException e) {
                throw new AssertionError(e);
            }
        });
        assertEquals(misses, b.cache.stats().misses());
        b.assertSound();
        b.die();
        assertEquals(32, resident(b, hot));
        b.cache.close();
    }

    @Test
    void aReaderOfAPageThatMovesReadsAgain() throws Exception {
        Bench b = new Bench(frames(64, 64), WritePolicy.WRITE_BACK, Bench.pages(1, 64));
        for (int page = 0; page < 64; page++) {
            b.first(page);
        }
        BitSet last = new BitSet();
        last.set(63);
        heat(b, last);
        long stamp = b.file.stamp(63);
        long offset = b.file.offset(stamp);
        assertTrue(offset >= 32L * PAGE);
        resize(b, 32);
        assertEquals(0, b.file.memory().get(ValueLayout.JAVA_BYTE, offset));
        assertFalse(b.file.valid(63, stamp));
        assertEquals(64, b.first(63));
        b.cache.close();
    }

    @Test
    void aPinnedPageInTheWayIsWaitedForAndThenRefusesTheShrink() throws Exception {
        Bench b = new Bench(
                Bench.small(64).withMaxCapacity(64L * PAGE), WritePolicy.WRITE_BACK, Bench.pages(1, 64));
        for (int page = 0; page < 64; page++) {
            b.first(page);
        }
        ReadPin pin = b.file.pin(63);
        CacheException e = assertThrows(CacheException.class, () -> b.cache.resize(32L * PAGE));
        assertEquals(
                "the cache \"bench\" cannot shrink to 32 frames: of 32 frames 1 are pinned, 0 dirty, 0 latched or being"
                        + " loaded. Close pins, or see health() for a store that takes no writes",
                e.getMessage());
        assertEquals(64L * PAGE, b.cache.capacity());
        assertEquals(64, pin.segment().get(ValueLayout.JAVA_BYTE, 0));
        for (int page = 0; page < 64; page++) {
            assertEquals(page + 1, b.first(page));
        }
        pin.close();
        b.assertSound();
        resize(b, 32);
        b.assertSound();
        b.cache.close();
    }

    @Test
    void aPinClosedWhileItIsWaitedForLetsTheShrinkGoOn() throws Exception {
        Bench b = new Bench(frames(64, 64), WritePolicy.WRITE_BACK, Bench.pages(1, 64));
        for (int page = 0; page < 64; page++) {
            b.first(page);
        }
        ReadPin pin = b.file.pin(63);
        Bench.Task<Void> shrink = Bench.run(() -> b.cache.resize(32L * PAGE)).awaitParked();
        pin.close();
        shrink.get();
        assertEquals(32L * PAGE, b.cache.capacity());
        b.assertSound();
        b.cache.close();
    }

    @ParameterizedTest
    @EnumSource(WritePolicy.class)
    void dirtyPagesInTheWayAreWrittenFirst(WritePolicy policy) throws Exception {
        Bench b = new Bench(frames(64, 64), policy, new byte[64 * PAGE]);
        for (int page = 0; page < 64; page++) {
            b.write((long) page * PAGE, Bench.filled(page + 1, PAGE));
        }
        resize(b, 8);
        assertArrayEquals(Bench.pages(1, 64), b.store.bytes());
        for (int page = 0; page < 64; page++) {
            assertEquals(page + 1, b.first(page));
        }
        b.assertSound();
        b.cache.close();
    }

    @Test
    void aStoreThatTakesNoWritesKeepsItsDirtyPagesAndTheCapacity() throws Exception {
        Bench b = new Bench(
                Bench.small(64).withMaxCapacity(64L * PAGE), WritePolicy.WRITE_BACK, new byte[64 * PAGE]);
        b.fail("write");
        for (int page = 0; page < 64; page++) {
            try (WritePin pin = b.file.pinForOverwrite(page)) {
                pin.segment().fill((byte) (page + 1));
            }
        }
        CacheException e = assertThrows(CacheException.class, () -> b.cache.resize(32L * PAGE));
        assertTrue(e.getMessage().contains("32 dirty"), e.getMessage());
        assertEquals(64L * PAGE, b.cache.capacity());
        assertFalse(b.cache.health().healthy());
        b.fail("");
        resize(b, 32);
        b.file.flush();
        assertArrayEquals(Bench.pages(1, 64), b.store.bytes());
        b.assertSound();
        b.cache.close();
    }

    @Test
    void pagesOfFilesNotMappedYetSurvive() throws Exception {
        Bench b = new Bench(frames(64, 64), WritePolicy.WRITE_BACK, Bench.pages(1, 64));
        BitSet all = new BitSet();
        for (int page = 0; page < 40; page++) {
            b.first(page);
            all.set(page);
        }
        b.file.close();
        resize(b, 40);
        b.map();
        assertEquals(40, resident(b, all));
        b.cache.close();
        b.cache = b.segment.attach(frames(64, 64));
        resize(b, 40);
        b.map();
        assertEquals(40, resident(b, all));
        assertEquals(40, b.cache.recovery().unvalidated() + (int) b.cache.stats().validated());
        for (int page = 0; page < 40; page++) {
            assertEquals(page + 1, b.first(page));
        }
        assertEquals(0, b.cache.stats().misses());
        b.assertSound();
        b.cache.close();
    }

    @Test
    void aPageThatMovesWhileItsFileIsClosedWaitsForTheGates() throws Exception {
        Bench b = new Bench(frames(64, 64), WritePolicy.WRITE_BACK, Bench.pages(1, 64));
        for (int page = 0; page < 64; page++) {
            b.first(page);
        }
        CachedFile file = b.inside();
        List<Bench.Task<Void>> parked = new ArrayList<>();
        b.segment.step = () -> {
            boolean moving = false;
            for (int page = 0; page < 64; page++) {
                moving |= b.state(page) == TranslationWord.EXCLUSIVE;
            }
            if (moving && parked.isEmpty()) {
                // What a close does once it has seen no page held.
                parked.add(Bench.run(() -> b.cache.recovery.park(file)));
                Bench.awaitThat(
                        "parked, or past the page",
                        () -> parked.get(0).isDone()
                                || parked.get(0).thread.getState() == Thread.State.TIMED_WAITING);
            }
        };
        BitSet hot = new BitSet();
        for (int page = 0; page < 64; page++) {
            if (TranslationWord.frame(b.word(page)) >= 32) {
                hot.set(page);
            }
        }
        heat(b, hot);
        resize(b, 32);
        b.segment.step = () -> {};
        assertEquals(1, parked.size());
        parked.get(0).get();
        int unverified = 0;
        for (int page = 0; page < 64; page++) {
            assertTrue(b.state(page) != TranslationWord.RESIDENT, "page " + page);
            unverified += b.state(page) == TranslationWord.UNVERIFIED ? 1 : 0;
        }
        assertEquals(32, unverified);
        changeAndMapAgain(b);
    }

    @Test
    void aPageThatACloseHasMissedIsNotServedPastTheGates() throws Exception {
        Bench b = new Bench(frames(64, 64), WritePolicy.WRITE_BACK, Bench.pages(1, 64));
        for (int page = 0; page < 64; page++) {
            b.first(page);
        }
        CachedFile file = b.inside();
        b.file.close();
        long[] leaf = file.index.leaf(17);
        int slot = RadixIndex.slot(17);
        long word = TranslationWord.get(leaf, slot);
        assertEquals(TranslationWord.UNVERIFIED, TranslationWord.state(word));
        TranslationWord.set(leaf, slot, TranslationWord.withState(word, TranslationWord.RESIDENT));
        changeAndMapAgain(b);
    }

    /** Of a store that somebody else has written meanwhile, nothing old is served. */
    private static void changeAndMapAgain(Bench b) throws IOException {
        b.file.close();
        byte[] changed = Bench.pages(101, 64);
        b.store.write(0, MemorySegment.ofArray(changed));
        b.store.version = StoreVersion.exact(8, 8);
        b.map();
        assertArrayEquals(changed, b.read(0, changed.length));
        b.assertSound();
        b.cache.close();
    }

    @Test
    void writersThatGoOnDoNotKeepAShrinkFromEnding() throws Exception {
        Bench b = new Bench(
                Bench.small(64).withMaxCapacity(64L * PAGE), WritePolicy.WRITE_BACK, new byte[64 * PAGE]);
        for (int page = 0; page < 64; page++) {
            b.first(page);
        }
        AtomicBoolean stop = new AtomicBoolean();
        ReadPin pin = b.file.pin(63);
        Bench.Task<Void> writer = Bench.run(() -> {
            while (!stop.get()) {
                b.write(0, Bench.filled(3, PAGE));
            }
        });
        assertThrows(CacheException.class, () -> b.cache.resize(32L * PAGE));
        stop.set(true);
        writer.get();
        pin.close();
        assertEquals(64L * PAGE, b.cache.capacity());
        b.assertSound();
        b.cache.close();
    }

    @Test
    void aDamagedPageIsNotMadeValidByMovingIt() throws Exception {
        Bench b = new Bench(frames(64, 64), WritePolicy.WRITE_BACK, Bench.pages(1, 64));
        for (int page = 0; page < 64; page++) {
            b.first(page);
        }
        BitSet last = new BitSet();
        last.set(63);
        heat(b, last);
        int frame = TranslationWord.frame(b.word(63));
        b.cache.close();
        b.segment.memory.set(ValueLayout.JAVA_BYTE, (long) frame * PAGE + 17, (byte) 99);
        b.cache = b.segment.attach(frames(8, 64));
        b.map();
        assertEquals(8L * PAGE, b.cache.capacity());
        assertArrayEquals(Bench.filled(64, PAGE), b.read(63L * PAGE, PAGE));
        assertEquals(1, b.cache.recovery().dropped().get(DropReason.CHECKSUM));
        b.assertSound();
        b.cache.close();
    }

    @Test
    void moreFramesTakeMorePages() throws Exception {
        Bench b = new Bench(frames(16, 64), WritePolicy.WRITE_BACK, Bench.pages(1, 64));
        for (int page = 0; page < 64; page++) {
            assertEquals(page + 1, b.first(page));
        }
        resize(b, 64);
        for (int page = 0; page < 64; page++) {
            assertEquals(page + 1, b.first(page));
        }
        long misses = b.cache.stats().misses();
        for (int page = 0; page < 64; page++) {
            assertEquals(page + 1, b.first(page));
        }
        assertEquals(misses, b.cache.stats().misses());
        b.assertSound();
        b.cache.close();
    }

    @Test
    void aCapacityOutOfRangeIsRefusedWithTheMend() throws Exception {
        Bench b = new Bench(frames(16, 64), WritePolicy.WRITE_BACK, Bench.pages(1, 64));
        IllegalArgumentException e =
                assertThrows(IllegalArgumentException.class, () -> b.cache.resize(65L * PAGE));
        assertEquals(
                "capacity is 266240 bytes: the cache \"bench\" was opened with room for 262144; open it with a larger"
                        + " maxCapacity",
                e.getMessage());
        e = assertThrows(IllegalArgumentException.class, () -> b.cache.resize(8L * PAGE - 1));
        assertEquals("capacity is 32767 bytes: it must hold at least 8 pages of 4096", e.getMessage());
        b.cache.close();
        assertThrows(CacheClosedException.class, () -> b.cache.resize(32L * PAGE));
    }

    @Test
    void aBackEndThatCannotResizeSaysSoAndGivesUpNoPage() throws Exception {
        Bench b = new Bench(frames(64, 64), WritePolicy.WRITE_BACK, Bench.pages(1, 64));
        b.segment.fixed = true;
        b.file.read(0, MemorySegment.ofArray(new byte[64 * PAGE]));
        CacheException e = assertThrows(CacheException.class, () -> b.cache.resize(32L * PAGE));
        assertEquals(
                "the back end \"" + b.config.backend() + "\" cannot resize an open cache: close it, and open it with"
                        + " another capacity",
                e.getMessage());
        assertEquals(64L * PAGE, b.cache.capacity());
        assertEquals(64, b.cache.stats().residentFrames());
        b.cache.close();
    }

    @Test
    void theHottestPagesSurviveInTheProcesssOwnMemory() throws Exception {
        CacheConfig config = CacheConfig.of("resized", 64L * PAGE).withBackend("volatile").withMaxCapacity(128L * PAGE);
        byte[] bytes = Bench.pages(1, 128);
        try (PageCache cache = PageCache.open(config)) {
            PagedFile file = cache.map(new MemoryStore(bytes), MapOptions.DEFAULT);
            cache.resize(128L * PAGE);
            byte[] got = new byte[128 * PAGE];
            file.read(0, MemorySegment.ofArray(got));
            assertArrayEquals(bytes, got);
            assertEquals(128, cache.stats().residentFrames());
            // The last ones, whose frames go, are the hot ones.
            for (int round = 0; round < 3; round++) {
                for (int page = 104; page < 128; page++) {
                    file.pin(page).close();
                }
            }
            cache.resize(32L * PAGE);
            assertEquals(32L * PAGE, cache.capacity());
            long misses = cache.stats().misses();
            for (int page = 104; page < 128; page++) {
                try (ReadPin pin = file.pin(page)) {
                    MemorySegment stored = MemorySegment.ofArray(bytes).asSlice((long) page * PAGE, PAGE);
                    assertEquals(-1, pin.segment().mismatch(stored));
                }
            }
            assertEquals(misses, cache.stats().misses());
            file.read(0, MemorySegment.ofArray(got));
            assertArrayEquals(bytes, got);
        }
    }

    /** At every record change of a resize, what a successor of either capacity serves must be the store's. */
    @Test
    void aDeathAtAnyStepOfAResizeServesWhatTheStoreHas() throws Exception {
        byte[] bytes = Bench.pages(1, 40);
        for (int page = 0; page < 40; page++) {
            bytes[page * PAGE + 1] = 77;
        }
        CacheConfig config = frames(32, 32);
        Bench b = new Bench(config, WritePolicy.WRITE_BACK, bytes);
        b.cache.maintenance.stop();
        for (int page = 0; page < 40; page++) {
            b.first(page);
        }
        for (int page = 24; page < 32; page++) {
            try (WritePin pin = b.file.pinForWrite(page)) {
                pin.dirty(0, 1);
                pin.segment().set(ValueLayout.JAVA_BYTE, 0, (byte) 5);
            }
        }
        int[] deaths = {0};
        b.segment.step = () -> {
            deaths[0]++;
            for (int capacity : new int[] {8, 20, 32}) {
                try {
                    byte[] now = b.store.bytes();
                    Cache successor = b.segment.copy(config).attach(frames(capacity, 32));
                    PagedFile found = successor.map(new MemoryStore(b.store.id, now), MapOptions.DEFAULT);
                    byte[] served = new byte[now.length];
                    found.read(0, MemorySegment.ofArray(served));
                    assertArrayEquals(now, served);
                    assertEquals(0, successor.stats().validationFailures());
                    successor.maintenance.stop();
                    assertEquals(Set.of(), successor.problems());
                } catch (IOException e) {
                    throw new AssertionError(e);
                }
            }
        };
        for (int capacity : new int[] {20, 8, 24, 32}) {
            resize(b, capacity);
            for (int page = 39; page >= 0; page--) {
                b.first(page);
            }
        }
        b.segment.step = () -> {};
        System.out.println(deaths[0] + " deaths");
        assertTrue(deaths[0] > 200);
        b.assertSound();
        b.cache.close();
    }

    /** Readers, writers, truncates and mapping go on while the capacity changes all the time. */
    @Test
    void loadGoesOnWhileTheCapacityChanges() throws Exception {
        long seed = 64;
        System.out.println("seed " + seed);
        int pages = 300;
        Bench b = new Bench(frames(128, 256), WritePolicy.WRITE_BACK, new byte[pages * PAGE]);
        AtomicBoolean stop = new AtomicBoolean();
        AtomicLong operations = new AtomicLong();
        List<Bench.Task<Void>> tasks = new ArrayList<>();
        for (int t = 0; t < 4; t++) {
            Random random = new Random(seed + t);
            int own = t;
            byte[] expected = new byte[pages];
            tasks.add(Bench.run(() -> {
                while (!stop.get()) {
                    // Each thread has its own quarter of every page, and knows what is there.
                    int page = random.nextInt(random.nextBoolean() ? pages : pages / 6);
                    int at = own * 1024;
                    operations.incrementAndGet();
                    if (random.nextInt(3) == 0) {
                        byte value = (byte) random.nextInt();
                        b.write((long) page * PAGE + at, Bench.filled(value, 1024));
                        expected[page] = value;
                    } else if (random.nextBoolean()) {
                        assertArrayEquals(
                                Bench.filled(expected[page], 1024), b.read((long) page * PAGE + at, 1024));
                    } else {
                        long sum = b.file.read(page, (memory, offset) -> {
                            long s = 0;
                            for (int i = 0; i < 1024; i += 8) {
                                s += memory.get(ValueLayout.JAVA_LONG_UNALIGNED, offset + at + i);
                            }
                            return s;
                        });
                        assertEquals(128 * (0x0101_0101_0101_0101L * (expected[page] & 0xFF)), sum);
                    }
                }
            }));
        }
        tasks.add(Bench.run(() -> {
            while (!stop.get()) {
                b.file.force();
            }
        }));
        Random random = new Random(seed);
        int resizes = Integer.getInteger("warmcache.resizes", 60);
        for (int i = 0; i < resizes && tasks.stream().noneMatch(Bench.Task::isDone); i++) {
            int frames = 24 + random.nextInt(233);
            b.cache.resize((long) frames * PAGE);
            assertEquals((long) frames * PAGE, b.cache.capacity());
        }
        stop.set(true);
        for (Bench.Task<Void> task : tasks) {
            task.get();
        }
        System.out.println(resizes + " resizes among " + operations.get() + " operations");
        b.assertSound();
        b.cache.close();
        b.cache = b.segment.attach(frames(64, 256));
        b.map();
        byte[] served = new byte[pages * PAGE];
        b.file.read(0, MemorySegment.ofArray(served));
        assertTrue(Arrays.equals(b.store.bytes(), served));
        b.assertSound();
        b.cache.close();
    }

    @Test
    void oneResizeRunsAtATimeAndTheOthersWait() throws Exception {
        Bench b = new Bench(frames(64, 96), WritePolicy.WRITE_BACK, Bench.pages(1, 96));
        for (int page = 0; page < 64; page++) {
            b.first(page);
        }
        ReadPin pin = b.file.pin(63);
        Bench.Task<Void> shrink =
                Bench.run(() -> b.cache.resize(32L * PAGE)).awaitParked();
        Bench.Task<Void> grow = Bench.run(() -> b.cache.resize(96L * PAGE)).awaitParked();
        assertEquals(64L * PAGE, b.cache.capacity());
        pin.close();
        shrink.get();
        grow.get();
        assertEquals(96L * PAGE, b.cache.capacity());
        long seed = 77;
        System.out.println("seed " + seed);
        List<Bench.Task<Void>> all = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            Random random = new Random(seed + i);
            all.add(Bench.run(() -> {
                for (int n = 0; n < 20; n++) {
                    b.cache.resize((8L + random.nextInt(89)) * PAGE);
                    int page = random.nextInt(96);
                    assertEquals(page + 1, b.first(page));
                }
            }));
        }
        for (Bench.Task<Void> each : all) {
            each.get();
        }
        b.assertSound();
        resize(b, 96);
        for (int page = 0; page < 96; page++) {
            assertEquals(page + 1, b.first(page));
        }
        b.cache.close();
    }

    @Test
    void aCloseEndsTheResizesThatWaitForOneAnother() throws Exception {
        Bench b = new Bench(frames(64, 96), WritePolicy.WRITE_BACK, Bench.pages(1, 64));
        for (int page = 0; page < 64; page++) {
            b.first(page);
        }
        ReadPin pin = b.file.pin(63);
        List<Bench.Task<Void>> all = new ArrayList<>();
        for (int frames : new int[] {32, 96, 16}) {
            all.add(Bench.run(() -> assertThrows(
                            CacheClosedException.class, () -> b.cache.resize((long) frames * PAGE)))
                    .awaitParked());
        }
        Bench.Task<Void> close = Bench.run(() -> b.cache.close());
        for (Bench.Task<Void> each : all) {
            each.get();
        }
        pin.close();
        close.get();
        b.cache = b.segment.attach(frames(64, 96));
        b.map();
        b.assertSound();
        b.cache.close();
    }

    /** Nor is it lost, also when the resize has pages to write and to wait for. */
    @Test
    void anInterruptEndsNoResizeAndStaysPending() throws Exception {
        Bench b = new Bench(frames(64, 64), WritePolicy.WRITE_BACK, new byte[64 * PAGE]);
        for (int page = 0; page < 64; page++) {
            b.write((long) page * PAGE, Bench.filled(page + 1, PAGE));
        }
        ReadPin pin = b.file.pin(63);
        Bench.Task<Boolean> shrink = Bench.async(() -> {
                    Thread.currentThread().interrupt();
                    b.cache.resize(32L * PAGE);
                    return Thread.interrupted();
                })
                .awaitParked();
        for (int i = 0; i < 20; i++) {
            shrink.thread.interrupt();
            shrink.awaitParked();
        }
        assertFalse(shrink.isDone());
        pin.close();
        assertTrue(shrink.get(), "the interrupt is pending");
        assertEquals(32L * PAGE, b.cache.capacity());
        assertTrue(
                Bench.async(() -> {
                            Thread.currentThread().interrupt();
                            b.cache.resize(64L * PAGE);
                            return Thread.interrupted();
                        })
                        .get(),
                "the interrupt is pending");
        assertArrayEquals(Bench.pages(1, 64), b.store.bytes());
        for (int page = 0; page < 64; page++) {
            assertEquals(page + 1, b.first(page));
        }
        b.assertSound();
        b.cache.close();
    }

    @Test
    void aCloseEndsAResizeThatWaits() throws Exception {
        Bench b = new Bench(frames(64, 64), WritePolicy.WRITE_BACK, Bench.pages(1, 64));
        for (int page = 0; page < 64; page++) {
            b.first(page);
        }
        ReadPin pin = b.file.pin(63);
        Bench.Task<Void> shrink = Bench.run(
                        () -> assertThrows(CacheClosedException.class, () -> b.cache.resize(32L * PAGE)))
                .awaitParked();
        Bench.Task<Void> close = Bench.run(() -> b.cache.close());
        shrink.get();
        pin.close();
        close.get();
        b.cache = b.segment.attach(frames(64, 64));
        b.map();
        b.assertSound();
        b.cache.close();
    }
}
