/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static io.warmcache.core.Bench.filled;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.warmcache.CacheConfig;
import io.warmcache.WritePin;
import io.warmcache.WritePolicy;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Cutting a file while everything else goes on. */
class TruncateTest {
    /** The writer latched the page before the truncate began, and makes it dirty after the truncate has flushed. */
    @ParameterizedTest
    @CsvSource({"4096, 0", "16384, 0", "16384, 9000", "16384, 4096"})
    void keepsWhatAWriterPublishesBehindTheFlush(int pageSize, int offset) throws Exception {
        CacheConfig config = CacheConfig.of("bench", 16L * pageSize).withPageSize(pageSize);
        byte[] expected = filled(1, 4 * pageSize);
        Bench bench = new Bench(config, WritePolicy.WRITE_BACK, expected);
        WritePin pin = bench.file.pinForWrite(1);
        pin.dirty(offset, 10);
        MemorySegment.copy(MemorySegment.ofArray(filled(9, 10)), 0, pin.segment(), offset, 10);
        Arrays.fill(expected, pageSize + offset, pageSize + offset + 10, (byte) 9);
        int size = pageSize + Math.min(pageSize - 1, 10_000);
        var cut = Bench.run(() -> bench.file.truncate(size)).awaitParked();
        pin.close();
        cut.get();
        expected = Arrays.copyOf(expected, size);
        assertArrayEquals(expected, bench.read(0, expected.length + 1));
        bench.file.flush();
        assertArrayEquals(expected, bench.store.bytes());
        bench.assertSound();
        bench.die();
        assertArrayEquals(expected, bench.read(0, expected.length + 1));
        assertEquals(0, bench.cache.recovery().droppedTotal());
        bench.cache.close();
    }
}
