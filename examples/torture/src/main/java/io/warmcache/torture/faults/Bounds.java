/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture.faults;

import java.util.function.DoubleUnaryOperator;

/** Exact 95 % limits of a share (Clopper and Pearson). */
final class Bounds {
    private static final double TAIL = 0.025;

    private Bounds() {}

    /** The greatest share under which so few of so many are not too unlikely. */
    static double upper(int some, int all) {
        return all == 0 || some >= all ? 1 : solve(share -> atMost(some, all, share) - TAIL);
    }

    /** The least share under which so many are not too unlikely. */
    static double lower(int some, int all) {
        return some <= 0 ? 0 : solve(share -> TAIL - (1 - atMost(some - 1, all, share)));
    }

    /** The zero of a function that falls from positive to negative between 0 and 1. */
    private static double solve(DoubleUnaryOperator falling) {
        double low = 0;
        double high = 1;
        for (int i = 0; i < 60; i++) {
            double middle = (low + high) / 2;
            if (falling.applyAsDouble(middle) > 0) {
                low = middle;
            } else {
                high = middle;
            }
        }
        return (low + high) / 2;
    }

    /** The probability of at most {@code some} among {@code all}. */
    private static double atMost(int some, int all, double share) {
        double sum = 0;
        double log = all * Math.log1p(-share); // of the term for none
        for (int k = 0; k <= some; k++) {
            sum += Math.exp(log);
            log += Math.log((double) (all - k) / (k + 1)) + Math.log(share) - Math.log1p(-share);
        }
        return Math.min(1, sum);
    }
}
