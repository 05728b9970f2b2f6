/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.fuzz;

import io.warmcache.BackingStore;
import io.warmcache.StoreId;
import io.warmcache.StoreVersion;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

/** An engine's store in memory, of an exact version. */
final class HeapStore implements BackingStore {
    private static final int LARGEST = 16 << 20;

    private final StoreId id;
    private final StoreVersion version;
    private byte[] bytes;

    HeapStore(StoreId id, StoreVersion version, byte[] bytes) {
        this.id = id;
        this.version = version;
        this.bytes = bytes;
    }

    synchronized byte[] bytes() {
        return bytes;
    }

    @Override
    public StoreId id() {
        return id;
    }

    @Override
    public StoreVersion version() {
        return version;
    }

    @Override
    public synchronized long size() {
        return bytes.length;
    }

    @Override
    public synchronized int read(long position, MemorySegment target) {
        if (position >= bytes.length) {
            return -1;
        }
        int length = (int) Math.min(target.byteSize(), bytes.length - position);
        MemorySegment.copy(MemorySegment.ofArray(bytes), position, target, 0, length);
        return length;
    }

    @Override
    public synchronized int write(long position, MemorySegment source) throws IOException {
        int length = (int) source.byteSize();
        requireRoom(position + length);
        byte[] written = source.toArray(ValueLayout.JAVA_BYTE); // throws before anything is changed
        if (position + length > bytes.length) {
            bytes = Arrays.copyOf(bytes, (int) (position + length));
        }
        System.arraycopy(written, 0, bytes, (int) position, length);
        return length;
    }

    @Override
    public void force() {}

    @Override
    public synchronized void truncate(long size) throws IOException {
        requireRoom(size);
        bytes = Arrays.copyOf(bytes, (int) size);
    }

    private static void requireRoom(long size) throws IOException {
        if (size < 0 || size > LARGEST) {
            throw new IOException("no store in memory has " + size + " bytes");
        }
    }

    @Override
    public void close() {}
}
