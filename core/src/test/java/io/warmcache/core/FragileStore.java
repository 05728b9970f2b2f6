/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import io.warmcache.BackingStore;
import io.warmcache.StoreId;
import io.warmcache.StoreVersion;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/**
 * An engine's store that loses power: of the writes since the last force each block is kept or lost by itself. Its
 * version is exact, so the cache's own writes do not show in it. For one thread.
 */
final class FragileStore implements BackingStore {
    private static final int BLOCK = 4096;

    /** A change since the last force. */
    private interface Change {
        byte[] apply(byte[] bytes);
    }

    final StoreId id;
    StoreVersion version = StoreVersion.exact(3, 4);
    MemoryStore.Hook hook = (operation, position, length) -> {};
    private byte[] bytes;
    private byte[] durable;
    private final List<Change> pending = new ArrayList<>();

    FragileStore(StoreId id, byte[] bytes) {
        this.id = id;
        this.bytes = bytes.clone();
        durable = bytes.clone();
    }

    byte[] bytes() {
        return bytes.clone();
    }

    FragileStore afterKill() {
        return new FragileStore(id, bytes);
    }

    FragileStore afterPowerLoss(Random random) {
        byte[] left = durable.clone();
        for (Change change : pending) {
            if (random.nextBoolean()) {
                left = change.apply(left);
            }
        }
        return new FragileStore(id, left);
    }

    private void change(Change change) {
        bytes = change.apply(bytes);
        pending.add(change);
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
    public long size() {
        return bytes.length;
    }

    @Override
    public int read(long position, MemorySegment target) throws IOException {
        hook.before("read", position, target.byteSize());
        if (position >= bytes.length) {
            return -1;
        }
        int length = (int) Math.min(target.byteSize(), bytes.length - position);
        MemorySegment.copy(MemorySegment.ofArray(bytes), position, target, 0, length);
        return length;
    }

    @Override
    public int write(long position, MemorySegment source) throws IOException {
        hook.before("write", position, source.byteSize());
        int length = (int) Math.min(source.byteSize(), BLOCK - position % BLOCK);
        byte[] written = new byte[length];
        MemorySegment.copy(source, 0, MemorySegment.ofArray(written), 0, length);
        change(before -> {
            byte[] after = Arrays.copyOf(before, Math.max(before.length, (int) position + length));
            System.arraycopy(written, 0, after, (int) position, length);
            return after;
        });
        return length;
    }

    @Override
    public void force() throws IOException {
        hook.before("force", 0, 0);
        durable = bytes.clone();
        pending.clear();
    }

    @Override
    public void truncate(long size) throws IOException {
        hook.before("truncate", size, 0);
        change(before -> Arrays.copyOf(before, (int) size));
    }

    @Override
    public void close() throws IOException {
        hook.before("close", 0, 0);
    }
}
