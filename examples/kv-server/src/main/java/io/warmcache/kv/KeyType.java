/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

import java.nio.ByteBuffer;
import java.util.Arrays;
import org.h2.mvstore.DataUtils;
import org.h2.mvstore.WriteBuffer;
import org.h2.mvstore.type.BasicDataType;

/**
 * Keys as MVStore keeps them: ordered as unsigned bytes, each key of a page written as what it shares with the key
 * before it and what it adds.
 *
 * <p>A page's keys are written before anything else of it, and MVStore writes its first page only after it has taken
 * the roots of all maps: the first call of a commit is the moment the snapshot is complete, which {@code onWrite} is
 * told.
 */
final class KeyType extends BasicDataType<byte[]> {
    private static final byte[] EMPTY = {};
    /** Object header, length and reference of a byte array on a 64-bit JVM. */
    private static final int ARRAY_OVERHEAD = 24;

    private final Runnable onWrite;

    KeyType(Runnable onWrite) {
        this.onWrite = onWrite;
    }

    @Override
    public int compare(byte[] a, byte[] b) {
        return Arrays.compareUnsigned(a, b);
    }

    @Override
    public int getMemory(byte[] key) {
        return ARRAY_OVERHEAD + key.length;
    }

    @Override
    public boolean isMemoryEstimationAllowed() {
        // Lengths differ by orders of magnitude: pages split by an estimate would be far too large or too small.
        return false;
    }

    @Override
    public void write(WriteBuffer buffer, byte[] key) {
        writeAfter(buffer, EMPTY, key);
    }

    @Override
    public byte[] read(ByteBuffer buffer) {
        return readAfter(buffer, EMPTY);
    }

    @Override
    public void write(WriteBuffer buffer, Object storage, int length) {
        onWrite.run();
        byte[][] keys = (byte[][]) storage;
        byte[] previous = EMPTY;
        for (int i = 0; i < length; i++) {
            writeAfter(buffer, previous, keys[i]);
            previous = keys[i];
        }
    }

    @Override
    public void read(ByteBuffer buffer, Object storage, int length) {
        byte[][] keys = (byte[][]) storage;
        byte[] previous = EMPTY;
        for (int i = 0; i < length; i++) {
            previous = readAfter(buffer, previous);
            keys[i] = previous;
        }
    }

    @Override
    public byte[][] createStorage(int size) {
        return new byte[size][];
    }

    private static void writeAfter(WriteBuffer buffer, byte[] previous, byte[] key) {
        int mismatch = Arrays.mismatch(previous, key);
        int shared = mismatch < 0 ? key.length : mismatch;
        buffer.putVarInt(shared).putVarInt(key.length - shared).put(key, shared, key.length - shared);
    }

    private static byte[] readAfter(ByteBuffer buffer, byte[] previous) {
        int shared = DataUtils.readVarInt(buffer);
        int added = DataUtils.readVarInt(buffer);
        byte[] key = Arrays.copyOf(previous, shared + added);
        buffer.get(key, shared, added);
        return key;
    }
}
