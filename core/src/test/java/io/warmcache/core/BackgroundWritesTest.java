/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static io.warmcache.core.Bench.filled;
import static io.warmcache.core.Bench.pages;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.CacheFullException;
import io.warmcache.MapOptions;
import io.warmcache.PagedFile;
import io.warmcache.WritePin;
import io.warmcache.WritePolicy;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.AbstractSet;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class BackgroundWritesTest {
    private static final int FRAMES = 1024;

    private final Semaphore permits = new Semaphore(0);
    private final AtomicInteger writes = new AtomicInteger();
    private Bench bench;

    private void open(int frames, int pages) throws IOException {
        bench = new Bench(
                Bench.patient(frames).withLatchTimeout(Duration.ofSeconds(1)), WritePolicy.WRITE_BACK, pages(1, pages));
    }

    /** From now on the store takes a write only for a permit. */
    private void holdWrites() {
        bench.store.hook = (operation, position, length) -> {
            if (operation.equals("write")) {
                permits.acquireUninterruptibly();
                writes.incrementAndGet();
            }
        };
    }

    @AfterEach
    void letGo() throws IOException {
        permits.release(1 << 20);
        if (bench != null) {
            bench.cache.close();
        }
    }

    private void change(long page, int value) throws IOException {
        try (WritePin pin = bench.file.pinForWrite(page)) {
            pin.dirty(0, 1);
            pin.segment().set(ValueLayout.JAVA_BYTE, 0, (byte) value);
        }
    }

    /** Every second page, so that no two are written with one call. */
    private void changeSecond(int count) throws IOException {
        for (int i = 0; i < count; i++) {
            change(2L * i, 99);
        }
    }

    private void assertChanged(int count) throws IOException {
        bench.file.flush();
        byte[] expected = pages(1, 2 * FRAMES);
        for (int i = 0; i < count; i++) {
            expected[2 * i * 4096] = 99;
        }
        assertArrayEquals(expected, bench.store.bytes());
        bench.assertSound();
    }

    /** The store takes one write for each that is let through: who waits for a run goes on after one, not after all. */
    @Test
    void aWriterThatIsFasterThanItsStoreWaitsForARunAndNotForARound() throws Exception {
        open(FRAMES, 2 * FRAMES);
        bench.cache.backgroundWrites.mostDelayNanos = TimeUnit.MINUTES.toNanos(10);
        bench.cache.backgroundWrites.standingMillis = TimeUnit.MINUTES.toMillis(10);
        holdWrites();
        AtomicInteger changed = new AtomicInteger();
        Bench.Task<Void> writer = Bench.run(() -> {
            for (int i = 0; i < FRAMES * 3 / 4; i++) {
                change(2L * i, 99);
                changed.set(i + 1);
            }
        });
        for (int step = 0; step < 20; step++) {
            Bench.awaitThat("held up", () -> bench.cache.backgroundWrites.waiting() > 0);
            assertFalse(writer.isDone());
            assertTrue(changed.get() >= FRAMES / 2, "held up after " + changed);
            int before = writes.get();
            int changedBefore = changed.get();
            if (step == 10) {
                writer.thread.interrupt(); // ends no wait
            }
            permits.release();
            Bench.awaitThat("a write", () -> writes.get() > before);
            Bench.awaitThat("going on", () -> changed.get() > changedBefore);
        }
        permits.release(1 << 20);
        writer.get();
        assertChanged(FRAMES * 3 / 4);
    }

    @Test
    void aWriterGoesOnAsLongAsThereAreFramesThoughItsStoreStandsStill() throws Exception {
        open(FRAMES, 2 * FRAMES);
        holdWrites();
        bench.file.write(0, MemorySegment.ofArray(pages(7, FRAMES)));
        assertEquals(FRAMES, bench.cache.frames.dirtyFrames());
        change(1000, 99); // a page that is dirty takes no further frame
        CacheFullException full = assertThrows(CacheFullException.class, () -> bench.first(FRAMES));
        assertTrue(full.getMessage().contains(FRAMES + " dirty"), full.getMessage());
        assertTrue(
                Arrays.stream(full.getSuppressed()).anyMatch(e -> e.getMessage().contains("has been under way for")),
                Arrays.toString(full.getSuppressed()));
        assertFalse(bench.file.stamp(0) == 0);
        permits.release(1 << 20);
        assertEquals((byte) (1 + FRAMES), bench.first(FRAMES));
        byte[] expected = pages(1, 2 * FRAMES);
        System.arraycopy(pages(7, FRAMES), 0, expected, 0, FRAMES * 4096);
        expected[1000 * 4096] = 99;
        bench.file.flush();
        assertArrayEquals(expected, bench.store.bytes());
        bench.assertSound();
    }

    /** Dirty pages of a store that stands still are in the way of another file's, but none of its threads stands. */
    @Test
    void aStoreThatStandsStillTakesFramesFromOthersButNoThreads() throws Exception {
        open(16, 64);
        MemoryStore other = new MemoryStore(pages(1, 64));
        PagedFile sound = bench.cache.map(other, MapOptions.DEFAULT.withPolicy(WritePolicy.WRITE_BACK));
        holdWrites();
        bench.write(0, filled(9, 8 * 4096));
        Bench.awaitThat("a write that stands", permits::hasQueuedThreads);
        sound.write(0, MemorySegment.ofArray(filled(5, 4096)));
        Bench.awaitThat("written in the background", () -> other.bytes()[0] == 5);
        bench.write(8 * 4096, filled(9, 8 * 4096));
        byte[] one = new byte[1];
        CacheFullException full =
                assertThrows(CacheFullException.class, () -> sound.read(0, MemorySegment.ofArray(one)));
        assertTrue(full.getMessage().contains("16 dirty"), full.getMessage());
        permits.release(1 << 20);
        assertEquals(1, sound.read(0, MemorySegment.ofArray(one)));
        assertEquals(5, one[0]);
        bench.file.flush();
        assertArrayEquals(filled(9, 16 * 4096), Arrays.copyOf(bench.store.bytes(), 16 * 4096));
        bench.assertSound();
    }

    /** They write the file as it is closed: none of them keeps the close from its turn, and nothing is left out. */
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void aCloseBesideAllThreadsOfAFileWaitsForEachAndLeavesNothing(boolean wholeCache) throws Exception {
        bench = new Bench(Bench.patient(FRAMES), WritePolicy.WRITE_BACK, pages(1, 2 * FRAMES));
        holdWrites();
        changeSecond(200);
        Bench.awaitThat("all threads of the file at it", () -> {
            var _ = bench.cache.backgroundWrites.request(bench.inside());
            return permits.getQueueLength() == BackgroundWrites.LANES;
        });
        CachedFile inside = bench.inside();
        Bench.Task<Void> closing = Bench.run(() -> {
            if (wholeCache) {
                bench.cache.close(Duration.ofMinutes(1));
            } else {
                bench.file.close();
            }
        });
        if (wholeCache) {
            Bench.awaitThat("closing", () -> bench.cache.closing);
        } else {
            Bench.awaitThat("closing", () -> inside.unmapping);
        }
        permits.release();
        Bench.awaitThat(
                "one has written, and left the file to who closes it",
                () -> inside.lanesAtWork.get() < BackgroundWrites.LANES);
        assertFalse(closing.isDone());
        assertFalse(bench.store.closed);
        permits.release(1 << 20);
        closing.get();
        assertTrue(bench.store.closed);
        byte[] expected = pages(1, 2 * FRAMES);
        for (int i = 0; i < 200; i++) {
            expected[2 * i * 4096] = 99;
        }
        assertArrayEquals(expected, bench.store.bytes());
        Bench.awaitThat("no thread is left at it", () -> inside.lanes.get() == 0);
    }

    /** As many stores stand still as there are threads: who writes another file does without one. */
    @Test
    void aUsedUpPoolOfThreadsKeepsNoOtherFilesWriters() throws Exception {
        bench = new Bench(Bench.patient(FRAMES), WritePolicy.WRITE_BACK, pages(1, 4 * FRAMES));
        List<CachedFile> standing = new ArrayList<>();
        List<MemoryStore> stores = new ArrayList<>();
        for (int i = 0; i < BackgroundWrites.MOST_THREADS; i++) {
            MemoryStore store = new MemoryStore(pages(1, 1));
            store.hook = (operation, position, length) -> {
                if (operation.equals("write")) {
                    permits.acquireUninterruptibly();
                }
            };
            PagedFile file = bench.cache.map(store, MapOptions.DEFAULT.withPolicy(WritePolicy.WRITE_BACK));
            file.write(0, MemorySegment.ofArray(filled(9, 10)));
            stores.add(store);
            standing.add(((MappedFile) file).file());
        }
        Bench.awaitThat("all threads stand", () -> {
            standing.forEach(bench.cache.backgroundWrites::request);
            return permits.getQueueLength() == BackgroundWrites.MOST_THREADS;
        });
        Bench.run(() -> bench.write(0, pages(7, 4 * FRAMES))).get();
        Bench.run(bench.file::flush).get();
        assertArrayEquals(pages(7, 4 * FRAMES), bench.store.bytes());
        assertEquals(BackgroundWrites.MOST_THREADS, permits.getQueueLength());
        permits.release(1 << 20);
        bench.cache.flush();
        for (MemoryStore store : stores) {
            assertEquals(9, store.bytes()[0]);
        }
        bench.assertSound();
    }

    @Test
    void aFailingStoreDelaysNobody() throws Exception {
        open(FRAMES, 2 * FRAMES);
        bench.cache.backgroundWrites.mostDelayNanos = TimeUnit.MINUTES.toNanos(10);
        bench.fail("write");
        Bench.run(() -> changeSecond(FRAMES)).get();
        assertEquals(FRAMES, bench.cache.frames.dirtyFrames());
        assertThrows(CacheFullException.class, () -> bench.first(2 * FRAMES - 1));
        bench.fail("");
        assertChanged(FRAMES);
    }

    private void openUnattended() throws IOException {
        bench = new Bench(
                Bench.patient(FRAMES).withOptions(Map.of("core.maintenance", "off")),
                WritePolicy.WRITE_BACK,
                pages(1, 2 * FRAMES));
    }

    /** As far as anything may fail it does so before the page is anybody else's. */
    @Test
    void aWriterThatFindsNoMemoryAtTheEndHasChangedNothing() throws Exception {
        openUnattended();
        CachedFile inside = bench.inside();
        var _ = inside.isIdleSince(0, true);
        inside.deactivate();
        Set<CachedFile> active = bench.cache.maintenance.active;
        bench.cache.maintenance.active = new AbstractSet<>() {
            @Override
            public boolean add(CachedFile file) {
                throw new OutOfMemoryError("injected");
            }

            @Override
            public Iterator<CachedFile> iterator() {
                return Collections.emptyIterator();
            }

            @Override
            public int size() {
                return 0;
            }
        };
        assertThrows(OutOfMemoryError.class, () -> change(1, 99));
        assertEquals(2, bench.first(1));
        bench.assertSound();
        bench.cache.maintenance.active = active;
        change(1, 98);
        assertTrue(active.contains(inside), "looked at again");
        assertEquals(98, bench.first(1));
        bench.file.flush();
        assertEquals(98, bench.store.bytes()[4096]);
        bench.assertSound();
    }

    @Test
    void aFileThatIsLeftAloneIsLookedAtAgainOnceItIsWrittenTo() throws Exception {
        openUnattended();
        CachedFile inside = bench.inside();
        assertFalse(inside.isIdleSince(1, false), "not settled yet");
        var _ = inside.isIdleSince(0, true);
        inside.deactivate();
        assertFalse(bench.cache.maintenance.active.contains(inside));
        change(1, 99);
        inside.deactivate();
        assertTrue(bench.cache.maintenance.active.contains(inside), "a dirty page is something to do");
        bench.file.flush();
        bench.assertSound();
    }

    @Test
    void anAbortPutsBackWhatWasDirtyAlsoFromACopyThatHeldAnotherPage() throws Exception {
        openUnattended();
        for (int page = 1; page < 4; page++) {
            change(page, 90 + page);
            WritePin pin = bench.file.pinForWrite(page);
            pin.dirty(0, 4096);
            pin.segment().fill((byte) 7);
            pin.abort();
        }
        for (int page = 1; page < 4; page++) {
            byte[] expected = filled(1 + page, 4096);
            expected[0] = (byte) (90 + page);
            assertArrayEquals(expected, bench.read(page * 4096L, 4096));
        }
        bench.assertSound();
    }

    /** Nothing is written but by the caller's own calls, so nothing can be waited for. */
    @Test
    void withoutMaintenanceWhoNeedsAFrameWritesSomePagesHimself() throws Exception {
        openUnattended();
        bench.write(0, pages(3, 2 * FRAMES));
        bench.file.flush();
        assertArrayEquals(pages(3, 2 * FRAMES), bench.store.bytes());
        bench.assertSound();
    }

    @Test
    void aThreadThatCannotBeHadIsDoneWithout() throws Exception {
        open(FRAMES, 2 * FRAMES);
        bench.cache.threads = (task, name) -> new Thread(task, name) {
            @Override
            public void start() {
                throw new OutOfMemoryError("injected: no further thread");
            }
        };
        bench.write(0, pages(3, 2 * FRAMES));
        bench.file.flush();
        assertArrayEquals(pages(3, 2 * FRAMES), bench.store.bytes());
        bench.assertSound();
    }
}
