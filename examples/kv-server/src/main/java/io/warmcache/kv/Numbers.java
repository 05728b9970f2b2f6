/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

import java.nio.charset.StandardCharsets;

/** Numbers as RESP clients write them. */
final class Numbers {
    private Numbers() {}

    /** The integer that {@code text} is in its one canonical form: no sign but a minus, no leading zero, no space. */
    static long parse(byte[] text) throws CommandException {
        boolean negative = text.length > 0 && text[0] == '-';
        int start = negative ? 1 : 0;
        int digits = text.length - start;
        if (digits < 1 || digits > 19 || (text[start] == '0' && text.length > 1)) {
            throw CommandException.notAnInteger();
        }
        long value = 0;
        for (int i = start; i < text.length; i++) {
            int digit = text[i] - '0';
            if (digit < 0 || digit > 9) {
                throw CommandException.notAnInteger();
            }
            try {
                // counted downwards, as the least long has no positive counterpart
                value = Math.subtractExact(Math.multiplyExact(value, 10L), (long) digit);
            } catch (ArithmeticException e) {
                throw CommandException.notAnInteger();
            }
        }
        if (!negative && value == Long.MIN_VALUE) {
            throw CommandException.notAnInteger();
        }
        return negative ? value : -value;
    }

    static byte[] format(long value) {
        return Long.toString(value).getBytes(StandardCharsets.ISO_8859_1);
    }
}
