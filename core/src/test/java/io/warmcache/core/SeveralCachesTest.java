/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.BusyException;
import io.warmcache.CacheClosedException;
import io.warmcache.CacheConfig;
import io.warmcache.FilePoisonedException;
import io.warmcache.MapOptions;
import io.warmcache.PageCache;
import io.warmcache.PagedFile;
import io.warmcache.ReadPin;
import io.warmcache.WritePolicy;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Several caches and files in one process: what happens to one shows in its health, and in no other's. */
class SeveralCachesTest {
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

    private static String name(String what) {
        return "several-" + ProcessHandle.current().pid() + "-" + what;
    }

    private static int first(PagedFile file, long page) throws IOException {
        byte[] one = new byte[1];
        assertEquals(1, file.read(page * PAGE, MemorySegment.ofArray(one)));
        return one[0];
    }

    private static void write(PagedFile file, long page, int value) throws IOException {
        file.write(page * PAGE, MemorySegment.ofArray(Bench.filled(value, PAGE)));
    }

    @Test
    void cachesOfOneProcessAreToldApartByNameAndClosedOneByOne() throws Exception {
        CacheConfig one = CacheConfig.of(name("one"), 16 * PAGE).withOwnerWait(Duration.ofMillis(100));
        CacheConfig two = CacheConfig.of(name("two"), 16 * PAGE).withOwnerWait(Duration.ofMillis(100));
        try {
            PageCache a = PageCache.open(one);
            PageCache b = PageCache.open(two);
            MemoryStore storeOfA = new MemoryStore(Bench.pages(1, 8));
            PagedFile fileOfA = a.map(storeOfA, MapOptions.DEFAULT);
            PagedFile fileOfB = b.map(new MemoryStore(Bench.pages(51, 8)), MapOptions.DEFAULT);
            for (int page = 0; page < 8; page++) {
                assertEquals(page + 1, first(fileOfA, page));
                assertEquals(page + 51, first(fileOfB, page));
            }
            BusyException busy = assertThrows(BusyException.class, () -> PageCache.open(one));
            assertTrue(busy.getMessage().contains(one.name()), busy.getMessage());
            a.close();
            assertThrows(CacheClosedException.class, () -> first(fileOfA, 0));
            assertEquals(List.of("the cache is closed"), a.health().problems());
            assertTrue(b.health().healthy(), b.health().toString());
            write(fileOfB, 3, 99);
            assertEquals(99, first(fileOfB, 3));
            assertEquals(51, first(fileOfB, 0));
            PageCache again = PageCache.open(one);
            assertTrue(again.recovery().warm(), again.recovery().coldReason());
            assertEquals(8, again.recovery().kept());
            again.close();
            b.close();
        } finally {
            PageCache.drop(one);
            PageCache.drop(two);
        }
    }

    @Test
    void aStoreThatFailsDegradesItsFileAlone() throws Exception {
        Bench bad = new Bench(Bench.patient(32), WritePolicy.WRITE_BACK, Bench.pages(1, 8));
        Bench other = new Bench(Bench.patient(32), WritePolicy.WRITE_BACK, Bench.pages(1, 8));
        MemoryStore sound = new MemoryStore(Bench.pages(51, 8));
        PagedFile neighbour = bad.cache.map(sound, MapOptions.DEFAULT.withPolicy(WritePolicy.WRITE_BACK));
        bad.fail("write");
        bad.write(0, Bench.filled(9, PAGE));
        write(neighbour, 0, 9);
        assertThrows(IOException.class, bad.file::flush);
        assertThrows(IOException.class, bad.cache::flush);
        assertEquals(1, bad.cache.health().problems().size(), bad.cache.health().toString());
        String problem = bad.cache.health().problems().get(0);
        assertTrue(problem.contains(bad.store.name()) && problem.contains("injected at write"), problem);
        assertEquals(9, sound.bytes()[0], "the other file was written by the same flush");
        assertEquals(9, bad.first(0));
        neighbour.force();
        assertTrue(other.cache.health().healthy());
        other.write(0, Bench.filled(7, PAGE));
        other.file.force();
        assertEquals(7, other.store.bytes()[0]);

        bad.fail("");
        bad.file.flush();
        assertEquals(9, bad.store.bytes()[0]);
        assertTrue(bad.cache.health().healthy(), bad.cache.health().toString());
        bad.cache.close();
        other.cache.close();
    }

    @Test
    void aStoreThatCannotBeReadFailsItsOwnReadersAlone() throws Exception {
        Bench bad = new Bench(Bench.patient(32), WritePolicy.WRITE_BACK, Bench.pages(1, 8));
        PagedFile neighbour = bad.cache.map(new MemoryStore(Bench.pages(51, 8)), MapOptions.DEFAULT);
        assertEquals(1, bad.first(0));
        bad.fail("read");
        assertThrows(IOException.class, () -> bad.first(1));
        assertEquals(1, bad.first(0), "what is in memory is served on");
        assertEquals(52, first(neighbour, 1));
        bad.fail("");
        assertEquals(2, bad.first(1));
        bad.assertSound();
        bad.cache.close();
    }

    @Test
    void aForceThatFailedPoisonsItsFileAloneAndMappingItAgainMendsThat() throws Exception {
        Bench bad = new Bench(Bench.patient(8), WritePolicy.WRITE_BACK, Bench.pages(1, 40));
        Bench other = new Bench(Bench.patient(8), WritePolicy.WRITE_BACK, Bench.pages(1, 40));
        MemoryStore sound = new MemoryStore(Bench.pages(51, 8));
        PagedFile neighbour = bad.cache.map(sound, MapOptions.DEFAULT.withPolicy(WritePolicy.WRITE_BACK));
        bad.write(0, Bench.filled(9, PAGE));
        bad.file.flush();
        List<ReadPin> pins = new ArrayList<>();
        for (long page = 1; bad.state(0) != TranslationWord.EMPTY; page++) {
            pins.add(bad.file.pin(page)); // until the page written has to give way
        }
        pins.forEach(ReadPin::close);
        bad.fail("force");
        assertThrows(IOException.class, bad.file::force);
        assertThrows(FilePoisonedException.class, () -> bad.first(0));
        assertEquals(1, bad.cache.health().problems().size(), bad.cache.health().toString());
        String problem = bad.cache.health().problems().get(0);
        assertTrue(problem.contains(bad.store.name()) && problem.contains("poisoned"), problem);
        write(neighbour, 2, 77);
        neighbour.force();
        assertEquals(77, sound.bytes()[2 * PAGE]);
        assertTrue(other.cache.health().healthy());
        other.file.force();

        bad.fail("");
        bad.file.close();
        bad.map();
        assertEquals(9, bad.first(0));
        assertTrue(bad.cache.health().healthy(), bad.cache.health().toString());
        bad.cache.close();
        other.cache.close();
    }

    @Test
    void aDeadBackgroundThreadShowsInItsCacheAloneAndNothingElseStops() throws Exception {
        Bench bad = new Bench(Bench.patient(16), WritePolicy.WRITE_BACK, Bench.pages(1, 40));
        Bench other = new Bench(Bench.patient(16), WritePolicy.WRITE_BACK, Bench.pages(1, 40));
        bad.cache.maintenance.stop(); // as if it had died: the cache is not closing
        assertEquals(
                List.of("the background thread has died: reopen the cache"), bad.cache.health().problems());
        assertFalse(bad.cache.health().healthy());
        assertTrue(other.cache.health().healthy());
        for (int page = 0; page < 40; page++) {
            bad.write((long) page * PAGE, Bench.filled(page + 60, PAGE)); // evicting, with write-back by the writer
        }
        bad.file.force();
        assertArrayEquals(Bench.pages(60, 40), bad.store.bytes());
        bad.assertSound();
        bad.cache.close();
        bad.cache = bad.segment.attach(bad.config);
        assertTrue(bad.cache.health().healthy());
        assertTrue(bad.cache.recovery().kept() > 0);
        bad.cache.close();
        other.cache.close();
    }

    @Test
    void aFailureInTheBackgroundIsTheFilesOwn() throws Exception {
        Bench bad = new Bench(Bench.patient(16), WritePolicy.WRITE_BACK, Bench.pages(1, 8));
        MemoryStore sound = new MemoryStore(Bench.pages(51, 8));
        PagedFile neighbour = bad.cache.map(sound, MapOptions.DEFAULT.withPolicy(WritePolicy.WRITE_BACK));
        bad.fail("write");
        bad.write(0, Bench.filled(9, PAGE));
        write(neighbour, 0, 9);
        Bench.awaitThat("the background flush to fail", () -> !bad.cache.health().healthy());
        Bench.awaitThat("the other file's flush", () -> sound.bytes()[0] == 9);
        assertEquals(1, bad.cache.health().problems().size(), bad.cache.health().toString());
        bad.fail("");
        Bench.awaitThat("the background flush to succeed", () -> bad.cache.health().healthy());
        assertEquals(9, bad.store.bytes()[0]);
        bad.cache.close();
    }
}
