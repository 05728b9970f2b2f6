/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Commands as people type them: words between spaces, in double quotes with escapes, or in single quotes. */
final class InlineCommand {
    private final byte[] line;
    private final List<byte[]> words = new ArrayList<>();
    private final ByteArrayOutputStream word = new ByteArrayOutputStream();
    private int at;

    private InlineCommand(byte[] line) {
        this.line = line;
    }

    /** The words of the line, or null if a quote is not closed or is followed by anything but a space. */
    static @Nullable List<byte[]> split(String line) {
        InlineCommand command = new InlineCommand(line.getBytes(StandardCharsets.UTF_8));
        return command.split() ? command.words : null;
    }

    private boolean split() {
        while (true) {
            while (at < line.length && isSpace(line[at])) {
                at++;
            }
            if (at == line.length) {
                return true;
            }
            word.reset();
            while (at < line.length && !isSpace(line[at])) {
                byte c = line[at++];
                if (c == '"' || c == '\'') {
                    if (!quoted(c)) {
                        return false;
                    }
                } else {
                    word.write(c);
                }
            }
            words.add(word.toByteArray());
        }
    }

    private boolean quoted(byte quote) {
        while (at < line.length) {
            byte c = line[at++];
            if (c == quote) {
                return at == line.length || isSpace(line[at]);
            }
            if (c == '\\' && at < line.length && (quote == '"' || line[at] == '\'')) {
                escape(quote);
            } else {
                word.write(c);
            }
        }
        return false;
    }

    private void escape(byte quote) {
        byte c = line[at++];
        if (quote == '\'') {
            word.write(c);
        } else if (c == 'x' && at + 1 < line.length && hex(line[at]) >= 0 && hex(line[at + 1]) >= 0) {
            word.write(hex(line[at]) << 4 | hex(line[at + 1]));
            at += 2;
        } else {
            word.write(switch (c) {
                case 'n' -> '\n';
                case 'r' -> '\r';
                case 't' -> '\t';
                case 'b' -> '\b';
                case 'a' -> 7;
                default -> c;
            });
        }
    }

    private static int hex(byte c) {
        return Character.digit(c, 16);
    }

    private static boolean isSpace(byte c) {
        return c == ' ' || (c >= '\t' && c <= '\r') || c == 0;
    }
}
