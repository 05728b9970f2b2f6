/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture.soak;

import java.util.Arrays;

/**
 * Whether a series of measurements, one at the end of each life, stays where it is. The slope is the Theil-Sen
 * estimator, the median of the slopes between all pairs: it takes almost a third of the lives being odd to move it, and
 * knows no distribution. What is judged is how far the whole run would have moved at that slope.
 *
 * @param name of the measurement
 * @param unit of its values
 * @param lives values there are
 * @param median of the values
 * @param least of the values
 * @param most of the values
 * @param drift slope times the number of lives, in the unit
 * @param bound what the drift may be at most
 * @param judged whether there are lives enough, and the measurement is one that must be flat
 * @param flat whether it is, or is not judged
 */
record Trend(
        String name,
        String unit,
        int lives,
        double median,
        double least,
        double most,
        double drift,
        double bound,
        boolean judged,
        boolean flat) {
    /** Fewer pairs than of so many lives say nothing of values that vary. */
    private static final int ENOUGH = 8;

    /** Which way would be a leak. */
    enum Leak {
        UP,
        BOTH,
        /** Told, not judged. */
        NEVER
    }

    /**
     * Looks at a series.
     *
     * @param floor the drift that is always allowed
     * @param share the drift that is allowed, of the median; the greater of both counts
     * @param exact whether the values do not vary from life to life, so that few of them are enough
     */
    static Trend of(
            String name, String unit, double[] values, double floor, double share, Leak leak, boolean exact) {
        double median = median(values.clone());
        double drift = slope(values) * values.length;
        double bound = Math.max(floor, share * Math.abs(median));
        boolean judged = leak != Leak.NEVER && values.length >= (exact ? 2 : ENOUGH);
        double bad = leak == Leak.UP ? drift : Math.abs(drift);
        return new Trend(
                name,
                unit,
                values.length,
                median,
                Arrays.stream(values).min().orElse(0),
                Arrays.stream(values).max().orElse(0),
                drift,
                bound,
                judged,
                !judged || bad <= bound);
    }

    /** The Theil-Sen slope per value; 0 of fewer than two. */
    static double slope(double[] values) {
        int n = values.length;
        double[] slopes = new double[n * (n - 1) / 2];
        int count = 0;
        for (int i = 0; i < n; i++) {
            for (int j = i + 1; j < n; j++) {
                slopes[count++] = (values[j] - values[i]) / (j - i);
            }
        }
        return median(slopes);
    }

    /** Sorts the values. */
    private static double median(double[] values) {
        if (values.length == 0) {
            return 0;
        }
        Arrays.sort(values);
        int half = values.length / 2;
        return values.length % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
    }
}
