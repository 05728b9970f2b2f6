/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import io.warmcache.BackingStore;
import io.warmcache.StoreId;
import io.warmcache.StoreVersion;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.ReentrantReadWriteLock;

/**
 * An engine's store on the heap that can be told to fail, to transfer short and to wait. Its bytes outlive the cache.
 */
final class MemoryStore implements BackingStore {
    /** Runs before each operation; may throw or wait. */
    interface Hook {
        void before(String operation, long position, long length) throws IOException;
    }

    private static final AtomicLong NEXT = new AtomicLong(1);

    volatile StoreId id;

    /** Runs after each question for the id. */
    volatile Runnable asked = () -> {};

    volatile StoreVersion version = StoreVersion.exact(7, 7);
    volatile Hook hook = (operation, position, length) -> {};
    volatile int mostPerTransfer = Integer.MAX_VALUE;
    volatile boolean closed;

    /** Its owner has forgotten it. */
    volatile boolean nameless;

    private final ReentrantReadWriteLock lock = new ReentrantReadWriteLock();
    private byte[] bytes;

    MemoryStore(byte[] bytes) {
        this(new StoreId(0x5eed, NEXT.getAndIncrement()), bytes);
    }

    MemoryStore(StoreId id, byte[] bytes) {
        this.id = id;
        this.bytes = bytes.clone();
    }

    byte[] bytes() {
        lock.readLock().lock();
        try {
            return bytes.clone();
        } finally {
            lock.readLock().unlock();
        }
    }

    /** Another writer's doing. */
    void replace(byte[] other) {
        lock.writeLock().lock();
        try {
            bytes = other.clone();
        } finally {
            lock.writeLock().unlock();
        }
    }

    @Override
    public StoreId id() {
        if (nameless) {
            throw new IllegalStateException("no such store");
        }
        StoreId answer = id;
        asked.run();
        return answer;
    }

    @Override
    public StoreVersion version() {
        return version;
    }

    @Override
    public long size() {
        lock.readLock().lock();
        try {
            return bytes.length;
        } finally {
            lock.readLock().unlock();
        }
    }

    @Override
    public int read(long position, MemorySegment target) throws IOException {
        hook.before("read", position, target.byteSize());
        lock.readLock().lock();
        try {
            if (position >= bytes.length) {
                return -1;
            }
            int length = (int) Math.min(Math.min(target.byteSize(), mostPerTransfer), bytes.length - position);
            MemorySegment.copy(MemorySegment.ofArray(bytes), position, target, 0, length);
            return length;
        } finally {
            lock.readLock().unlock();
        }
    }

    @Override
    public int write(long position, MemorySegment source) throws IOException {
        hook.before("write", position, source.byteSize());
        lock.writeLock().lock();
        try {
            int length = (int) Math.min(source.byteSize(), mostPerTransfer);
            if (position + length > bytes.length) {
                bytes = Arrays.copyOf(bytes, (int) position + length);
            }
            MemorySegment.copy(source, 0, MemorySegment.ofArray(bytes), position, length);
            return length;
        } finally {
            lock.writeLock().unlock();
        }
    }

    @Override
    public void force() throws IOException {
        hook.before("force", 0, 0);
    }

    @Override
    public void truncate(long size) throws IOException {
        hook.before("truncate", size, 0);
        lock.writeLock().lock();
        try {
            bytes = Arrays.copyOf(bytes, (int) size);
        } finally {
            lock.writeLock().unlock();
        }
    }

    @Override
    public void close() throws IOException {
        closed = true;
        hook.before("close", 0, 0);
    }
}
