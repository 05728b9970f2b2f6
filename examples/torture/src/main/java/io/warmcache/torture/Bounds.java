/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture;

/** Exact bounds of a rate. */
final class Bounds {
    private Bounds() {}

    /**
     * The upper end of the one-sided 95 % interval of Clopper and Pearson: the rate at which {@code hits} or fewer of
     * {@code trials} would be seen one time in twenty. For no hits that is {@code 1 - 0.05^(1/trials)}.
     */
    static double upper95(long hits, long trials) {
        if (trials <= 0 || hits >= trials) {
            return 1;
        }
        double low = 0;
        double high = 1;
        for (int i = 0; i < 100; i++) {
            double middle = (low + high) / 2;
            if (atMost(hits, trials, middle) > 0.05) {
                low = middle;
            } else {
                high = middle;
            }
        }
        return high;
    }

    /** The chance of {@code hits} or fewer. */
    private static double atMost(long hits, long trials, double rate) {
        double sum = 0;
        double logTerm = trials * Math.log1p(-rate);
        for (long k = 0; k <= hits; k++) {
            if (k > 0) {
                logTerm += Math.log((double) (trials - k + 1) / k) + Math.log(rate) - Math.log1p(-rate);
            }
            sum += Math.exp(logTerm);
        }
        return sum;
    }
}
