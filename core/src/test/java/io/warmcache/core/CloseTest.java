/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static io.warmcache.core.Bench.awaitThat;
import static io.warmcache.core.Bench.filled;
import static io.warmcache.core.Bench.pages;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.CacheClosedException;
import io.warmcache.CacheException;
import io.warmcache.LatchTimeoutException;
import io.warmcache.MapOptions;
import io.warmcache.PageCursor;
import io.warmcache.PagedFile;
import io.warmcache.ReadPin;
import io.warmcache.WritePin;
import io.warmcache.WritePolicy;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** Closing a file or the cache while everything else goes on. */
class CloseTest {
    // ---- the cache -------------------------------------------------------------------------------------------------

    /** A pin that is never closed keeps the file from being closed, and nothing else. */
    @Test
    void aLeakedPinKeepsNoOtherFileFromBeingMappedOrClosed() throws Exception {
        Bench bench = new Bench(Bench.patient(16), WritePolicy.WRITE_BACK, pages(1, 4));
        ReadPin leaked = bench.file.pin(1);
        bench.write(0, filled(9, 1));
        var closing = Bench.run(bench.file::close).awaitParked();
        awaitThat("closing", () -> !((MappedFile) bench.file).file().open);
        MemoryStore second = new MemoryStore(pages(20, 4));
        try (PagedFile other = bench.cache.map(second, MapOptions.DEFAULT)) {
            other.write(0, MemorySegment.ofArray(filled(21, 4096)));
        }
        assertTrue(second.closed);
        var again = Bench.async(() -> bench.cache.map(bench.store, MapOptions.DEFAULT)).awaitParked();
        var closingToo = Bench.run(bench.file::close).awaitParked();
        assertFalse(closing.isDone() || again.isDone() || closingToo.isDone());
        leaked.close();
        closing.get();
        closingToo.get();
        PagedFile mapped = again.get();
        assertEquals(2, bench.cache.recovery().files().getLast().found());
        byte[] first = new byte[1];
        assertEquals(1, mapped.read(0, MemorySegment.ofArray(first)));
        assertEquals(9, first[0]);
        mapped.close();
        bench.assertSound();
        bench.cache.close();
    }

    @Test
    void aFileWhoseCloseFailedIsSharedByWhoWaitedForIt() throws Exception {
        Bench bench = new Bench(
                Bench.small(16).withLatchTimeout(Duration.ofSeconds(1)), WritePolicy.WRITE_BACK, pages(1, 4));
        ReadPin leaked = bench.file.pin(1);
        var closing = Bench.run(bench.file::close).awaitParked();
        awaitThat("closing", () -> !((MappedFile) bench.file).file().open);
        var again = Bench.async(() -> {
            while (true) {
                try {
                    return bench.cache.map(bench.store, MapOptions.DEFAULT);
                } catch (LatchTimeoutException e) {
                    assertTrue(e.getMessage().contains("is being closed"), e.getMessage());
                }
            }
        });
        ExecutionException failed = assertThrows(ExecutionException.class, closing::get);
        assertTrue(failed.getCause().getMessage().contains("1 pages"), failed.toString());
        PagedFile shared = again.get();
        leaked.close();
        shared.pin(2).close();
        shared.close();
        assertFalse(bench.store.closed);
        bench.file.close();
        assertTrue(bench.store.closed);
        bench.assertSound();
        bench.cache.close();
    }

    @Test
    void twoThreadsMayCloseAtOnce() throws Exception {
        Bench bench = new Bench(Bench.patient(16), WritePolicy.WRITE_THROUGH, pages(1, 4));
        ReadPin pin = bench.file.pin(1);
        List<Bench.Task<Void>> closers = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            closers.add(Bench.run(bench.cache::close));
        }
        awaitThat("closing", () -> bench.cache.closing);
        closers.forEach(Bench.Task::awaitParked);
        pin.close();
        for (Bench.Task<Void> closer : closers) {
            closer.get();
        }
        bench.cache.close();
        assertEquals(1, bench.segment.closes);
    }

    /** A force that fails makes pages dirty again, latching each: that must not need what the closing thread holds. */
    @Test
    void waitsForAForceThatFails() throws Exception {
        Bench bench = new Bench(Bench.patient(16), WritePolicy.WRITE_THROUGH, pages(1, 4));
        bench.write(0, filled(9, 10));
        Bench.Gate gate = bench.new Gate("force");
        MemoryStore.Hook held = bench.store.hook;
        AtomicInteger forces = new AtomicInteger();
        bench.store.hook = (operation, position, length) -> {
            held.before(operation, position, length);
            if (operation.equals("force") && forces.getAndIncrement() == 0) {
                throw new IOException("injected");
            }
        };
        var forcing = Bench.run(bench.file::force);
        gate.awaitReached();
        var closing = Bench.run(bench.cache::close).awaitParked();
        awaitThat("closing", () -> bench.cache.closing);
        assertFalse(closing.isDone());
        gate.open();
        assertThrows(ExecutionException.class, forcing::get);
        closing.get();
        assertEquals(1, bench.segment.closes);
        assertEquals(9, bench.store.bytes()[0]);
    }

    /** What the grace was too short for may be a page that is being read, which nobody will ever unpin. */
    @Test
    void isFinishedWhenTheLastLoadEnds() throws Exception {
        Bench bench = new Bench(Bench.patient(16), WritePolicy.WRITE_THROUGH, pages(1, 4));
        Bench.Gate gate = bench.new Gate("read");
        var reading = Bench.run(() -> bench.file.stamp(1));
        gate.awaitReached();
        assertThrows(CacheException.class, () -> bench.cache.close(Duration.ZERO));
        assertEquals(0, bench.segment.closes);
        gate.open();
        assertThrows(ExecutionException.class, reading::get);
        awaitThat("the memory is given back", () -> bench.segment.closes == 1);
        assertTrue(bench.store.closed);
        bench.cache.close();
    }

    @ParameterizedTest
    @CsvSource({"false", "true"})
    void keepsTheMemoryUntilTheLastPinIsClosed(boolean debug) throws Exception {
        Bench bench = new Bench(Bench.patient(16).withDebug(debug), WritePolicy.WRITE_BACK, pages(1, 4));
        ReadPin read = bench.file.pin(1);
        WritePin write = bench.file.pinForWrite(2);
        write.dirty(0, 1);
        CacheException leaked =
                assertThrows(CacheException.class, () -> bench.cache.close(Duration.ofMillis(1)));
        assertTrue(leaked.getMessage().startsWith("2 pages"), leaked.getMessage());
        assertEquals(debug, leaked.getMessage().contains("pinned at"), leaked.getMessage());
        assertThrows(CacheClosedException.class, () -> bench.file.pin(1));
        assertThrows(CacheClosedException.class, () -> bench.file.stamp(3));
        assertEquals(2, read.segment().get(ValueLayout.JAVA_BYTE, 4095));
        write.segment().set(ValueLayout.JAVA_BYTE, 0, (byte) 77);
        ReadPin again = read.retain();
        read.close();
        write.close();
        assertEquals(2, again.segment().get(ValueLayout.JAVA_BYTE, 0));
        assertThrows(CacheException.class, () -> bench.cache.close(Duration.ZERO));
        assertEquals(0, bench.segment.closes);
        again.close();
        awaitThat("the memory is given back", () -> bench.segment.closes == 1);
        assertEquals(77, bench.store.bytes()[2 * 4096]);
        assertTrue(bench.store.closed);
    }

    @Test
    void takesAnyGrace() throws Exception {
        Bench bench = new Bench(Bench.patient(16), WritePolicy.WRITE_BACK, pages(1, 4));
        bench.cache.close(Duration.ofSeconds(Long.MAX_VALUE));
        assertEquals(1, bench.segment.closes);
        Bench other = new Bench(Bench.patient(16), WritePolicy.WRITE_BACK, pages(1, 4));
        other.cache.close(Duration.ofSeconds(-1));
        assertEquals(1, other.segment.closes);
    }

    @Test
    void dropsTheMemoryAlsoAfterPinsHeldItUp() throws Exception {
        Bench bench = new Bench(Bench.patient(16), WritePolicy.WRITE_THROUGH, pages(1, 4));
        ReadPin pin = bench.file.pin(1);
        assertThrows(CacheException.class, () -> bench.cache.close(Duration.ZERO));
        var dropping = Bench.run(bench.cache::drop).awaitParked();
        pin.close();
        dropping.get();
        awaitThat("dropped", () -> !bench.segment.used);
    }

    /** DESIGN: close writes and forces; a frame is only called clean in the ledger once its write was forced. */
    @ParameterizedTest
    @EnumSource(WritePolicy.class)
    void forcesWhatWasWrittenAndNothingElse(WritePolicy policy) throws Exception {
        Bench bench = new Bench(Bench.patient(16), policy, pages(1, 4));
        AtomicInteger forces = new AtomicInteger();
        bench.store.hook = (operation, position, length) -> {
            if (operation.equals("force")) {
                forces.incrementAndGet();
            }
        };
        bench.first(1);
        bench.cache.close();
        assertEquals(0, forces.get());
        bench.cache = bench.segment.attach(bench.config);
        bench.map();
        assertEquals(1, forces.getAndSet(0));
        bench.write(0, filled(9, 10));
        bench.cache.close();
        assertEquals(1, forces.get());
        assertEquals(9, bench.store.bytes()[0]);
    }

    @Test
    void aStoreThatTakesNothingLosesItsPagesAndSaysSo() throws Exception {
        Bench bench = new Bench(Bench.small(16), WritePolicy.WRITE_BACK, pages(1, 4));
        bench.first(2);
        bench.write(0, filled(9, 10));
        bench.fail("write");
        IOException failure = assertThrows(IOException.class, bench.cache::close);
        assertTrue(failure.getMessage().contains("injected at write"), failure.getMessage());
        bench.fail("");
        assertEquals(1, bench.segment.closes);
        bench.cache = bench.segment.attach(bench.config);
        bench.map();
        assertEquals(1, bench.cache.recovery().droppedTotal());
        assertEquals(1, bench.first(0));
        assertEquals(3, bench.first(2));
        bench.assertSound();
        bench.cache.close();
    }

    @Test
    void everythingElseIsRefusedAfterwards() throws Exception {
        Bench bench = new Bench(Bench.small(16), WritePolicy.WRITE_BACK, pages(1, 4));
        PageCursor cursor = bench.file.cursor();
        cursor.seek(1);
        bench.cache.close();
        MemorySegment bytes = MemorySegment.ofArray(new byte[10]);
        PagedFile file = bench.file;
        assertThrows(CacheClosedException.class, () -> file.read(0, bytes));
        assertThrows(CacheClosedException.class, () -> file.write(0, bytes));
        assertThrows(CacheClosedException.class, () -> file.write(100_000, bytes));
        assertThrows(CacheClosedException.class, () -> file.truncate(0));
        assertThrows(CacheClosedException.class, () -> file.truncate(100_000));
        assertThrows(CacheClosedException.class, file::flush);
        assertThrows(CacheClosedException.class, file::force);
        assertThrows(CacheClosedException.class, () -> file.pin(1));
        assertThrows(CacheClosedException.class, () -> file.pinForWrite(1));
        assertThrows(CacheClosedException.class, () -> file.pinForWrite(4));
        assertThrows(CacheClosedException.class, () -> file.pinForOverwrite(1));
        assertThrows(CacheClosedException.class, () -> file.stamp(1));
        assertThrows(CacheClosedException.class, () -> file.read(1, (memory, base) -> 0));
        assertThrows(CacheClosedException.class, () -> file.prefetch(0, 2));
        assertThrows(CacheClosedException.class, cursor::shouldRetry);
        assertThrows(CacheClosedException.class, () -> cursor.seek(2));
        assertThrows(CacheClosedException.class, bench.cache::flush);
        assertThrows(CacheClosedException.class, bench::map);
        assertFalse(bench.cache.health().healthy());
        cursor.close();
        file.close();
        file.close();
        bench.cache.close();
        assertThrows(CacheException.class, bench.cache::drop, "too late to wipe anything");
        assertEquals(1, bench.segment.closes);
    }

    // ---- a file ----------------------------------------------------------------------------------------------------

    @Test
    void aFileWithAPinStaysOpenAndSaysSo() throws Exception {
        Bench bench = new Bench(Bench.small(16), WritePolicy.WRITE_BACK, pages(1, 4));
        bench.write(0, filled(9, 10));
        ReadPin pin = bench.file.pin(1);
        assertThrows(CacheException.class, bench.file::close);
        assertEquals(9, bench.first(0));
        bench.write(0, filled(10, 10));
        pin.close();
        bench.file.close();
        assertTrue(bench.store.closed);
        assertEquals(10, bench.store.bytes()[0]);
        bench.assertSound();
        bench.cache.close();
    }

    @Test
    void aFileWhoseStoreFailsToCloseIsClosed() throws Exception {
        Bench bench = new Bench(Bench.small(16), WritePolicy.WRITE_BACK, pages(1, 4));
        PagedFile first = bench.file;
        bench.first(1);
        bench.fail("close");
        assertThrows(IOException.class, first::close);
        bench.fail("");
        assertThrows(CacheClosedException.class, () -> first.pin(1));
        bench.map();
        first.close();
        assertEquals(2, bench.first(1));
        bench.store.closed = false;
        bench.file.close();
        assertTrue(bench.store.closed);
        bench.assertSound();
        bench.cache.close();
    }

    @Test
    void cursorsAndMappingsOfBeforeStayClosedWhenTheFileIsMappedAgain() throws Exception {
        Bench bench = new Bench(Bench.small(16), WritePolicy.WRITE_BACK, pages(1, 4));
        PagedFile first = bench.file;
        PageCursor cursor = first.cursor();
        cursor.seek(1);
        long stamp = first.stamp(1);
        first.close();
        bench.map();
        assertEquals(2, bench.first(1));
        assertFalse(bench.file.valid(1, stamp));
        assertThrows(CacheClosedException.class, cursor::shouldRetry);
        assertThrows(CacheClosedException.class, () -> cursor.seek(1));
        assertThrows(CacheClosedException.class, () -> first.stamp(1));
        cursor.close();
        bench.assertSound();
        bench.cache.close();
    }

    /** A write that waited for the end of the file must not lengthen a store that is not the cache's any more. */
    @Test
    void aWriteThatWaitedUntilTheFileWasClosedSaysSo() throws Exception {
        Bench bench = new Bench(Bench.patient(16), WritePolicy.WRITE_THROUGH, pages(1, 4));
        CachedFile inside = bench.inside();
        inside.extension.acquire();
        var writing = Bench.run(() -> bench.write(100_000, filled(9, 10))).awaitParked();
        bench.file.close();
        inside.extension.release();
        ExecutionException failure = assertThrows(ExecutionException.class, writing::get);
        assertEquals(CacheClosedException.class, failure.getCause().getClass(), failure.toString());
        bench.map();
        bench.assertSound();
        assertEquals(4 * 4096, bench.store.bytes().length);
        bench.cache.close();
    }

    @Test
    void theBackgroundFlushDoesNotWaitForALatch() throws Exception {
        Bench bench = new Bench(Bench.patient(16), WritePolicy.WRITE_BACK, pages(1, 4));
        bench.write(0, filled(9, 3 * 4096));
        WritePin pin = bench.file.pinForWrite(0);
        awaitThat("the pages behind the latched one are written", () -> bench.store.bytes()[2 * 4096] == 9);
        assertThrows(CacheException.class, () -> bench.cache.close(Duration.ZERO));
        pin.close();
        awaitThat("the memory is given back", () -> bench.segment.closes == 1);
        assertEquals(9, bench.store.bytes()[0]);
    }

    /** The last close of a file may be overtaken by somebody who maps it, between its end and what it notes of it. */
    @Test
    void aFileThatIsMappedAgainAtOnceIsClosedByItsLastCloseAllTheSame() throws Exception {
        Bench bench = new Bench(Bench.patient(16), WritePolicy.WRITE_BACK, pages(0, 4));
        CachedFile inside = bench.inside();
        bench.file.close();
        for (int round = 0; round < 20; round++) {
            List<Bench.Task<Void>> tasks = new ArrayList<>();
            for (int t = 0; t < 3; t++) {
                tasks.add(Bench.run(() -> {
                    for (int i = 0; i < 100; i++) {
                        PagedFile mapping = bench.cache.map(bench.store, MapOptions.DEFAULT);
                        mapping.close();
                        assertThrows(CacheClosedException.class, () -> mapping.pin(1));
                    }
                }));
            }
            for (Bench.Task<Void> task : tasks) {
                task.get();
            }
            assertEquals(0, inside.mappings);
            assertNull(inside.backing);
        }
        bench.store.closed = false;
        bench.map();
        bench.file.close();
        assertTrue(bench.store.closed);
        bench.assertSound();
        bench.cache.close();
    }

    /** Every call either does its work or says that the file is closed; bytes are never wrong, nothing is left over. */
    @ParameterizedTest
    @CsvSource({"21, WRITE_THROUGH", "22, WRITE_BACK"})
    void closingAndMappingAgainUnderLoadHarmsNothing(long seed, WritePolicy policy) throws Exception {
        System.out.println("seed " + seed);
        int most = 24;
        Bench bench = new Bench(Bench.patient(16), policy, pages(0, most), 2);
        AtomicBoolean stop = new AtomicBoolean();
        List<Bench.Task<Void>> tasks = new ArrayList<>();
        PagedFile[] mapping = {bench.file};
        for (int t = 0; t < 4; t++) {
            Random random = new Random(seed * 10 + t);
            tasks.add(Bench.run(() -> {
                while (!stop.get()) {
                    PagedFile file;
                    synchronized (mapping) {
                        file = mapping[0];
                    }
                    try {
                        access(file, random, most);
                    } catch (CacheClosedException e) {
                        assertTrue(e.getMessage().contains("closed"), e.getMessage());
                    }
                }
            }));
        }
        for (int i = 0; i < 150; i++) {
            PagedFile old = mapping[0];
            try {
                old.close();
            } catch (LatchTimeoutException e) {
                throw new AssertionError("a close must not wait for anything but pins", e);
            }
            PagedFile next = bench.cache.map(bench.store, MapOptions.DEFAULT.withPolicy(policy));
            synchronized (mapping) {
                mapping[0] = next;
            }
        }
        bench.cache.close();
        stop.set(true);
        for (Bench.Task<Void> task : tasks) {
            task.get();
        }
        byte[] stored = bench.store.bytes();
        assertEquals(most * 4096, stored.length);
        bench.cache = bench.segment.attach(bench.config);
        bench.map();
        assertEquals(0, bench.cache.recovery().droppedTotal());
        assertArrayEquals(stored, bench.read(0, stored.length));
        bench.assertSound();
        bench.cache.close();
    }

    /** Pages hold their own number in each byte, whatever is written. */
    private static void access(PagedFile file, Random random, int most) throws IOException {
        int page = random.nextInt(most);
        switch (random.nextInt(9)) {
            case 0 -> file.write(page * 4096L, MemorySegment.ofArray(filled(page, 4096)));
            case 1 -> {
                int count = Math.min(4, most - page);
                file.write(page * 4096L, MemorySegment.ofArray(pages(page, count)));
            }
            case 2 -> {
                try (WritePin pin = file.pinForWrite(page)) {
                    pin.dirty(0, 4096);
                    pin.segment().fill((byte) page);
                }
            }
            case 3 -> file.prefetch(page, 4);
            case 4 -> {
                if (random.nextBoolean()) {
                    file.flush();
                } else {
                    file.force();
                }
            }
            case 5 -> file.truncate(most * 4096L);
            case 6 -> {
                try (ReadPin pin = file.pin(page)) {
                    assertArrayEquals(filled(page, 4096), pin.segment().toArray(ValueLayout.JAVA_BYTE));
                }
            }
            case 7 -> {
                try (PageCursor cursor = file.cursor()) {
                    cursor.seek(page);
                    byte[] bytes = new byte[4096];
                    do {
                        cursor.copyTo(0, bytes, 0, 4096);
                    } while (cursor.shouldRetry());
                    assertArrayEquals(filled(page, 4096), bytes);
                }
            }
            default -> {
                byte[] bytes = new byte[2 * 4096];
                int n = file.read(page * 4096L, MemorySegment.ofArray(bytes));
                for (int i = 0; i < n; i++) {
                    assertEquals((byte) (page + (i >> 12)), bytes[i]);
                }
            }
        }
    }
}
