/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.fuzz;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.random.RandomGenerator;

/** Changes of bytes that know nothing of what the bytes mean. */
final class Mutation {
    private static final long[] WORDS = {
        0, 1, -1, 2, 7, 8, 63, 64, 255, 256, 4095, 4096, 4097, 65536, Integer.MAX_VALUE, Integer.MIN_VALUE, 1L << 31,
        0xFFFFFFFFL, 1L << 32, 1L << 51, 1L << 52, 1L << 60, Long.MAX_VALUE, Long.MIN_VALUE, Long.MAX_VALUE - 1
    };

    private Mutation() {}

    /** A word at which bounds, signs and multiplications tend to go wrong; or any. */
    static long word(RandomGenerator random) {
        return switch (random.nextInt(4)) {
            case 0, 1 -> WORDS[random.nextInt(WORDS.length)];
            case 2 -> (long) random.nextInt(64) << random.nextInt(64);
            default -> random.nextLong();
        };
    }

    /** Changes a value a little or wholly. */
    static long changed(long value, RandomGenerator random) {
        return switch (random.nextInt(4)) {
            case 0 -> value + random.nextInt(17) - 8;
            case 1 -> value ^ 1L << random.nextInt(64);
            default -> word(random);
        };
    }

    /** One change between {@code from} and {@code to}, exclusively. */
    static void any(byte[] bytes, int from, int to, RandomGenerator random) {
        int room = to - from;
        if (room <= 0) {
            return;
        }
        switch (random.nextInt(6)) {
            case 0, 1 -> flip(bytes, from, to, random);
            case 2 -> {
                if (room >= 8) {
                    int at = from + random.nextInt(room - 7);
                    ByteBuffer words = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
                    int aligned = Math.max(from, at & -8);
                    words.putLong(aligned, changed(words.getLong(aligned), random));
                }
            }
            case 3 -> {
                int length = length(room, random);
                int at = from + random.nextInt(room - length + 1);
                Arrays.fill(bytes, at, at + length, (byte) (random.nextBoolean() ? 0 : random.nextInt(256)));
            }
            case 4 -> {
                int length = length(room, random);
                int source = from + random.nextInt(room - length + 1);
                int at = from + random.nextInt(room - length + 1);
                System.arraycopy(bytes, source, bytes, at, length);
            }
            default -> bytes[from + random.nextInt(room)] = (byte) random.nextInt(256);
        }
    }

    private static int length(int most, RandomGenerator random) {
        return 1 + random.nextInt(Math.min(most, 1 << random.nextInt(14)));
    }

    /** 1 to 64 bits. */
    static void flip(byte[] bytes, int from, int to, RandomGenerator random) {
        int bits = 1 + random.nextInt(1 << random.nextInt(7));
        for (int i = 0; i < bits; i++) {
            bytes[from + random.nextInt(to - from)] ^= (byte) (1 << random.nextInt(8));
        }
    }

    /** Cut, lengthened, or a piece left out or put in twice; and changes anywhere. */
    static byte[] resized(byte[] bytes, RandomGenerator random) {
        int at = random.nextInt(bytes.length + 1);
        int length = Math.min(bytes.length - at, length(bytes.length + 1, random));
        byte[] result;
        switch (random.nextInt(4)) {
            case 0 -> result = Arrays.copyOf(bytes, at);
            case 1 -> result = Arrays.copyOf(bytes, bytes.length + length(1 << 14, random));
            case 2 -> {
                result = new byte[bytes.length - length];
                System.arraycopy(bytes, 0, result, 0, at);
                System.arraycopy(bytes, at + length, result, at, bytes.length - at - length);
            }
            default -> {
                result = new byte[bytes.length + length];
                System.arraycopy(bytes, 0, result, 0, at + length);
                System.arraycopy(bytes, at, result, at + length, bytes.length - at);
            }
        }
        return result;
    }
}
