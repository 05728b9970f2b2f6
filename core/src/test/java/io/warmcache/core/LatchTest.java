/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static io.warmcache.core.Bench.pages;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.CacheClosedException;
import io.warmcache.PageCursor;
import io.warmcache.ReadPin;
import io.warmcache.WritePolicy;
import java.nio.ByteBuffer;
import java.nio.channels.Pipe;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Pins and latches under waiting, interrupts and races. */
class LatchTest {
    /** The last look of a closing file at a page's pins may come before a pin that is being taken. */
    @Test
    void aPinCountedAfterTheFileStoppedAdmittingIsTakenBack() throws Exception {
        Bench bench = new Bench(Bench.small(16), WritePolicy.WRITE_THROUGH, pages(1, 4));
        bench.first(1);
        CachedFile inside = bench.inside();
        long[] leaf = inside.index.leafOrCreate(1);
        inside.open = false;
        assertFalse(inside.tryPin(leaf, 1, 1, bench.word(1)));
        assertEquals(0, TranslationWord.pins(bench.word(1)));
        inside.open = true;
        bench.assertSound();
        bench.cache.close();
    }

    /** Another thread may close a pin between the check of retain() and its count. */
    @Test
    void retainingAPinThatIsBeingClosedCountsNothing() throws Exception {
        Bench bench = new Bench(Bench.small(16), WritePolicy.WRITE_THROUGH, pages(1, 4));
        SharedPin pin = (SharedPin) bench.file.pin(1);
        CachedFile inside = bench.inside();
        long[] leaf = inside.index.leafOrCreate(1);
        int frame = TranslationWord.frame(bench.word(1));
        ReadPin second = pin.retain();
        pin.close();
        second.close();
        assertThrows(CacheClosedException.class, () -> inside.pinAgain(leaf, 1, 1, frame));
        bench.file.truncate(0);
        assertThrows(CacheClosedException.class, () -> inside.pinAgain(leaf, 1, 1, frame));
        bench.assertSound();
        bench.cache.close();
    }

    /** With debugging on the segment is memory of its own, which cannot be freed while the kernel reads it. */
    @Test
    void aPinClosedUnderAForeignWriteGivesItsPageBack() throws Exception {
        Bench bench = new Bench(Bench.small(16).withDebug(true), WritePolicy.WRITE_THROUGH, pages(1, 4));
        Pipe pipe = Pipe.open();
        fill(pipe);
        ReadPin read = bench.file.pin(1);
        ByteBuffer lent = read.segment().asByteBuffer();
        try (Pipe.SinkChannel sink = pipe.sink()) {
            sink.configureBlocking(true);
            var writer = Bench.run(() -> {
                while (lent.hasRemaining()) {
                    sink.write(lent);
                }
            });
            Bench.awaitThat("the writer is in its system call", () -> Arrays.stream(writer.thread.getStackTrace())
                    .anyMatch(frame -> frame.isNativeMethod() && frame.getMethodName().startsWith("write")));
            assertThrows(IllegalStateException.class, read::close);
            assertEquals(0, TranslationWord.pins(bench.word(1)));
            drain(pipe);
            writer.get();
        }
        pipe.source().close();
        bench.assertSound();
        bench.cache.close();
    }

    /** Many bulk writers would else hold a few frames each and wait for more. */
    @ParameterizedTest
    @EnumSource(WritePolicy.class)
    void aBulkWriteThatGetsNoSecondFrameWritesTheFirstPage(WritePolicy policy) throws Exception {
        Bench bench = new Bench(Bench.small(16), policy, pages(1, 20));
        List<ReadPin> pins = new ArrayList<>();
        for (int page = 5; page < 20; page++) {
            pins.add(bench.file.pin(page));
        }
        bench.write(0, pages(50, 2));
        assertEquals(50, bench.first(0));
        assertEquals(51, bench.first(1));
        bench.write(20 * 4096 + 10, pages(60, 2));
        assertEquals(60, bench.read(20 * 4096 + 10, 1)[0]);
        pins.forEach(ReadPin::close);
        bench.assertSound();
        bench.cache.close();
    }

    /** A writer that holds latches must not wait for the truncate that waits for them. */
    @Test
    void whoMayNotWaitGivesAPageBehindATruncateBackAtOnce() throws Exception {
        Bench bench = new Bench(Bench.patient(16), WritePolicy.WRITE_THROUGH, pages(1, 4));
        bench.first(1);
        CachedFile inside = bench.inside();
        long[] leaf = inside.index.leafOrCreate(1);
        long word = bench.word(1);
        inside.truncatingFrom = 1;
        TranslationWord.set(leaf, 1, TranslationWord.withState(word, TranslationWord.EXCLUSIVE));
        assertNull(inside.admit(leaf, 1, 1, word, CachedFile.NO_WAIT, false));
        assertEquals(word, bench.word(1));
        inside.truncatingFrom = Long.MAX_VALUE;
        bench.assertSound();
        bench.cache.close();
    }

    /** Behind the scenes a cursor that is disturbed too often pins its page; that must end with the read. */
    @Test
    void aCursorKeepsNoPinOnceItsReadIsGood() throws Exception {
        Bench bench = new Bench(Bench.small(16), WritePolicy.WRITE_THROUGH, pages(1, 4));
        try (PageCursor cursor = bench.file.cursor()) {
            cursor.seek(1);
            int writes = 0;
            while (TranslationWord.pins(bench.word(1)) == 0) {
                bench.write(4096, Bench.filled(++writes, 4096));
                assertTrue(cursor.shouldRetry());
            }
            assertEquals(writes, cursor.getByte(4095));
            assertFalse(cursor.shouldRetry());
            assertEquals(0, TranslationWord.pins(bench.word(1)));
            assertEquals(writes, cursor.getByte(0));
            assertFalse(cursor.shouldRetry());
            bench.write(4096, Bench.filled(99, 4096));
            assertTrue(cursor.shouldRetry());
            assertEquals(99, cursor.getByte(0));
            assertFalse(cursor.shouldRetry());
        }
        bench.assertSound();
        bench.cache.close();
    }

    /** The page that a cursor had pinned may have been cut off meanwhile. */
    @Test
    void aCursorOnADetachedPageFindsOutWhenItReadsOn() throws Exception {
        Bench bench = new Bench(Bench.small(16), WritePolicy.WRITE_THROUGH, pages(1, 4));
        try (PageCursor cursor = bench.file.cursor()) {
            cursor.seek(1);
            while (TranslationWord.pins(bench.word(1)) == 0) {
                bench.write(4096, Bench.filled(9, 4096));
                assertTrue(cursor.shouldRetry());
            }
            bench.file.truncate(4096);
            assertEquals(9, cursor.getByte(4095));
            assertFalse(cursor.shouldRetry());
            assertThrows(IndexOutOfBoundsException.class, cursor::shouldRetry);
            bench.file.truncate(2 * 4096);
            cursor.seek(1);
            assertEquals(0, cursor.getByte(0));
            assertFalse(cursor.shouldRetry());
        }
        bench.assertSound();
        bench.cache.close();
    }

    private static void fill(Pipe pipe) throws Exception {
        pipe.sink().configureBlocking(false);
        ByteBuffer bytes = ByteBuffer.allocate(4096);
        int written;
        do {
            written = pipe.sink().write(bytes.clear());
        } while (written > 0);
    }

    private static void drain(Pipe pipe) throws Exception {
        pipe.source().configureBlocking(true);
        ByteBuffer bytes = ByteBuffer.allocate(1 << 16);
        pipe.source().read(bytes);
        pipe.source().read(bytes.clear());
    }
}
