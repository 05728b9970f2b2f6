/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static io.warmcache.core.Bench.filled;
import static io.warmcache.core.Bench.pages;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.warmcache.WritePin;
import io.warmcache.WritePolicy;
import java.io.IOException;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** A file has one end, and one thread at a time moves it. */
class ExtensionTest {
    @ParameterizedTest
    @EnumSource(WritePolicy.class)
    void anExtendingBulkWriteGivesItsPermitBackOnce(WritePolicy policy) throws Exception {
        Bench bench = new Bench(Bench.patient(64), policy, new byte[0]);
        bench.write(0, pages(1, 20));
        bench.write(79_000, filled(7, 10_000));
        bench.assertSound();
        bench.cache.close();
    }

    @ParameterizedTest
    @EnumSource(WritePolicy.class)
    void whatIsStoredPastTheAnnouncedEndNeverShows(WritePolicy policy) throws Exception {
        Bench bench = new Bench(Bench.patient(64), policy, filled(5, 5000));
        try (WritePin pin = bench.file.pinForWrite(1)) {
            pin.dirty(0, 1000);
            pin.segment().asSlice(0, 2000).fill((byte) 9);
        }
        assertEquals(4096 + 1000, bench.file.size());
        bench.file.truncate(8192);
        assertArrayEquals(filled(9, 1000), bench.read(4096, 1000));
        assertArrayEquals(filled(0, 3096), bench.read(4096 + 1000, 3096));
        bench.file.flush();
        assertArrayEquals(bench.store.bytes(), bench.read(0, 8192));
        bench.assertSound();
        bench.cache.close();
    }

    @Test
    void aFailedExtendingBulkWriteGivesItsPermitBackOnce() throws Exception {
        Bench bench = new Bench(Bench.patient(64), WritePolicy.WRITE_THROUGH, pages(1, 2));
        bench.fail("write");
        assertThrows(IOException.class, () -> bench.write(4096, pages(1, 20)));
        bench.fail("");
        assertEquals(8192, bench.file.size());
        bench.assertSound();
        bench.cache.close();
    }

    /** Else the boundary page, filled with zeros past the file's end, would differ from the store after a restart. */
    @ParameterizedTest
    @EnumSource(Half.class)
    void aTornExtendingWriteLeavesTheStoreNoLongerThanTheFile(Half how) throws Exception {
        Bench bench = new Bench(Bench.patient(64), WritePolicy.WRITE_THROUGH, filled(5, 5000));
        bench.store.mostPerTransfer = 1500;
        AtomicInteger writes = new AtomicInteger();
        bench.store.hook = (operation, position, length) -> {
            if (operation.equals("write") && writes.incrementAndGet() == 2) {
                throw new IOException("injected after the first half");
            }
        };
        assertThrows(IOException.class, () -> {
            if (how == Half.BULK) {
                bench.write(4096, pages(1, 2));
            } else {
                try (WritePin pin = bench.file.pinForWrite(1)) {
                    pin.dirty(0, 4096);
                }
            }
        });
        assertEquals(5000, bench.file.size());
        assertEquals(5000, bench.store.size());
        assertArrayEquals(bench.store.bytes(), bench.read(0, 5000));
        bench.assertSound();
        bench.cache.close();
    }

    /** Ways to write past the end. */
    enum Half {
        BULK,
        PIN
    }

    /** A writer inside the file must not publish a length that it read before the end was moved. */
    @Test
    void aWriterInsideTheFileLeavesTheLengthAlone() throws Exception {
        Bench bench = new Bench(Bench.patient(64), WritePolicy.WRITE_THROUGH, pages(1, 4));
        Bench.Gate gate = bench.new Gate("write");
        var writer = Bench.run(() -> bench.write(4096, filled(9, 10)));
        gate.awaitReached();
        bench.file.truncate(3 * 4096);
        gate.open();
        writer.get();
        assertEquals(3 * 4096, bench.file.size());
        bench.assertSound();
        bench.cache.close();
    }

    @Test
    void twoAppendersNeverOverwriteEachOther() throws Exception {
        Bench bench = new Bench(Bench.patient(64), WritePolicy.WRITE_THROUGH, new byte[0]);
        Bench.Gate gate = bench.new Gate("write");
        var first = Bench.run(() -> bench.write(0, pages(1, 3)));
        gate.awaitReached();
        var second = Bench.run(() -> bench.write(2 * 4096, pages(9, 3))).awaitParked();
        assertFalse(second.isDone());
        gate.open();
        first.get();
        second.get();
        assertArrayEquals(bench.store.bytes(), bench.read(0, 5 * 4096));
        bench.assertSound();
        bench.cache.close();
    }
}
