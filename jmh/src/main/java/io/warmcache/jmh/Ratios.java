/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.jmh;

import java.util.Arrays;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/** What a form costs as a ratio to a floor that was measured by turns with it. */
public final class Ratios {
    /** 97.5 % points of Student's distribution, by degrees of freedom from 9 on. */
    private static final double[] STUDENT = {2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13, 2.12, 2.11, 2.10, 2.09};

    public static final int LEAST_PAIRS = 10;

    private final double[] ratios;

    public Ratios(double[] of, double[] floor) {
        ratios = IntStream.range(0, of.length).mapToDouble(i -> of[i] / floor[i]).toArray();
    }

    public static double median(double[] values) {
        double[] sorted = values.clone();
        Arrays.sort(sorted);
        return sorted[sorted.length / 2];
    }

    public double median() {
        return median(ratios);
    }

    public double mean() {
        return Arrays.stream(ratios).average().orElse(0);
    }

    /** Half the 95 % interval of the mean. */
    public double interval() {
        double mean = mean();
        double squares = Arrays.stream(ratios).map(v -> (v - mean) * (v - mean)).sum();
        double student = STUDENT[Math.min(ratios.length - LEAST_PAIRS, STUDENT.length - 1)];
        return student * Math.sqrt(squares / (ratios.length - 1) / ratios.length);
    }

    /** Every time that was measured, in the order of the pairs. */
    public static String json(String title, String unit, Map<String, double[]> times, Map<String, Double> allocated) {
        return times.entrySet().stream()
                .map(e -> String.format(
                        Locale.ROOT,
                        "    {\"form\": \"%s\", \"bytesPerAccess\": %.3f, \"%s\": [%s]}",
                        e.getKey(),
                        allocated.getOrDefault(e.getKey(), 0.0),
                        unit,
                        Arrays.stream(e.getValue())
                                .mapToObj(t -> String.format(Locale.ROOT, "%.2f", t))
                                .collect(Collectors.joining(", "))))
                .collect(Collectors.joining(
                        ",\n", "{\n  \"title\": \"" + title + "\",\n  \"forms\": [\n", "\n  ]\n}\n"));
    }
}
