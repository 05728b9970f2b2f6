/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

class BoundsTest {
    @Test
    void ofNoHitsTheBoundIsTheKnownFormula() {
        for (long trials : new long[] {1, 10, 300, 5000, 1_000_000}) {
            assertEquals(-Math.expm1(Math.log(0.05) / trials), Bounds.upper95(0, trials), 1e-12 + 1e-9 / trials);
        }
    }

    /** Clopper and Pearson's tables, one-sided. */
    @Test
    void ofSomeHitsItIsWhatTheTablesSay() {
        assertEquals(0.3942, Bounds.upper95(1, 10), 0.0001);
        assertEquals(0.0466, Bounds.upper95(1, 100), 0.0001);
        assertEquals(0.6066, Bounds.upper95(3, 10), 0.0001);
        assertEquals(1, Bounds.upper95(10, 10));
        assertEquals(1, Bounds.upper95(0, 0));
    }
}
