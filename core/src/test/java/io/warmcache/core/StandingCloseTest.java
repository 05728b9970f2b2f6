/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static io.warmcache.core.Bench.awaitThat;
import static io.warmcache.core.Bench.filled;
import static io.warmcache.core.Bench.pages;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.BusyException;
import io.warmcache.CacheClosedException;
import io.warmcache.CacheConfig;
import io.warmcache.CacheException;
import io.warmcache.LatchTimeoutException;
import io.warmcache.MapOptions;
import io.warmcache.PageCache;
import io.warmcache.PagedFile;
import io.warmcache.ReadPin;
import io.warmcache.StoreId;
import io.warmcache.WritePolicy;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Closing while a call of a store does not end: nobody hangs, nothing is unmapped under it, nothing is lost unsaid. */
class StandingCloseTest {
    private static final MapOptions WRITE_BACK = MapOptions.DEFAULT.withPolicy(WritePolicy.WRITE_BACK);

    /** No thread is to be had. */
    private static final Cache.ThreadMaker UNSTARTABLE = ImageTest::unstartable;

    /** For a close that must come to its end. */
    private static final Duration PATIENCE = Duration.ofMinutes(2);

    private final CountDownLatch reached = new CountDownLatch(1);
    private final CountDownLatch opened = new CountDownLatch(1);
    private volatile boolean fails;

    @AfterEach
    void letGo() {
        opened.countDown();
    }

    private static void await(CountDownLatch latch) {
        assertTrue(Waits.until(
                System.nanoTime() + PATIENCE.toNanos(), left -> latch.await(left, TimeUnit.NANOSECONDS)));
    }

    private void stand() {
        reached.countDown();
        await(opened);
    }

    /** From now on no such call of the store ends before {@link #opened}. */
    private void hold(MemoryStore store, String held) {
        store.hook = (operation, position, length) -> {
            if (operation.equals(held)) {
                stand();
                if (fails) {
                    throw new IOException("injected at " + held);
                }
            }
        };
    }

    /** A cache that gives up soon, one page of its file changed, and such a call of its store held. */
    private Bench changed(String held) throws IOException {
        return changed(Bench.small(64), held);
    }

    private Bench changed(CacheConfig config, String held) throws IOException {
        Bench bench = new Bench(config, WritePolicy.WRITE_BACK, pages(1, 4));
        bench.cache.backgroundWrites.standingMillis = 20;
        hold(bench.store, held); // before there is anything for the background to write
        bench.write(0, filled(9, 10));
        return bench;
    }

    private static MemoryStore changedToo(Bench bench) throws IOException {
        MemoryStore store = new MemoryStore(pages(20, 4));
        bench.cache.map(store, WRITE_BACK).write(0, MemorySegment.ofArray(filled(5, 10)));
        return store;
    }

    /** Closes in vain until that is for the reason given; a thread may be late to get where it stands. */
    private static String refused(Bench bench, String reason) {
        String[] said = {""};
        awaitThat("a close that is refused for " + reason, () -> {
            CacheException refused = assertThrows(CacheException.class, () -> bench.cache.close(Duration.ZERO));
            said[0] = String.valueOf(refused.getMessage());
            return said[0].contains(reason);
        });
        assertEquals(0, bench.segment.closes, "the memory stays");
        assertContains(said[0], bench.cache.threads.equals(UNSTARTABLE) ? "closed again" : "by itself");
        return said[0];
    }

    private static void assertContains(String text, String part) {
        assertTrue(text.contains(part), text);
    }

    /** What has been standing is let go: the close that was refused goes on by itself. */
    private void assertEndsByItself(Bench bench) throws IOException {
        opened.countDown();
        awaitThat("the memory is given back", () -> bench.segment.closes == 1);
        bench.cache.close(PATIENCE);
        assertTrue(bench.store.closed);
        assertEquals(1, bench.segment.closes);
    }

    private static void assertServes(Bench bench, int first) throws IOException {
        bench.store.hook = (operation, position, length) -> {};
        bench.cache = bench.segment.attach(bench.config);
        bench.map();
        assertEquals(0, bench.cache.recovery().droppedTotal());
        assertEquals(first, bench.first(0));
        bench.assertSound();
        bench.cache.close();
    }

    // ---- the cache -------------------------------------------------------------------------------------------------

    @ParameterizedTest
    @ValueSource(strings = {"write", "force", "close"})
    void aStoreThatStandsKeepsTheMemoryAndNoOtherFile(String held) throws Exception {
        Bench bench = changed(held);
        MemoryStore other = changedToo(bench);
        String call = "1 " + held + " of " + bench.store.name() + " under way";
        String said = refused(bench, call);
        String unwritten = "Not in their stores yet: 1 page of " + bench.store.name();
        assertEquals(held.equals("write"), said.contains(unwritten), said);
        assertContains(bench.cache.health().problems().toString(), call);
        awaitThat("the other file is closed", () -> other.closed);
        assertEquals(5, other.bytes()[0]);
        awaitThat("done with it", () -> !bench.cache.ending.reasons().contains(other.name()));
        var closing = Bench.run(() -> bench.cache.close(PATIENCE)).awaitParked();
        assertFalse(closing.isDone());
        opened.countDown();
        closing.get();
        assertEquals(1, bench.segment.closes);
        assertTrue(bench.store.closed);
        assertEquals(9, bench.store.bytes()[0]);
        bench.cache.close(Duration.ZERO);
        assertServes(bench, 9);
    }

    @Test
    void aStoreThatStandsBeforeTheCloseIsLeftAlone() throws Exception {
        Bench bench = changed("write");
        MemoryStore other = changedToo(bench);
        var _ = bench.cache.backgroundWrites.request(bench.inside());
        await(reached);
        refused(bench, "1 write of " + bench.store.name());
        awaitThat("the other file is closed", () -> other.closed);
        assertFalse(bench.store.closed);
        assertThrows(CacheClosedException.class, bench.file::flush);
        assertThrows(CacheClosedException.class, bench.file::force);
        assertThrows(CacheClosedException.class, () -> bench.file.truncate(0));
        assertEndsByItself(bench);
        assertEquals(9, bench.store.bytes()[0]);
        assertServes(bench, 9);
    }

    /** The frame that is being filled is nobody else's until the read has ended. */
    @Test
    void aReadThatStandsKeepsTheMemory() throws Exception {
        Bench bench = changed("");
        hold(bench.store, "read");
        bench.file.prefetch(2, 1);
        await(reached);
        refused(bench, "1 page of " + bench.store.name() + " is being read");
        assertContains(bench.cache.health().problems().toString(), "1 read of " + bench.store.name());
        assertEndsByItself(bench);
        assertServes(bench, 9);
    }

    @Test
    void aBackgroundThreadThatStandsKeepsTheMemory() throws Exception {
        Bench bench = changed("");
        bench.segment.settling = this::stand;
        await(reached);
        refused(bench, "1 check of " + bench.store.name());
        assertEndsByItself(bench);
        assertServes(bench, 9);
    }

    @ParameterizedTest
    @ValueSource(strings = {"write", "force", "truncate", "close"})
    void aCallOfAUserThatStandsIsWaitedFor(String held) throws Exception {
        Bench bench = changed(held);
        PagedFile file = bench.file;
        var user = Bench.run(
                switch (held) {
                    case "write" -> file::flush;
                    case "force" -> file::force;
                    case "truncate" -> () -> file.truncate(100_000);
                    default -> file::close;
                });
        await(reached);
        refused(bench, "1 " + held + " of " + bench.store.name());
        assertEquals(held.equals("close"), bench.store.closed);
        assertEndsByItself(bench);
        user.get();
        assertEquals(held.equals("truncate") ? 100_000 : 4 * 4096, bench.store.bytes().length);
        assertEquals(9, bench.store.bytes()[0]);
        assertServes(bench, 9);
    }

    /** An engine may do so where it closes its own file. */
    @Test
    void aStoreMayCloseTheCacheThatClosesIt() throws Exception {
        Bench bench = changed("");
        bench.store.hook = (operation, position, length) -> {
            if (operation.equals("close")) {
                bench.cache.close(PATIENCE);
            }
        };
        bench.cache.close(PATIENCE);
        assertEquals(1, bench.segment.closes);
        assertServes(bench, 9);
    }

    @Test
    void aStoreThatStandsWhileItIsMappedIsNamed() throws Exception {
        Bench bench = changed("");
        MemoryStore other = new MemoryStore(pages(20, 4));
        hold(other, "force");
        var mapping = Bench.async(() -> bench.cache.map(other, WRITE_BACK));
        await(reached);
        refused(bench, other.name() + " is being mapped");
        assertEndsByItself(bench);
        mapping.get().close();
        assertTrue(other.closed);
        assertServes(bench, 9);
    }

    @Test
    void aCheckpointThatStandsKeepsTheMemory(@TempDir Path directory) throws Exception {
        Bench bench = changed("");
        var checkpoint = bench.cache.checkpoint(directory, progress -> stand());
        await(reached);
        refused(bench, "threads of the cache's own");
        assertEndsByItself(bench);
        assertTrue(checkpoint.await().cancelled());
    }

    @Test
    void aCheckpointsOwnListenerMayCloseTheCache(@TempDir Path directory) throws Exception {
        Bench bench = changed("");
        var checkpoint = bench.cache.checkpoint(directory, progress -> {
            try {
                bench.cache.close(PATIENCE);
            } catch (IOException e) {
                throw new IllegalStateException(e);
            }
            reached.countDown();
        });
        await(reached);
        assertTrue(checkpoint.await().cancelled());
        assertEquals(1, bench.segment.closes);
        assertServes(bench, 9);
    }

    /** Nobody waits for it any more when it fails: the next close says so, once. */
    @Test
    void whatAStoreThatStoodDoesNotTakeIsSaidByTheNextClose() throws Exception {
        Bench bench = changed("write");
        MemoryStore other = changedToo(bench);
        refused(bench, "1 write");
        fails = true;
        opened.countDown();
        awaitThat("the memory is given back", () -> bench.segment.closes == 1);
        awaitThat(
                "the failure is seen",
                () -> bench.cache.health().problems().toString().contains("1 changed page of " + bench.store.name()));
        IOException lost = assertThrows(IOException.class, bench.cache::close);
        assertContains(lost.getMessage(), "1 changed page of " + bench.store.name() + " is not in its store");
        assertContains(lost.getMessage(), "injected at write");
        bench.cache.close();
        assertEquals(5, other.bytes()[0]);
        bench.store.hook = (operation, position, length) -> {};
        bench.cache = bench.segment.attach(bench.config);
        bench.map();
        assertEquals(1, bench.cache.recovery().droppedTotal());
        assertEquals(1, bench.first(0));
        bench.cache.close();
    }

    @Test
    void aFlushThatGetsOnIsWaitedForBeyondTheGrace() throws Exception {
        Bench bench = new Bench(Bench.patient(64), WritePolicy.WRITE_BACK, pages(1, 4));
        hold(bench.store, "write");
        bench.write(0, filled(9, 10));
        var closing = Bench.run(() -> bench.cache.close(Duration.ZERO));
        await(reached);
        closing.awaitParked();
        assertFalse(closing.isDone());
        opened.countDown();
        closing.get();
        assertServes(bench, 9);
    }

    /** However short a latch is waited for: a force takes what it takes. */
    @Test
    void aCallThatTakesItsTimeIsNotTakenForOneThatStands() throws Exception {
        Bench bench = new Bench(
                Bench.small(64).withLatchTimeout(Duration.ofMillis(5)), WritePolicy.WRITE_BACK, pages(1, 4));
        bench.cache.backgroundWrites.standingMillis = PATIENCE.toMillis();
        hold(bench.store, "force");
        bench.write(0, filled(9, 10));
        var closing = Bench.run(() -> bench.cache.close(Duration.ZERO));
        await(reached);
        long began = System.nanoTime();
        awaitThat("some time", () -> closing.isDone() || System.nanoTime() - began > 100_000_000);
        assertFalse(closing.isDone());
        opened.countDown();
        closing.get();
        assertServes(bench, 9);
    }

    /** No thread that writes files is used up by them, and none is started for each. */
    @Test
    void filesThatArePinnedKeepNoOtherFromBeingWritten() throws Exception {
        Bench bench = changed("");
        bench.cache.backgroundWrites.standingMillis = PATIENCE.toMillis(); // no further thread comes
        List<MemoryStore> others = new ArrayList<>();
        List<ReadPin> pins = new ArrayList<>();
        for (int i = 0; i < 6; i++) {
            others.add(changedToo(bench));
            PagedFile pinned = bench.cache.map(new MemoryStore(pages(30, 1)), WRITE_BACK);
            pins.add(pinned.pin(0));
        }
        var closing = Bench.run(() -> bench.cache.close(PATIENCE));
        for (MemoryStore other : others) {
            awaitThat("the other file is closed", () -> other.closed);
            assertEquals(5, other.bytes()[0]);
        }
        assertFalse(closing.isDone());
        for (int i = pins.size() - 1; i >= 0; i--) {
            assertEquals(0, bench.segment.closes);
            pins.get(i).close();
        }
        closing.get();
        assertServes(bench, 9);
    }

    /** As an engine does that keeps its first failure. */
    @Test
    void aStoreMayThrowOneExceptionAgainAndAgain() throws Exception {
        Bench bench = changed("");
        MemoryStore other = changedToo(bench);
        IOException broken = new IOException("broken for good");
        bench.store.hook = (operation, position, length) -> {
            throw broken;
        };
        IOException lost = assertThrows(IOException.class, () -> bench.cache.close(PATIENCE));
        assertContains(lost.getMessage(), "1 changed page of " + bench.store.name() + " is not in its store");
        assertEquals(1, bench.segment.closes);
        assertEquals(5, other.bytes()[0]);
        bench.cache.close();
    }

    /** With the file that was given up on the way, which is told in the end. */
    @ParameterizedTest
    @ValueSource(strings = {"warmcache-close-bench", "warmcache-close-bench-1"})
    void aCloseThatComesToNothingIsTriedAgainByTheNext(String thread) throws Exception {
        Bench bench = changed("");
        Cache.ThreadMaker threads = bench.cache.threads;
        bench.cache.threads = (task, name) -> {
            if (name.equals(thread)) {
                throw new IllegalStateException("injected at " + name);
            }
            return threads.make(task, name);
        };
        for (int i = 0; i < 2; i++) {
            IllegalStateException failed =
                    assertThrows(IllegalStateException.class, () -> bench.cache.close(PATIENCE));
            assertEquals("injected at " + thread, failed.getMessage());
            String problems = bench.cache.health().problems().toString();
            assertContains(problems, "close it again");
            assertFalse(problems.contains("being closed"), problems);
        }
        assertEquals(0, bench.segment.closes);
        bench.cache.threads = threads;
        bench.cache.close(PATIENCE);
        assertEquals(1, bench.segment.closes);
        assertServes(bench, 9);
    }

    /** Each finds the cache closed, and has a page pinned for a moment before it does. */
    @Test
    void whoPinsTooLateIsNotTakenForAPinThatIsHeld() throws Exception {
        Bench bench = new Bench(Bench.patient(64), WritePolicy.WRITE_BACK, pages(1, 4));
        hold(bench.store, "write");
        bench.write(0, filled(9, 10));
        bench.first(1);
        AtomicInteger refused = new AtomicInteger();
        List<Bench.Task<Void>> late = new ArrayList<>();
        for (int i = 0; i < 2; i++) {
            late.add(Bench.run(() -> {
                while (opened.getCount() > 0) {
                    try {
                        bench.file.pin(1).close();
                    } catch (CacheClosedException e) {
                        refused.incrementAndGet();
                    }
                }
            }));
        }
        long began = System.nanoTime();
        var closing = Bench.run(() -> bench.cache.close(Duration.ofMillis(500)));
        await(reached);
        awaitThat(
                "enough tries when the grace is over",
                () -> closing.isDone() || (refused.get() > 20_000 && System.nanoTime() - began > 700_000_000));
        assertFalse(closing.isDone());
        opened.countDown();
        closing.get();
        for (Bench.Task<Void> task : late) {
            task.get();
        }
        assertServes(bench, 9);
    }

    @Test
    void aDropThatWasRefusedWipesInTheEnd() throws Exception {
        Bench bench = changed("write");
        refused(bench, "1 write");
        var dropping = Bench.run(bench.cache::drop).awaitParked();
        assertTrue(bench.segment.used);
        opened.countDown();
        dropping.get();
        assertFalse(bench.segment.used);
        assertEquals(9, bench.store.bytes()[0]);
    }

    @Test
    void aDropThatComesTooLateSaysSo() throws Exception {
        Bench bench = changed("");
        bench.cache.close(PATIENCE);
        CacheException late = assertThrows(CacheException.class, bench.cache::drop);
        assertContains(late.getMessage(), "PageCache.drop");
        assertServes(bench, 9);
    }

    /** The close that it was too late for has failed itself, which nobody was told yet. */
    @Test
    void aDropThatComesTooLateSaysSoBesideWhatTheCloseFailedWith() throws Exception {
        Bench bench = changed("write");
        refused(bench, "1 write");
        fails = true;
        opened.countDown();
        awaitThat(
                "the failure is seen",
                () -> bench.cache.health().problems().toString().contains("1 changed page of " + bench.store.name()));
        IOException lost = assertThrows(IOException.class, bench.cache::drop);
        assertContains(lost.getMessage(), "1 changed page of " + bench.store.name());
        assertContains(String.valueOf(lost.getSuppressed()[0].getMessage()), "PageCache.drop");
    }

    /** An engine may do so where it closes its own file: it is too late for the close, and not for the drop. */
    @Test
    void aStoreMayDropTheCacheThatClosesIt() throws Exception {
        Bench bench = changed("");
        bench.store.hook = (operation, position, length) -> {
            if (operation.equals("close")) {
                bench.cache.drop();
            }
        };
        bench.cache.close(PATIENCE);
        assertFalse(bench.segment.used);
        assertEquals(9, bench.store.bytes()[0]);
    }

    /** What the close does for the files that the flush finds closed may fail. */
    @Test
    void aFlushThatMeetsACloseDoesNotSayThatAllIsWritten() throws Exception {
        Bench bench = changed("");
        var flushing = Bench.run(() -> {
            while (reached.getCount() > 0) { // else a thread of the cache has written it first
                bench.write(0, filled(9, 10));
                bench.cache.flush();
            }
        });
        bench.store.hook = (operation, position, length) -> {
            if (operation.equals("write") && Thread.currentThread().equals(flushing.thread)) {
                stand();
            }
        };
        await(reached);
        refused(bench, "1 write");
        opened.countDown();
        ExecutionException failed = assertThrows(ExecutionException.class, flushing::get);
        assertInstanceOf(CacheClosedException.class, failed.getCause());
        bench.cache.close(PATIENCE);
        assertServes(bench, 9);
    }

    /** Which may fail with pages still dirty, and opens the file again. */
    @Test
    void aFlushOfTheCacheWaitsForAFileThatIsBeingClosed() throws Exception {
        CacheConfig config = Bench.patient(64).withOptions(Map.of("core.maintenance", "off"));
        Bench bench = new Bench(config, WritePolicy.WRITE_BACK, pages(1, 4));
        bench.write(0, filled(9, 10));
        CachedFile file = bench.inside();
        Bench.Task<Void> flushing;
        file.usage.writeLock().lock(); // as its close, which admits nobody any more
        try {
            file.open = false;
            flushing = Bench.run(bench.cache::flush).awaitParked();
            assertFalse(flushing.isDone());
            file.open = true;
        } finally {
            file.usage.writeLock().unlock();
        }
        flushing.get();
        assertEquals(9, bench.store.bytes()[0]);

        file.usage.writeLock().lock();
        try {
            file.open = false;
            Bench.run(bench.cache::flush).get(); // what it has written already nobody has to wait for
            file.open = true;
        } finally {
            file.usage.writeLock().unlock();
        }
        bench.cache.close();
    }

    /** As without memory for the words of it. */
    @Test
    void aLossIsSaidThoughTheWordsForItCannotBeMade() throws Exception {
        Bench bench = new Bench(Bench.small(64), WritePolicy.WRITE_BACK, pages(1, 4));
        class Unspeakable extends RuntimeException {
            @Override
            public String getMessage() {
                String caller = StackWalker.getInstance()
                        .walk(frames -> frames.skip(1).findFirst().toString());
                if (caller.contains("Ending.closeFile")) {
                    throw new OutOfMemoryError("injected");
                }
                return "injected at write";
            }
        }
        bench.store.hook = (operation, position, length) -> {
            if (operation.equals("write")) {
                throw new Unspeakable();
            }
        };
        bench.write(0, filled(9, 10));
        MemoryStore other = changedToo(bench);
        IOException lost = assertThrows(IOException.class, () -> bench.cache.close(PATIENCE));
        assertInstanceOf(Unspeakable.class, lost.getCause());
        assertEquals(1, bench.segment.closes);
        assertEquals(5, other.bytes()[0]);
        IOException toldToo = assertThrows(IOException.class, bench.file::close);
        assertContains(toldToo.getMessage(), "not all that was written to " + bench.store.name());
        bench.file.close();
        bench.cache.close();
    }

    /** Else pages of the one would be served as the other's. */
    @Test
    void aStoreThatChangesItsIdWhileItIsMappedIsRefused() throws Exception {
        Bench bench = changed("");
        MemoryStore other = new MemoryStore(pages(20, 4));
        other.asked = () -> other.id = new StoreId(0x5eed, other.id.low() + 1_000_000);
        IllegalArgumentException refused =
                assertThrows(IllegalArgumentException.class, () -> bench.cache.map(other, WRITE_BACK));
        assertContains(String.valueOf(refused.getMessage()), "has changed its id");
        assertTrue(other.closed);
        other.asked = () -> {};
        bench.cache.map(other, WRITE_BACK).close();
        bench.cache.close();
        assertServes(bench, 9);
    }

    /** It was asked for its name when it was mapped. */
    @Test
    void aStoreThatFailsInEveryCallOfItsCloseKeepsNoLossUnsaid() throws Exception {
        Bench bench = new Bench(Bench.small(64), WritePolicy.WRITE_BACK, pages(1, 4));
        bench.store.hook = (operation, position, length) -> {
            if (!operation.equals("read")) {
                throw new OutOfMemoryError("injected at " + operation);
            }
        };
        bench.write(0, filled(9, 10));
        MemoryStore other = changedToo(bench);
        String name = bench.store.name();
        bench.store.nameless = true;
        IOException lost = assertThrows(IOException.class, () -> bench.cache.close(PATIENCE));
        assertContains(lost.getMessage(), "1 changed page of " + name + " is not in its store");
        assertEquals(1, bench.segment.closes);
        assertEquals(5, other.bytes()[0]);
        bench.cache.close();
    }

    /** Nothing but the caller's own thread is there to close it. */
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void withoutThreadsPinsAreWaitedForAsEver(boolean simulated) throws Exception {
        CacheConfig config = Bench.small(64).withOptions(simulated ? Map.of("core.maintenance", "off") : Map.of());
        Bench bench = changed(config, "");
        MemoryStore other = changedToo(bench);
        ReadPin pin = bench.file.pin(1);
        bench.cache.threads = UNSTARTABLE;
        refused(bench, "1 page of " + bench.store.name() + " is pinned");
        pin.close();
        bench.cache.close(Duration.ZERO);
        assertEquals(1, bench.segment.closes);
        assertEquals(5, other.bytes()[0]);
        assertServes(bench, 9);
    }

    /** With the real lock and the real mapping. */
    @Test
    void aCacheWhoseStoreStandsStaysTheOwner() throws Exception {
        CacheConfig config = CacheConfig.of("warmcache-standing-test-" + ProcessHandle.current().pid(), 64 * 4096)
                .withOwnerWait(Duration.ofMillis(50))
                .withLatchTimeout(Duration.ofMillis(300));
        MemoryStore store = new MemoryStore(pages(1, 4));
        try {
            PageCache cache = PageCache.open(config);
            PagedFile file = cache.map(store, WRITE_BACK);
            hold(store, "write");
            file.write(0, MemorySegment.ofArray(filled(9, 10)));
            assertThrows(CacheException.class, () -> cache.close(Duration.ZERO));
            await(reached);
            assertThrows(BusyException.class, () -> PageCache.open(config));
            assertThrows(BusyException.class, () -> PageCache.drop(config));
            opened.countDown();
            cache.close(PATIENCE);
            assertEquals(9, store.bytes()[0]);
            try (PageCache next = PageCache.open(config)) {
                assertTrue(next.recovery().warm());
                byte[] first = new byte[1];
                assertEquals(1, next.map(store, WRITE_BACK).read(0, MemorySegment.ofArray(first)));
                assertEquals(9, first[0]);
                assertEquals(0, next.stats().misses());
            }
        } finally {
            opened.countDown();
            PageCache.drop(config);
        }
    }

    // ---- a file ----------------------------------------------------------------------------------------------------

    /** The write stands in another thread, or in the one that closes the file. */
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void aFileWhoseStoreStandsIsNotClosedAndOthersAre(boolean byCloser) throws Exception {
        CacheConfig alone = Bench.small(64).withOptions(Map.of("core.maintenance", "off"));
        Bench bench = changed(alone, "write");
        var standing = Bench.run(byCloser ? bench.file::close : bench.file::flush);
        await(reached);
        LatchTimeoutException late = assertThrows(LatchTimeoutException.class, bench.file::close);
        assertContains(late.getMessage(), bench.store.name());
        MemoryStore other = new MemoryStore(pages(20, 4));
        PagedFile second = bench.cache.map(other, WRITE_BACK);
        second.write(0, MemorySegment.ofArray(filled(5, 10)));
        second.close();
        assertTrue(other.closed);
        assertEquals(5, other.bytes()[0]);
        opened.countDown();
        standing.get();
        bench.file.close();
        assertTrue(bench.store.closed);
        assertEquals(9, bench.store.bytes()[0]);
        bench.assertSound();
        bench.cache.close(PATIENCE);
    }

    /** A user's close of a file, beside the end of the cache, which is at the same file. */
    @Test
    void aFileIsClosedInLimitedTimeWhileTheCacheWaitsForIt() throws Exception {
        Bench bench = changed("write");
        refused(bench, "1 write");
        await(reached);
        LatchTimeoutException late = assertThrows(LatchTimeoutException.class, bench.file::close);
        assertContains(late.getMessage(), "1 write of " + bench.store.name());
        assertEndsByItself(bench);
        bench.file.close();
        assertServes(bench, 9);
    }

    /** All of them, if there are several. */
    @Test
    void whoWaitsForACloseThatFailsIsTold() throws Exception {
        Bench bench = changed("write");
        fails = true;
        List<Bench.Task<Void>> closing = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            closing.add(Bench.run(() -> bench.cache.close(PATIENCE)));
        }
        await(reached);
        for (Bench.Task<Void> task : closing) {
            awaitThat("waiting for the end", () -> waitsForTheEnd(task.thread));
        }
        opened.countDown();
        Set<Throwable> told = Collections.newSetFromMap(new IdentityHashMap<>());
        for (Bench.Task<Void> task : closing) {
            ExecutionException failed = assertThrows(ExecutionException.class, task::get);
            assertContains(String.valueOf(failed.getCause().getMessage()), "1 changed page of " + bench.store.name());
            told.add(failed.getCause());
        }
        assertEquals(3, told.size(), "one each may be suppressed by whatever else its thread throws");
        bench.cache.close();
    }

    private static boolean waitsForTheEnd(Thread thread) {
        return Arrays.stream(thread.getStackTrace())
                .anyMatch(each -> each.getClassName().equals(Ending.class.getName())
                        && each.getMethodName().equals("awaitThat"));
    }

    /** Whoever asks as it fails: he is told, or the next one is. */
    @Test
    void aFailureIsToldHoweverItMeetsWhoGivesUp() throws Exception {
        for (int i = 0; i < 30; i++) {
            Bench bench = new Bench(
                    Bench.small(64).withLatchTimeout(Duration.ofMillis(1)), WritePolicy.WRITE_BACK, pages(1, 1));
            bench.cache.backgroundWrites.standingMillis = 2;
            long pause = 100_000L * i;
            bench.store.hook = (operation, position, length) -> {
                if (operation.equals("write")) {
                    LockSupport.parkNanos(pause);
                    throw new IOException("injected at write");
                }
            };
            bench.write(0, filled(9, 10));
            boolean told = false;
            while (!told) {
                try {
                    bench.cache.close(Duration.ZERO);
                    throw new AssertionError("closed, and nobody was told");
                } catch (CacheException e) {
                    assertContains(e.getMessage(), "by itself");
                } catch (IOException e) {
                    told = true;
                    assertContains(e.getMessage(), "1 changed page of " + bench.store.name());
                }
            }
            bench.cache.close();
        }
    }
}
