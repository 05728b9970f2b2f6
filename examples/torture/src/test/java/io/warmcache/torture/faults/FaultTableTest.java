/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture.faults;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.torture.Bounds;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The short form of {@code examples/torture/faults}. */
class FaultTableTest {
    /** Of the clock of {@link System#nanoTime}. */
    private static final long NEVER = System.nanoTime() + Long.MAX_VALUE / 2;

    @ParameterizedTest
    @Timeout(600)
    @ValueSource(booleans = {false, true})
    void nothingBrokenBetweenTwoLivesIsServed(boolean xen) throws Exception {
        long seed = new Random().nextInt(1_000_000);
        System.out.println("seed " + seed);
        Campaign campaign = new Campaign(xen, System.out, NEVER);
        Tally tally = campaign.mixed(3, seed);
        System.out.println((xen ? "xen: " : "shm: ") + tally + ", " + tally.variants);
        assertEquals(List.of(), campaign.findings);
        assertEquals(tally.injected, tally.detected + tally.harmless, "each break is accounted for");
        assertTrue(tally.detected > 50, "most breaks are found");
    }

    /** An exception that is not documented, or none where there must be one, ends the life that is served by it. */
    @ParameterizedTest
    @Timeout(600)
    @ValueSource(booleans = {false, true})
    void nothingBrokenWhileACacheRunsIsWrittenInParanoidMode(boolean xen) throws Exception {
        long seed = new Random().nextInt(1_000_000);
        System.out.println("seed " + seed);
        RunningTally tally = new RunningTally();
        Running.run(xen, Running.KINDS, 10, true, seed, tally, NEVER);
        System.out.println((xen ? "xen: " : "shm: ") + tally);
        assertEquals(10, tally.injected);
        assertTrue(tally.gone > 0, "breaks are found, or written over");
        assertEquals(0, tally.written + tally.seen, "blocks that no writer wrote");
    }

    @Test
    void limitsOfAShareAreExact() {
        assertEquals(1 - Math.pow(0.025, 1.0 / 200), Bounds.upper(0, 200), 1e-9);
        assertEquals(0, Bounds.lower(0, 200));
        assertEquals(1, Bounds.upper(200, 200));
        assertEquals(Math.pow(0.025, 1.0 / 200), Bounds.lower(200, 200), 1e-9);
        // Printed in tables of the binomial distribution: 5 of 10.
        assertEquals(0.1871, Bounds.lower(5, 10), 1e-4);
        assertEquals(0.8129, Bounds.upper(5, 10), 1e-4);
    }
}
