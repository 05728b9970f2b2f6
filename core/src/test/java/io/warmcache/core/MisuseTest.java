/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static io.warmcache.core.Bench.filled;
import static io.warmcache.core.Bench.pages;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.CacheClosedException;
import io.warmcache.CacheConfig;
import io.warmcache.CacheException;
import io.warmcache.CacheFullException;
import io.warmcache.MapOptions;
import io.warmcache.PageCursor;
import io.warmcache.PagedFile;
import io.warmcache.ReadPin;
import io.warmcache.WritePin;
import io.warmcache.WritePolicy;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ReadOnlyBufferException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Each misuse is a clear exception, and changes neither a byte nor the structure. */
class MisuseTest {
    private static final ValueLayout.OfByte BYTE = ValueLayout.JAVA_BYTE;
    private static final byte[] BYTES = pages(1, 12);

    private Bench bench;
    private PagedFile file;

    private void open(boolean debug) throws IOException {
        CacheConfig config = Bench.small(8).withLatchTimeout(Duration.ofMillis(100)).withDebug(debug);
        bench = new Bench(config, WritePolicy.WRITE_THROUGH, BYTES);
        file = bench.file;
    }

    @BeforeEach
    void open() throws IOException {
        open(false);
    }

    @AfterEach
    void nothingHasChanged() throws IOException {
        if (!bench.cache.closing) {
            bench.assertSound();
            assertArrayEquals(bench.store.bytes(), bench.read(0, BYTES.length + 1));
            assertEquals(0, bench.cache.stats().dirtyBlocks());
            bench.cache.close();
        }
    }

    // ---- after the end ---------------------------------------------------------------------------------------------

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void aReadPinAfterItsClose(boolean debug) throws Exception {
        open(debug);
        ReadPin pin = file.pin(1);
        ReadPin other = file.pin(1);
        MemorySegment segment = pin.segment();
        pin.close();
        pin.close();
        pin.close();
        assertEquals(1, TranslationWord.pins(bench.word(1)));
        assertThrows(CacheClosedException.class, pin::segment);
        assertThrows(CacheClosedException.class, pin::retain);
        assertEquals(1, pin.page());
        if (debug) {
            assertThrows(IllegalStateException.class, () -> segment.get(BYTE, 0));
        }
        assertEquals(2, other.segment().get(BYTE, 0));
        other.close();
        assertEquals(0, TranslationWord.pins(bench.word(1)));
    }

    @ParameterizedTest
    @CsvSource({"false, false", "false, true", "true, false", "true, true"})
    void aWritePinAfterItsEnd(boolean debug, boolean abort) throws Exception {
        open(debug);
        WritePin pin = file.pinForWrite(1);
        MemorySegment segment = pin.segment();
        pin.dirty(0, 1);
        segment.set(BYTE, 0, (byte) 50);
        if (abort) {
            pin.abort();
        } else {
            pin.close();
        }
        assertThrows(CacheClosedException.class, pin::segment);
        assertThrows(CacheClosedException.class, () -> pin.dirty(0, 1));
        assertThrows(CacheClosedException.class, pin::abort);
        pin.close();
        if (debug) {
            assertThrows(IllegalStateException.class, () -> segment.set(BYTE, 0, (byte) 60));
        }
        assertEquals(abort ? 2 : 50, bench.first(1));
    }

    @Test
    void aCursorAfterItsCloseAndBeforeItsFirstSeek() {
        PageCursor cursor = file.cursor();
        assertEquals(-1, cursor.page());
        assertThrows(IllegalStateException.class, () -> cursor.getByte(0));
        assertThrows(IllegalStateException.class, cursor::shouldRetry);
        cursor.seek(1);
        cursor.close();
        cursor.close();
        assertThrows(CacheClosedException.class, () -> cursor.getByte(0));
        assertThrows(CacheClosedException.class, () -> cursor.getShort(0));
        assertThrows(CacheClosedException.class, () -> cursor.getInt(0));
        assertThrows(CacheClosedException.class, () -> cursor.getLong(0));
        assertThrows(CacheClosedException.class, () -> cursor.copyTo(0, new byte[1], 0, 1));
        assertThrows(CacheClosedException.class, cursor::shouldRetry);
        assertThrows(CacheClosedException.class, () -> cursor.seek(1));
    }

    @Test
    void aFileAfterItsClose() throws Exception {
        PageCursor cursor = file.cursor();
        cursor.seek(1);
        bench.map();
        file.close();
        file.close();
        MemorySegment bytes = MemorySegment.ofArray(new byte[10]);
        assertThrows(CacheClosedException.class, file::size);
        assertThrows(CacheClosedException.class, file::pages);
        assertThrows(CacheClosedException.class, file::cursor);
        assertThrows(CacheClosedException.class, () -> file.stamp(0));
        assertThrows(CacheClosedException.class, () -> file.tryStamp(0));
        assertThrows(CacheClosedException.class, () -> file.pin(0));
        assertThrows(CacheClosedException.class, () -> file.pinForWrite(0));
        assertThrows(CacheClosedException.class, () -> file.pinForOverwrite(0));
        assertThrows(CacheClosedException.class, () -> file.read(0, bytes));
        assertThrows(CacheClosedException.class, () -> file.read(0, (memory, base) -> 0));
        assertThrows(CacheClosedException.class, () -> file.write(0, bytes));
        assertThrows(CacheClosedException.class, () -> file.prefetch(0, 1));
        assertThrows(CacheClosedException.class, file::flush);
        assertThrows(CacheClosedException.class, file::force);
        assertThrows(CacheClosedException.class, () -> file.truncate(0));
        assertThrows(CacheClosedException.class, () -> cursor.seek(0));
        cursor.close();
        assertEquals(1, bench.first(0)); // the second mapping is none the worse
    }

    @Test
    void aPinAfterATruncate() throws Exception {
        ReadPin cut = file.pin(5);
        ReadPin again = cut.retain();
        MemorySegment segment = cut.segment();
        PageCursor cursor = file.cursor();
        cursor.seek(5);
        long stamp = file.stamp(5);
        file.truncate(2 * 4096 + 100);
        assertEquals(6, segment.get(BYTE, 4095));
        assertFalse(file.valid(5, stamp));
        assertThrows(IndexOutOfBoundsException.class, cursor::shouldRetry);
        assertThrows(IndexOutOfBoundsException.class, () -> file.pin(5));
        assertThrows(IndexOutOfBoundsException.class, () -> file.stamp(3));
        assertThrows(IndexOutOfBoundsException.class, () -> file.pinForWrite(4));
        cut.close();
        cut.close();
        assertEquals(6, again.segment().get(BYTE, 0));
        again.close();
        again.close();
        cursor.close();
        assertEquals(3, bench.first(2));
    }

    // ---- out of range ----------------------------------------------------------------------------------------------

    @ParameterizedTest
    @ValueSource(longs = {-1, Long.MIN_VALUE, 12, 13, 64, 1L << 31, 1L << 32, (1L << 32) + 1, 1L << 40, Long.MAX_VALUE})
    void aPageThatIsNotThere(long page) {
        assertThrows(IndexOutOfBoundsException.class, () -> file.stamp(page));
        assertThrows(IndexOutOfBoundsException.class, () -> file.pin(page));
        assertThrows(IndexOutOfBoundsException.class, () -> file.read(page, (memory, base) -> 0));
        assertEquals(0, file.tryStamp(page));
        try (PageCursor cursor = file.cursor()) {
            assertThrows(IndexOutOfBoundsException.class, () -> cursor.seek(page));
            assertThrows(IllegalStateException.class, () -> cursor.getByte(0));
            cursor.seek(1);
            assertThrows(IndexOutOfBoundsException.class, () -> cursor.seek(page));
            assertThrows(IllegalStateException.class, () -> cursor.getByte(0));
        }
        if (page < 0) {
            assertThrows(IndexOutOfBoundsException.class, () -> file.valid(page, 1));
            assertThrows(IllegalArgumentException.class, () -> file.prefetch(page, 1));
        } else {
            assertFalse(file.valid(page, 1));
            file.prefetch(page, Integer.MAX_VALUE);
        }
        if (page != 12) {
            assertThrows(IndexOutOfBoundsException.class, () -> file.pinForWrite(page));
            assertThrows(IndexOutOfBoundsException.class, () -> file.pinForOverwrite(page));
        }
        assertEquals(BYTES.length, file.size());
    }

    @Test
    void aPositionThatIsNotThere() throws Exception {
        MemorySegment bytes = MemorySegment.ofArray(new byte[10]);
        long limit = 1L << 44;
        assertThrows(IllegalArgumentException.class, () -> file.read(-1, bytes));
        assertThrows(IllegalArgumentException.class, () -> file.write(-1, bytes));
        assertThrows(IllegalArgumentException.class, () -> file.write(limit - 9, bytes));
        assertThrows(IllegalArgumentException.class, () -> file.write(Long.MAX_VALUE, bytes));
        assertThrows(IllegalArgumentException.class, () -> file.truncate(-1));
        assertThrows(IllegalArgumentException.class, () -> file.truncate(limit + 1));
        assertThrows(IllegalArgumentException.class, () -> file.truncate(Long.MAX_VALUE));
        assertThrows(IllegalArgumentException.class, () -> file.prefetch(0, -1));
        assertEquals(-1, file.read(BYTES.length, bytes));
        assertEquals(-1, file.read(Long.MAX_VALUE, bytes));
        assertEquals(0, file.read(Long.MAX_VALUE, bytes.asSlice(0, 0)));
        file.write(limit, bytes.asSlice(0, 0));
        assertEquals(BYTES.length, file.size());
    }

    @Test
    void anOffsetOutsideThePage() throws Exception {
        try (PageCursor cursor = file.cursor()) {
            cursor.seek(1);
            for (int offset : new int[] {-1, 4096, Integer.MAX_VALUE, Integer.MIN_VALUE}) {
                assertThrows(IndexOutOfBoundsException.class, () -> cursor.getByte(offset));
                assertThrows(IndexOutOfBoundsException.class, () -> cursor.getLong(offset));
                assertThrows(IndexOutOfBoundsException.class, () -> cursor.copyTo(offset, new byte[9], 0, 1));
            }
            assertThrows(IndexOutOfBoundsException.class, () -> cursor.getShort(4095));
            assertThrows(IndexOutOfBoundsException.class, () -> cursor.getInt(4093));
            assertThrows(IndexOutOfBoundsException.class, () -> cursor.getLong(4089));
            assertThrows(IndexOutOfBoundsException.class, () -> cursor.copyTo(0, new byte[9], 0, 4097));
            assertThrows(IndexOutOfBoundsException.class, () -> cursor.copyTo(0, new byte[9], 0, -1));
            assertThrows(IndexOutOfBoundsException.class, () -> cursor.copyTo(0, new byte[9], 5, 5));
            assertThrows(
                    IndexOutOfBoundsException.class,
                    () -> cursor.copyTo(0, MemorySegment.ofArray(new byte[9]), 5, 5));
            assertEquals(2, cursor.getByte(0));
            assertFalse(cursor.shouldRetry());
        }
        try (WritePin pin = file.pinForWrite(1)) {
            assertThrows(IndexOutOfBoundsException.class, () -> pin.dirty(-1, 1));
            assertThrows(IndexOutOfBoundsException.class, () -> pin.dirty(0, -1));
            assertThrows(IndexOutOfBoundsException.class, () -> pin.dirty(0, 4097));
            assertThrows(IndexOutOfBoundsException.class, () -> pin.dirty(4096, 1));
            assertThrows(IndexOutOfBoundsException.class, () -> pin.dirty(Integer.MAX_VALUE, Integer.MAX_VALUE));
            assertThrows(IndexOutOfBoundsException.class, () -> pin.segment().set(BYTE, 4096, (byte) 1));
            pin.dirty(4096, 0);
        }
    }

    // ---- writing where one may not ---------------------------------------------------------------------------------

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void aReadViewCannotBeWritten(boolean debug) throws Exception {
        open(debug);
        try (ReadPin pin = file.pin(1)) {
            assertReadOnly(pin.segment());
        }
        assertReadOnly(file.memory());
        file.read(1, (memory, base) -> {
            assertReadOnly(memory);
            return 0;
        });
    }

    private static void assertReadOnly(MemorySegment segment) {
        assertTrue(segment.isReadOnly());
        assertThrows(IllegalArgumentException.class, () -> segment.set(BYTE, 0, (byte) 9));
        assertThrows(IllegalArgumentException.class, () -> segment.fill((byte) 9));
        ByteBuffer buffer = segment.asSlice(0, 4096).asByteBuffer();
        assertThrows(ReadOnlyBufferException.class, () -> buffer.put(0, (byte) 9));
    }

    @Test
    void aReadOnlyMappingCannotBeWritten() throws Exception {
        file.close();
        file = bench.cache.map(bench.store, MapOptions.DEFAULT.withReadOnly(true));
        bench.file = file;
        MemorySegment bytes = MemorySegment.ofArray(new byte[10]);
        assertThrows(CacheException.class, () -> file.write(0, bytes));
        assertThrows(CacheException.class, () -> file.pinForWrite(0));
        assertThrows(CacheException.class, () -> file.pinForOverwrite(0));
        assertThrows(CacheException.class, () -> file.truncate(0));
        file.flush();
        file.force();
    }

    /** Nothing of it is written back, and it is found as the corruption it is: by the next writer, or a successor. */
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void aStoreThatWasNotAnnouncedIsFound(boolean successor) throws Exception {
        try (WritePin pin = file.pinForWrite(1)) {
            pin.segment().set(BYTE, 100, (byte) 66);
        }
        assertArrayEquals(BYTES, bench.store.bytes());
        if (successor) {
            bench.die();
            file = bench.file;
        } else {
            try (WritePin pin = file.pinForWrite(1)) {
                pin.dirty(0, 1);
                assertEquals(2, pin.segment().get(BYTE, 100));
                pin.segment().set(BYTE, 0, (byte) 2);
            }
        }
        assertArrayEquals(BYTES, bench.read(0, BYTES.length));
        assertEquals(1, bench.cache.stats().validationFailures());
    }

    @Test
    void debuggingTakesBackAChangeThatWasNotAnnounced() throws Exception {
        open(true);
        WritePin pin = file.pinForWrite(1);
        pin.dirty(0, 1);
        pin.segment().set(BYTE, 0, (byte) 77);
        WritePin other = file.pinForWrite(2);
        other.segment().set(BYTE, 100, (byte) 66);
        CacheException found = assertThrows(CacheException.class, other::close);
        assertTrue(found.getMessage().contains("byte 100 without dirty()"), found.getMessage());
        pin.close();
        assertEquals(77, bench.first(1));
        assertEquals(3, bench.read(2 * 4096 + 100, 1)[0]);
    }

    // ---- too many --------------------------------------------------------------------------------------------------

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void morePinsThanFrames(boolean write) throws Exception {
        List<AutoCloseable> pins = new ArrayList<>();
        for (int page = 0; page < 8; page++) {
            pins.add(write ? file.pinForWrite(page) : file.pin(page));
        }
        CacheFullException full = assertThrows(CacheFullException.class, () -> file.pin(8));
        String held = write ? "0 are pinned, 0 dirty, 8 latched" : "8 are pinned, 0 dirty, 0 latched";
        assertTrue(full.getMessage().contains(held), full.getMessage());
        assertThrows(CacheFullException.class, () -> file.pinForWrite(8));
        assertThrows(CacheFullException.class, () -> file.pinForOverwrite(12));
        assertThrows(CacheFullException.class, () -> file.stamp(8));
        assertThrows(CacheFullException.class, () -> bench.read(8 * 4096, 10));
        assertThrows(CacheFullException.class, () -> bench.write(8 * 4096, filled(9, 10)));
        assertThrows(CacheFullException.class, () -> bench.write(13 * 4096, filled(9, 4096)));
        pins.removeLast().close();
        try (ReadPin pin = file.pin(8)) {
            assertEquals(9, pin.segment().get(BYTE, 0));
        }
        for (AutoCloseable pin : pins) {
            pin.close();
        }
        file.truncate(BYTES.length);
    }

    @Test
    void morePinsOnAPageThanItCounts() {
        List<ReadPin> pins = new ArrayList<>();
        for (int i = 0; i < TranslationWord.MAX_PINS; i++) {
            pins.add(i % 2 == 0 ? file.pin(1) : pins.getLast().retain());
        }
        long word = bench.word(1);
        CacheException most = assertThrows(CacheException.class, () -> file.pin(1));
        assertTrue(most.getMessage().contains("8191"), most.getMessage());
        assertThrows(CacheException.class, () -> pins.getLast().retain());
        assertEquals(word, bench.word(1));
        pins.forEach(ReadPin::close);
        assertEquals(0, TranslationWord.pins(bench.word(1)));
    }

    // ---- somebody else's memory, store or code ---------------------------------------------------------------------

    @Test
    void aSegmentThatCannotBeReadOrWritten() throws Exception {
        MemorySegment readOnly = MemorySegment.ofArray(new byte[10]).asReadOnly();
        assertThrows(IllegalArgumentException.class, () -> file.read(0, readOnly));
        MemorySegment ended;
        try (Arena arena = Arena.ofConfined()) {
            ended = arena.allocate(3 * 4096);
            MemorySegment confined = ended;
            assertThrows(WrongThreadException.class, () -> call(() -> file.read(0, confined)));
            assertThrows(WrongThreadException.class, () -> call(() -> file.write(0, confined)));
            assertThrows(WrongThreadException.class, () -> call(() -> file.write(11 * 4096, confined)));
        }
        assertThrows(IllegalStateException.class, () -> file.read(0, ended));
        assertThrows(IllegalStateException.class, () -> file.write(0, ended));
        assertThrows(IllegalStateException.class, () -> file.write(11 * 4096 + 5, ended));
        assertEquals(BYTES.length, file.size());
    }

    /** In another thread. */
    private static void call(Bench.Action action) throws Throwable {
        try {
            Bench.run(action).get();
        } catch (ExecutionException e) {
            throw e.getCause();
        }
    }

    @Test
    void aReaderThatThrows() {
        ArithmeticException own = new ArithmeticException("own");
        ArithmeticException thrown = assertThrows(ArithmeticException.class, () -> file.read(1, (memory, base) -> {
            throw own;
        }));
        assertEquals(own, thrown);
        assertThrows(IndexOutOfBoundsException.class, () -> file.read(1, (memory, base) -> memory.get(BYTE, -1)));
    }

    @Test
    void theSameStoreTwice() throws Exception {
        PagedFile same = bench.cache.map(bench.store, MapOptions.DEFAULT);
        assertFalse(bench.store.closed);
        MemoryStore equal = new MemoryStore(bench.store.id, new byte[0]);
        PagedFile shared = bench.cache.map(equal, MapOptions.DEFAULT.withPolicy(WritePolicy.WRITE_BACK));
        assertTrue(equal.closed);
        assertEquals(BYTES.length, shared.size());
        assertEquals(WritePolicy.WRITE_THROUGH, shared.policy());
        same.close();
        shared.close();
        shared.close();
        assertFalse(bench.store.closed);
        assertNotNull(file.cursor());
    }

    @Test
    void aPinOfOneOwnThread() throws Exception {
        ReadPin pin = file.pin(1);
        CacheException own = assertThrows(CacheException.class, () -> file.pinForWrite(1));
        assertTrue(own.getMessage().contains("pins 1"), own.getMessage());
        pin.close();
        try (WritePin write = file.pinForWrite(1)) {
            assertEquals(1, write.page());
            assertThrows(CacheException.class, () -> file.pinForWrite(1));
            assertThrows(CacheException.class, () -> file.pin(1));
            assertThrows(CacheException.class, () -> file.truncate(4096));
            assertThrows(CacheException.class, () -> bench.write(4096, filled(9, 10)));
        }
        try (WritePin last = file.pinForWrite(12)) {
            assertEquals(12, last.page());
            assertThrows(CacheException.class, () -> file.pinForWrite(12));
            assertThrows(CacheException.class, () -> bench.write(13 * 4096, filled(9, 10)));
            assertThrows(CacheException.class, () -> file.truncate(0));
            assertThrows(CacheException.class, file::close);
        }
        assertEquals(BYTES.length, file.size());
    }
}
