/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static io.warmcache.core.Bench.filled;
import static io.warmcache.core.Bench.pages;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.FilePoisonedException;
import io.warmcache.MapOptions;
import io.warmcache.PagedFile;
import io.warmcache.ReadPin;
import io.warmcache.WritePin;
import io.warmcache.WritePolicy;
import io.warmcache.spi.FrameRecord;
import io.warmcache.spi.FrameState;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What a force makes of the ledger, and what is left when it fails. */
class ForceFailureTest {
    private static FrameState recorded(Bench bench, long page) {
        FrameRecord record = new FrameRecord();
        assertTrue(bench.cache.backend.readRecord(TranslationWord.frame(bench.word(page)), record));
        return record.state;
    }

    /** Pins other pages until this one has to give way. */
    private static void evict(Bench bench, long page) {
        List<ReadPin> pins = new ArrayList<>();
        for (long other = 0; bench.state(page) != TranslationWord.EMPTY; other++) {
            if (other != page) {
                pins.add(bench.file.pin(other));
            }
        }
        pins.forEach(ReadPin::close);
    }

    private static void failedForce(Bench bench) {
        bench.fail("force");
        IOException failure = assertThrows(IOException.class, bench.file::force);
        assertEquals("injected at force 0", failure.getMessage());
        bench.fail("");
    }

    @ParameterizedTest
    @EnumSource(WritePolicy.class)
    void whatIsInMemoryIsWrittenAgain(WritePolicy policy) throws Exception {
        Bench bench = new Bench(Bench.small(32), policy, pages(1, 8));
        bench.write(4096, filled(9, 2 * 4096));
        bench.file.flush();
        assertEquals(FrameState.WRITTEN, recorded(bench, 1));
        failedForce(bench);
        assertEquals(FrameState.DIRTY, recorded(bench, 1));
        assertEquals(2, bench.cache.stats().dirtyPages());
        assertFalse(bench.cache.health().healthy());
        bench.store.write(4096, MemorySegment.ofArray(filled(0, 2 * 4096))); // what the kernel may have lost
        bench.file.force();
        assertEquals(9, bench.store.bytes()[4096]);
        assertEquals(9, bench.store.bytes()[3 * 4096 - 1]);
        assertEquals(FrameState.CLEAN, recorded(bench, 1));
        assertTrue(bench.cache.health().healthy());
        bench.assertSound();
        bench.cache.close();
    }

    private static Bench unattended() throws IOException {
        return new Bench(
                Bench.patient(32).withOptions(Map.of("core.maintenance", "off")), WritePolicy.WRITE_BACK, pages(1, 8));
    }

    private static void assertWrittenAgain(Bench bench, long page) throws Exception {
        assertEquals(FrameState.DIRTY, recorded(bench, page));
        bench.store.hook = (operation, position, length) -> {};
        bench.store.write(page << 12, MemorySegment.ofArray(filled(0, 4096))); // what the kernel may have lost
        bench.file.force();
        assertEquals(9, bench.store.bytes()[(int) page << 12]);
        assertEquals(FrameState.CLEAN, recorded(bench, page));
        bench.assertSound();
        bench.cache.close();
    }

    /** The kernel may have tried to make it durable with the rest, failed, and told of it that once. */
    @Test
    void whatIsWrittenWhileAForceIsFailingIsWrittenAgain() throws Exception {
        Bench bench = unattended();
        bench.write(4096, filled(9, 4096));
        bench.store.hook = (operation, position, length) -> {
            if (operation.equals("force")) {
                bench.write(2 * 4096, filled(9, 4096));
                bench.file.flush();
                throw new IOException("injected at force");
            }
        };
        assertThrows(IOException.class, bench.file::force);
        assertWrittenAgain(bench, 2);
    }

    @Test
    void aWriteThatEndsBehindAForceThatFailedIsDoneAgain() throws Exception {
        Bench bench = unattended();
        bench.write(4096, filled(9, 4096));
        CountDownLatch reached = new CountDownLatch(1);
        CountDownLatch opened = new CountDownLatch(1);
        AtomicReference<Bench.Task<Void>> flush = new AtomicReference<>();
        bench.store.hook = (operation, position, length) -> {
            if (operation.equals("force")) {
                bench.write(2 * 4096, filled(9, 4096));
                flush.set(Bench.run(bench.file::flush));
                await(reached);
                throw new IOException("injected at force");
            } else if (operation.equals("write") && position == 2 * 4096) {
                reached.countDown();
                await(opened);
            }
        };
        assertThrows(IOException.class, bench.file::force);
        opened.countDown();
        flush.get().get();
        assertWrittenAgain(bench, 2);
    }

    private static void await(CountDownLatch latch) {
        try {
            assertTrue(latch.await(60, TimeUnit.SECONDS));
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    @Test
    void aPageThatLeftTheMemoryPoisonsTheFileAlone() throws Exception {
        Bench bench = new Bench(Bench.small(8), WritePolicy.WRITE_THROUGH, pages(1, 32));
        MemoryStore otherStore = new MemoryStore(pages(1, 4));
        PagedFile other = bench.cache.map(otherStore, MapOptions.DEFAULT.withPolicy(WritePolicy.WRITE_BACK));
        bench.write(0, filled(9, 10));
        evict(bench, 0);
        failedForce(bench);
        assertPoisoned(bench);
        other.write(0, MemorySegment.ofArray(filled(7, 10)));
        assertThrows(FilePoisonedException.class, bench.cache::flush);
        assertEquals(7, otherStore.bytes()[0]);
        other.force();
        assertFalse(bench.cache.health().healthy());
        bench.file.close();
        bench.assertSound();
        bench.map();
        assertEquals(9, bench.first(0));
        assertTrue(bench.cache.health().healthy());
        bench.file.force();
        bench.assertSound();
        bench.cache.close();
    }

    private static void assertPoisoned(Bench bench) {
        PagedFile file = bench.file;
        MemorySegment bytes = MemorySegment.ofArray(new byte[10]);
        assertThrows(FilePoisonedException.class, () -> file.read(0, bytes));
        assertThrows(FilePoisonedException.class, () -> file.write(0, bytes));
        assertThrows(FilePoisonedException.class, () -> file.pin(0));
        assertThrows(FilePoisonedException.class, () -> file.pinForWrite(0));
        assertThrows(FilePoisonedException.class, () -> file.truncate(0));
        assertThrows(FilePoisonedException.class, file::flush);
        FilePoisonedException poisoned = assertThrows(FilePoisonedException.class, file::force);
        assertEquals("injected at force 0", poisoned.getCause().getMessage());
    }

    /** It was read from a store that may have lost the write before the force said so. */
    @Test
    void aPageThatLeftTheMemoryAndCameBackPoisonsTheFile() throws Exception {
        Bench bench = new Bench(Bench.small(8), WritePolicy.WRITE_THROUGH, pages(1, 32));
        bench.write(0, filled(9, 10));
        evict(bench, 0);
        assertEquals(9, bench.first(0));
        assertEquals(FrameState.WRITTEN, recorded(bench, 0));
        failedForce(bench);
        assertPoisoned(bench);
        bench.cache.close();
    }

    @Test
    void aGoodForceForgetsWhatLeftTheMemoryBefore() throws Exception {
        Bench bench = new Bench(Bench.small(8), WritePolicy.WRITE_THROUGH, pages(1, 32));
        bench.write(0, filled(9, 10));
        evict(bench, 0);
        bench.first(0);
        bench.file.force();
        assertEquals(FrameState.CLEAN, recorded(bench, 0));
        bench.write(0, filled(10, 10));
        failedForce(bench);
        assertEquals(10, bench.first(0));
        bench.file.force();
        bench.assertSound();
        bench.cache.close();
    }

    @Test
    void aPageCutOffMeanwhileIsNotMissed() throws Exception {
        Bench bench = new Bench(Bench.small(8), WritePolicy.WRITE_THROUGH, pages(1, 32));
        bench.write(31 * 4096, filled(9, 10));
        evict(bench, 31);
        bench.file.truncate(31 * 4096);
        failedForce(bench);
        assertEquals(1, bench.first(0));
        bench.assertSound();
        bench.cache.close();
    }

    /** A pin keeps the page from being made dirty again; there must be no half of it. */
    @Test
    void aPinThatOutlastsTheLatchTimeoutPoisonsTheFile() throws Exception {
        Bench bench = new Bench(Bench.small(8), WritePolicy.WRITE_THROUGH, pages(1, 4));
        bench.write(0, filled(9, 10));
        ReadPin pin = bench.file.pin(0);
        failedForce(bench);
        assertPoisoned(bench);
        pin.close();
        bench.file.close();
        bench.assertSound();
        bench.cache.close();
    }

    @Test
    void aWriteThatEndsDuringTheForceIsNotCalledForced() throws Exception {
        Bench bench = new Bench(Bench.patient(8), WritePolicy.WRITE_THROUGH, pages(1, 4));
        bench.write(0, filled(9, 10));
        bench.write(4096, filled(9, 10));
        Bench.Gate gate = bench.new Gate("force");
        var forcing = Bench.run(bench.file::force);
        gate.awaitReached();
        bench.write(0, filled(10, 10));
        WritePin open = bench.file.pinForWrite(2);
        gate.open();
        forcing.get();
        open.close();
        assertEquals(FrameState.WRITTEN, recorded(bench, 0));
        assertEquals(FrameState.CLEAN, recorded(bench, 1));
        bench.file.force();
        assertEquals(FrameState.CLEAN, recorded(bench, 0));
        bench.assertSound();
        bench.cache.close();
    }

    @Test
    void whatIsReadDuringAForceIsNotCalledForced() throws Exception {
        Bench bench = new Bench(Bench.patient(8), WritePolicy.WRITE_THROUGH, pages(1, 32));
        bench.write(0, filled(9, 10));
        evict(bench, 0);
        Bench.Gate gate = bench.new Gate("force");
        var forcing = Bench.run(bench.file::force);
        gate.awaitReached();
        assertEquals(9, bench.first(0));
        assertEquals(FrameState.WRITTEN, recorded(bench, 0));
        gate.open();
        forcing.get();
        assertEquals(FrameState.CLEAN, recorded(bench, 0));
        bench.cache.close();
    }

    /** After an operating system's death the store may be as it was before the truncate. */
    @Test
    void whatIsReadBehindATruncateIsWrittenUntilItIsForced() throws Exception {
        Bench bench = new Bench(Bench.patient(16), WritePolicy.WRITE_THROUGH, pages(1, 6));
        bench.file.force();
        bench.file.truncate(4096 + 100);
        bench.file.truncate(6 * 4096);
        bench.first(0);
        bench.first(1);
        bench.first(4);
        assertEquals(FrameState.CLEAN, recorded(bench, 0));
        assertEquals(FrameState.WRITTEN, recorded(bench, 1));
        assertEquals(FrameState.WRITTEN, recorded(bench, 4));
        Bench.Gate gate = bench.new Gate("force");
        var forcing = Bench.run(bench.file::force);
        gate.awaitReached();
        bench.first(5);
        assertEquals(FrameState.WRITTEN, recorded(bench, 5));
        bench.file.truncate(2 * 4096);
        bench.file.truncate(6 * 4096);
        bench.first(4);
        gate.open();
        forcing.get();
        assertEquals(FrameState.CLEAN, recorded(bench, 1));
        assertEquals(FrameState.WRITTEN, recorded(bench, 4));
        failedForce(bench);
        assertEquals(FrameState.WRITTEN, recorded(bench, 4));
        bench.file.force();
        assertEquals(FrameState.CLEAN, recorded(bench, 4));
        bench.first(3);
        assertEquals(FrameState.CLEAN, recorded(bench, 3));
        bench.assertSound();
        bench.cache.close();
    }
}
