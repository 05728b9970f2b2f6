/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv.demo;

import java.util.random.RandomGenerator;

/** Ranks by Zipf's law: rank {@code r}, from 0, comes with a probability in proportion to {@code 1 / (r + 1)^s}. */
final class Zipf {
    private final double[] cumulative;

    /**
     * @param ranks how many there are, at least 1
     * @param skew the exponent {@code s}; 0 makes all ranks alike
     */
    Zipf(int ranks, double skew) {
        if (ranks < 1) {
            throw new IllegalArgumentException("ranks is " + ranks + ": at least 1");
        }
        cumulative = new double[ranks];
        double sum = 0;
        for (int rank = 0; rank < ranks; rank++) {
            sum += Math.pow(rank + 1, -skew);
            cumulative[rank] = sum;
        }
    }

    int ranks() {
        return cumulative.length;
    }

    /** The probability of the ranks below {@code rank} together. */
    double share(int rank) {
        return rank == 0 ? 0 : cumulative[rank - 1] / cumulative[cumulative.length - 1];
    }

    int next(RandomGenerator random) {
        double point = random.nextDouble() * cumulative[cumulative.length - 1];
        int low = 0;
        int high = cumulative.length - 1;
        while (low < high) {
            int middle = (low + high) >>> 1;
            if (cumulative[middle] > point) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        return low;
    }
}
