/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv.demo;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/**
 * Class files under as many names as the size asks for: {@code java.base/java/lang/String.class#v3}.
 *
 * <p>A value is 16 bytes that say what it is (magic, key, version, length) and then the class file, 504 bytes at a
 * time, each piece behind 8 bytes computed from seed, key, version and position. No two values share a piece, so that
 * any piece of another key, of an older version or from another place is a wrong value.
 */
final class Blobs {
    static final int HEAD_BYTES = 16;
    static final int PIECE_BYTES = 504;

    private static final int MAGIC = 0x77634B56;
    private static final int STAMP_BYTES = 8;
    private static final VarHandle INT = MethodHandles.byteArrayViewVarHandle(int[].class, ByteOrder.BIG_ENDIAN);
    private static final VarHandle LONG = MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.BIG_ENDIAN);

    private final byte[][] names;
    private final byte[][] bodies;
    private final long seed;
    private final int count;
    private final long bytes;
    private final int variants;

    /**
     * Takes keys from {@code image}, every class once before any a second time, until their values have {@code size}
     * bytes.
     *
     * @throws IllegalArgumentException if there is no class, or more keys would be needed than an {@code int} counts
     */
    Blobs(ClassImage image, long size, long seed) {
        int classes = image.names().length;
        if (classes == 0) {
            throw new IllegalArgumentException("the JDK's image has no class");
        }
        this.seed = seed;
        bodies = image.bytes();
        names = new byte[classes][];
        long round = 0;
        for (int i = 0; i < classes; i++) {
            names[i] = image.names()[i].getBytes(StandardCharsets.UTF_8);
            round += valueBytes(bodies[i].length);
        }
        long whole = size / round;
        long total = whole * round;
        long keys = whole * classes;
        for (int i = 0; total < size; i++) {
            total += valueBytes(bodies[i].length);
            keys++;
        }
        count = Math.toIntExact(keys);
        bytes = total;
        variants = (count + classes - 1) / classes;
    }

    static int valueBytes(int bodyBytes) {
        int pieces = (bodyBytes + PIECE_BYTES - 1) / PIECE_BYTES;
        return HEAD_BYTES + pieces * STAMP_BYTES + bodyBytes;
    }

    /** Keys, numbered from 0. */
    int count() {
        return count;
    }

    /** Bytes of all values together. */
    long bytes() {
        return bytes;
    }

    int classes() {
        return names.length;
    }

    /** Names of a class: at most this many. */
    int variants() {
        return variants;
    }

    /** Every key once, in the order of their names but for the digits of the variant: near each other in a tree. */
    int[] treeOrder() {
        int[] order = new int[count];
        int next = 0;
        for (int type = 0; type < names.length; type++) {
            for (int key = type; key < count; key += names.length) {
                order[next++] = key;
            }
        }
        return order;
    }

    byte[] name(int key) {
        byte[] name = names[key % names.length];
        byte[] suffix = ("#v" + key / names.length).getBytes(StandardCharsets.US_ASCII);
        byte[] all = Arrays.copyOf(name, name.length + suffix.length);
        System.arraycopy(suffix, 0, all, name.length, suffix.length);
        return all;
    }

    int valueBytes(int key, int version) {
        return valueBytes(bodies[key % names.length].length);
    }

    /** Writes the value of {@code key} in {@code version} to {@code target} at {@code offset}. */
    void writeValue(int key, int version, byte[] target, int offset) {
        byte[] body = bodies[key % names.length];
        INT.set(target, offset, MAGIC);
        INT.set(target, offset + 4, key);
        INT.set(target, offset + 8, version);
        INT.set(target, offset + 12, body.length);
        int at = offset + HEAD_BYTES;
        for (int from = 0; from < body.length; from += PIECE_BYTES) {
            int length = Math.min(PIECE_BYTES, body.length - from);
            LONG.set(target, at, stamp(key, version, from));
            System.arraycopy(body, from, target, at + STAMP_BYTES, length);
            at += STAMP_BYTES + length;
        }
    }

    /** The version that these bytes claim to be of {@code key}, or -1 if they claim nothing of the kind. */
    int claimedVersion(int key, byte[] source, int offset, int length) {
        if (length < HEAD_BYTES || (int) INT.get(source, offset) != MAGIC || (int) INT.get(source, offset + 4) != key) {
            return -1;
        }
        return (int) INT.get(source, offset + 8);
    }

    /** Whether these bytes are the value of {@code key} in {@code version}, each of them. */
    boolean matches(int key, int version, byte[] source, int offset, int length) {
        byte[] body = bodies[key % names.length];
        if (length != valueBytes(body.length)
                || claimedVersion(key, source, offset, length) != version
                || (int) INT.get(source, offset + 12) != body.length) {
            return false;
        }
        int at = offset + HEAD_BYTES;
        for (int from = 0; from < body.length; from += PIECE_BYTES) {
            int piece = Math.min(PIECE_BYTES, body.length - from);
            int data = at + STAMP_BYTES;
            if ((long) LONG.get(source, at) != stamp(key, version, from)
                    || !Arrays.equals(source, data, data + piece, body, from, from + piece)) {
                return false;
            }
            at = data + piece;
        }
        return true;
    }

    private long stamp(int key, int version, int from) {
        return Mix.mix(seed, ((long) key << 32) | version, from);
    }
}
