/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv.demo;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/**
 * One RESP2 reply, parsed in place: strings stay in the buffer they came in and are lost with the next read into it.
 * Reused from reply to reply, so that checking a value copies nothing.
 */
final class Reply {
    enum Kind {
        SIMPLE,
        ERROR,
        INTEGER,
        BULK,
        NIL,
        ARRAY
    }

    private static final int INCOMPLETE = -1;

    private Kind kind = Kind.NIL;
    private long number;
    private byte[] buffer = new byte[0];
    private int offset;
    private int length;
    private int elements;
    private final List<Reply> parts = new ArrayList<>();

    Kind kind() {
        return kind;
    }

    /** Of an {@code INTEGER}. */
    long number() {
        return number;
    }

    /** Where the bytes of a {@code SIMPLE}, {@code ERROR} or {@code BULK} are. */
    byte[] buffer() {
        return buffer;
    }

    int offset() {
        return offset;
    }

    int length() {
        return length;
    }

    /** Elements of an {@code ARRAY}. */
    int size() {
        return elements;
    }

    Reply get(int index) {
        return parts.get(index);
    }

    /** The string as text; for the others, what they are. */
    String text() {
        return switch (kind) {
            case SIMPLE, ERROR, BULK -> new String(buffer, offset, length, StandardCharsets.UTF_8);
            case INTEGER -> Long.toString(number);
            case NIL -> "(nil)";
            case ARRAY -> elements + " elements";
        };
    }

    boolean isOk() {
        return kind == Kind.SIMPLE && length == 2 && buffer[offset] == 'O' && buffer[offset + 1] == 'K';
    }

    /**
     * Parses one reply.
     *
     * @return where it ended, or -1 if the buffer ends before the reply does
     * @throws IOException if this is no RESP2
     */
    int parse(byte[] source, int from, int to) throws IOException {
        buffer = source;
        int lineEnd = lineEnd(source, from, to);
        if (lineEnd < 0) {
            return INCOMPLETE;
        }
        int body = lineEnd + 2;
        return switch (source[from]) {
            case '+' -> string(Kind.SIMPLE, from + 1, lineEnd, body);
            case '-' -> string(Kind.ERROR, from + 1, lineEnd, body);
            case ':' -> {
                kind = Kind.INTEGER;
                number = number(source, from + 1, lineEnd);
                yield body;
            }
            case '$' -> parseBulk(number(source, from + 1, lineEnd), body, to);
            case '*' -> parseElements(source, number(source, from + 1, lineEnd), body, to);
            default -> throw new IOException("not a RESP2 reply: it starts with byte " + source[from]);
        };
    }

    private int string(Kind stringKind, int from, int to, int end) {
        kind = stringKind;
        offset = from;
        length = to - from;
        return end;
    }

    private int parseBulk(long bytes, int from, int to) {
        if (bytes < 0) {
            kind = Kind.NIL;
            return from;
        }
        if (bytes > to - from - 2) {
            return INCOMPLETE;
        }
        int end = from + (int) bytes;
        return string(Kind.BULK, from, end, end + 2);
    }

    private int parseElements(byte[] source, long count, int from, int to) throws IOException {
        if (count < 0) {
            kind = Kind.NIL;
            return from;
        }
        kind = Kind.ARRAY;
        elements = Math.toIntExact(count);
        int next = from;
        for (int i = 0; i < elements; i++) {
            if (i == parts.size()) {
                parts.add(new Reply());
            }
            next = parts.get(i).parse(source, next, to);
            if (next < 0) {
                return INCOMPLETE;
            }
        }
        return next;
    }

    private static int lineEnd(byte[] source, int from, int to) {
        for (int i = from; i + 1 < to; i++) {
            if (source[i] == '\r' && source[i + 1] == '\n') {
                return i;
            }
        }
        return INCOMPLETE;
    }

    private static long number(byte[] source, int from, int to) throws IOException {
        boolean negative = from < to && source[from] == '-';
        long value = 0;
        int start = negative ? from + 1 : from;
        if (start == to) {
            throw new IOException("a number without digits in a reply");
        }
        for (int i = start; i < to; i++) {
            int digit = source[i] - '0';
            if (digit < 0 || digit > 9) {
                throw new IOException("a number with byte " + source[i] + " in a reply");
            }
            value = value * 10 + digit;
        }
        return negative ? -value : value;
    }
}
