/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.contract;

import io.warmcache.BackingStore;
import io.warmcache.StoreId;
import io.warmcache.StoreVersion;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.concurrent.atomic.AtomicLong;

/** A store on the heap that outlives its users, transfers short, and fails when told to. */
final class ContractStore implements BackingStore {
    private static final AtomicLong NEXT = new AtomicLong(System.nanoTime());

    private final StoreId id = new StoreId(0xc0417ac7L, NEXT.incrementAndGet());
    private byte[] bytes;
    private int mostPerTransfer = Integer.MAX_VALUE;
    private long version = 1;
    private boolean failing;
    private boolean nameless;

    ContractStore(byte[] content) {
        bytes = content.clone();
    }

    synchronized byte[] content() {
        return bytes.clone();
    }

    synchronized void mostPerTransfer(int most) {
        mostPerTransfer = most;
    }

    synchronized void failing(boolean value) {
        failing = value;
    }

    /** Its owner has forgotten it. */
    synchronized void nameless(boolean value) {
        nameless = value;
    }

    /** What another program does to it. */
    synchronized void change() {
        version++;
        bytes[0] ^= 1;
    }

    private void check(String operation) throws IOException {
        if (failing) {
            throw new IOException(operation + " fails, as it was told to");
        }
    }

    @Override
    public synchronized StoreId id() {
        if (nameless) {
            throw new IllegalStateException("no such store");
        }
        return id;
    }

    @Override
    public synchronized StoreVersion version() {
        return StoreVersion.exact(1, version);
    }

    @Override
    public synchronized long size() {
        return bytes.length;
    }

    @Override
    public synchronized int read(long position, MemorySegment target) throws IOException {
        check("read");
        if (position >= bytes.length) {
            return -1;
        }
        int n = (int) Math.min(Math.min(target.byteSize(), mostPerTransfer), bytes.length - position);
        MemorySegment.copy(bytes, (int) position, target, ValueLayout.JAVA_BYTE, 0, n);
        return n;
    }

    @Override
    public synchronized int write(long position, MemorySegment source) throws IOException {
        check("write");
        int n = (int) Math.min(source.byteSize(), mostPerTransfer);
        bytes = Arrays.copyOf(bytes, (int) Math.max(bytes.length, position + n));
        MemorySegment.copy(source, ValueLayout.JAVA_BYTE, 0, bytes, (int) position, n);
        return n;
    }

    @Override
    public synchronized void force() throws IOException {
        check("force");
    }

    @Override
    public synchronized void truncate(long size) throws IOException {
        check("truncate");
        bytes = Arrays.copyOf(bytes, (int) size);
    }

    @Override
    public void close() {}
}
