/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv.demo;

import java.util.Locale;

/** Byte counts as people write them: {@code 64m} is 64 MiB. */
final class Sizes {
    static final long MIB = 1L << 20;

    private static final String UNITS = "kmgt";

    private Sizes() {}

    /**
     * Reads a number of bytes, with {@code k}, {@code m}, {@code g} or {@code t} behind it for the binary multiples.
     *
     * @throws IllegalArgumentException if it is neither, or negative, or too large for a {@code long}
     */
    static long parse(String text) {
        String lower = text.toLowerCase(Locale.ROOT);
        int unit = lower.isEmpty() ? -1 : UNITS.indexOf(lower.charAt(lower.length() - 1));
        String digits = unit < 0 ? lower : lower.substring(0, lower.length() - 1);
        try {
            long bytes = Math.multiplyExact(Long.parseLong(digits), 1L << 10 * (unit + 1));
            if (bytes >= 0) {
                return bytes;
            }
        } catch (NumberFormatException | ArithmeticException e) {
            // falls through to the message below
        }
        throw new IllegalArgumentException("'" + text + "' is not a size: write bytes, or 64m, 2g and the like");
    }

    /** For people: three significant digits and a binary unit. */
    static String format(double bytes) {
        if (bytes < 1024) {
            return Math.round(bytes) + " B";
        }
        String[] units = {"KiB", "MiB", "GiB", "TiB"};
        int unit = -1;
        double value = bytes;
        do {
            value /= 1024;
            unit++;
        } while (value >= 1000 && unit < units.length - 1);
        String pattern = value >= 100 ? "%.0f %s" : value >= 10 ? "%.1f %s" : "%.2f %s";
        return String.format(Locale.ROOT, pattern, value, units[unit]);
    }
}
