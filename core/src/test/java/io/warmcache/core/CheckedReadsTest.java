/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.PageCursor;
import io.warmcache.PagedFile;
import io.warmcache.WritePolicy;
import io.warmcache.contract.CheckedReads;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.Test;

/** What the checking decorator lets pass, and each way of not validating that it finds. */
class CheckedReadsTest {
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED;
    private static final long THREES = 0x0303_0303_0303_0303L;

    private final Bench bench;
    private final PagedFile file;

    CheckedReadsTest() throws IOException {
        bench = new Bench(Bench.small(16), WritePolicy.WRITE_BACK, Bench.pages(1, 8));
        file = CheckedReads.of(bench.file);
    }

    @Test
    void validatedReadsAreWhatTheFileHolds() throws Exception {
        try (PageCursor cursor = file.cursor()) {
            for (int round = 0; round < 3; round++) {
                cursor.seek(2);
                long value;
                byte[] copy = new byte[8];
                do {
                    value = cursor.getLong(16);
                    cursor.copyTo(8, copy, 0, 8);
                } while (cursor.shouldRetry());
                assertEquals(THREES, value);
                assertEquals(THREES, MemorySegment.ofArray(copy).get(LONG, 0));
            }
        }
        for (int round = 0; round < 300; round++) {
            long stamp;
            long value;
            do {
                stamp = file.stamp(2);
                value = file.memory().get(LONG, file.offset(stamp) + 16);
            } while (!file.valid(2, stamp));
            assertEquals(THREES, value);
        }
        assertEquals(THREES, file.read(2, (memory, offset) -> memory.get(LONG, offset + 16)));
        file.close();
        bench.cache.close();
    }

    @Test
    void aCursorThatMovesOnWithoutValidationFails() throws Exception {
        PageCursor cursor = file.cursor();
        cursor.seek(2);
        var _ = cursor.getLong(16);
        AssertionError error = assertThrows(AssertionError.class, () -> cursor.seek(3));
        assertTrue(error.getMessage().contains("page 2 was never validated"), error.getMessage());
        assertTrue(error.getCause().getStackTrace().length > 0);
        cursor.seek(3);
        var _ = cursor.getByte(0);
        assertThrows(AssertionError.class, cursor::close);
        bench.cache.close();
    }

    @Test
    void whatIsReadOnceAndNotAgainIsGarbage() throws Exception {
        try (PageCursor cursor = file.cursor()) {
            cursor.seek(2);
            long value = cursor.getLong(16);
            var _ = cursor.shouldRetry(); // and not looked at
            assertNotEquals(THREES, value);
        }
        long stamp = file.stamp(2);
        assertNotEquals(THREES, file.memory().get(LONG, file.offset(stamp) + 16));
        assertEquals(false, file.valid(2, stamp));
        bench.cache.close();
    }

    @Test
    void aStampThatIsNeverValidatedFailsWhenTheFileIsClosed() throws Exception {
        long stamp = file.stamp(2);
        var _ = file.memory().get(LONG, file.offset(stamp));
        AssertionError error = assertThrows(AssertionError.class, file::close);
        assertEquals("stamp of page 2 taken here", error.getCause().getMessage());
        bench.cache.close();
    }

    /** A length taken from the page leads anywhere: the exception is dropped, what counts is the second run. */
    @Test
    void aReaderMeetsGarbageFirst() throws Exception {
        int[] runs = {0};
        long sum = file.read(2, (memory, offset) -> {
            runs[0]++;
            int length = memory.get(ValueLayout.JAVA_INT_UNALIGNED, offset);
            return length == 0x0303_0303 ? length : memory.get(ValueLayout.JAVA_BYTE, offset + (1L << 40));
        });
        assertEquals(0x0303_0303, sum);
        assertEquals(2, runs[0]);
        bench.cache.close();
    }
}
