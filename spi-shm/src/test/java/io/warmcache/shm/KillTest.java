/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.IoMode;
import io.warmcache.MapOptions;
import io.warmcache.spi.FileVerdict;
import io.warmcache.spi.FileVerdict.Kind;
import io.warmcache.spi.FrameRecord;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Kills a process that writes through several threads, again and again, and compares what it left with the file. */
class KillTest {
    private static final int KILLS = 6;

    private Env env;

    @BeforeEach
    void open() throws Exception {
        env = new Env();
    }

    @AfterEach
    void close() throws Exception {
        env.close();
    }

    @ParameterizedTest
    @EnumSource(value = IoMode.class, names = {"AUTO", "BUFFERED"})
    void whatAKilledWriterLeftIsTrue(IoMode mode) throws Exception {
        long seed = System.nanoTime();
        System.out.println("seed " + seed);
        Random random = new Random(seed);
        Path file = env.file("data", Env.random(seed, Child.FIXED_PAGES * Env.PAGE));
        Map<String, Integer> outcomes = new TreeMap<>();
        for (int i = 0; i < KILLS; i++) {
            Process child = Child.start(
                    "write", env.segment().toString(), file.toString(), mode.name(), String.valueOf(seed + i));
            try {
                Child.awaitLine(child, "ready");
                Env.pass(random.nextInt(200_000_000));
            } finally {
                child.destroyForcibly();
            }
            assertNotEquals(3, child.waitFor());
            ShmBackend b = env.attach(Child.writerConfig(env.segment()));
            assertTrue(b.attachReport().warm(), b.attachReport().coldReason());
            byte[] stored = Files.readAllBytes(file);
            Env.survivors(b).forEach((frame, found) -> {
                if (found.dropped() == null) {
                    outcomes.merge("" + found.state(), 1, Integer::sum);
                    compare(b, frame, stored);
                } else {
                    outcomes.merge("dropped " + found.dropped(), 1, Integer::sum);
                }
            });
            // The store's lock goes when the last thread of the dead process is gone; its segment's lock went before
            // us.
            ShmFile f = Env.open(b, file, MapOptions.DEFAULT.withIoMode(mode));
            FileVerdict v = f.verdict();
            outcomes.merge(v.kind() + (v.kind() == Kind.CHANGED ? " " + v.detail() : ""), 1, Integer::sum);
            compareCanary(b, f.fileId(), v, stored);
            f.store().close();
            b.abandon();
        }
        System.out.println(mode + ": " + outcomes);
        assertTrue(outcomes.getOrDefault("CLEAN", 0) + outcomes.getOrDefault("WRITTEN", 0) > 0, outcomes::toString);
        assertTrue(outcomes.getOrDefault("PROBE", 0) > KILLS / 2, outcomes::toString);
    }

    private static byte[] cut(byte[] stored, long at, int length) {
        int from = (int) Math.min(stored.length, at);
        return Arrays.copyOf(Arrays.copyOfRange(stored, from, Math.min(stored.length, from + length)), length);
    }

    private static void compare(ShmBackend b, int frame, byte[] stored) {
        FrameRecord r = new FrameRecord();
        assertTrue(b.readRecord(frame, r));
        byte[] bytes = b.memory().asSlice((long) frame * Env.PAGE, Env.PAGE).toArray(ValueLayout.JAVA_BYTE);
        assertArrayEquals(cut(stored, r.page * Env.PAGE, Env.PAGE), bytes, () -> "page " + r.page);
        for (int block = 0; block < 2; block++) {
            long at = (long) frame * Env.PAGE + block * 4096L;
            assertEquals(
                    b.checksum().block(b.memory(), at, b.incarnation(), r.fileId, r.page, block, r.generation),
                    r.checksums[block],
                    () -> "page " + r.page);
        }
    }

    private static void compareCanary(ShmBackend b, long fileId, FileVerdict v, byte[] stored) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment block = arena.allocate(4096, 8);
            for (int i = 0; i < v.canaryBlocks().length; i++) {
                long number = v.canaryBlocks()[i];
                block.copyFrom(MemorySegment.ofArray(cut(stored, number * 4096, 4096)));
                assertEquals(
                        v.canaryChecksums()[i],
                        b.checksum().block(block, 0, b.incarnation(), fileId, number, 0, 0),
                        "canary block " + number);
            }
        }
    }
}
