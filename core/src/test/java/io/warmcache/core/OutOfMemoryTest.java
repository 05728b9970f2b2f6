/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static io.warmcache.core.Bench.filled;
import static io.warmcache.core.Bench.pages;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.warmcache.CacheConfig;
import io.warmcache.FilePoisonedException;
import io.warmcache.WritePin;
import io.warmcache.WritePolicy;
import io.warmcache.core.evict.Replacement;
import io.warmcache.spi.FrameRecord;
import io.warmcache.spi.FrameState;
import java.io.IOException;
import java.lang.reflect.Field;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.IntFunction;
import org.junit.jupiter.api.Test;
import org.roaringbitmap.RoaringBitmap;

/** The heap runs out just where a page's change is entered in the file's sets. */
class OutOfMemoryTest {
    private static final class Full extends RoaringBitmap {
        private static final long serialVersionUID = 1L;

        @Override
        public void add(int x) {
            throw new OutOfMemoryError("injected");
        }
    }

    private static void set(Bench bench, String name, RoaringBitmap value) throws ReflectiveOperationException {
        Field field = PageSets.class.getDeclaredField(name);
        field.setAccessible(true);
        field.set(bench.inside().sets, value);
    }

    private static void write(Bench bench, long page, int value) throws IOException {
        try (WritePin pin = bench.file.pinForWrite(page)) {
            pin.dirty(0, 4096);
            pin.segment().fill((byte) value);
        }
    }

    private static FrameState recorded(Bench bench, long page) {
        FrameRecord record = new FrameRecord();
        bench.cache.backend.readRecord(TranslationWord.frame(bench.word(page)), record);
        return record.state;
    }

    @Test
    void aPageThatCannotBeEnteredAsDirtyIsAsBeforeAndUnlatched() throws Exception {
        Bench bench = new Bench(Bench.small(16), WritePolicy.WRITE_BACK, pages(1, 8));
        set(bench, "dirty", new Full());
        assertThrows(OutOfMemoryError.class, () -> write(bench, 0, 9));
        assertThrows(OutOfMemoryError.class, () -> bench.write(4096, filled(9, 3 * 4096)));
        set(bench, "dirty", new RoaringBitmap());
        for (int page = 0; page < 8; page++) {
            assertEquals(page + 1, bench.first(page));
        }
        bench.assertSound();
        write(bench, 0, 9);
        bench.file.flush();
        assertEquals(9, bench.store.bytes()[0]);
        bench.assertSound();
        bench.cache.close();
    }

    @Test
    void aPageThatCannotBeEnteredAsUnforcedIsNotTakenForForced() throws Exception {
        Bench bench = new Bench(Bench.small(8), WritePolicy.WRITE_THROUGH, pages(1, 64));
        set(bench, "unforced", new Full());
        write(bench, 0, 9);
        assertEquals(9, bench.first(0));
        set(bench, "unforced", new RoaringBitmap());
        Random random = new Random(1);
        for (int i = 0; i < 10_000 && bench.state(0) != TranslationWord.EMPTY; i++) {
            bench.first(1 + random.nextInt(63));
        }
        assertEquals(TranslationWord.EMPTY, bench.state(0));
        assertEquals(9, bench.first(0));
        assertEquals(FrameState.WRITTEN, recorded(bench, 0), "read again, and not forced yet");
        bench.fail("force");
        assertThrows(IOException.class, bench.file::force);
        bench.fail("");
        assertThrows(FilePoisonedException.class, bench.file::force, "nobody knows what the store has lost");
        bench.file.close();
        bench.map();
        assertEquals(9, bench.first(0));
        bench.file.force();
        bench.assertSound();
        bench.cache.close();
    }

    /**
     * What the last process knew of its frames is taken over by whoever needs a frame first, who must not fail for
     * it.
     */
    @Test
    void framesThatTheHeapLeavesNoRoomToRankAreTakenOverAllTheSame() throws Exception {
        CacheConfig config = Bench.small(16).withOptions(Map.of("core.maintenance", "off"));
        Bench bench = new Bench(config, WritePolicy.WRITE_BACK, pages(1, 64));
        for (int page = 0; page < 14; page++) {
            bench.first(page);
        }
        bench.cache = bench.segment.attach(config);
        AtomicInteger asked = new AtomicInteger();
        Field arrays = Replacement.class.getDeclaredField("arrays");
        arrays.setAccessible(true);
        arrays.set(bench.cache.frames.policy, (IntFunction<long[]>) count -> {
            asked.incrementAndGet();
            throw new OutOfMemoryError("injected");
        });
        bench.map();
        assertEquals(14, bench.cache.recovery().kept());
        for (int page = 63; page >= 0; page--) {
            assertEquals(page + 1, bench.first(page));
        }
        assertEquals(1, asked.get());
        assertEquals(16, bench.cache.frames.inUse());
        bench.assertSound();
        bench.cache.close();
    }
}
