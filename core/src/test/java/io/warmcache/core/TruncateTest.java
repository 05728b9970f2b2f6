/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static io.warmcache.core.Bench.filled;
import static io.warmcache.core.Bench.pages;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.CacheConfig;
import io.warmcache.LatchTimeoutException;
import io.warmcache.PagedFile;
import io.warmcache.ReadPin;
import io.warmcache.WritePin;
import io.warmcache.WritePolicy;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Cutting a file while everything else goes on. */
class TruncateTest {
    /** The writer latched the page before the truncate began, and makes it dirty after the truncate has flushed. */
    @ParameterizedTest
    @CsvSource({"4096, 0", "16384, 0", "16384, 9000", "16384, 4096"})
    void keepsWhatAWriterPublishesBehindTheFlush(int pageSize, int offset) throws Exception {
        CacheConfig config = CacheConfig.of("bench", 16L * pageSize).withPageSize(pageSize);
        byte[] expected = filled(1, 4 * pageSize);
        Bench bench = new Bench(config, WritePolicy.WRITE_BACK, expected);
        WritePin pin = bench.file.pinForWrite(1);
        pin.dirty(offset, 10);
        MemorySegment.copy(MemorySegment.ofArray(filled(9, 10)), 0, pin.segment(), offset, 10);
        Arrays.fill(expected, pageSize + offset, pageSize + offset + 10, (byte) 9);
        int size = pageSize + Math.min(pageSize - 1, 10_000);
        var cut = Bench.run(() -> bench.file.truncate(size)).awaitParked();
        pin.close();
        cut.get();
        expected = Arrays.copyOf(expected, size);
        assertArrayEquals(expected, bench.read(0, expected.length + 1));
        bench.file.flush();
        assertArrayEquals(expected, bench.store.bytes());
        bench.assertSound();
        bench.die();
        assertArrayEquals(expected, bench.read(0, expected.length + 1));
        assertEquals(0, bench.cache.recovery().droppedTotal());
        bench.cache.close();
    }

    @Test
    void pinsKeepTheirBytesAndTheirFrameUntilTheLastIsClosed() throws Exception {
        Bench bench = new Bench(Bench.small(16), WritePolicy.WRITE_THROUGH, pages(1, 8));
        ReadPin first = bench.file.pin(5);
        ReadPin second = first.retain();
        int free = bench.cache.stats().freeFrames();
        bench.file.truncate(0);
        assertEquals(0, bench.file.pages());
        assertEquals(TranslationWord.DETACHED, bench.state(5));
        bench.file.truncate(8 * 4096);
        bench.write(0, pages(50, 5));
        assertThrows(LatchTimeoutException.class, () -> bench.file.pin(5), "the old page 5 is still pinned");
        assertEquals(6, first.segment().get(ValueLayout.JAVA_BYTE, 4095));
        first.close();
        assertEquals(6, second.segment().get(ValueLayout.JAVA_BYTE, 0));
        var waiting = Bench.async(() -> bench.first(5)).awaitParked();
        second.close();
        assertEquals(0, waiting.get());
        bench.assertSound();
        bench.file.truncate(0);
        assertTrue(bench.cache.stats().freeFrames() > free);
        bench.assertSound();
        bench.cache.close();
    }

    /** The load owns its page when the truncate begins, and is waited for; what it loads is cut off. */
    @Test
    void waitsForALoadUnderWay() throws Exception {
        Bench bench = new Bench(Bench.patient(16), WritePolicy.WRITE_THROUGH, pages(1, 8));
        Bench.Gate gate = bench.new Gate("read");
        var reading = Bench.async(() -> bench.read(5 * 4096, 2 * 4096).length);
        gate.awaitReached();
        var cutting = Bench.run(() -> bench.file.truncate(100)).awaitParked();
        assertFalse(cutting.isDone());
        var late = Bench.async(() -> bench.read(3 * 4096, 10).length).awaitParked();
        gate.open();
        cutting.get();
        assertTrue(reading.get() >= 0);
        assertEquals(0, late.get());
        assertEquals(100, bench.file.size());
        for (int page = 1; page < 8; page++) {
            assertEquals(0, bench.state(page));
        }
        bench.assertSound();
        bench.cache.close();
    }

    /** What a load or a latch finds while the store is being cut is the end of the file, not a page of before. */
    @Test
    void nobodyGetsBehindATruncateUnderWay() throws Exception {
        Bench bench = new Bench(Bench.patient(16), WritePolicy.WRITE_BACK, pages(1, 8));
        bench.first(1);
        bench.first(3);
        Bench.Gate gate = bench.new Gate("truncate");
        var cutting = Bench.run(() -> bench.file.truncate(4096 + 10));
        gate.awaitReached();
        List<Bench.Task<Boolean>> late = new ArrayList<>();
        for (long page : new long[] {2, 3, 7}) {
            late.add(outOfBounds(() -> bench.file.pin(page)));
            late.add(outOfBounds(() -> bench.file.stamp(page)));
        }
        late.add(outOfBounds(() -> bench.file.pinForWrite(3)));
        var write = Bench.run(() -> bench.write(2 * 4096, filled(9, 4096)));
        var boundary = Bench.async(() -> bench.read(4096, 100).length);
        bench.file.prefetch(0, 8);
        assertEquals(1, bench.first(0));
        for (Bench.Task<Boolean> task : late) {
            task.awaitParked();
        }
        write.awaitParked();
        boundary.awaitParked();
        gate.open();
        cutting.get();
        write.get();
        assertTrue(boundary.get() >= 10);
        assertEquals(3 * 4096, bench.file.size());
        for (Bench.Task<Boolean> task : late) {
            task.get(); // behind the truncate, or behind the write after it
        }
        assertArrayEquals(filled(2, 10), bench.read(4096, 10));
        assertArrayEquals(filled(0, 4086), bench.read(4106, 4086));
        assertArrayEquals(filled(9, 4096), bench.read(2 * 4096, 4096));
        bench.file.flush();
        bench.assertSound();
        bench.cache.close();
    }

    private static Bench.Task<Boolean> outOfBounds(Callable<?> access) {
        return Bench.async(() -> {
            try {
                if (access.call() instanceof AutoCloseable pin) {
                    pin.close();
                }
                return false;
            } catch (IndexOutOfBoundsException e) {
                return true;
            }
        });
    }

    @ParameterizedTest
    @CsvSource({"4096", "65536"})
    void theEndIsWhereItWasPut(int pageSize) throws Exception {
        CacheConfig config = CacheConfig.of("bench", 16L * pageSize).withPageSize(pageSize);
        Bench bench = new Bench(config, WritePolicy.WRITE_THROUGH, new byte[0]);
        PagedFile file = bench.file;
        file.truncate(0);
        assertEquals(0, file.pages());
        assertEquals(0, bench.read(0, 10).length);
        assertThrows(IndexOutOfBoundsException.class, () -> file.pin(0));
        byte[] model = new byte[0];
        int one = pageSize;
        int[] sizes = {1, 0, one, one - 1, one + 1, 3 * one, 2 * one, 4096, 4095, 4097, 0, 70_000};
        for (int size : sizes) {
            file.truncate(size);
            model = Arrays.copyOf(model, size);
            assertEquals(size, file.size());
            assertEquals((size + pageSize - 1) / pageSize, file.pages());
            assertArrayEquals(model, bench.read(0, size + 10));
            assertArrayEquals(model, bench.store.bytes());
            bench.assertSound();
            if (size > 0) {
                Arrays.fill(model, (byte) size);
                bench.write(0, model);
            }
        }
        bench.cache.close();
    }

    /** A page holds its own number or zeros, whatever is cut, lengthened, written and read at once. */
    @ParameterizedTest
    @CsvSource({"41, WRITE_THROUGH", "42, WRITE_BACK"})
    void underLoadNoPageGetsAnothersBytes(long seed, WritePolicy policy) throws Exception {
        System.out.println("seed " + seed);
        int most = 200;
        Bench bench = new Bench(Bench.patient(32), policy, pages(0, most), 2);
        AtomicBoolean stop = new AtomicBoolean();
        List<Bench.Task<Void>> tasks = new ArrayList<>();
        for (int t = 0; t < 4; t++) {
            Random random = new Random(seed * 10 + t);
            int kind = t;
            tasks.add(Bench.run(() -> {
                while (!stop.get()) {
                    try {
                        access(bench, kind, random, random.nextInt(most));
                    } catch (IndexOutOfBoundsException e) {
                        assertTrue(e.getMessage().startsWith("page "), e.getMessage());
                    }
                }
            }));
        }
        Random random = new Random(seed);
        for (int i = 0; i < 300; i++) {
            bench.file.truncate(random.nextLong(most * 4096L));
            if (i % 3 == 0) {
                bench.file.truncate(most * 4096L);
            }
        }
        stop.set(true);
        for (Bench.Task<Void> task : tasks) {
            task.get();
        }
        bench.file.flush();
        bench.assertSound();
        byte[] stored = bench.store.bytes();
        assertArrayEquals(stored, bench.read(0, stored.length + 1));
        bench.die();
        assertArrayEquals(stored, bench.read(0, stored.length + 1));
        assertEquals(0, bench.cache.stats().validationFailures());
        bench.cache.close();
    }

    private static void access(Bench bench, int kind, Random random, int page) throws Exception {
        switch (kind) {
            case 0 -> bench.write(page * 4096L, filled(page, 4096));
            case 1 -> {
                try (WritePin pin = bench.file.pinForWrite(page)) {
                    pin.dirty(0, 4096);
                    pin.segment().fill((byte) page);
                }
            }
            case 2 -> {
                bench.file.prefetch(page, 5);
                try (ReadPin pin = bench.file.pin(page)) {
                    check(page, pin.segment().toArray(ValueLayout.JAVA_BYTE));
                }
            }
            default -> {
                byte[] bytes = bench.read(page * 4096L, 3 * 4096);
                for (int i = 0; i < bytes.length; i += 4096) {
                    check(page + i / 4096, Arrays.copyOfRange(bytes, i, Math.min(bytes.length, i + 4096)));
                }
                if (random.nextInt(100) == 0) {
                    bench.file.force();
                }
            }
        }
    }

    private static void check(int page, byte[] bytes) {
        for (byte each : bytes) {
            assertTrue(each == 0 || each == (byte) page, () -> "page " + page + " holds " + each);
        }
    }

    /** It has the page's word, which the truncate waits for, and the truncate may have all the frames. */
    @Test
    void whoWaitsForAFrameLeavesItsPageToATruncate() throws Exception {
        Bench bench = new Bench(Bench.patient(8), WritePolicy.WRITE_BACK, pages(1, 32));
        List<ReadPin> pins = new ArrayList<>();
        for (int page = 0; page < 8; page++) {
            pins.add(bench.file.pin(page));
        }
        Bench.Task<byte[]> reader = Bench.async(() -> bench.read(20 * 4096, 1));
        Bench.awaitThat("loading", () -> bench.state(20) == TranslationWord.LOADING);
        reader.awaitParked();
        Bench.run(() -> bench.file.truncate(0)).get();
        assertEquals(0, reader.get().length);
        pins.forEach(ReadPin::close);
        bench.assertSound();
        bench.cache.close();
    }
}
