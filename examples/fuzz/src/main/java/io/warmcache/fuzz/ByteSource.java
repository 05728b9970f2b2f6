/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.fuzz;

import java.util.SplittableRandom;
import java.util.random.RandomGenerator;

/**
 * Takes its random words from given bytes, so that a fuzzer that changes bytes changes one choice of a target at a
 * time. After their end the words follow from all of them: loops that wait for a value end.
 */
final class ByteSource implements RandomGenerator {
    private final byte[] bytes;
    private int at;
    private final SplittableRandom rest;

    ByteSource(byte[] bytes) {
        this.bytes = bytes;
        long seed = 1;
        for (byte each : bytes) {
            seed = seed * 31 + each;
        }
        rest = new SplittableRandom(seed);
    }

    private long take(int count) {
        if (at + count > bytes.length) {
            return rest.nextLong();
        }
        long value = 0;
        for (int i = 0; i < count; i++) {
            value = (value << 8) | (bytes[at++] & 0xFF);
        }
        return value;
    }

    @Override
    public long nextLong() {
        return take(8);
    }

    @Override
    public int nextInt() {
        return (int) take(4);
    }

    /** Small choices cost one byte, or two, and none is drawn again. */
    @Override
    public int nextInt(int bound) {
        return (int) Long.remainderUnsigned(take(bound <= 256 ? 1 : bound <= 65536 ? 2 : 4), bound);
    }
}
