/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.CacheConfig;
import io.warmcache.FilePoisonedException;
import io.warmcache.WritePin;
import io.warmcache.WritePolicy;
import io.warmcache.spi.FrameRecord;
import io.warmcache.spi.FrameState;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Map;
import java.util.function.Consumer;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A wild write hits the record of a page, whatever is done with the page next: no caller sees more than its data. */
class DamagedRecordTest {
    private static final int PAGE = 8192;
    private static final int PAGES = 12;

    /** Held, since a logger that nobody holds forgets its level. */
    private static final Logger LOG = Logger.getLogger("io.warmcache");

    @BeforeAll
    static void logNoInjectedDamage() {
        LOG.setLevel(Level.OFF);
    }

    @AfterAll
    static void logAgain() {
        LOG.setLevel(null);
    }

    private final byte[] expected = Bench.pages(1, PAGES * PAGE / 4096);

    private Bench bench(WritePolicy policy, boolean paranoid) throws IOException {
        CacheConfig config = Bench.patient(2 * (PAGES + 4))
                .withPageSize(PAGE)
                .withOptions(Map.of("core.maintenance", "off", "core.paranoid", paranoid ? "on" : "off"));
        return new Bench(config, policy, expected.clone());
    }

    private static FrameRecord record(Bench b, long page) {
        return b.segment.records[TranslationWord.frame(b.word(page))];
    }

    /** What a wild write may leave of a record. */
    private static final Map<String, Consumer<FrameRecord>> DAMAGES = Map.of(
            "another page", r -> r.page = 77,
            "another file", r -> r.fileId = 99,
            "another state", r -> r.state = FrameState.CLEAN);

    private void store(WritePin pin, int offset, int value) {
        pin.dirty(offset, 8);
        pin.segment().set(ValueLayout.JAVA_LONG_UNALIGNED, offset, value);
        MemorySegment.ofArray(expected).set(ValueLayout.JAVA_LONG_UNALIGNED, pin.page() * PAGE + offset, value);
    }

    private void assertServedAndStored(Bench b) throws IOException {
        assertArrayEquals(expected, b.read(0, expected.length));
        b.file.force();
        assertArrayEquals(expected, b.store.bytes());
        assertArrayEquals(expected, b.read(0, expected.length));
        b.assertSound();
        b.die();
        assertArrayEquals(expected, b.read(0, expected.length));
        b.cache.close();
    }

    private static void damageBytes(Bench b, long page, int offset) {
        long at = TranslationWord.frame(b.word(page)) * (long) PAGE + offset;
        b.segment.memory.set(ValueLayout.JAVA_BYTE, at, (byte) ~b.segment.memory.get(ValueLayout.JAVA_BYTE, at));
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void ofACleanPageThatIsChanged(boolean paranoid) throws Exception {
        for (WritePolicy policy : WritePolicy.values()) {
            Bench b = bench(policy, paranoid);
            b.read(0, expected.length);
            record(b, 1).page = 77;
            record(b, 2).fileId = 99;
            damageBytes(b, 2, 5000);
            for (int page = 1; page <= 2; page++) {
                try (WritePin pin = b.file.pinForWrite(page)) {
                    store(pin, 100, 7 + page);
                }
            }
            assertEquals(2, b.cache.stats().validationFailures());
            assertServedAndStored(b);
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void ofADirtyPageThatIsChangedElsewhere(boolean paranoid) throws Exception {
        Bench b = bench(WritePolicy.WRITE_BACK, paranoid);
        try (WritePin pin = b.file.pinForWrite(3)) {
            store(pin, 0, 5);
        }
        record(b, 3).page = 77;
        damageBytes(b, 3, 5000);
        try (WritePin pin = b.file.pinForWrite(3)) {
            store(pin, 4096 + 100, 6);
            store(pin, 8, 8);
        }
        assertServedAndStored(b);
    }

    @Test
    void ofADirtyPageWhoseNextChangeIsTakenBack() throws Exception {
        Bench b = bench(WritePolicy.WRITE_BACK, false);
        try (WritePin pin = b.file.pinForWrite(3)) {
            store(pin, 0, 5);
        }
        record(b, 3).page = 77;
        WritePin pin = b.file.pinForWrite(3);
        pin.dirty(0, PAGE);
        pin.segment().fill((byte) 99);
        pin.abort();
        assertServedAndStored(b);
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void beforeAWriteThroughEnds(boolean paranoid) throws Exception {
        for (Consumer<FrameRecord> damage : DAMAGES.values()) {
            Bench b = bench(WritePolicy.WRITE_THROUGH, paranoid);
            try (WritePin pin = b.file.pinForWrite(4)) {
                store(pin, 100, 9);
                damage.accept(record(b, 4));
            }
            assertArrayEquals(expected, b.store.bytes());
            assertServedAndStored(b);
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void beforeAWriteThroughOfSeveralPagesEnds(boolean paranoid) throws Exception {
        Bench b = bench(WritePolicy.WRITE_THROUGH, paranoid);
        b.read(0, expected.length);
        int[] steps = {0};
        b.segment.step = () -> {
            if (++steps[0] == 3) { // pages 1 and 2 are announced, 3 is about to be
                record(b, 1).page = 77;
                record(b, 2).state = FrameState.WRITTEN;
            }
        };
        byte[] change = Bench.filled(55, 2 * PAGE);
        b.write(PAGE + 100, change);
        b.segment.step = () -> {};
        assertTrue(steps[0] >= 3, "the damage was done");
        System.arraycopy(change, 0, expected, PAGE + 100, change.length);
        assertArrayEquals(expected, b.store.bytes());
        assertServedAndStored(b);
    }

    /** The generation is part of each checksum that a paranoid write compares; without it nobody would notice. */
    @Test
    void inItsGenerationAlone() throws Exception {
        Bench b = bench(WritePolicy.WRITE_BACK, true);
        try (WritePin pin = b.file.pinForWrite(5)) {
            store(pin, 100, 9);
        }
        record(b, 5).generation ^= 0x40;
        b.file.flush();
        assertArrayEquals(expected, b.store.bytes());
        assertServedAndStored(b);
    }

    @Test
    void andItsChangesAsWellIsTold() throws Exception {
        Bench b = bench(WritePolicy.WRITE_BACK, true);
        for (int page = 5; page <= 7; page++) {
            try (WritePin pin = b.file.pinForWrite(page)) {
                pin.dirty(100, 8);
                pin.segment().set(ValueLayout.JAVA_LONG_UNALIGNED, 100, page);
            }
        }
        record(b, 6).page = 77;
        damageBytes(b, 6, 105);
        IOException told = assertThrows(IOException.class, b.file::flush);
        assertTrue(told.getMessage().contains("page 6 of"), told.getMessage());
        assertThrows(FilePoisonedException.class, () -> b.file.pin(6));
        for (int page : new int[] {5, 7}) {
            MemorySegment.ofArray(expected).set(ValueLayout.JAVA_LONG_UNALIGNED, page * (long) PAGE + 100, page);
        }
        assertArrayEquals(expected, b.store.bytes());
        b.file.close();
        b.map();
        assertServedAndStored(b);
    }

    @Test
    void ofThePageThatATruncateCuts() throws Exception {
        Bench b = bench(WritePolicy.WRITE_BACK, false);
        b.read(0, expected.length);
        record(b, 10).page = 77;
        b.file.truncate(10 * PAGE + 5000);
        cut(b, 10 * PAGE + 5000);
    }

    @Test
    void ofThePageThatATruncateCutsWhileItDoes() throws Exception {
        Bench b = bench(WritePolicy.WRITE_BACK, false);
        b.read(0, expected.length);
        FrameRecord boundary = record(b, 10);
        boolean[] marked = {false};
        b.segment.step = () -> {
            if (boundary.state == FrameState.DIRTY && !marked[0]) {
                marked[0] = true;
                boundary.page = 77;
            }
        };
        b.file.truncate(10 * PAGE + 5000);
        b.segment.step = () -> {};
        assertTrue(marked[0], "the damage was done");
        cut(b, 10 * PAGE + 5000);
    }

    private void cut(Bench b, int size) throws IOException {
        byte[] kept = java.util.Arrays.copyOf(expected, size);
        assertArrayEquals(kept, b.read(0, expected.length));
        b.file.truncate(expected.length);
        assertArrayEquals(java.util.Arrays.copyOf(kept, expected.length), b.read(0, expected.length));
        assertArrayEquals(java.util.Arrays.copyOf(kept, expected.length), b.store.bytes());
        b.assertSound();
        b.cache.close();
    }

    @Test
    void ofAPageThatAResizeMoves() throws Exception {
        Bench b = bench(WritePolicy.WRITE_BACK, false);
        b.read(0, expected.length);
        int damaged = 0;
        for (int page = 0; page < PAGES; page++) {
            if (TranslationWord.frame(b.word(page)) >= 8) {
                record(b, page).state = FrameState.DIRTY;
                damaged++;
            }
        }
        assertTrue(damaged > 0, "frames are to be moved or dropped");
        b.cache.resize(8L * PAGE);
        assertServedAndStored(b);
    }
}
