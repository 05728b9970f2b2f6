/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv.demo;

import java.util.Locale;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Byte counts as people write and read them. */
final class Sizes {
    static final long MIB = 1L << 20;

    private static final String UNITS = "kmg";

    private Sizes() {}

    /** For options: bytes, or {@code 64k}, {@code 512m}, {@code 2g}. */
    static final class Converter implements ITypeConverter<Long> {
        @Override
        public Long convert(String text) {
            String lower = text.toLowerCase(Locale.ROOT);
            int unit = lower.isEmpty() ? -1 : UNITS.indexOf(lower.charAt(lower.length() - 1));
            String digits = unit < 0 ? lower : lower.substring(0, lower.length() - 1);
            try {
                long bytes = Math.multiplyExact(Long.parseLong(digits), 1L << 10 * (unit + 1));
                if (bytes > 0) {
                    return bytes;
                }
            } catch (NumberFormatException | ArithmeticException e) {
                // told below
            }
            throw new TypeConversionException("'" + text + "' is not a size: write bytes, or 64k, 512m, 2g");
        }
    }

    static String format(long bytes) {
        return format((double) bytes);
    }

    /** For people: about three significant digits and a binary unit. */
    static String format(double bytes) {
        String[] units = {"B", "KiB", "MiB", "GiB", "TiB"};
        int unit = 0;
        double value = bytes;
        while (value >= 1000 && unit < units.length - 1) {
            value /= 1024;
            unit++;
        }
        String pattern = value >= 100 || unit == 0 ? "%.0f %s" : value >= 10 ? "%.1f %s" : "%.2f %s";
        return String.format(Locale.ROOT, pattern, value, units[unit]);
    }
}
