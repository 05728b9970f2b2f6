/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture.faults;

import java.util.LinkedHashSet;
import java.util.Random;
import java.util.Set;

/** What faults draw from a seed. */
final class Draw {
    private Draw() {}

    /** Different numbers below a bound. */
    static Set<Integer> distinct(Random random, int count, int bound) {
        Set<Integer> drawn = new LinkedHashSet<>();
        while (drawn.size() < Math.min(count, bound)) {
            drawn.add(random.nextInt(bound));
        }
        return drawn;
    }

    /** How far a copy runs on: half of them 1 byte, 44 % 2 to 1,024, 6 % 2 to 4 KiB. */
    static int overrun(Random random) {
        int percent = random.nextInt(100);
        return percent < 50 ? 1 : percent < 94 ? 2 + random.nextInt(1023) : 2048 + random.nextInt(2049);
    }

    /** How often something of this mean happens. */
    static int poisson(Random random, double mean) {
        if (mean > 500) {
            return (int) Math.max(0, Math.round(mean + Math.sqrt(mean) * random.nextGaussian()));
        }
        double limit = Math.exp(-mean);
        int n = 0;
        for (double p = random.nextDouble(); p > limit; p *= random.nextDouble()) {
            n++;
        }
        return n;
    }
}
