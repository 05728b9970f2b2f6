/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv.demo;

/** A fixed, well-spread function of a few integers: what a value must be is computed, never stored. */
final class Mix {
    private Mix() {}

    /** The finalizer of SplitMix64: a bijection in which every input bit moves every output bit. */
    static long mix(long x) {
        long z = x + 0x9E3779B97F4A7C15L;
        z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
        z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
        return z ^ (z >>> 31);
    }

    static long mix(long a, long b, long c) {
        return mix(mix(mix(a) ^ b) ^ c);
    }
}
