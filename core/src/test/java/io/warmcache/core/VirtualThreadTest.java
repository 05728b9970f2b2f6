/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static io.warmcache.core.Bench.filled;
import static io.warmcache.core.Bench.pages;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.CacheClosedException;
import io.warmcache.CacheConfig;
import io.warmcache.IoMode;
import io.warmcache.MapOptions;
import io.warmcache.PageCache;
import io.warmcache.PagedFile;
import io.warmcache.ReadPin;
import io.warmcache.WritePolicy;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import jdk.jfr.Recording;
import jdk.jfr.consumer.RecordedEvent;
import jdk.jfr.consumer.RecordedFrame;
import jdk.jfr.consumer.RecordingFile;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Virtual threads give their carriers back whatever they wait for, and interrupts end nothing. */
class VirtualThreadTest {
    private static final int MANY = 10_000;
    private static final Duration PATIENCE = Duration.ofMinutes(2);

    /** Thousands of threads that ask for one page each look like one that reads them all: nothing is read ahead. */
    private static CacheConfig frames(int frames) {
        return CacheConfig.of("virtual", frames * 4096L)
                .withLatchTimeout(PATIENCE)
                .withOptions(Map.of("core.readAhead", "off"));
    }

    private static final class Task {
        final FutureTask<Boolean> future;
        final Thread thread;

        Task(boolean virtual, Bench.Action action) {
            future = new FutureTask<>(() -> {
                action.run();
                return Thread.interrupted();
            });
            thread = virtual ? Thread.ofVirtual().unstarted(future) : Thread.ofPlatform().daemon().unstarted(future);
            thread.start();
        }

        /** Returns whether an interrupt was pending at the end. */
        boolean get() throws Exception {
            return future.get(PATIENCE.toSeconds(), TimeUnit.SECONDS);
        }

        void awaitParked() {
            Bench.awaitThat(
                    "parked",
                    () -> thread.getState() == Thread.State.WAITING || thread.getState() == Thread.State.TIMED_WAITING);
        }
    }

    private static Task virtual(Bench.Action action) {
        return new Task(true, action);
    }

    // ---- starving

    /** Whoever reads the store for a virtual thread without leaving its carrier is made to keep it. */
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void manyMissingThreadsStarveNobody(boolean fewFrames) throws Exception {
        Bench bench = new Bench(
                frames(fewFrames ? 64 : MANY + 16), WritePolicy.WRITE_THROUGH, pages(1, MANY + 1));
        MemoryStore second = new MemoryStore(pages(1, 100));
        CountDownLatch opened = new CountDownLatch(1);
        AtomicInteger reading = new AtomicInteger();
        AtomicInteger onCarriers = new AtomicInteger();
        ReadPin pinned = bench.file.pin(0);
        bench.store.hook = (operation, position, length) -> {
            reading.incrementAndGet();
            if (Thread.currentThread().isVirtual()) {
                onCarriers.incrementAndGet();
                while (opened.getCount() > 0) {
                    Thread.onSpinWait();
                }
            }
            awaitUninterrupted(opened);
        };
        List<Task> missing = new ArrayList<>();
        for (int i = 1; i <= MANY; i++) {
            int page = i;
            missing.add(virtual(() -> assertEquals((byte) (page + 1), bench.first(page))));
        }
        int most = Math.min(ParkingFile.MOST_THREADS, fewFrames ? 63 : MANY);
        Bench.awaitThat("as many reads at once as are wanted", () -> reading.get() == most);
        // Hits of the same file go on.
        virtual(() -> {
            for (int i = 0; i < 1000; i++) {
                bench.file.pin(0).close();
            }
        }).get();
        if (!fewFrames) {
            // And so do misses and writes of another, virtual threads' too.
            PagedFile other = bench.cache.map(second, MapOptions.DEFAULT);
            virtual(() -> {
                byte[] found = new byte[4096];
                for (int page = 0; page < 16; page++) {
                    assertEquals(4096, other.read(page * 4096L, MemorySegment.ofArray(found)));
                    other.write(page * 4096L, MemorySegment.ofArray(filled(7, 10)));
                }
                other.force();
                other.close();
            }).get();
        }
        assertEquals(most, reading.get());
        opened.countDown();
        for (Task task : missing) {
            assertFalse(task.get());
        }
        assertEquals(0, onCarriers.get());
        pinned.close();
        bench.assertSound();
        bench.cache.close();
    }

    private static void awaitUninterrupted(CountDownLatch latch) {
        assertTrue(Waits.until(
                System.nanoTime() + PATIENCE.toNanos(), left -> latch.await(left, TimeUnit.NANOSECONDS)));
    }

    /** Writers that are faster than their store wait for it; more of them than there are carriers. */
    @Test
    void heldUpWritersKeepNeitherCarriersNorInterrupts() throws Exception {
        int most = 1024;
        Bench bench = new Bench(frames(most), WritePolicy.WRITE_BACK, pages(1, 2 * most));
        BackgroundWrites background = bench.cache.backgroundWrites;
        background.mostDelayNanos = PATIENCE.toNanos();
        background.standingMillis = PATIENCE.toMillis();
        CountDownLatch opened = new CountDownLatch(1);
        bench.store.hook = (operation, position, length) -> {
            if (operation.equals("write")) {
                awaitUninterrupted(opened);
            }
        };
        int held = 4 * Runtime.getRuntime().availableProcessors() + 4;
        for (int i = 0; i < most / 2; i++) {
            change(bench, 2L * i);
        }
        List<Task> writers = new ArrayList<>();
        for (int i = 0; i < held; i++) {
            long page = most + 2L * i;
            writers.add(virtual(() -> change(bench, page)));
        }
        Bench.awaitThat("all are held up", () -> background.waiting() == held);
        for (int i = 0; i < 3; i++) {
            writers.forEach(writer -> writer.thread.interrupt());
            virtual(() -> bench.file.pin(0).close()).get();
            Bench.awaitThat("held up again", () -> background.waiting() == held);
        }
        opened.countDown();
        for (Task writer : writers) {
            assertTrue(writer.get(), "the interrupt is still pending");
        }
        bench.file.flush();
        byte[] stored = bench.store.bytes();
        for (int i = 0; i < most / 2 + held; i++) {
            assertEquals(99, stored[2 * i * 4096]);
        }
        bench.assertSound();
        bench.cache.close();
    }

    private static void change(Bench bench, long page) throws IOException {
        try (var pin = bench.file.pinForWrite(page)) {
            pin.dirty(0, 1);
            pin.segment().set(ValueLayout.JAVA_BYTE, 0, (byte) 99);
        }
    }

    // ---- interrupts

    /** What a thread is at when it is interrupted: an operation of the store, its own or another thread's. */
    private static Bench.Action operation(Bench bench, String name) {
        return switch (name) {
            case "pin" -> () -> bench.file.pin(2).close();
            case "stamp" -> () -> assertTrue(bench.file.stamp(2) != 0);
            case "read" -> () -> assertEquals(3, bench.first(2));
            case "write" -> () -> bench.write(2 * 4096, filled(30, 4096));
            case "dirty pin" -> () -> change(bench, 1);
            case "append" -> () -> bench.write(12 * 4096, pages(13, 1));
            case "flush" -> bench.file::flush;
            case "force" -> bench.file::force;
            case "truncate" -> () -> bench.file.truncate(4096 + 10);
            case "close" -> bench.file::close;
            case "close cache" -> () -> bench.cache.close(PATIENCE);
            default -> throw new IllegalArgumentException(name);
        };
    }

    /** The second operation waits for the first, which waits for the store; both are interrupted, again and again. */
    @ParameterizedTest
    @CsvSource({
        "read, WRITE_BACK, pin, pin",
        "read, WRITE_BACK, stamp, write",
        "read, WRITE_BACK, read, close",
        "read, WRITE_BACK, pin, close cache",
        "write, WRITE_THROUGH, write, pin",
        "write, WRITE_THROUGH, append, append",
        "write, WRITE_THROUGH, dirty pin, close",
        "write, WRITE_BACK, flush, dirty pin",
        "write, WRITE_BACK, flush, force",
        "write, WRITE_BACK, force, truncate",
        "write, WRITE_BACK, close, stamp",
        "write, WRITE_BACK, close cache, close",
        "force, WRITE_BACK, force, force",
        "force, WRITE_BACK, force, close",
        "truncate, WRITE_THROUGH, truncate, append",
        "truncate, WRITE_THROUGH, truncate, truncate",
        "close, WRITE_BACK, close, close cache",
    })
    void anInterruptEndsNoWaitForTheStoreNorForOneWhoWaitsForIt(
            String held, WritePolicy policy, String first, String second) throws Exception {
        for (boolean virtual : new boolean[] {false, true}) {
            Bench bench = new Bench(Bench.patient(16), policy, pages(1, 12));
            bench.cache.maintenance.stop();
            bench.write(4096, filled(2, 100));
            Bench.Gate gate = bench.new Gate(held);
            boolean closes = first.startsWith("close") || second.startsWith("close");
            Task one = new Task(virtual, () -> run(bench, first, closes));
            gate.awaitReached();
            Task two = new Task(virtual, () -> {
                Thread.currentThread().interrupt();
                run(bench, second, closes);
            });
            if (!second.equals("stamp") && !second.equals("close cache")) {
                two.awaitParked();
            }
            for (int i = 0; i < 3; i++) {
                one.thread.interrupt();
                two.thread.interrupt();
                one.awaitParked();
            }
            assertFalse(one.future.isDone());
            assertFalse(bench.store.closed && !held.equals("close"), "the store is open");
            gate.open();
            assertTrue(one.get(), "the interrupt of " + first + " is still pending");
            assertTrue(two.get(), "the interrupt of " + second + " is still pending");
            if (!closes) {
                bench.assertSound();
                bench.file.force();
                byte[] stored = bench.store.bytes();
                assertArrayEquals(stored, bench.read(0, stored.length + 1));
            }
            bench.cache.close();
            assertTrue(bench.store.closed);
        }
    }

    private static void run(Bench bench, String operation, boolean mayBeClosed) throws Exception {
        try {
            operation(bench, operation).run();
        } catch (CacheClosedException e) {
            assertTrue(mayBeClosed, e.toString());
        }
    }

    /** A system call of a platform thread is interrupted as such; that of a virtual one is made by another thread. */
    @ParameterizedTest
    @CsvSource({"true, shm", "false, shm", "true, volatile", "false, volatile"})
    void threadsInterruptedAllTheTimeUseAPlainFile(boolean virtual, String backend, @TempDir Path directory)
            throws Exception {
        Path data = directory.resolve("data");
        Files.write(data, pages(1, 60));
        CacheConfig config = CacheConfig.of("interrupts-" + ProcessHandle.current().pid() + "-" + virtual, 32 * 4096)
                .withLatchTimeout(PATIENCE)
                .withBackend(backend);
        try (PageCache cache = PageCache.open(config)) {
            PagedFile file = cache.map(data, MapOptions.DEFAULT.withIoMode(IoMode.BUFFERED));
            List<Task> tasks = new ArrayList<>();
            for (int t = 0; t < 8; t++) {
                int own = t;
                tasks.add(new Task(virtual, () -> use(file, own)));
            }
            while (tasks.stream().anyMatch(task -> !task.future.isDone())) {
                tasks.forEach(task -> task.thread.interrupt());
                LockSupport.parkNanos(100_000);
            }
            for (Task task : tasks) {
                task.get();
            }
            assertTrue(cache.health().healthy(), () -> cache.health().problems().toString());
            file.close();
            byte[] expected = pages(1, 60);
            for (int t = 0; t < 8; t++) {
                Arrays.fill(expected, t * 7 * 4096, (t * 7 + 7) * 4096, (byte) (100 + t));
            }
            assertArrayEquals(expected, Files.readAllBytes(data));
            cache.drop();
        }
    }

    private static void use(PagedFile file, int own) throws IOException {
        Random random = new Random(own);
        byte[] page = new byte[4096];
        for (int i = 0; i < 60; i++) {
            file.write((own * 7 + i % 7) * 4096L, MemorySegment.ofArray(filled(i < 53 ? i : 100 + own, 4096)));
            assertEquals(4096, file.read(random.nextInt(60) * 4096L, MemorySegment.ofArray(page)));
            if (i % 20 == 0) {
                file.force();
            }
        }
        file.flush();
    }

    // ---- pinning

    /** Parks where it cannot leave its carrier: what the test below must see, to be worth anything. */
    private static final class Pinning {
        static final long PARKED = park();

        private static long park() {
            LockSupport.parkNanos(1_000_000);
            return System.nanoTime();
        }
    }

    @Test
    void noWaitPinsACarrier(@TempDir Path directory) throws Exception {
        Path recorded = directory.resolve("pinned.jfr");
        CacheConfig config = CacheConfig.of("pinning-" + ProcessHandle.current().pid(), 16 * 4096)
                .withLatchTimeout(PATIENCE);
        try (Recording recording = new Recording()) {
            recording.enable("jdk.VirtualThreadPinned").withoutThreshold().withStackTrace();
            recording.start();
            virtual(() -> assertTrue(Pinning.PARKED != 0)).get();
            for (String backend : List.of("shm", "volatile")) {
                Path data = directory.resolve(backend);
                Files.write(data, pages(1, 60));
                virtual(() -> {
                    try (PageCache cache = PageCache.open(config.withBackend(backend))) {
                        PagedFile file =
                                cache.map(data, MapOptions.DEFAULT.withPolicy(WritePolicy.WRITE_BACK));
                        List<Task> tasks = new ArrayList<>();
                        for (int t = 0; t < 50; t++) {
                            int own = t % 8;
                            tasks.add(virtual(() -> use(file, own)));
                        }
                        for (Task task : tasks) {
                            task.get();
                        }
                        file.truncate(5000);
                        file.close();
                        cache.drop();
                    }
                }).get();
            }
            recording.stop();
            recording.dump(recorded);
        }
        int seen = 0;
        List<RecordedEvent> ours = new ArrayList<>();
        for (RecordedEvent event : RecordingFile.readAllEvents(recorded)) {
            if (names(event, Pinning.class.getName())) {
                seen++;
            } else if (names(event, "io.warmcache.")) {
                ours.add(event);
            }
        }
        assertEquals(1, seen, "the recording shows what pins");
        assertEquals(List.of(), ours);
    }

    private static boolean names(RecordedEvent event, String prefix) {
        if (event.getStackTrace() == null) {
            return false;
        }
        for (RecordedFrame frame : event.getStackTrace().getFrames()) {
            if (frame.getMethod().getType().getName().startsWith(prefix)) {
                return true;
            }
        }
        return false;
    }

    /** It would wait for ever for I/O that nobody does. */
    @Test
    void aVirtualThreadDoesItsIoItselfIfNoThreadCanBeStartedForIt() throws Exception {
        byte[] bytes = Bench.pages(1, 64);
        Bench b = new Bench(frames(16), WritePolicy.WRITE_THROUGH, bytes);
        b.cache.threads = ImageTest::unstartable;
        new Task(true, () -> {
                    byte[] got = new byte[bytes.length];
                    b.file.read(0, MemorySegment.ofArray(got));
                    assertArrayEquals(bytes, got);
                    b.file.write(0, MemorySegment.ofArray(new byte[] {9}));
                    b.file.force();
                })
                .get();
        assertEquals(9, b.store.bytes()[0]);
        b.cache.close();
    }
}
