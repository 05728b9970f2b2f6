/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;

/** What a client sent: the name of a command and its arguments. */
final class Request {
    private final byte[][] arguments;

    /** @param arguments the command's name first; at least one */
    Request(byte[][] arguments) {
        this.arguments = arguments;
    }

    /** Arguments, the name of the command included. */
    int size() {
        return arguments.length;
    }

    byte[] bytes(int index) {
        return arguments[index];
    }

    /** The argument as text that maps every byte to one character. */
    String text(int index) {
        return new String(arguments[index], StandardCharsets.ISO_8859_1);
    }

    /** The argument as a keyword or name: like {@link #text}, with the letters of ASCII in lower case. */
    String word(int index) {
        return new String(toLowerCase(arguments[index]), StandardCharsets.ISO_8859_1);
    }

    /** A copy with the letters of ASCII in lower case. */
    static byte[] toLowerCase(byte[] text) {
        byte[] lower = text.clone();
        for (int i = 0; i < lower.length; i++) {
            if (lower[i] >= 'A' && lower[i] <= 'Z') {
                lower[i] = (byte) (lower[i] + ('a' - 'A'));
            }
        }
        return lower;
    }

    long integer(int index) throws CommandException {
        return Numbers.parse(arguments[index]);
    }

    /** The arguments from {@code index} on. */
    List<byte[]> from(int index) {
        return Arrays.asList(arguments).subList(index, arguments.length);
    }
}
