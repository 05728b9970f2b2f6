/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture;

/**
 * What the units of the files hold: every word of a unit tells its file, its place and its version, so that bytes of
 * another unit, file or time, a tear within a unit and any damage show. Version 0 is all zeros. Units are arrays of
 * little-endian words.
 */
final class Content {
    /** Bytes of a unit: small enough for several writes to fall into one 4 KiB block. */
    static final int UNIT = 1024;

    /** Words of a unit. */
    static final int WORDS = UNIT / Long.BYTES;

    /** A version that no unit ever has: what is written and taken back before anybody may see it. */
    static final int NEVER = Integer.MAX_VALUE;

    private static final long GOLDEN = 0x9E3779B97F4A7C15L;

    private Content() {}

    private static long head(int unit, int version) {
        return (unit + 1L) << 32 | (version & 0xFFFF_FFFFL);
    }

    private static long mix(long value) {
        long z = (value ^ (value >>> 30)) * 0xBF58476D1CE4E5B9L;
        z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
        return z ^ (z >>> 31);
    }

    private static long word(long seed, long head, int index) {
        return index == 0 ? head : seed + index * GOLDEN;
    }

    /** The version that a unit claims to have. */
    static int version(long[] words, int at) {
        return (int) words[at];
    }

    static void fill(long[] words, int at, long salt, int unit, int version) {
        long head = head(unit, version);
        long seed = mix(head ^ salt);
        for (int i = 0; i < WORDS; i++) {
            words[at + i] = version == 0 ? 0 : word(seed, head, i);
        }
    }

    /**
     * Whether the first {@code length} bytes are those of a version, with zeros from byte {@code cut} on.
     *
     * @param length bytes of the unit that there are, up to {@link #UNIT}
     */
    static boolean matches(long[] words, int at, long salt, int unit, int version, int cut, int length) {
        long head = head(unit, version);
        long seed = mix(head ^ salt);
        int kept = version == 0 ? 0 : Math.min(cut, length);
        for (int i = 0; i * Long.BYTES < length; i++) {
            long right = i * Long.BYTES < kept ? word(seed, head, i) & firstBytes(kept - i * Long.BYTES) : 0;
            if ((words[at + i] & firstBytes(length - i * Long.BYTES)) != right) {
                return false;
            }
        }
        return true;
    }

    /** A mask of the first bytes of a little-endian word. */
    private static long firstBytes(int count) {
        return count >= Long.BYTES ? -1L : (1L << (count * Byte.SIZE)) - 1;
    }
}
