/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static io.warmcache.core.Bench.filled;
import static io.warmcache.core.Bench.pages;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.CacheConfig;
import io.warmcache.CacheFullException;
import io.warmcache.FilePoisonedException;
import io.warmcache.PageCursor;
import io.warmcache.WritePin;
import io.warmcache.WritePolicy;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.Random;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** A store that fails, with anything that can be thrown, leaves no page, latch or permit behind. */
class StoreFailureTest {
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

    private static final class Injected extends Error {
        private static final long serialVersionUID = 1L;
    }

    @ParameterizedTest
    @CsvSource({
        "31, 4096, WRITE_THROUGH, false",
        "32, 4096, WRITE_BACK, false",
        "33, 16384, WRITE_THROUGH, true",
        "34, 16384, WRITE_BACK, true",
    })
    void everyFailureIsThrownAndNothingIsLeftOver(long seed, int pageSize, WritePolicy policy, boolean debug)
            throws Exception {
        System.out.println("seed " + seed);
        Random random = new Random(seed);
        CacheConfig config = CacheConfig.of("bench", 16L * pageSize)
                .withPageSize(pageSize)
                .withDebug(debug)
                .withLatchTimeout(Duration.ofMillis(20));
        Bench bench = new Bench(config, policy, new byte[0]);
        bench.cache.maintenance.stop(); // what it would do is done here, so that the structure can be looked at
        bench.store.mostPerTransfer = 3000;
        bench.store.hook = (operation, position, length) -> {
            if (!operation.equals("force") && random.nextInt(8) == 0) {
                switch (random.nextInt(3)) {
                    case 0 -> throw new IOException("injected");
                    case 1 -> throw new IllegalStateException("injected");
                    default -> throw new Injected();
                }
            }
        };
        for (int step = 0; step < 1000; step++) {
            try {
                step(bench, random, pageSize);
            } catch (IOException | UncheckedIOException | IllegalStateException | CacheFullException | Injected e) {
                assertTrue(e instanceof Injected || e instanceof CacheFullException
                        || e.getMessage().equals("injected"), e.toString());
            }
            if (step % 10 == 0) {
                bench.assertSound();
            }
        }
        bench.fail("");
        bench.file.flush();
        byte[] stored = bench.store.bytes();
        assertArrayEquals(stored, bench.read(0, stored.length + 1));
        bench.die();
        assertArrayEquals(stored, bench.read(0, stored.length + 1));
        bench.assertSound();
        bench.cache.close();
    }

    private static void step(Bench bench, Random random, int pageSize) throws IOException {
        long size = bench.file.size();
        int at = random.nextInt(30 * pageSize);
        long page = size == 0 ? 0 : random.nextLong((size + pageSize - 1) / pageSize);
        switch (random.nextInt(12)) {
            case 0, 1, 2 -> bench.write(at, filled(random.nextInt(), random.nextInt(4 * pageSize)));
            case 3, 4 -> {
                try (WritePin pin = bench.file.pinForWrite(page)) {
                    int offset = random.nextInt(pageSize);
                    int length = random.nextInt(pageSize - offset);
                    pin.dirty(offset, length);
                    pin.segment().asSlice(offset, length).fill((byte) random.nextInt());
                    if (random.nextInt(4) == 0) {
                        pin.abort();
                    }
                }
            }
            case 5 -> {
                try (WritePin pin = bench.file.pinForOverwrite(size / pageSize)) {
                    pin.segment().fill((byte) random.nextInt());
                }
            }
            case 6 -> bench.file.truncate(random.nextInt(3) == 0 ? at : random.nextLong(size + 1));
            case 7 -> bench.file.flush();
            case 8 -> bench.inside().bulkIo.prefetch(page, 3);
            case 9 -> {
                if (size > 0) {
                    try (PageCursor cursor = bench.file.cursor()) {
                        cursor.seek(page);
                        assertEquals(cursor.getByte(0), cursor.getByte(0));
                    }
                }
            }
            default -> bench.read(at, random.nextInt(5 * pageSize));
        }
    }

    /** Whatever number of pages the cache loads at once. */
    @ParameterizedTest
    @CsvSource({"8", "64"})
    void aBulkReadOrWriteThrowsTheCheckedException(int frames) throws Exception {
        Bench bench = new Bench(Bench.small(frames), WritePolicy.WRITE_THROUGH, pages(1, 20));
        bench.fail("read");
        IOException failure = assertThrows(IOException.class, () -> bench.read(10, 3 * 4096));
        assertEquals("injected at read 0", failure.getMessage());
        failure = assertThrows(IOException.class, () -> bench.write(10, filled(9, 10)));
        assertEquals("injected at read 0", failure.getMessage());
        assertThrows(UncheckedIOException.class, () -> bench.file.pin(0));
        bench.assertSound();
        bench.cache.close();
    }

    @ParameterizedTest
    @EnumSource(WritePolicy.class)
    void aFailedWriteThroughIsNotRead(WritePolicy policy) throws Exception {
        Bench bench = new Bench(Bench.small(32), policy, pages(1, 20));
        bench.first(2);
        bench.fail("write");
        WritePin pin = bench.file.pinForWrite(2);
        pin.dirty(0, 10);
        pin.segment().asSlice(0, 10).fill((byte) 99);
        if (policy == WritePolicy.WRITE_THROUGH) {
            assertThrows(IOException.class, pin::close);
            assertEquals(3, bench.first(2));
            assertThrows(IOException.class, () -> bench.write(4096, filled(99, 3 * 4096)));
            assertEquals(3, bench.first(2));
            bench.fail("");
            assertEquals(3, bench.first(2));
        } else {
            pin.close();
            assertThrows(IOException.class, bench.file::flush);
            assertEquals(99, bench.first(2));
            bench.fail("");
            bench.file.flush();
            assertEquals(99, bench.store.bytes()[2 * 4096]);
        }
        bench.assertSound();
        bench.cache.close();
    }

    /** What only threads of the cache have met, and the log, the close has to say. */
    @ParameterizedTest
    @ValueSource(strings = {"file", "cache", "told"})
    void theCloseOfAPoisonedFileSaysSoUnlessSomebodyWasTold(String closed) throws Exception {
        Bench bench = new Bench(Bench.small(32), WritePolicy.WRITE_BACK, pages(1, 4));
        bench.write(0, filled(9, 10));
        Thread own = new Thread(() -> bench.inside().poison(new IOException("injected")), "warmcache-test");
        own.start();
        own.join();
        switch (closed) {
            case "file" -> {
                FilePoisonedException poisoned = assertThrows(FilePoisonedException.class, bench.file::close);
                assertTrue(poisoned.getMessage().contains("is closed, and was poisoned"), poisoned.getMessage());
            }
            case "cache" -> {
                IOException lost = assertThrows(IOException.class, bench.cache::close);
                assertTrue(lost.getMessage().contains("is closed, and was poisoned"), lost.getMessage());
                assertThrows(IOException.class, bench.file::close);
            }
            default -> assertThrows(FilePoisonedException.class, () -> bench.file.pin(0));
        }
        bench.file.close();
        if (!closed.equals("cache")) {
            bench.map();
            assertEquals(1, bench.first(0));
            bench.assertSound();
        }
        bench.cache.close();
    }

    /** As an engine does that keeps its first failure: it has the length that it says, with what it took. */
    @Test
    void aStoreMayThrowOneExceptionForAWriteAndForTheCutThatFollows() throws Exception {
        Bench bench = new Bench(Bench.small(32), WritePolicy.WRITE_THROUGH, pages(1, 4));
        bench.store.mostPerTransfer = 4096;
        IOException broken = new IOException("broken for good");
        bench.store.hook = (operation, position, length) -> {
            if (operation.equals("truncate") || (operation.equals("write") && position >= 5 * 4096)) {
                throw broken;
            }
        };
        assertSame(broken, assertThrows(IOException.class, () -> bench.write(4 * 4096, filled(9, 3 * 4096))));
        assertEquals(5 * 4096, bench.store.size());
        assertEquals(5 * 4096, bench.file.size());
        bench.assertSound();
        bench.cache.close();
    }

    @Test
    void aCacheFullOfWhatCannotBeWrittenSaysWhyItCannot() throws Exception {
        Bench bench = new Bench(Bench.small(8), WritePolicy.WRITE_BACK, pages(1, 20));
        bench.fail("write");
        CacheFullException full = assertThrows(CacheFullException.class, () -> bench.write(0, filled(9, 20 * 4096)));
        assertTrue(full.getMessage().contains("8 dirty"), full.getMessage());
        assertEquals("injected at write 0", full.getSuppressed()[0].getMessage());
        bench.fail("");
        bench.write(0, filled(9, 20 * 4096));
        bench.file.flush();
        assertArrayEquals(filled(9, 20 * 4096), bench.store.bytes());
        bench.assertSound();
        bench.cache.close();
    }

    /** A truncate that fails has cut nothing off, whatever it had let go of by then. */
    @ParameterizedTest
    @EnumSource(WritePolicy.class)
    void aFailedTruncateChangesNothing(WritePolicy policy) throws Exception {
        Bench bench = new Bench(Bench.small(32), policy, pages(1, 8));
        bench.write(4096 * 2, filled(99, 2 * 4096));
        bench.first(7);
        byte[] expected = bench.read(0, 8 * 4096);
        bench.fail("truncate");
        assertThrows(IOException.class, () -> bench.file.truncate(2 * 4096 + 100));
        assertThrows(IOException.class, () -> bench.file.truncate(9 * 4096));
        assertEquals(8 * 4096, bench.file.size());
        assertArrayEquals(expected, bench.read(0, 9 * 4096));
        bench.fail("");
        bench.assertSound();
        bench.file.flush();
        assertArrayEquals(expected, bench.store.bytes());
        bench.file.truncate(2 * 4096 + 100);
        assertEquals(2 * 4096 + 100, MemorySegment.ofArray(bench.store.bytes()).byteSize());
        bench.cache.close();
    }
}
