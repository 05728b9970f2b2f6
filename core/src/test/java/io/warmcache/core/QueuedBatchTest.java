/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static io.warmcache.core.Bench.pages;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.CacheClosedException;
import io.warmcache.CacheConfig;
import io.warmcache.ReadPin;
import io.warmcache.WritePin;
import io.warmcache.WritePolicy;
import java.io.IOException;
import java.lang.reflect.Field;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Sets of pages of a back end that reads several runs at once (Q2a of {@code docs/internals.md}, section 15). */
class QueuedBatchTest {
    private static final int PAGES = 250;

    private static Bench bench(int frames) throws IOException {
        Bench bench = new Bench(Bench.patient(frames), WritePolicy.WRITE_BACK, pages(1, PAGES));
        bench.segment.runsAtOnce = 64;
        return bench;
    }

    /** Every other page, so that none has its neighbour read with it. */
    private static long[] scattered(int count) {
        return LongStream.range(0, count).map(i -> 2 * i).toArray();
    }

    private static void end(Bench bench) throws IOException {
        bench.assertSound();
        bench.cache.close();
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void runsAreReadByOneCall(boolean virtual) throws Exception {
        Bench bench = bench(400);
        long[] wanted = LongStream.concat(LongStream.range(200, 212), LongStream.of(scattered(30)))
                .toArray();
        FutureTask<Integer> load = new FutureTask<>(() -> bench.file.load(wanted));
        Thread caller = virtual ? Thread.ofVirtual().start(load) : Thread.ofPlatform().start(load);
        assertEquals(wanted.length, load.get(60, TimeUnit.SECONDS));
        caller.join();
        assertEquals(1, bench.segment.calls.get());
        for (long page : wanted) {
            assertEquals(TranslationWord.RESIDENT, bench.state(page));
            assertEquals((byte) (page + 1), (byte) bench.first(page));
        }
        assertEquals(wanted.length, bench.cache.stats().misses());
        assertEquals(wanted.length * 4096L, bench.cache.stats().bytesRead());
        assertEquals(0, bench.file.load(wanted));
        end(bench);
    }

    @Test
    void pagesInMemoryAndPagesNamedTwiceAreReadOnce() throws IOException {
        Bench bench = bench(128);
        bench.first(5);
        AtomicInteger reads = new AtomicInteger();
        bench.store.hook = (operation, position, length) -> reads.incrementAndGet();
        assertEquals(5, bench.file.load(new long[] {7, 5, 20, 6, 20, 8, 7, 40}));
        assertEquals(5, reads.get());
        end(bench);
    }

    /** An eighth of the frames at a time; then frames must be had by eviction. */
    @ParameterizedTest
    @ValueSource(ints = {8, 24, 64})
    void moreThanTheCacheHoldsIsReadToo(int frames) throws IOException {
        Bench bench = new Bench(
                Bench.patient(frames).withOptions(Map.of("core.maintenance", "off")),
                WritePolicy.WRITE_BACK,
                pages(1, PAGES));
        bench.segment.runsAtOnce = 64;
        int most = Math.max(1, frames / 8);
        AtomicInteger together = new AtomicInteger();
        bench.store.hook = (operation, position, length) -> {
            int owned = 0;
            for (int page = 0; page < PAGES; page++) {
                owned += bench.state(page) == TranslationWord.LOADING ? 1 : 0;
            }
            together.accumulateAndGet(owned, Math::max);
        };
        assertEquals(PAGES / 2, bench.file.load(scattered(PAGES / 2)));
        assertEquals(most, together.get());
        for (long page : scattered(PAGES / 2)) {
            assertEquals((byte) (page + 1), (byte) bench.first(page));
        }
        end(bench);
    }

    @Test
    void aFailedReadIsToldAndHarmsNoOtherPage() throws IOException {
        Bench bench = bench(256);
        bench.store.hook = (operation, position, length) -> {
            if (position == 10 * 4096 || position == 20 * 4096) {
                throw new IOException("injected at " + position);
            }
        };
        IOException told = assertThrows(IOException.class, () -> bench.file.load(scattered(30)));
        assertTrue(String.valueOf(told.getMessage()).startsWith("injected at "), told::toString);
        assertEquals(1, told.getSuppressed().length);
        for (long page : scattered(30)) {
            boolean failed = page == 10 || page == 20;
            assertEquals(failed ? TranslationWord.EMPTY : TranslationWord.RESIDENT, bench.state(page));
        }
        bench.fail("");
        assertEquals(2, bench.file.load(scattered(30)));
        end(bench);
    }

    @Test
    void runsThatABackEndLeavesOutAreGivenUp() throws IOException {
        Bench bench = bench(256);
        bench.segment.runsLeftOut = 7;
        IOException told = assertThrows(IOException.class, () -> bench.file.load(scattered(20)));
        assertTrue(String.valueOf(told.getMessage()).startsWith("the rest"), told::toString);
        for (long page : scattered(20)) {
            assertEquals(page < 14 ? TranslationWord.EMPTY : TranslationWord.RESIDENT, bench.state(page));
        }
        bench.segment.runsLeftOut = 0;
        assertEquals(7, bench.file.load(scattered(20)));
        end(bench);
    }

    private static void await(CountDownLatch latch) throws IOException {
        try {
            assertTrue(latch.await(60, TimeUnit.SECONDS));
        } catch (InterruptedException e) {
            throw new IOException(e);
        }
    }

    private static int loading(Bench bench, int pages) {
        int loading = 0;
        for (int page = 0; page < pages; page++) {
            loading += bench.state(page) == TranslationWord.LOADING ? 1 : 0;
        }
        return loading;
    }

    @Test
    void whatABackEndLeavesOutIsReadByAsManyReadersAsWithoutIt() throws IOException {
        Bench bench = bench(256);
        bench.segment.leavesAllOut = true;
        CountDownLatch together = new CountDownLatch(16);
        bench.store.hook = (operation, position, length) -> {
            together.countDown();
            await(together);
        };
        assertEquals(40, bench.file.load(scattered(40)));
        for (long page : scattered(40)) {
            assertEquals((byte) (page + 1), (byte) bench.first(page));
        }
        assertEquals(40, bench.cache.stats().misses());
        bench.file.prefetch(new long[] {201, 203, 205});
        Bench.awaitThat("read", () -> bench.cache.stats().misses() == 43);
        assertEquals(0, bench.cache.frames.queuedPages());
        end(bench);
    }

    /** Two callers own an eighth each; the third one gets on all the same, a run at a time. */
    @Test
    void allQueuesTogetherOwnAQuarterOfTheFramesAtMost() throws Exception {
        Bench bench = bench(64);
        CountDownLatch opened = new CountDownLatch(1);
        AtomicInteger reached = new AtomicInteger();
        bench.store.hook = (operation, position, length) -> {
            reached.incrementAndGet();
            await(opened);
        };
        List<Bench.Task<Integer>> loads = new ArrayList<>();
        for (int caller = 0; caller < 3; caller++) {
            int first = 20 * caller;
            long[] wanted = LongStream.of(scattered(8)).map(page -> first + page).toArray();
            loads.add(Bench.async(() -> bench.file.load(wanted)));
            int callers = caller + 1;
            Bench.awaitThat("reads", () -> reached.get() == callers);
        }
        assertEquals(8 + 8 + 1, loading(bench, PAGES));
        assertEquals(16, bench.cache.frames.queuedPages());
        opened.countDown();
        for (Bench.Task<Integer> load : loads) {
            assertEquals(8, load.get());
        }
        assertEquals(0, bench.cache.frames.queuedPages());
        end(bench);
    }

    @Test
    void oneCallReadsSixteenMebibytesAtMost() throws IOException {
        int count = 33 * 64; // pages of 8 KiB
        CacheConfig config = CacheConfig.of("bench", 17_000L * 8192).withPageSize(8192);
        Bench bench = new Bench(config, WritePolicy.WRITE_BACK, pages(1, 2 * count));
        bench.segment.runsAtOnce = 64;
        AtomicInteger most = new AtomicInteger();
        AtomicInteger looks = new AtomicInteger();
        bench.store.hook = (operation, position, length) -> {
            if (looks.getAndIncrement() % 100 == 0) {
                most.accumulateAndGet(loading(bench, count), Math::max);
            }
        };
        long[] wanted = LongStream.range(0, count).toArray();
        assertEquals(count, bench.file.load(wanted));
        assertEquals((16 << 20) / 8192, most.get());
        assertEquals(2, bench.segment.calls.get());
        end(bench);
    }

    /** And each that ends is one that the close sees: it gets on, however long all of them take. */
    @ParameterizedTest
    @ValueSource(strings = {"the file", "the cache"})
    void whoClosesWaitsForTheRunsThatWereBegunAlone(String closed) throws Exception {
        Bench bench = bench(800);
        bench.segment.runsAtOnce = 4;
        Field moved = Ending.class.getDeclaredField("movedAt");
        moved.setAccessible(true);
        CountDownLatch reached = new CountDownLatch(1);
        CountDownLatch opened = new CountDownLatch(1);
        AtomicInteger reads = new AtomicInteger();
        AtomicInteger unseen = new AtomicInteger();
        AtomicLong last = new AtomicLong();
        bench.store.hook = (operation, position, length) -> {
            if (operation.equals("read")) {
                if (reads.incrementAndGet() == 1) {
                    reached.countDown();
                    await(opened);
                } else {
                    unseen.addAndGet(movedAt(moved, bench) - last.get() < 0 ? 1 : 0);
                }
                last.set(System.nanoTime());
            }
        };
        var load = Bench.async(() -> {
            try {
                return bench.file.load(scattered(60));
            } catch (CacheClosedException e) {
                return -1;
            }
        });
        await(reached);
        boolean cache = closed.equals("the cache");
        var close = Bench.run(cache ? () -> bench.cache.close() : () -> bench.file.close());
        Bench.awaitThat("closing", () -> cache ? bench.cache.closing : !bench.inside().open);
        opened.countDown();
        assertEquals(-1, load.get());
        close.get();
        assertEquals(4, reads.get());
        assertEquals(0, bench.cache.frames.queuedPages());
        if (cache) {
            assertEquals(0, unseen.get(), "runs that ended, and the close did not see it");
        } else {
            bench.map();
            assertEquals(1, bench.first(0));
            end(bench);
        }
    }

    private static long movedAt(Field moved, Bench bench) {
        try {
            return moved.getLong(bench.cache.ending);
        } catch (IllegalAccessException e) {
            throw new AssertionError(e);
        }
    }

    @Test
    void aPageThatSomebodyElseLoadsIsWaitedForWithNothingOwned() throws Exception {
        Bench bench = bench(256);
        Bench.Gate gate = bench.new Gate("read");
        var other = Bench.async(() -> bench.first(6));
        gate.awaitReached();
        var load = Bench.async(() -> bench.file.load(new long[] {6, 7, 30, 50}));
        Bench.awaitThat("50 read", () -> bench.state(50) == TranslationWord.RESIDENT);
        load.awaitParked();
        assertFalse(load.isDone());
        for (long page : new long[] {7, 30, 50}) {
            assertEquals(TranslationWord.RESIDENT, bench.state(page));
        }
        gate.open();
        assertEquals(7, other.get());
        assertEquals(3, load.get());
        end(bench);
    }

    @Test
    void recoveredPagesAreVerifiedAndNotReadAgain() throws IOException {
        Bench bench = bench(256);
        assertEquals(20, bench.file.load(scattered(20)));
        bench.die();
        AtomicInteger reads = new AtomicInteger();
        bench.store.hook = (operation, position, length) -> reads.incrementAndGet();
        bench.file.load(scattered(24));
        assertEquals(4, reads.get());
        for (long page : scattered(24)) {
            assertEquals((byte) (page + 1), (byte) bench.first(page));
        }
        end(bench);
    }

    @Test
    void aPageThatTheCallerHasLatchedIsThere() throws IOException {
        Bench bench = bench(64);
        try (WritePin pin = bench.file.pinForWrite(4)) {
            assertEquals(2, bench.file.load(new long[] {4, 6, 8}));
            assertEquals(4, pin.page());
        }
        end(bench);
    }

    @Test
    void pinnedFramesAreWaitedForOneByOne() throws Exception {
        Bench bench = bench(8);
        List<ReadPin> pins = new ArrayList<>();
        for (int page = 0; page < 8; page++) {
            pins.add(bench.file.pin(page));
        }
        var load = Bench.async(() -> bench.file.load(new long[] {20, 30}));
        load.awaitParked();
        for (ReadPin pin : pins) {
            pin.close();
        }
        assertEquals(2, load.get());
        end(bench);
    }

    @Test
    void prefetchReadsTogetherToo() throws IOException {
        Bench bench = bench(512);
        bench.file.prefetch(scattered(40));
        Bench.awaitThat("read", () -> bench.cache.stats().misses() == 40);
        assertEquals(1, bench.segment.calls.get());
        end(bench);
    }

    @Test
    void aPrefetchThatFindsNoFrameEnds() throws IOException {
        Bench bench = bench(8);
        List<ReadPin> pins = new ArrayList<>();
        for (int page = 0; page < 8; page++) {
            pins.add(bench.file.pin(page));
        }
        bench.file.prefetch(scattered(100));
        bench.cache.maintenance.stop();
        assertEquals(8, bench.cache.stats().misses());
        for (ReadPin pin : pins) {
            pin.close();
        }
        end(bench);
    }

    @Test
    void withoutThreadsTheCallerDoesAll() throws IOException {
        Bench bench = new Bench(
                Bench.patient(512).withOptions(Map.of("core.maintenance", "off")),
                WritePolicy.WRITE_BACK,
                pages(1, PAGES));
        bench.segment.runsAtOnce = 64;
        bench.file.prefetch(new long[] {201, 203});
        assertEquals(PAGES / 2, bench.file.load(scattered(PAGES / 2)));
        assertEquals(PAGES / 2 + 2, bench.cache.stats().misses());
        end(bench);
    }

    @Test
    void theCloseOfAFileWaitsForABatchAndLeavesNothing() throws Exception {
        Bench bench = bench(256);
        Bench.Gate gate = bench.new Gate("read");
        var load = Bench.async(() -> {
            try {
                return bench.file.load(scattered(100));
            } catch (CacheClosedException e) {
                return -1;
            }
        });
        gate.awaitReached();
        var close = Bench.run(() -> bench.file.close());
        close.awaitParked();
        gate.open();
        close.get();
        assertTrue(Arrays.asList(-1, 100).contains(load.get()));
        bench.map();
        assertEquals(1, bench.first(0));
        end(bench);
    }

    @Test
    void aTruncateWaitsForABatchAndCutsWhatItRead() throws Exception {
        Bench bench = bench(512);
        Bench.Gate gate = bench.new Gate("read");
        var load = Bench.async(() -> bench.file.load(scattered(50)));
        gate.awaitReached();
        var cut = Bench.run(() -> bench.file.truncate(10 * 4096));
        cut.awaitParked();
        gate.open();
        assertEquals(50, load.get());
        cut.get();
        assertEquals(10, bench.file.pages());
        for (long page : scattered(5)) {
            assertEquals((byte) (page + 1), (byte) bench.first(page));
        }
        end(bench);
    }

    @Test
    void anInterruptEndsNothing() throws Exception {
        Bench bench = bench(256);
        Bench.Gate gate = bench.new Gate("read");
        var load = Bench.async(() -> {
            int read = bench.file.load(scattered(8));
            return Thread.interrupted() ? read : -1;
        });
        gate.awaitReached();
        load.thread.interrupt();
        gate.open();
        assertEquals(8, load.get());
        end(bench);
    }
}
