/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

import java.util.Locale;
import picocli.CommandLine;

/**
 * Sizes on the command line: a number of bytes, or of KiB, MiB or GiB with {@code k}, {@code m} or {@code g} behind
 * it.
 */
public final class ByteSize implements CommandLine.ITypeConverter<Long> {
    @Override
    public Long convert(String text) {
        return parse(text);
    }

    static long parse(String text) {
        String lower = text.strip().toLowerCase(Locale.ROOT);
        int shift = switch (lower.isEmpty() ? ' ' : lower.charAt(lower.length() - 1)) {
            case 'k' -> 10;
            case 'm' -> 20;
            case 'g' -> 30;
            default -> 0;
        };
        try {
            long number = Long.parseLong(shift == 0 ? lower : lower.substring(0, lower.length() - 1));
            if (number >= 0 && number <= Long.MAX_VALUE >> shift) {
                return number << shift;
            }
        } catch (NumberFormatException e) {
            // told below
        }
        throw new CommandLine.TypeConversionException(
                "'" + text + "' is not a size: give a number of bytes, or one with k, m or g behind it, such as 512m");
    }

    /** The shortest way to write {@code bytes} that {@link #parse} reads. */
    static String format(long bytes) {
        if (bytes % (1L << 30) == 0) {
            return (bytes >> 30) + "g";
        }
        if (bytes % (1L << 20) == 0) {
            return (bytes >> 20) + "m";
        }
        return bytes % (1L << 10) == 0 ? (bytes >> 10) + "k" : Long.toString(bytes);
    }
}
