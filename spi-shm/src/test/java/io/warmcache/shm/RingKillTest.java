/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.warmcache.DropReason;
import io.warmcache.spi.FrameState;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Kills a process whose reads the kernel has several of at once ({@code docs/internals.md}, section 16). */
class RingKillTest {
    private static final int PAGE = Env.PAGE;
    private static final int SIGKILLED = 128 + 9;

    /** Bytes a second: what the child reads takes about two seconds. */
    private static final long SLOW = Child.RUNS * (long) PAGE / 2;

    private Env env;
    private final byte[] stored = Env.random(71, Child.FIXED_PAGES * PAGE);

    @BeforeEach
    void open() throws Exception {
        env = new Env();
    }

    @AfterEach
    void close() throws Exception {
        env.close();
    }

    private byte[] stored(int page) {
        return Arrays.copyOfRange(stored, page * PAGE, (page + 1) * PAGE);
    }

    private static byte[] frame(ShmBackend b, int frame) {
        return b.memory().asSlice((long) frame * PAGE, PAGE).toArray(ValueLayout.JAVA_BYTE);
    }

    private static void go(Process child) throws IOException {
        child.getOutputStream().write('\n');
        child.getOutputStream().flush();
    }

    /** What a death at each step leaves; clean is how many runs had been published by then, of all that were begun. */
    @ParameterizedTest
    @ValueSource(
            strings = {
                "ring.made:1 0 0",
                "ring.registered:1 0 0",
                "fill.prepared:1 0 20",
                "fill.submitted:1 0 20",
                "fill.reaped:5 4 20",
                "publish.done:12 12 20"
            })
    void whatADeathAtAnyStepLeavesIsTrue(String expected) throws Exception {
        String[] parts = expected.split(" ", -1);
        Path file = env.file("data", stored);
        Process child = Child.start(
                List.of(
                        "--illegal-native-access=deny",
                        "--enable-native-access=ALL-UNNAMED",
                        "-Dwarmcache.shm.dieAtStep=" + parts[0]),
                "readTogether",
                env.segment().toString(),
                file.toString(),
                "killed at a step");
        try {
            Child.awaitLine(child, "mapped");
            go(child);
            String last = Child.outcome(child);
            assumeTrue(!last.equals("read"), "there is no io_uring, or no direct I/O: nothing was read together");
            assertEquals(SIGKILLED, child.exitValue(), last);
        } finally {
            child.destroyForcibly();
        }
        ShmBackend b = env.attach(Child.ringConfig(env.segment()));
        assertTrue(b.attachReport().warm(), b.attachReport().coldReason());
        int[] clean = new int[1];
        int[] begun = new int[1];
        Env.survivors(b).forEach((frame, found) -> {
            begun[0]++;
            assertEquals((long) frame, found.page());
            if (found.dropped() == null) {
                clean[0]++;
                assertEquals(FrameState.CLEAN, found.state());
                assertArrayEquals(stored((int) found.page()), frame(b, frame));
            } else {
                assertEquals(DropReason.FILLING, found.dropped());
            }
        });
        assertEquals(Integer.parseInt(parts[1]), clean[0]);
        assertEquals(Integer.parseInt(parts[2]), begun[0]);
    }

    /**
     * The property {@code warmcache.ring.unregistered} shows what would be without the registered file: the successor
     * owns the segment at once, and its frames are written over. A matter of time, so that it is not part of a build.
     */
    @Test
    void theSuccessorOwnsNothingBeforeTheReadsOfTheDeadHaveLanded() throws Exception {
        boolean registered = !Boolean.getBoolean("warmcache.ring.unregistered");
        try (SlowDisk disk = new SlowDisk(env.data)) {
            Path file = Files.write(disk.directory.resolve("data"), stored);
            Process child = Child.start(
                    "readTogether",
                    env.segment().toString(),
                    file.toString(),
                    registered ? "registered" : "unregistered");
            long killed;
            try {
                Child.awaitLine(child, "mapped");
                disk.throttle(SLOW);
                go(child);
                Child.awaitLine(child, "submitted");
                killed = System.nanoTime();
            } finally {
                child.destroyForcibly();
            }
            child.waitFor();
            long gone = System.nanoTime();
            ShmBackend b = env.attach(Child.ringConfig(env.segment()));
            long owned = System.nanoTime();
            int landed = 0;
            for (int run = 0; run < Child.RUNS; run++) {
                landed += Arrays.equals(stored(2 * run), frame(b, 2 * run)) ? 1 : 0;
            }
            b.memory().fill((byte) 5);
            // What is under way still, if anything: as long again as all of it takes.
            long end = System.nanoTime()
                    + TimeUnit.SECONDS.toNanos(registered ? Integer.getInteger("warmcache.ring.seconds", 0) : 6);
            int overwritten = 0;
            do {
                overwritten = 0;
                for (int frame = 0; frame < Child.FRAMES; frame++) {
                    overwritten += frame(b, frame)[PAGE / 2] == 5 && frame(b, frame)[0] == 5 ? 0 : 1;
                }
            } while (overwritten < Child.RUNS && System.nanoTime() < end);
            System.out.printf(
                    "%s: killed, gone after %d ms, the owner lock after %d ms; %d of %d reads had landed; %d frames of"
                            + " the successor written over%n",
                    registered ? "registered" : "NOT registered",
                    (gone - killed) / 1_000_000,
                    (owned - killed) / 1_000_000,
                    landed,
                    Child.RUNS,
                    overwritten);
            if (registered) {
                assertEquals(Child.RUNS, landed);
                assertEquals(0, overwritten);
            } else {
                assertTrue(landed < Child.RUNS && overwritten > 0);
            }
            disk.throttle(0);
            b.close();
        }
    }
}
