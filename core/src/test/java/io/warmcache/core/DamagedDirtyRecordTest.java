/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.CacheConfig;
import io.warmcache.CacheException;
import io.warmcache.ReadPin;
import io.warmcache.WritePin;
import io.warmcache.WritePolicy;
import io.warmcache.spi.FrameRecord;
import io.warmcache.spi.FrameState;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.Map;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** A wild write hits the record of a page with changes that no store has yet. */
class DamagedDirtyRecordTest {
    private static final int PAGE = 8192;
    private static final int PAGES = 12;

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

    private static Bench bench(byte[] stored) throws Exception {
        CacheConfig config = CacheConfig.of("damaged", 16L * PAGE)
                .withPageSize(PAGE)
                .withLatchTimeout(Duration.ofMillis(50))
                .withOptions(Map.of("core.maintenance", "off"));
        return new Bench(config, WritePolicy.WRITE_BACK, stored);
    }

    /** The first block of each page but one; the second blocks stay as they are in the store. */
    private static byte[] change(Bench b, byte[] stored) throws Exception {
        byte[] expected = stored.clone();
        for (int page = 0; page < PAGES; page++) {
            if (page == 8) {
                continue; // two runs
            }
            try (WritePin pin = b.file.pinForWrite(page)) {
                pin.dirty(100, 8);
                pin.segment().set(ValueLayout.JAVA_LONG_UNALIGNED, 100, -page - 1L);
            }
            MemorySegment.ofArray(expected).set(ValueLayout.JAVA_LONG_UNALIGNED, page * (long) PAGE + 100, -page - 1L);
        }
        return expected;
    }

    private static int frameOf(Bench b, long page) {
        for (int frame = 0; frame < b.segment.records.length; frame++) {
            FrameRecord record = b.segment.records[frame];
            if (record.state == FrameState.DIRTY && record.page == page) {
                return frame;
            }
        }
        throw new AssertionError("page " + page + " is in no dirty frame");
    }

    private static FrameRecord recordOf(Bench b, long page) {
        return b.segment.records[frameOf(b, page)];
    }

    private static boolean saysUnwritten(Bench b) {
        return b.cache.health().problems().stream().anyMatch(problem -> problem.contains("could not be written"));
    }

    private static void assertServed(Bench b, byte[] expected) throws Exception {
        byte[] got = new byte[expected.length];
        b.file.read(0, MemorySegment.ofArray(got));
        assertArrayEquals(expected, got);
    }

    @Test
    void theChangesReachTheStoreAndWhatNoChecksumProvesIsReadAgain() throws Exception {
        byte[] stored = Bench.pages(1, PAGES * PAGE / 4096);
        Bench b = bench(stored);
        byte[] expected = change(b, stored);
        // The wild write went on into a block of the frame that is not dirty.
        long wild = frameOf(b, 5) * (long) PAGE + 5000;
        b.segment.memory.set(ValueLayout.JAVA_BYTE, wild, (byte) ~b.segment.memory.get(ValueLayout.JAVA_BYTE, wild));
        recordOf(b, 0).page = 77;
        recordOf(b, 5).fileId = 99;
        recordOf(b, 6).state = FrameState.CLEAN;
        recordOf(b, 11).state = FrameState.FREE;
        b.file.flush();
        assertArrayEquals(expected, b.store.bytes());
        assertServed(b, expected);
        assertEquals(4, b.cache.stats().validationFailures());
        assertEquals(0, b.cache.stats().dirtyBlocks());
        assertFalse(saysUnwritten(b), () -> b.cache.health().toString());
        b.file.force();
        b.assertSound();
        b.cache.close();
    }

    @Test
    void aPageInUseKeepsNoOtherFromItsStoreAndIsNamed() throws Exception {
        byte[] stored = Bench.pages(1, PAGES * PAGE / 4096);
        Bench b = bench(stored);
        byte[] expected = change(b, stored);
        recordOf(b, 5).page = 77;
        byte[] withoutIt = expected.clone();
        System.arraycopy(stored, 5 * PAGE, withoutIt, 5 * PAGE, PAGE);
        try (ReadPin pin = b.file.pin(5)) {
            CacheException e = assertThrows(CacheException.class, () -> b.file.flush());
            assertTrue(e.getMessage().contains("page 5 of ") && e.getMessage().contains("Close pins"), e.getMessage());
            assertArrayEquals(withoutIt, b.store.bytes());
            assertTrue(saysUnwritten(b), () -> b.cache.health().toString());
            assertThrows(CacheException.class, () -> b.file.force());
            assertServed(b, expected);
            assertEquals(5, pin.page());
        }
        b.file.force();
        assertArrayEquals(expected, b.store.bytes());
        assertFalse(saysUnwritten(b), () -> b.cache.health().toString());
        b.assertSound();
        b.cache.close();
    }
}
