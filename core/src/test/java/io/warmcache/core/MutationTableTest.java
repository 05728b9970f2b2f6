/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static io.warmcache.core.Bench.filled;
import static io.warmcache.core.Bench.pages;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.LatchTimeoutException;
import io.warmcache.PageCursor;
import io.warmcache.ReadPin;
import io.warmcache.StoreVersion;
import io.warmcache.WritePin;
import io.warmcache.WritePolicy;
import io.warmcache.core.checksum.Checksums;
import io.warmcache.spi.FrameRecord;
import io.warmcache.spi.FrameState;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.EnumMap;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/**
 * Breaks each rule of {@link Mutation} in turn under a scenario that holds while the rule is kept, and prints how the
 * break is caught. One thread does everything: what another thread would do meanwhile is done from within a call of the
 * store, where it either waits in vain or is let through.
 */
class MutationTableTest {
    /** Held, since a logger that nobody holds forgets its level. */
    private static final Logger LOG = Logger.getLogger("io.warmcache");

    private static final WritePolicy THROUGH = WritePolicy.WRITE_THROUGH;
    private static final WritePolicy BACK = WritePolicy.WRITE_BACK;

    /** What must hold; fails if it does not. */
    private interface Scenario {
        void run() throws Exception;
    }

    private final Map<Mutation, Scenario> scenarios = new EnumMap<>(Mutation.class);

    @BeforeEach
    void logNoInjectedFailures() {
        LOG.setLevel(Level.OFF);
    }

    @AfterEach
    void mend() {
        Mutation.turnOn(null);
        LOG.setLevel(null);
    }

    @Test
    void everyBrokenRuleIsCaught() throws Exception {
        recovery();
        eviction();
        readers();
        writers();
        truncates();
        assertEquals(Set.of(Mutation.values()), scenarios.keySet(), "every rule has its scenario");
        System.out.printf(Locale.ROOT, "%-36s%s%n", "broken rule of the core", "caught by");
        for (Map.Entry<Mutation, Scenario> entry : scenarios.entrySet()) {
            Mutation.turnOn(null);
            entry.getValue().run();
            Mutation.turnOn(entry.getKey());
            Throwable caught = assertThrows(
                    Throwable.class,
                    () -> entry.getValue().run(),
                    entry.getKey() + " is not caught; is the test run with -Dwarmcache.core.breakable=true?");
            System.out.printf(Locale.ROOT, "%-36s%s%n", entry.getKey(), firstLine(caught));
        }
        System.out.println(scenarios.size() + " of " + Mutation.values().length + " broken rules of the core caught");
    }

    private static String firstLine(Throwable t) {
        return String.valueOf(t.getMessage()).lines().findFirst().orElse(t.toString());
    }

    // ---- what the scenarios share

    private static Bench bench(int frames, WritePolicy policy, int pages) throws IOException {
        return bench(frames, policy, pages, Cache.VERSION_BITS);
    }

    private static Bench bench(int frames, WritePolicy policy, int pages, int versionBits) throws IOException {
        return new Bench(
                Bench.small(frames)
                        .withLatchTimeout(Duration.ofMillis(5))
                        .withOptions(Map.of("core.maintenance", "off")),
                policy,
                pages(1, pages),
                versionBits);
    }

    private static int frame(Bench bench, long page) throws IOException {
        bench.first(page);
        return TranslationWord.frame(bench.word(page));
    }

    private static FrameState recorded(Bench bench, long page) throws IOException {
        FrameRecord record = new FrameRecord();
        assertTrue(bench.cache.backend.readRecord(frame(bench, page), record));
        return record.state;
    }

    private static void put(Bench bench, int frame, int offset, int value) {
        bench.segment.memory.set(ValueLayout.JAVA_BYTE, frame * 4096L + offset, (byte) value);
    }

    /** Behind the cache's back. */
    private static void store(Bench bench, long position, int value, int length) throws IOException {
        bench.store.write(position, MemorySegment.ofArray(filled(value, length)));
    }

    private static void evict(Bench bench, long page, Random random) throws IOException {
        int pages = (int) (bench.store.size() >> 12);
        for (int i = 0; bench.state(page) != TranslationWord.EMPTY && i < 10_000; i++) {
            int other = random.nextInt(pages);
            if (other != page) {
                bench.first(other);
            }
        }
        assertEquals(TranslationWord.EMPTY, bench.state(page), "page " + page + " was evicted");
    }

    private static int stored(Bench bench, int position) {
        return bench.store.bytes()[position];
    }

    /** Once, within the {@code number}th call of an operation; what has to wait for this very call gives up. */
    private static void within(Bench bench, String operation, int number, Scenario other) {
        int[] calls = {0};
        bench.store.hook = (name, position, length) -> {
            if (name.equals(operation) && ++calls[0] == number) {
                try {
                    other.run();
                } catch (LatchTimeoutException e) {
                    assertFalse(e.getMessage().isEmpty());
                } catch (IOException | RuntimeException e) {
                    throw e;
                } catch (Exception e) {
                    throw new AssertionError(e);
                }
            }
        };
    }

    // ---- scenarios

    private void recovery() {
        scenarios.put(Mutation.CHECKSUM_NOT_COMPARED, () -> {
            Bench bench = bench(16, THROUGH, 8);
            put(bench, frame(bench, 3), 0, 99);
            bench.die();
            assertEquals(4, bench.first(3), "a page damaged while the cache was down");
        });
        scenarios.put(Mutation.STORE_CHANGE_IGNORED, () -> {
            Bench bench = bench(16, THROUGH, 8);
            bench.first(3);
            store(bench, 3 * 4096, 50, 4096);
            bench.store.version = StoreVersion.exact(7, 8);
            bench.die();
            assertEquals(50, bench.first(3), "a page that was changed while the cache was down");
        });
        scenarios.put(Mutation.CANARY_SKIPPED, () -> {
            Bench bench = bench(16, THROUGH, 8);
            bench.first(3);
            bench.segment.doubt = true;
            store(bench, 3 * 4096, 50, 4096);
            bench.die();
            assertEquals(50, bench.first(3), "a page of a store whose version is in doubt");
        });
        scenarios.put(Mutation.PAST_END_KEPT, () -> {
            Bench bench = bench(16, THROUGH, 8);
            bench.first(7);
            bench.store.truncate(7 * 4096);
            bench.die();
            bench.file.truncate(8 * 4096);
            assertEquals(0, bench.first(7), "a page past the end that the store had at map");
        });
        scenarios.put(Mutation.DUPLICATES_NOT_DROPPED, () -> {
            Bench bench = bench(16, THROUGH, 8);
            int one = frame(bench, 3);
            int other = frame(bench, 4);
            forge(bench, Math.min(one, other), 77);
            forge(bench, Math.max(one, other), 4);
            bench.die();
            assertEquals(4, bench.first(3), "a page with two whole records");
        });
        scenarios.put(Mutation.WRITTEN_KEPT_AFTER_FAILED_FSYNC, () -> {
            Bench bench = bench(16, THROUGH, 8);
            bench.write(3 * 4096, filled(9, 4096));
            store(bench, 3 * 4096, 4, 4096); // what the kernel lost
            bench.fail("force");
            bench.die();
            bench.fail("");
            assertEquals(4, bench.first(3), "a page that the store lost before the fsync at map failed");
        });
    }

    /** A whole record of page 3 with these bytes. */
    private static void forge(Bench bench, int frame, int value) {
        bench.segment.memory.asSlice(frame * 4096L, 4096).fill((byte) value);
        FrameRecord record = bench.segment.records[frame];
        record.page = 3;
        record.checksums[0] = Checksums.byName(bench.config.checksum())
                .orElseThrow()
                .block(
                        bench.segment.memory,
                        frame * 4096L,
                        HeapBackend.INCARNATION,
                        record.fileId,
                        3,
                        0,
                        record.generation);
    }

    private void eviction() {
        scenarios.put(Mutation.NO_FREE_ON_EVICT, () -> {
            Bench bench = bench(8, THROUGH, 32);
            for (int page = 0; page < 32; page++) {
                assertEquals(page + 1, bench.first(page));
            }
        });
        scenarios.put(Mutation.DIRTY_EVICTED, () -> {
            Bench bench = bench(8, BACK, 32);
            bench.write(0, filled(99, 4096));
            Random random = new Random(3);
            for (int i = 0; i < 2000; i++) {
                bench.first(1 + random.nextInt(31));
            }
            assertEquals(99, bench.first(0), "a page that was dirty while others wanted its frame");
        });
        scenarios.put(Mutation.PINNED_EVICTED, () -> {
            Bench bench = bench(8, THROUGH, 32);
            ReadPin pin = bench.file.pin(0);
            Random random = new Random(4);
            for (int i = 0; i < 2000; i++) {
                bench.first(1 + random.nextInt(31));
            }
            assertEquals(1, pin.segment().get(ValueLayout.JAVA_BYTE, 0), "a pinned page");
        });
        scenarios.put(Mutation.REFILL_OF_UNFORCED_IS_CLEAN, () -> {
            Bench bench = bench(8, THROUGH, 32);
            bench.write(0, filled(9, 4096));
            evict(bench, 0, new Random(1));
            assertEquals(FrameState.WRITTEN, recorded(bench, 0), "an unforced page read again");
        });
        scenarios.put(Mutation.VERSION_RESTARTS_ON_EVICT, () -> {
            Bench bench = bench(8, THROUGH, 32);
            Random random = new Random(2);
            int same = 0;
            for (int i = 0; i < 100; i++) {
                long stamp = bench.file.stamp(0);
                evict(bench, 0, random);
                long again = bench.file.stamp(0);
                if (bench.file.offset(stamp) == bench.file.offset(again)) {
                    same++;
                    assertFalse(bench.file.valid(0, stamp), "bytes of other pages pass for those of page 0");
                }
            }
            assertTrue(same > 0, "the page came back to its frame");
        });
    }

    private void readers() {
        scenarios.put(Mutation.WRAP_EPOCH_NOT_COMPARED, () -> {
            Bench bench = bench(16, THROUGH, 8, 2);
            try (PageCursor cursor = bench.file.cursor()) {
                cursor.seek(0);
                byte read = cursor.getByte(0);
                for (int i = 0; i < 4; i++) {
                    bench.write(0, filled(50 + i, 10));
                }
                assertTrue(cursor.shouldRetry(), read + " was read, 53 is there: the version has come around");
            }
        });
        scenarios.put(Mutation.GARBAGE_EXCEPTION_RETHROWN, () -> {
            Bench bench = bench(16, THROUGH, 8);
            int[] calls = {0};
            long read = bench.file.read(0, (memory, offset) -> {
                if (calls[0]++ == 0) {
                    try {
                        bench.write(0, filled(9, 10));
                    } catch (IOException e) {
                        throw new AssertionError(e);
                    }
                    throw new IllegalStateException("garbage was read");
                }
                return memory.get(ValueLayout.JAVA_BYTE, offset);
            });
            assertEquals(9, read);
        });
        scenarios.put(Mutation.LEAF_NOT_DEAD, () -> {
            Bench bench = bench(16, THROUGH, 8);
            bench.first(0);
            long[] leaf = bench.inside().index.leaf(0);
            bench.file.truncate(0);
            bench.file.truncate(8 * 4096);
            // A thread that had looked the leaf up before the truncate goes on now.
            bench.inside().settle(leaf, 0, 0, TranslationWord.acquire(leaf, 0), bench.inside().deadline());
            assertEquals(0, bench.first(0));
            assertEquals(Set.of(), bench.cache.problems());
        });
    }

    private void writers() {
        scenarios.put(Mutation.OLD_CHECKSUM_NOT_COMPARED, () -> {
            Bench bench = bench(16, BACK, 8);
            put(bench, frame(bench, 3), 100, 99);
            try (WritePin pin = bench.file.pinForWrite(3)) {
                pin.dirty(0, 10);
                pin.segment().asSlice(0, 10).fill((byte) 9);
            }
            bench.file.flush();
            assertEquals(4, stored(bench, 3 * 4096 + 100), "a damaged byte beside a write");
        });
        scenarios.put(Mutation.DIRTY_NOT_RECORDED, () -> {
            Bench bench = bench(16, BACK, 8);
            int frame = frame(bench, 3);
            WritePin pin = bench.file.pinForWrite(3);
            pin.dirty(0, 10);
            FrameRecord record = new FrameRecord();
            assertTrue(bench.cache.backend.readRecord(frame, record));
            pin.abort();
            assertEquals(FrameState.DIRTY, record.state, "a page that is about to be changed");
        });
        scenarios.put(Mutation.LATCH_ELIDED, () -> {
            Bench bench = bench(16, BACK, 8);
            bench.write(0, filled(5, 4096));
            try (WritePin pin = bench.file.pinForWrite(0)) {
                pin.dirty(0, 10);
                try {
                    bench.file.flush();
                } catch (LatchTimeoutException e) {
                    assertFalse(e.getMessage().isEmpty());
                }
                pin.segment().fill((byte) 9);
            }
            bench.file.flush();
            assertEquals(9, stored(bench, 0), "a page written back while a writer had it latched");
        });
        scenarios.put(Mutation.RECORD_NOT_INITIALISED, () -> {
            Bench bench = bench(16, THROUGH, 8);
            try (WritePin pin = bench.file.pinForOverwrite(3)) {
                // The write would be refused, and get its record then (W7): what counts is what a death leaves here.
                FrameRecord record = bench.segment.records[TranslationWord.frame(bench.word(3))];
                assertEquals(FrameState.DIRTY, record.state, "a page being written into a free frame");
                pin.segment().fill((byte) 9);
            }
            assertEquals(FrameState.WRITTEN, recorded(bench, 3), "a page written into a free frame");
        });
        scenarios.put(Mutation.WRITE_BACK_TORN, () -> {
            Bench bench = new Bench(
                    Bench.small(32).withPageSize(8192).withOptions(Map.of("core.maintenance", "off")),
                    BACK,
                    pages(1, 8));
            bench.write(0, filled(9, 8192));
            bench.file.flush();
            assertEquals(9, stored(bench, 4096), "the second block of a page that was written");
        });
        scenarios.put(Mutation.WRITE_RACES_A_FAULT, () -> {
            Bench bench = bench(16, THROUGH, 8);
            bench.store.mostPerTransfer = 2048;
            within(bench, "read", 2, () -> {
                try (WritePin pin = bench.file.pinForOverwrite(3)) {
                    pin.segment().fill((byte) 9);
                }
            });
            int read = bench.first(3);
            assertEquals(stored(bench, 3 * 4096), read, "a page written while it was loaded");
        });
        scenarios.put(Mutation.WRITE_BACK_NOT_EXCLUDING_WRITERS, () -> {
            Bench bench = bench(16, BACK, 8);
            bench.write(0, filled(5, 4096));
            bench.store.mostPerTransfer = 2048;
            within(bench, "write", 2, () -> {
                try (WritePin pin = bench.file.pinForWrite(0)) {
                    pin.dirty(0, 1);
                    pin.segment().set(ValueLayout.JAVA_BYTE, 0, (byte) 9);
                }
            });
            bench.file.flush();
            bench.file.flush();
            assertEquals(bench.first(0), stored(bench, 0), "a page written while it was written back");
        });
        scenarios.put(Mutation.FAILED_WRITE_LEAVES_CLEAN, () -> {
            Bench bench = bench(16, BACK, 8);
            bench.write(0, filled(9, 4096));
            bench.fail("write");
            assertThrows(IOException.class, bench.file::flush);
            bench.fail("");
            bench.file.flush();
            assertEquals(9, stored(bench, 0), "a page whose first write-back failed");
        });
        scenarios.put(Mutation.FAILED_WRITE_THROUGH_STAYS, () -> {
            Bench bench = bench(16, THROUGH, 8);
            bench.first(0);
            bench.fail("write");
            WritePin pin = bench.file.pinForWrite(0);
            pin.dirty(0, 10);
            pin.segment().fill((byte) 9);
            assertThrows(IOException.class, pin::close);
            bench.fail("");
            assertEquals(1, bench.first(0), "a page whose write-through failed");
        });
        scenarios.put(Mutation.FAILED_FORCE_LEAVES_CLEAN, () -> {
            Bench bench = bench(16, THROUGH, 8);
            bench.write(0, filled(9, 4096));
            bench.fail("force");
            assertThrows(IOException.class, bench.file::force);
            bench.fail("");
            store(bench, 0, 1, 4096); // what the kernel lost
            bench.file.force();
            assertEquals(9, stored(bench, 0), "a page that the store lost before the fsync failed");
        });
        scenarios.put(Mutation.WRITTEN_AGAIN_COUNTS_AS_FORCED, () -> {
            Bench bench = bench(16, THROUGH, 8);
            bench.write(0, filled(9, 4096));
            within(bench, "force", 1, () -> bench.write(0, filled(10, 4096)));
            bench.file.force();
            assertEquals(FrameState.WRITTEN, recorded(bench, 0), "a page written while its fsync ran");
        });
        scenarios.put(Mutation.FAILED_EXTENSION_NOT_CUT_BACK, () -> {
            Bench bench = bench(16, THROUGH, 8);
            bench.store.mostPerTransfer = 2048;
            within(bench, "write", 2, () -> {
                throw new IOException("injected");
            });
            assertThrows(IOException.class, () -> bench.write(8 * 4096, filled(9, 4096)));
            assertEquals(bench.file.size(), bench.store.size(), "the store's length after a write that failed");
        });
    }

    private void truncates() {
        scenarios.put(Mutation.BOUNDARY_DIRTY_AFTER_TRUNCATE, () -> {
            Bench bench = bench(16, THROUGH, 8);
            bench.first(3);
            HeapBackend.Segment[] left = new HeapBackend.Segment[1];
            within(bench, "truncate", 1, () -> left[0] = bench.segment.copy(bench.config));
            bench.file.truncate(3 * 4096 + 100);
            try (Cache successor = left[0].attach(bench.config);
                    var file = successor.map(bench.store, io.warmcache.MapOptions.DEFAULT)) {
                file.truncate(8 * 4096);
                byte[] read = new byte[1];
                file.read(3 * 4096 + 100, MemorySegment.ofArray(read));
                assertEquals(0, read[0], "what was cut off, after a death right behind the ftruncate");
            }
        });
        scenarios.put(Mutation.TAIL_NOT_ZEROED, () -> {
            Bench bench = bench(16, THROUGH, 8);
            bench.first(3);
            bench.file.truncate(3 * 4096 + 100);
            bench.file.truncate(8 * 4096);
            assertEquals(0, bench.read(3 * 4096 + 100, 1)[0], "what was cut off");
        });
        scenarios.put(Mutation.LOAD_BEHIND_TRUNCATE, () -> {
            Bench bench = bench(16, THROUGH, 8);
            within(bench, "truncate", 1, () -> bench.first(6));
            bench.file.truncate(3 * 4096);
            bench.file.truncate(8 * 4096);
            assertEquals(0, bench.first(6), "a page asked for while it was cut off");
        });
        scenarios.put(Mutation.PINNED_FREED_BY_TRUNCATE, () -> {
            Bench bench = bench(8, THROUGH, 32);
            ReadPin pin = bench.file.pin(25);
            bench.file.truncate(20 * 4096);
            Random random = new Random(5);
            for (int i = 0; i < 2000; i++) {
                bench.first(random.nextInt(20));
            }
            assertEquals(26, pin.segment().get(ValueLayout.JAVA_BYTE, 0), "a pinned page that was cut off");
        });
    }
}
