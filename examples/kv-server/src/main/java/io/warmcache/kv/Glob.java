/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

/** Patterns of KEYS, SCAN MATCH and CONFIG GET: {@code * ? [abc] [^a-z] \x}, on bytes. */
final class Glob {
    private Glob() {}

    /**
     * Whether all of {@code text} matches. Only the last star is ever tried again, so the time is at most the product
     * of both lengths.
     */
    static boolean matches(byte[] pattern, byte[] text) {
        int p = 0;
        int t = 0;
        int star = -1;
        int retryFrom = 0;
        while (t < text.length) {
            if (p < pattern.length && pattern[p] == '*') {
                star = p++;
                retryFrom = t;
                continue;
            }
            int next = p < pattern.length ? matchOne(pattern, p, text[t] & 0xff) : -1;
            if (next >= 0) {
                p = next;
                t++;
            } else if (star >= 0) {
                p = star + 1;
                t = ++retryFrom;
            } else {
                return false;
            }
        }
        while (p < pattern.length && pattern[p] == '*') {
            p++;
        }
        return p == pattern.length;
    }

    static boolean matchesAll(byte[] pattern) {
        return pattern.length == 1 && pattern[0] == '*';
    }

    /** The position after the element at {@code p} if it matches {@code c}, else -1. */
    private static int matchOne(byte[] pattern, int p, int c) {
        return switch (pattern[p]) {
            case '?' -> p + 1;
            case '[' -> matchClass(pattern, p + 1, c);
            case '\\' -> {
                if (p + 1 < pattern.length) {
                    yield (pattern[p + 1] & 0xff) == c ? p + 2 : -1;
                }
                yield c == '\\' ? p + 1 : -1;
            }
            default -> (pattern[p] & 0xff) == c ? p + 1 : -1;
        };
    }

    private static int matchClass(byte[] pattern, int start, int c) {
        int p = start;
        boolean negated = p < pattern.length && pattern[p] == '^';
        if (negated) {
            p++;
        }
        boolean found = false;
        while (p < pattern.length && pattern[p] != ']') {
            if (pattern[p] == '\\' && p + 1 < pattern.length) {
                found |= (pattern[p + 1] & 0xff) == c;
                p += 2;
            } else if (p + 2 < pattern.length && pattern[p + 1] == '-') {
                int low = Math.min(pattern[p] & 0xff, pattern[p + 2] & 0xff);
                int high = Math.max(pattern[p] & 0xff, pattern[p + 2] & 0xff);
                found |= low <= c && c <= high;
                p += 3;
            } else {
                found |= (pattern[p] & 0xff) == c;
                p++;
            }
        }
        // an unclosed class ends with the pattern
        int next = Math.min(p + 1, pattern.length);
        return found != negated ? next : -1;
    }
}
