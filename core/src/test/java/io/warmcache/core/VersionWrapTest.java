/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static io.warmcache.core.Bench.filled;
import static io.warmcache.core.Bench.pages;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.PageCursor;
import io.warmcache.PagedFile;
import io.warmcache.WritePolicy;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * With a version of two bits a page comes back to the same translation word after four changes. Each test first shows
 * that it did: only the wrap epoch can tell the page of before from the page of after.
 */
class VersionWrapTest {
    private static final int VERSION_BITS = 2;

    private static Bench bench(WritePolicy policy) throws IOException {
        return new Bench(Bench.patient(16), policy, pages(1, 4), VERSION_BITS);
    }

    /** Changes page 1 until its word looks as it did, and fails if it never does. */
    private static void comeAround(Bench bench) throws IOException {
        long before = bench.word(1);
        for (int i = 1; i <= 1 << VERSION_BITS; i++) {
            bench.write(4096, filled(100 + i, 4096));
        }
        assertEquals(0, (before ^ bench.word(1)) & TranslationWord.STAMP_MASK, "the word has not come around");
    }

    @ParameterizedTest
    @EnumSource(WritePolicy.class)
    void aCursorSeesTheChange(WritePolicy policy) throws Exception {
        Bench bench = bench(policy);
        try (PageCursor cursor = bench.file.cursor()) {
            cursor.seek(1);
            assertEquals(2, cursor.getByte(0));
            comeAround(bench);
            assertTrue(cursor.shouldRetry());
            assertEquals(104, cursor.getByte(0));
            assertFalse(cursor.shouldRetry());
        }
        bench.cache.close();
    }

    @ParameterizedTest
    @EnumSource(WritePolicy.class)
    void aStampSeesTheChange(WritePolicy policy) throws Exception {
        Bench bench = bench(policy);
        long stamp = bench.file.stamp(1);
        assertTrue(bench.file.valid(1, stamp));
        comeAround(bench);
        assertFalse(bench.file.valid(1, stamp));
        assertNotEquals(stamp, bench.file.stamp(1));
        bench.cache.close();
    }

    @Test
    void aReaderRunsAgain() throws Exception {
        Bench bench = bench(WritePolicy.WRITE_THROUGH);
        AtomicInteger runs = new AtomicInteger();
        long read = bench.file.read(1, (memory, base) -> {
            byte value = memory.get(ValueLayout.JAVA_BYTE, base);
            if (runs.getAndIncrement() == 0) {
                try {
                    comeAround(bench);
                } catch (IOException e) {
                    throw new AssertionError(e);
                }
            }
            return value;
        });
        assertEquals(2, runs.get());
        assertEquals(104, read);
        bench.cache.close();
    }

    /** The check that all optimistic copies inside share, where no caller's code runs between its two looks. */
    @Test
    void aCopySeesTheChange() throws Exception {
        Bench bench = bench(WritePolicy.WRITE_THROUGH);
        bench.first(1);
        CachedFile inside = bench.inside();
        long[] leaf = inside.index.leafOrCreate(1);
        long epoch = inside.epoch.get();
        long word = bench.word(1);
        assertTrue(inside.stillValid(leaf, 1, word, epoch));
        comeAround(bench);
        assertFalse(inside.stillValid(leaf, 1, word, epoch));
        bench.cache.close();
    }

    /** A leaf that is cut off and made again starts at version 0, with its pages perhaps in the same frames. */
    @Test
    void aLeafMadeAgainIsNotTakenForTheOldOne() throws Exception {
        Bench bench = bench(WritePolicy.WRITE_THROUGH);
        long stamp = bench.file.stamp(1);
        long before = bench.word(1);
        try (PageCursor cursor = bench.file.cursor()) {
            cursor.seek(1);
            bench.file.truncate(0);
            bench.file.truncate(4 * 4096);
            assertEquals(0, bench.first(1));
            assertEquals(0, (before ^ bench.word(1)) & TranslationWord.STAMP_MASK, "the word has not come around");
            assertFalse(bench.file.valid(1, stamp));
            assertTrue(cursor.shouldRetry());
            assertEquals(0, cursor.getByte(0));
            assertFalse(cursor.shouldRetry());
        }
        bench.cache.close();
    }

    /** Pages change as a whole, so a reader that accepts two different bytes of one has accepted a changed page. */
    @Test
    void readersNeverAcceptHalfOfAChange() throws Exception {
        Bench bench = bench(WritePolicy.WRITE_BACK);
        AtomicBoolean stop = new AtomicBoolean();
        AtomicLong changes = new AtomicLong();
        AtomicLong reads = new AtomicLong();
        List<Bench.Task<Void>> tasks = new ArrayList<>();
        tasks.add(Bench.run(() -> {
            while (!stop.get()) {
                byte value = (byte) changes.incrementAndGet();
                bench.write(4096, filled(value, 4096));
                if (value == 0) {
                    bench.file.truncate(4096);
                    bench.file.truncate(4 * 4096);
                }
            }
        }));
        for (int kind = 0; kind < 4; kind++) {
            int how = kind;
            tasks.add(Bench.run(() -> {
                while (!stop.get()) {
                    read(bench.file, how);
                    reads.incrementAndGet();
                }
            }));
        }
        Bench.awaitThat("many changes beside many reads", () -> changes.get() > 20_000 && reads.get() > 20_000);
        stop.set(true);
        for (Bench.Task<Void> task : tasks) {
            task.get();
        }
        bench.assertSound();
        bench.cache.close();
    }

    private static void read(PagedFile file, int how) throws IOException {
        byte[] bytes = new byte[4096];
        try {
            switch (how) {
                case 0 -> {
                    try (PageCursor cursor = file.cursor()) {
                        cursor.seek(1);
                        do {
                            cursor.copyTo(0, bytes, 0, 4096);
                        } while (cursor.shouldRetry());
                    }
                }
                case 1 -> {
                    long stamp;
                    do {
                        stamp = file.stamp(1);
                        MemorySegment.copy(file.memory(), ValueLayout.JAVA_BYTE, file.offset(stamp), bytes, 0, 4096);
                    } while (!file.valid(1, stamp));
                }
                case 2 -> file.read(1, (memory, base) -> {
                    MemorySegment.copy(memory, ValueLayout.JAVA_BYTE, base, bytes, 0, 4096);
                    return 0;
                });
                default -> {
                    if (file.read(4096, MemorySegment.ofArray(bytes)) < 4096) {
                        return;
                    }
                }
            }
        } catch (IndexOutOfBoundsException e) {
            assertTrue(e.getMessage().startsWith("page 1 of"), e.getMessage());
            return; // cut off at the moment
        }
        for (byte each : bytes) {
            assertEquals(bytes[0], each);
        }
    }
}
