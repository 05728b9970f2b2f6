/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.DropReason;
import io.warmcache.PagedFile;
import io.warmcache.RecoveryReport;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** The records are the machine frames', so a guest whose memory was moved while it was off finds the right blocks. */
class PermutedP2mTest {
    private static final int BLOCKS = Lab.PAGE / Machine.FRAME_SIZE;
    private static final int SEEDS = 12;

    /** What a guest finds after its P2M was permuted, or left as it was. */
    private static RecoveryReport rebooted(long seed, int unit, boolean permute) throws Exception {
        try (Lab lab = new Lab(seed, true)) {
            lab.open();
            for (int i = 0; i < 15; i++) {
                lab.operation(i);
            }
            for (PagedFile file : lab.files) {
                file.force();
            }
            lab.domain().crash("to be moved");
            lab.powerCut(seed);
            Random random = new Random(seed);
            int units = lab.domain().pages() / unit;
            for (int i = units - 1; permute && i > 0; i--) {
                int j = random.nextInt(i + 1);
                for (int k = 0; k < unit; k++) {
                    lab.domain().exchange(i * unit + k, j * unit + k);
                }
            }
            lab.machine.check();
            lab.open();
            lab.compare();
            RecoveryReport report = lab.cache.recovery();
            lab.useOn();
            return report;
        } catch (Throwable t) {
            throw new AssertionError("seed " + seed + ": " + t, t);
        }
    }

    @Test
    void whenFramesAreMovedWholeEachIsFoundWhereItIsNow() throws Exception {
        int kept = 0;
        for (long seed = 1; seed <= SEEDS; seed++) {
            RecoveryReport still = rebooted(seed, BLOCKS, false);
            RecoveryReport moved = rebooted(seed, BLOCKS, true);
            assertEquals(still.kept(), moved.kept(), "seed " + seed);
            assertEquals(still.dropped(), moved.dropped(), "seed " + seed);
            kept += moved.kept();
        }
        assertTrue(kept > 5 * SEEDS, kept + " frames kept");
    }

    @Test
    void whenBlocksAreMovedApartTheirFramesAreDropped() throws Exception {
        int dropped = 0;
        for (long seed = 1; seed <= SEEDS; seed++) {
            Map<DropReason, Integer> reasons = rebooted(seed, 1, true).dropped();
            assertFalse(reasons.containsKey(DropReason.CHECKSUM), "seed " + seed + ": " + reasons);
            dropped += reasons.getOrDefault(DropReason.RECORD_DAMAGED, 0);
        }
        assertTrue(dropped > 5 * SEEDS, dropped + " frames dropped");
    }
}
