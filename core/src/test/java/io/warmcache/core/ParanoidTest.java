/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static io.warmcache.core.Bench.filled;
import static io.warmcache.core.Bench.pages;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.FilePoisonedException;
import io.warmcache.WritePin;
import io.warmcache.WritePolicy;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.ValueLayout;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** The option {@code core.paranoid}: nothing reaches a store that no writer stored. */
class ParanoidTest {
    /** Held, since a logger that nobody holds forgets its level. */
    private static final Logger LOG = Logger.getLogger("io.warmcache");

    @BeforeEach
    void logNoInjectedDamage() {
        LOG.setLevel(Level.OFF);
    }

    @AfterEach
    void logAgain() {
        LOG.setLevel(null);
    }

    private static Bench bench(WritePolicy policy, boolean paranoid, boolean maintenance) throws IOException {
        return new Bench(
                Bench.patient(32)
                        .withPageSize(8192)
                        .withOptions(Map.of(
                                "core.maintenance", maintenance ? "on" : "off",
                                "core.paranoid", paranoid ? "on" : "off")),
                policy,
                pages(1, 16));
    }

    private static int frame(Bench bench, long page) {
        return TranslationWord.frame(bench.word(page));
    }

    private static void damage(Bench bench, long page, int offset) {
        long at = frame(bench, page) * 8192L + offset;
        byte was = bench.segment.memory.get(ValueLayout.JAVA_BYTE, at);
        bench.segment.memory.set(ValueLayout.JAVA_BYTE, at, (byte) (was ^ 0x10));
    }

    @Test
    void changesDamagedBeforeTheyAreWrittenAreRefusedAndTold() throws Exception {
        Bench bench = bench(WritePolicy.WRITE_BACK, true, false);
        bench.write(0, filled(50, 8192));
        bench.write(8192, filled(51, 8192));
        bench.write(3 * 8192, filled(53, 8192));
        damage(bench, 1, 5000);
        byte[] before = bench.store.bytes().clone();
        IOException told = assertThrows(IOException.class, bench.file::flush);
        assertTrue(told.getMessage().contains("page 1 of"), told.getMessage());
        byte[] after = bench.store.bytes();
        assertEquals(before[8192 + 5000], after[8192 + 5000], "the damaged page was not written");
        assertEquals(before[8192], after[8192], "no part of it was");
        assertEquals(50, after[0], "the others were");
        assertEquals(53, after[3 * 8192], "the others were");
        FilePoisonedException poisoned = assertThrows(FilePoisonedException.class, () -> bench.file.pin(1));
        assertTrue(poisoned.getMessage().contains("damaged in memory"), poisoned.getMessage());
        assertFalse(bench.cache.health().healthy());
        bench.file.close();
        bench.map();
        assertEquals(before[8192], bench.read(8192, 1)[0], "mapped again, it is what the store has");
        assertEquals(53, bench.read(3 * 8192, 1)[0]);
        bench.assertSound();
        bench.cache.close();
    }

    /** Where the page of a frame is was read piece by piece: page and leaf may be those of two pages. */
    @Test
    void aLookAtAPageThatWasGuessedWrongLeavesTheOtherAlone() throws Exception {
        int far = RadixIndex.LEAF_SLOTS; // the same slot of the next leaf
        Bench bench = new Bench(
                Bench.patient(32).withPageSize(8192).withOptions(
                        Map.of("core.maintenance", "off", "core.paranoid", "on")),
                WritePolicy.WRITE_BACK,
                pages(1, 4 * far));
        bench.read(8192, 1);
        bench.read((far + 1) * 8192L, 1);
        CachedFile file = bench.inside();
        long[] other = Objects.requireNonNull(file.index.leaf(far + 1));
        for (long guessed : new long[] {1, far + 1}) {
            file.writeBack.verify(other, 1, frame(bench, guessed));
            assertEquals(TranslationWord.RESIDENT, TranslationWord.state(bench.word(far + 1)));
            assertFalse(TranslationWord.isFlushing(bench.word(far + 1)));
        }
        assertEquals(0, bench.cache.stats().validationFailures());
        file.writeBack.verify(other, far + 1, frame(bench, far + 1));
        assertEquals(0, bench.cache.stats().validationFailures());
        damage(bench, far + 1, 100);
        file.writeBack.verify(other, far + 1, frame(bench, far + 1));
        assertEquals(1, bench.cache.stats().validationFailures());
        bench.assertSound();
        bench.cache.close();
    }

    @Test
    void withoutTheOptionDamageIsWritten() throws Exception {
        Bench bench = bench(WritePolicy.WRITE_BACK, false, false);
        bench.write(8192, filled(51, 8192));
        damage(bench, 1, 5000);
        bench.file.flush();
        assertEquals(51 ^ 0x10, bench.store.bytes()[8192 + 5000]);
        bench.cache.close();
    }

    @Test
    void aFurtherChangeOfADamagedBlockIsRefused() throws Exception {
        Bench bench = bench(WritePolicy.WRITE_BACK, true, false);
        bench.write(8192, filled(51, 8192));
        damage(bench, 1, 100);
        WritePin pin = bench.file.pinForWrite(1);
        assertThrows(UncheckedIOException.class, () -> pin.dirty(0, 10));
        assertThrows(FilePoisonedException.class, () -> bench.file.pinForWrite(1));
        bench.file.close();
        bench.cache.close();
    }

    @Test
    void aWrittenBlockMayBeChangedAgainAndAnAbortKeepsWhatWasThere() throws Exception {
        Random random = new Random(7);
        for (WritePolicy policy : WritePolicy.values()) {
            Bench bench = bench(policy, true, false);
            byte[] expected = bench.store.bytes().clone();
            for (int i = 0; i < 2000; i++) {
                int page = random.nextInt(8);
                int offset = random.nextInt(8192);
                int length = 1 + random.nextInt(8192 - offset);
                byte value = (byte) random.nextInt();
                if (random.nextInt(4) == 0) {
                    bench.write(page * 8192L + offset, filled(value, length));
                } else {
                    boolean abort = random.nextInt(4) == 0;
                    WritePin pin = bench.file.pinForWrite(page);
                    pin.dirty(offset, length);
                    pin.segment().asSlice(offset, length).fill(value);
                    if (abort) {
                        pin.abort();
                        continue;
                    }
                    pin.close();
                }
                java.util.Arrays.fill(expected, page * 8192 + offset, page * 8192 + offset + length, value);
                if (random.nextInt(20) == 0) {
                    bench.file.flush();
                }
            }
            bench.file.force();
            org.junit.jupiter.api.Assertions.assertArrayEquals(expected, bench.store.bytes());
            bench.assertSound();
            bench.cache.close();
        }
    }

    @Test
    void damagedCleanPagesAreFoundWithoutATouch() throws Exception {
        Bench bench = bench(WritePolicy.WRITE_THROUGH, true, true);
        var _ = bench.read(2 * 8192, 1);
        int frame = frame(bench, 2);
        damage(bench, 2, 5000);
        Bench.awaitThat("dropped", () -> bench.state(2) == TranslationWord.EMPTY || frame(bench, 2) != frame);
        assertEquals(bench.store.bytes()[2 * 8192 + 5000], bench.read(2 * 8192 + 5000, 1)[0]);
        assertEquals(1, bench.cache.stats().validationFailures());
        bench.cache.close();
    }
}
