/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.jmh;

import io.warmcache.BackingStore;
import io.warmcache.StoreId;
import io.warmcache.StoreVersion;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.atomic.LongAdder;

/**
 * A store of zeros that keeps nothing and costs nothing: it does not even touch the memory it is asked to read into,
 * which thus keeps what it held. What is measured with it is the cache's own work.
 */
public final class NullStore implements BackingStore {
    private final long number;
    private final long size;
    private final LongAdder bytesRead = new LongAdder();

    public NullStore(long size) {
        this(1, size);
    }

    /** One of several stores, told apart by their number. */
    NullStore(long number, long size) {
        this.number = number;
        this.size = size;
    }

    /** Bytes asked for so far. */
    public long bytesRead() {
        return bytesRead.sum();
    }

    @Override
    public StoreId id() {
        return new StoreId(0x6E75_6C6C, number);
    }

    @Override
    public StoreVersion version() {
        return StoreVersion.none();
    }

    @Override
    public long size() {
        return size;
    }

    @Override
    public int read(long position, MemorySegment target) {
        long length = Math.min(target.byteSize(), size - position);
        if (length <= 0) {
            return -1;
        }
        bytesRead.add(length);
        return (int) Math.min(length, Integer.MAX_VALUE);
    }

    @Override
    public int write(long position, MemorySegment source) {
        return (int) Math.min(source.byteSize(), Integer.MAX_VALUE);
    }

    @Override
    public void force() {}

    @Override
    public void truncate(long newSize) throws IOException {
        throw new IOException("a store of zeros keeps its length");
    }

    @Override
    public String name() {
        return "null store";
    }

    @Override
    public void close() {}
}
