/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static io.warmcache.core.Bench.pages;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.CacheClosedException;
import io.warmcache.CacheException;
import io.warmcache.ReadPin;
import io.warmcache.WritePin;
import io.warmcache.WritePolicy;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Sets of pages are read together, by their caller and the file's readers ({@code docs/internals.md}, section 15). */
class BatchTest {
    private static final int PAGES = 128;

    private static Bench bench() throws IOException {
        return new Bench(Bench.patient(64), WritePolicy.WRITE_BACK, pages(1, PAGES));
    }

    /** Every third page, so that none has its neighbour read with it. */
    private static long[] scattered(int count) {
        return LongStream.range(0, count).map(i -> 3 * i).toArray();
    }

    private static void end(Bench bench) throws IOException {
        bench.assertSound();
        bench.cache.close();
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void misses(boolean virtual) throws Exception {
        Bench bench = bench();
        int reads = Readers.MOST_THREADS;
        CountDownLatch together = new CountDownLatch(reads);
        AtomicInteger alone = new AtomicInteger();
        bench.store.hook = (operation, position, length) -> {
            together.countDown();
            try {
                alone.addAndGet(together.await(60, TimeUnit.SECONDS) ? 0 : 1);
            } catch (InterruptedException e) {
                throw new IOException(e);
            }
        };
        FutureTask<Integer> load = new FutureTask<>(() -> bench.file.load(scattered(reads)));
        Thread caller = virtual ? Thread.ofVirtual().start(load) : Thread.ofPlatform().start(load);
        assertEquals(reads, load.get(90, TimeUnit.SECONDS));
        caller.join();
        assertEquals(0, alone.get(), "reads that others had to end before");
        for (long page : scattered(reads)) {
            assertEquals(TranslationWord.RESIDENT, bench.state(page));
            assertEquals(page + 1, bench.first(page));
        }
        end(bench);
    }

    @Test
    void pagesInMemoryAndPagesNamedTwiceAreReadOnce() throws IOException {
        Bench bench = bench();
        bench.first(5);
        AtomicInteger reads = new AtomicInteger();
        bench.store.hook = (operation, position, length) -> reads.incrementAndGet();
        assertEquals(5, bench.file.load(new long[] {7, 5, 20, 6, 20, 8, 7, 40}));
        assertEquals(5, reads.get());
        assertEquals(0, bench.file.load(new long[] {40, 5, 6, 7, 8, 20}));
        assertEquals(0, bench.file.load(new long[0]));
        assertEquals(6, bench.cache.stats().misses());
        assertEquals(6 * 4096, bench.cache.stats().bytesRead());
        end(bench);
    }

    @Test
    void moreThanTheCacheHoldsIsReadToo() throws IOException {
        Bench bench = new Bench(Bench.patient(8), WritePolicy.WRITE_BACK, pages(1, PAGES));
        assertEquals(PAGES, bench.file.load(LongStream.range(0, PAGES).toArray()));
        for (int page = 0; page < PAGES; page++) {
            assertEquals((byte) (page + 1), (byte) bench.first(page));
        }
        end(bench);
    }

    @Test
    void aFailedReadIsToldAndHarmsNoOtherPage() throws IOException {
        Bench bench = bench();
        bench.store.hook = (operation, position, length) -> {
            if (position == 9 * 4096 || position == 21 * 4096) {
                throw new IOException("injected at " + position);
            }
        };
        IOException told = assertThrows(IOException.class, () -> bench.file.load(scattered(12)));
        assertTrue(String.valueOf(told.getMessage()).startsWith("injected at "), told::toString);
        assertEquals(1, told.getSuppressed().length);
        for (long page : scattered(12)) {
            assertEquals(
                    page == 9 || page == 21 ? TranslationWord.EMPTY : TranslationWord.RESIDENT, bench.state(page));
        }
        bench.fail("");
        assertEquals(2, bench.file.load(scattered(12)));
        end(bench);
    }

    @Test
    void pagesThatAreNotOfTheFileAreRefusedBeforeAnyIsRead() throws IOException {
        Bench bench = bench();
        assertThrows(IndexOutOfBoundsException.class, () -> bench.file.load(new long[] {1, PAGES}));
        assertThrows(IndexOutOfBoundsException.class, () -> bench.file.load(new long[] {1, -1}));
        assertThrows(IllegalArgumentException.class, () -> bench.file.prefetch(new long[] {1, -1}));
        bench.file.prefetch(new long[] {PAGES, Long.MAX_VALUE});
        assertEquals(0, bench.cache.stats().misses());
        end(bench);
    }

    @Test
    void prefetchBringsWhatIsOfTheFileAndNotThere() throws IOException {
        Bench bench = bench();
        bench.first(3);
        bench.file.prefetch(new long[] {PAGES + 5, 3, 90, 6});
        Bench.awaitThat("read", () -> bench.cache.stats().misses() == 3);
        bench.file.prefetch(10, 20);
        Bench.awaitThat("the range read", () -> bench.cache.stats().misses() == 23);
        bench.file.prefetch(PAGES - 1, Integer.MAX_VALUE);
        Bench.awaitThat("the end read", () -> bench.cache.stats().misses() == 24);
        end(bench);
    }

    @Test
    void noMoreIsPrefetchedThanTheCacheHolds() throws IOException {
        Bench bench = new Bench(Bench.patient(16), WritePolicy.WRITE_BACK, pages(1, PAGES));
        bench.file.prefetch(LongStream.range(0, PAGES).toArray());
        Bench.awaitThat("as many as it holds", () -> bench.cache.stats().misses() == 16);
        bench.cache.maintenance.stop();
        assertEquals(16, bench.cache.stats().misses());
        end(bench);
    }

    @Test
    void whereNoFrameCanBeHadAtOnceAPrefetchEnds() throws IOException {
        Bench bench = new Bench(Bench.patient(8), WritePolicy.WRITE_BACK, pages(1, PAGES));
        List<ReadPin> pins = new ArrayList<>();
        for (int page = 0; page < 8; page++) {
            pins.add(bench.file.pin(page));
        }
        assertEquals(BulkIo.NO_FRAME, bench.inside().bulkIo.prefetch(8, 100));
        bench.file.prefetch(LongStream.range(8, PAGES).toArray());
        bench.file.prefetch(8, 100);
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
                Bench.patient(64).withOptions(Map.of("core.maintenance", "off")), WritePolicy.WRITE_BACK, pages(1, 90));
        assertEquals(12, bench.file.load(scattered(12)));
        bench.file.prefetch(new long[] {1, 50});
        bench.file.prefetch(60, 4);
        assertEquals(12 + 6, bench.cache.stats().misses());
        end(bench);
    }

    @Test
    void withNoFurtherThreadTheCallerReadsAll() throws IOException {
        Bench bench = bench();
        Cache.ThreadMaker threads = bench.cache.threads;
        bench.cache.threads = (task, name) -> {
            throw new OutOfMemoryError("no thread, says the test");
        };
        assertEquals(12, bench.file.load(scattered(12)));
        bench.file.prefetch(new long[] {1});
        assertEquals(TranslationWord.EMPTY, bench.state(1));
        bench.cache.threads = threads;
        end(bench);
    }

    /** Stack or heap may be exhausted just when something was taken to be read. */
    @ParameterizedTest
    @ValueSource(strings = {"its caller, of a queue", "its caller", "a reader"})
    void whoeverLosesWhatHeTookKeepsNobodyWaiting(String who) throws Exception {
        Bench bench = bench();
        bench.segment.runsAtOnce = who.endsWith("queue") ? 64 : 1;
        CountDownLatch thrown = new CountDownLatch(1);
        Readers readers = bench.inside().readers;
        Runnable usual = readers.taken;
        boolean byReader = who.equals("a reader");
        readers.taken = () -> {
            boolean isReader = Thread.currentThread().getName().startsWith("warmcache-read");
            if (isReader != byReader) {
                Bench.awaitThat("the other one", () -> thrown.getCount() == 0);
            } else if (thrown.getCount() > 0) {
                thrown.countDown();
                throw new StackOverflowError("says the test");
            }
        };
        var load = Bench.async(() -> bench.file.load(scattered(12)));
        ExecutionException told = assertThrows(ExecutionException.class, load::get);
        assertTrue(told.getCause() instanceof StackOverflowError, told::toString);
        readers.taken = usual;
        var _ = bench.file.load(scattered(12));
        for (long page : scattered(12)) {
            assertEquals(page + 1, bench.first(page));
        }
        end(bench);
    }

    @Test
    void aPageThatSomebodyElseLoadsIsWaitedForAndNotReadAgain() throws Exception {
        Bench bench = bench();
        Bench.Gate gate = bench.new Gate("read");
        var other = Bench.async(() -> bench.first(6));
        gate.awaitReached();
        var load = Bench.async(() -> bench.file.load(new long[] {6, 30}));
        Bench.awaitThat("30 read", () -> bench.state(30) == TranslationWord.RESIDENT);
        assertFalse(load.isDone());
        gate.open();
        assertEquals(7, other.get());
        assertEquals(1, load.get());
        end(bench);
    }

    @Test
    void aPageThatTheCallerHasLatchedIsThere() throws IOException {
        Bench bench = bench();
        try (WritePin pin = bench.file.pinForWrite(4)) {
            assertEquals(1, bench.file.load(new long[] {4, 5}));
            assertEquals(4, pin.page());
        }
        end(bench);
    }

    @Test
    void anInterruptEndsNothing() throws Exception {
        Bench bench = bench();
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

    @Test
    void theCloseOfAFileWaitsForABatchAndLeavesNothing() throws Exception {
        Bench bench = bench();
        Bench.Gate gate = bench.new Gate("read");
        var load = Bench.async(() -> {
            try {
                return bench.file.load(scattered(30));
            } catch (CacheClosedException e) {
                return -1;
            }
        });
        gate.awaitReached();
        var close = Bench.run(() -> bench.file.close());
        close.awaitParked();
        gate.open();
        close.get();
        assertTrue(Arrays.asList(-1, 30).contains(load.get()));
        bench.map();
        assertEquals(1, bench.first(0));
        end(bench);
    }

    /** What a store does not give back is held like a pinned page: for the grace, and then by a thread of its own. */
    @Test
    void aReadThatHangsHoldsUpTheCloseOfTheCacheForItsGraceAlone() throws Exception {
        Bench bench = bench();
        Bench.Gate gate = bench.new Gate("read");
        bench.file.prefetch(new long[] {3});
        gate.awaitReached();
        assertThrows(CacheException.class, () -> bench.cache.close(Duration.ZERO));
        gate.open();
        Bench.awaitThat("closed after all", () -> bench.store.closed);
        bench.cache.maintenance.stop();
    }

    @Test
    void theCloseOfTheCacheDropsWhatHasNotBegunAndWaitsForTheRest() throws Exception {
        Bench bench = bench();
        CountDownLatch reached = new CountDownLatch(Readers.MOST_THREADS);
        CountDownLatch opened = new CountDownLatch(1);
        bench.store.hook = (operation, position, length) -> {
            if (operation.equals("read")) {
                reached.countDown();
                try {
                    assertTrue(opened.await(60, TimeUnit.SECONDS));
                } catch (InterruptedException e) {
                    throw new IOException("readers are not to be interrupted", e);
                }
            }
        };
        List<Long> wanted = new ArrayList<>();
        for (long page = 0; page < PAGES; page += 3) {
            wanted.add(page);
        }
        for (long page : wanted) {
            bench.file.prefetch(new long[] {page});
        }
        assertTrue(reached.await(60, TimeUnit.SECONDS));
        var close = Bench.run(() -> bench.cache.close());
        Bench.awaitThat("closing", () -> bench.cache.closing);
        close.awaitParked();
        opened.countDown();
        close.get();
        assertTrue(bench.cache.stats().misses() < wanted.size(), "what had not begun was read all the same");
        assertTrue(bench.store.closed);
    }
}
