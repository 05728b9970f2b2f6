/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture;

import java.util.function.DoubleUnaryOperator;

/** Exact limits of a rate, after Clopper and Pearson (Biometrika 26, 1934). */
public final class Bounds {
    private Bounds() {}

    /**
     * The upper end of the one-sided 95 % interval: the rate at which {@code hits} or fewer of {@code trials} would be
     * seen one time in twenty. For no hits that is {@code 1 - 0.05^(1/trials)}.
     */
    static double upper95(long hits, long trials) {
        return upper(hits, trials, 0.05);
    }

    /** The upper end of the two-sided 95 % interval; 1 for no trials. */
    public static double upper(long hits, long trials) {
        return upper(hits, trials, 0.025);
    }

    /** The lower end of the two-sided 95 % interval; 0 for no trials. */
    public static double lower(long hits, long trials) {
        return hits <= 0 ? 0 : solve(rate -> 0.025 - (1 - atMost(hits - 1, trials, rate)));
    }

    private static double upper(long hits, long trials, double tail) {
        return trials <= 0 || hits >= trials ? 1 : solve(rate -> atMost(hits, trials, rate) - tail);
    }

    /** The zero of a function that falls from positive to negative between 0 and 1. */
    private static double solve(DoubleUnaryOperator falling) {
        double low = 0;
        double high = 1;
        for (int i = 0; i < 100; i++) {
            double middle = (low + high) / 2;
            if (falling.applyAsDouble(middle) > 0) {
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
