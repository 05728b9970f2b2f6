/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static io.warmcache.core.Bench.pages;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.CacheClosedException;
import io.warmcache.CacheConfig;
import io.warmcache.CacheException;
import io.warmcache.CacheFullException;
import io.warmcache.LatchTimeoutException;
import io.warmcache.PageCursor;
import io.warmcache.PagedFile;
import io.warmcache.ReadPin;
import io.warmcache.WritePin;
import io.warmcache.WritePolicy;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.Pipe;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Pins and latches under waiting, interrupts and races. */
class LatchTest {
    private static final ValueLayout.OfLong COUNT = ValueLayout.JAVA_LONG_UNALIGNED;

    /** The last look of a closing file at a page's pins may come before a pin that is being taken. */
    @Test
    void aPinCountedAfterTheFileStoppedAdmittingIsTakenBack() throws Exception {
        Bench bench = new Bench(Bench.small(16), WritePolicy.WRITE_THROUGH, pages(1, 4));
        bench.first(1);
        CachedFile inside = bench.inside();
        long[] leaf = inside.index.leafOrCreate(1);
        inside.open = false;
        assertFalse(inside.tryPin(leaf, 1, 1, bench.word(1), 1));
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

    /** What a thread may have to wait for, and how it waits. */
    enum Wait {
        PIN_FOR_A_WRITER,
        STAMP_FOR_A_WRITER,
        CURSOR_FOR_A_WRITER,
        READ_FOR_A_WRITER,
        WRITE_FOR_A_READER,
        OVERWRITE_FOR_A_READER,
        BULK_WRITE_FOR_A_READER,
        TRUNCATE_FOR_A_READER,
        TRUNCATE_FOR_A_WRITER,
        FLUSH_FOR_A_WRITER,
        FORCE_FOR_A_WRITER,
        APPEND_FOR_AN_APPENDER,
        BULK_APPEND_FOR_AN_APPENDER,
        TRUNCATE_FOR_AN_APPENDER,
        FRAME_FOR_READERS,
        FILE_CLOSE_FOR_A_READER
    }

    /** A bench of 8 frames whose page 1 is dirty, with what the wait is for already held. */
    private static final class Waiting {
        final Bench bench;
        final List<AutoCloseable> held = new ArrayList<>();
        final Bench.Action action;

        Waiting(Wait wait, CacheConfig config) throws Exception {
            bench = new Bench(config, WritePolicy.WRITE_BACK, pages(1, 12));
            PagedFile file = bench.file;
            bench.cache.maintenance.stop();
            bench.write(4096, Bench.filled(9, 4096));
            String name = wait.name();
            if (name.endsWith("FOR_A_WRITER")) {
                held.add(file.pinForWrite(1));
            } else if (name.endsWith("FOR_A_READER")) {
                held.add(file.pin(1));
            } else if (name.endsWith("FOR_AN_APPENDER")) {
                held.add(file.pinForWrite(12));
            } else {
                for (int page = 0; page < 8; page++) {
                    held.add(file.pin(page));
                }
            }
            action = switch (wait) {
                case PIN_FOR_A_WRITER -> () -> file.pin(1).close();
                case STAMP_FOR_A_WRITER -> () -> assertTrue(file.stamp(1) != 0);
                case CURSOR_FOR_A_WRITER -> () -> {
                    try (PageCursor cursor = file.cursor()) {
                        cursor.seek(1);
                    }
                };
                case READ_FOR_A_WRITER -> () -> assertEquals(9, bench.first(1));
                case WRITE_FOR_A_READER -> () -> file.pinForWrite(1).close();
                case OVERWRITE_FOR_A_READER -> () -> file.pinForOverwrite(1).abort();
                case BULK_WRITE_FOR_A_READER -> () -> bench.write(0, pages(1, 3));
                case TRUNCATE_FOR_A_READER, TRUNCATE_FOR_A_WRITER -> () -> file.truncate(4096 + 100);
                case FLUSH_FOR_A_WRITER -> file::flush;
                case FORCE_FOR_A_WRITER -> file::force;
                case APPEND_FOR_AN_APPENDER -> () -> file.pinForWrite(12).close();
                case BULK_APPEND_FOR_AN_APPENDER -> () -> bench.write(12 * 4096, pages(1, 1));
                case TRUNCATE_FOR_AN_APPENDER -> () -> file.truncate(4096 + 100);
                case FRAME_FOR_READERS -> () -> file.pin(9).close();
                case FILE_CLOSE_FOR_A_READER -> file::close;
            };
        }

        void release() throws Exception {
            for (AutoCloseable each : held) {
                each.close();
            }
        }

        /** Nothing that was waited for in vain may have changed anything. */
        void finish() throws Exception {
            bench.file.close();
            bench.map();
            bench.assertSound();
            byte[] stored = bench.store.bytes();
            assertArrayEquals(stored, bench.read(0, stored.length + 1));
            bench.write(stored.length, pages(5, 2));
            bench.file.truncate(100);
            bench.assertSound();
            bench.cache.close();
        }
    }

    @ParameterizedTest
    @EnumSource(Wait.class)
    void aWaitEndsAtTheTimeoutAndLeavesNothingBehind(Wait wait) throws Exception {
        Waiting waiting = new Waiting(wait, Bench.small(8).withLatchTimeout(Duration.ofMillis(30)));
        byte[] stored = waiting.bench.store.bytes();
        CacheException end = assertThrows(CacheException.class, waiting.action::run);
        boolean expected =
                switch (wait) {
                    case FRAME_FOR_READERS -> end instanceof CacheFullException;
                    case FILE_CLOSE_FOR_A_READER -> end.getMessage().contains("1 pages");
                    default -> end instanceof LatchTimeoutException;
                };
        assertTrue(expected, end.toString());
        waiting.release();
        assertEquals(9, waiting.bench.first(1));
        assertEquals(stored.length, waiting.bench.file.size());
        waiting.finish();
    }

    @ParameterizedTest
    @EnumSource(Wait.class)
    void anInterruptStaysPendingAndEndsNoWait(Wait wait) throws Exception {
        for (boolean before : new boolean[] {false, true}) {
            Waiting waiting = new Waiting(wait, Bench.patient(8));
            Bench.Task<Boolean> task = Bench.async(() -> {
                if (before) {
                    Thread.currentThread().interrupt();
                }
                waiting.action.run();
                return Thread.interrupted();
            });
            task.awaitParked();
            task.thread.interrupt();
            task.thread.interrupt();
            task.awaitParked();
            assertFalse(task.isDone());
            waiting.release();
            assertTrue(task.get(), "the interrupt is still pending");
            if (wait == Wait.FILE_CLOSE_FOR_A_READER) {
                waiting.bench.map();
            }
            waiting.finish();
        }
    }

    @Test
    void anInterruptEndsNoCloseOfTheCache() throws Exception {
        Bench bench = new Bench(Bench.patient(8), WritePolicy.WRITE_BACK, pages(1, 12));
        ReadPin pin = bench.file.pin(1);
        Bench.Task<Boolean> closing = Bench.async(() -> {
            Thread.currentThread().interrupt();
            bench.cache.close();
            return Thread.interrupted();
        });
        Bench.awaitThat("closing", () -> bench.cache.closing);
        closing.awaitParked();
        closing.thread.interrupt();
        closing.awaitParked();
        pin.close();
        assertTrue(closing.get());
        assertEquals(1, bench.segment.closes);
    }

    /** Readers that come and go must not keep a writer out by changing the word it waits on. */
    @Test
    void noWakeUpIsLost() throws Exception {
        Bench bench = new Bench(Bench.patient(16), WritePolicy.WRITE_THROUGH, pages(1, 12));
        List<Bench.Task<Void>> tasks = new ArrayList<>();
        for (int t = 0; t < 4; t++) {
            int own = t;
            tasks.add(Bench.run(() -> {
                for (int i = 0; i < 2000; i++) {
                    if ((i & 3) == own) {
                        try (WritePin pin = bench.file.pinForWrite(1)) {
                            pin.dirty(own * 8, 8);
                            long count = pin.segment().get(COUNT, own * 8L);
                            pin.segment().set(COUNT, own * 8L, count + 1);
                        }
                    } else {
                        bench.file.pin(1).close();
                    }
                }
            }));
        }
        for (Bench.Task<Void> task : tasks) {
            task.get();
        }
        long first = ByteBuffer.wrap(pages(2, 1)).order(ByteOrder.nativeOrder()).getLong();
        try (ReadPin pin = bench.file.pin(1)) {
            for (int t = 0; t < 4; t++) {
                assertEquals(first + 500, pin.segment().get(COUNT, t * 8L));
            }
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
