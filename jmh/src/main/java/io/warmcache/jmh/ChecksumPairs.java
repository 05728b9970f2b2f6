/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.jmh;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.LongSupplier;

/** The passes of {@link ChecksumBenchmark} by turns in one JVM, as ratios to the bare CRC32C. */
final class ChecksumPairs {
    private static final String FLOOR = "crc32cBare";
    private static final int WARM_UP = 4;

    private ChecksumPairs() {}

    public static void main(String[] arguments) throws IOException {
        List<String> given = List.of(arguments);
        int at = given.indexOf("--pairs");
        int pairs = Math.max(Ratios.LEAST_PAIRS, at < 0 ? 15 : Integer.parseInt(given.get(at + 1)));
        ChecksumBenchmark benchmark = new ChecksumBenchmark(1L << 30);
        benchmark.setUp();
        Map<String, LongSupplier> passes = new LinkedHashMap<>();
        passes.put(FLOOR, benchmark::crc32cBare);
        passes.put("xxh64", benchmark::xxh64);
        passes.put("crc32c", benchmark::crc32c);
        Map<String, double[]> times = new LinkedHashMap<>();
        long sum = 0;
        for (int pair = -WARM_UP; pair < pairs; pair++) {
            for (Map.Entry<String, LongSupplier> pass : passes.entrySet()) {
                long start = System.nanoTime();
                sum += pass.getValue().getAsLong();
                double millis = (System.nanoTime() - start) / 1e6;
                if (pair >= 0) {
                    times.computeIfAbsent(pass.getKey(), name -> new double[pairs])[pair] = millis;
                }
            }
        }
        benchmark.tearDown();
        System.out.println("1 GiB in blocks of 4 KiB, " + pairs + " pairs (sum " + Long.toHexString(sum) + ")");
        System.out.println("| pass | ms, median | GiB/s | x " + FLOOR + ", mean ± 95 % | median |");
        System.out.println("|---|---:|---:|---:|---:|");
        double[] floor = times.getOrDefault(FLOOR, new double[pairs]);
        times.forEach((name, of) -> {
            Ratios ratios = new Ratios(of, floor);
            System.out.printf(
                    Locale.ROOT,
                    "| %s | %.0f | %.2f | %.2f ± %.2f | %.2f |%n",
                    name,
                    Ratios.median(of),
                    1000 / Ratios.median(of),
                    ratios.mean(),
                    ratios.interval(),
                    ratios.median());
        });
        int json = given.indexOf("--json");
        if (json >= 0) {
            Files.writeString(
                    Path.of(given.get(json + 1)),
                    Ratios.json("1 GiB in blocks of 4 KiB", "millis", times, Map.of()));
        }
    }
}
