/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

import io.netty.buffer.ByteBuf;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Writes replies in the protocol that the client chose. What RESP2 lacks is written as it knows it: a map as an array
 * of keys and values, a set as an array, a null as a null bulk string, a text as a bulk string.
 */
final class ReplyWriter {
    private static final byte[] CRLF = {'\r', '\n'};
    private static final byte[] OK = "+OK\r\n".getBytes(StandardCharsets.ISO_8859_1);
    private static final byte[] NULL2 = "$-1\r\n".getBytes(StandardCharsets.ISO_8859_1);
    private static final byte[] NULL3 = "_\r\n".getBytes(StandardCharsets.ISO_8859_1);

    private final byte[] digits = new byte[20];
    private ByteBuf out;
    private int protocol = 2;

    ReplyWriter(ByteBuf out) {
        this.out = out;
    }

    /** The buffer that replies are appended to. */
    ByteBuf out() {
        return out;
    }

    void redirect(ByteBuf to) {
        out = to;
    }

    /** 2 or 3. */
    int protocol() {
        return protocol;
    }

    void setProtocol(int version) {
        protocol = version;
    }

    void ok() {
        out.writeBytes(OK);
    }

    void simple(String text) {
        out.writeByte('+');
        out.writeCharSequence(text, StandardCharsets.ISO_8859_1);
        out.writeBytes(CRLF);
    }

    /** @param message the error code and a text; line ends become spaces, since they would end the reply */
    void error(String message) {
        out.writeByte('-');
        out.writeCharSequence(message.replace('\r', ' ').replace('\n', ' '), StandardCharsets.ISO_8859_1);
        out.writeBytes(CRLF);
    }

    void integer(long value) {
        line(':', value);
    }

    void bulk(byte @Nullable [] value) {
        if (value == null) {
            nothing();
            return;
        }
        line('$', value.length);
        out.writeBytes(value);
        out.writeBytes(CRLF);
    }

    void bulk(String text) {
        bulk(text.getBytes(StandardCharsets.UTF_8));
    }

    void nothing() {
        out.writeBytes(protocol == 3 ? NULL3 : NULL2);
    }

    /** Announces an array of {@code size} elements, which the caller writes next. */
    void array(int size) {
        line('*', size);
    }

    /** Announces a map of {@code size} entries: the caller writes key and value of each next. */
    void map(int size) {
        if (protocol == 3) {
            line('%', size);
        } else {
            line('*', 2L * size);
        }
    }

    /** Announces a set of {@code size} elements, which the caller writes next. */
    void set(int size) {
        line(protocol == 3 ? '~' : '*', size);
    }

    /** A text meant for people. */
    void verbatim(String text) {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        if (protocol == 3) {
            line('=', bytes.length + 4L);
            out.writeCharSequence("txt:", StandardCharsets.ISO_8859_1);
            out.writeBytes(bytes);
            out.writeBytes(CRLF);
        } else {
            bulk(bytes);
        }
    }

    void stringMap(Map<String, String> entries) {
        map(entries.size());
        entries.forEach((key, value) -> {
            bulk(key);
            bulk(value);
        });
    }

    private void line(char type, long value) {
        out.writeByte(type);
        if (value >= 0 && value < 10) {
            out.writeByte('0' + (int) value);
        } else if (value == Long.MIN_VALUE) {
            out.writeCharSequence(Long.toString(value), StandardCharsets.ISO_8859_1);
        } else {
            int at = digits.length;
            for (long rest = Math.abs(value); rest != 0; rest /= 10) {
                digits[--at] = (byte) ('0' + rest % 10);
            }
            if (value < 0) {
                digits[--at] = '-';
            }
            out.writeBytes(digits, at, digits.length - at);
        }
        out.writeBytes(CRLF);
    }
}
