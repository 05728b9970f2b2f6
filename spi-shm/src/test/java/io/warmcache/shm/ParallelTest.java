/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.CacheConfig;
import io.warmcache.IoMode;
import io.warmcache.MapOptions;
import io.warmcache.spi.FileVerdict.Kind;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class ParallelTest {
    private static final int PAGE = 4096;
    private static final int WRITERS = 20;
    private static final int PAGES_EACH = 4;

    private Env env;

    @BeforeEach
    void open() throws Exception {
        env = new Env();
    }

    @AfterEach
    void close() throws Exception {
        env.close();
    }

    @ParameterizedTest
    @EnumSource(IoMode.class)
    void writersOfOneFileForcesSettlesAndCutsDoNotDisturbEachOther(IoMode mode) throws Exception {
        int pages = WRITERS * PAGES_EACH;
        Path file = env.file("data", new byte[pages * PAGE]);
        CacheConfig config =
                CacheConfig.of(env.segment().toString(), (pages + 8L) * PAGE).withMaxFiles(2);
        ShmBackend b = env.attach(config);
        ShmFile f = Env.map(b, file, MapOptions.DEFAULT.withIoMode(mode));
        byte[] expected = new byte[pages * PAGE];
        AtomicBoolean done = new AtomicBoolean();
        List<Future<Void>> running = new ArrayList<>();
        try (ExecutorService threads = Executors.newCachedThreadPool()) {
            for (int w = 0; w < WRITERS; w++) {
                int first = w * PAGES_EACH;
                running.add(threads.submit(writer(b, f, first, expected)));
            }
            Future<Void> other = threads.submit(() -> {
                while (!done.get()) {
                    f.settle();
                    f.force();
                    long size = (long) pages * PAGE;
                    f.truncate(size + 5000);
                    f.truncate(size);
                }
                return null;
            });
            try {
                for (Future<Void> r : running) {
                    r.get();
                }
            } finally {
                done.set(true);
            }
            other.get();
        }
        assertArrayEquals(expected, Files.readAllBytes(file));
        f.close();
        b.close();
        ShmBackend next = env.attach(config);
        assertEquals(pages, Env.survivors(next).size());
        ShmFile again = Env.open(next, file, MapOptions.DEFAULT.withIoMode(mode));
        assertEquals(Kind.SAME, again.verdict().kind(), again.verdict().detail());
        again.close();
    }

    private static Callable<Void> writer(ShmBackend b, ShmFile f, int first, byte[] expected) {
        return () -> {
            Random random = new Random(first);
            int[] frames = new int[PAGES_EACH];
            int[] masks = new int[PAGES_EACH];
            for (int i = 0; i < PAGES_EACH; i++) {
                frames[i] = first + PAGES_EACH - 1 - i;
                masks[i] = 1;
            }
            for (int round = 0; round < 30; round++) {
                f.fill(first, frames, PAGES_EACH, expected.length, 0);
                byte[] bytes = new byte[PAGE];
                for (int i = 0; i < PAGES_EACH; i++) {
                    b.markDirty(frames[i]);
                    random.nextBytes(bytes);
                    MemorySegment.copy(bytes, 0, b.memory(), ValueLayout.JAVA_BYTE, (long) frames[i] * PAGE, PAGE);
                    System.arraycopy(bytes, 0, expected, (first + i) * PAGE, PAGE);
                }
                f.writeBack(first, frames, masks, PAGES_EACH, expected.length);
                if (round < 29) {
                    for (int frame : frames) {
                        b.release(frame);
                    }
                }
            }
            return null;
        };
    }

    @Test
    void theLastBlockCanBeReadWhileTheFileGrowsWithinIt() throws Exception {
        Path file = env.file("data", new byte[1]);
        CacheConfig config = CacheConfig.of(env.segment().toString(), 8L * PAGE).withMaxFiles(2);
        ShmBackend b = env.attach(config);
        ShmFile f = Env.map(b, file, MapOptions.DEFAULT);
        AtomicLong size = new AtomicLong(1);
        try (ExecutorService threads = Executors.newSingleThreadExecutor()) {
            Future<Void> growth = threads.submit(() -> {
                for (long next = 62; next < 1_000_000; next += 61) {
                    f.truncate(next);
                    size.set(next);
                }
                return null;
            });
            while (!growth.isDone()) {
                long page = size.get() / PAGE;
                f.fill(page, Env.ints(0), 1, (page + 1) * PAGE, 0);
                b.release(0);
            }
            growth.get();
        }
    }

    @Test
    void anInterruptClosesNothing() throws Exception {
        Path file = env.file("data", new byte[4 * PAGE]);
        CacheConfig config = CacheConfig.of(env.segment().toString(), 8L * PAGE).withMaxFiles(2);
        ShmBackend b = env.attach(config);
        ShmFile f = Env.map(b, file, MapOptions.DEFAULT);
        Thread.currentThread().interrupt();
        try {
            f.fill(0, Env.ints(0), 1, 4 * PAGE, 0);
            b.markDirty(0);
            f.writeBack(0, Env.ints(0), Env.ints(1), 1, 4 * PAGE);
            f.force();
            f.close();
            assertTrue(Thread.currentThread().isInterrupted());
        } finally {
            assertTrue(Thread.interrupted());
        }
    }

    @Test
    void theFileIsNeverLongerThanItsLengthWhateverTheMode() throws Exception {
        for (IoMode mode : IoMode.values()) {
            Path file = env.data.resolve("growing" + mode);
            CacheConfig config = CacheConfig.of(env.segments.resolve("s" + mode).toString(), 16L * PAGE)
                    .withMaxFiles(2);
            ShmBackend b = env.attach(config);
            ShmFile f = Env.map(b, file, MapOptions.DEFAULT.withIoMode(mode));
            AtomicBoolean done = new AtomicBoolean();
            long length = 5 * PAGE + 1000;
            Thread watcher = new Thread(() -> {
                try {
                    while (!done.get()) {
                        assertFalse(Files.size(file) > length);
                    }
                } catch (IOException e) {
                    throw new java.io.UncheckedIOException(e);
                }
            });
            List<Throwable> failures = new ArrayList<>();
            watcher.setUncaughtExceptionHandler((t, e) -> failures.add(e));
            watcher.start();
            for (int round = 0; round < 10; round++) {
                for (int page = 0; page < 6; page++) {
                    f.blank(page, page);
                }
                f.writeBack(0, Env.ints(0, 1, 2, 3, 4, 5), Env.ints(1, 1, 1, 1, 1, 1), 6, length);
                assertEquals(length, Files.size(file));
                for (int page = 0; page < 6; page++) {
                    b.release(page);
                }
                f.truncate(round % 2 == 0 ? 0 : 4096);
            }
            done.set(true);
            watcher.join();
            assertEquals(List.of(), failures);
            f.close();
        }
    }
}
