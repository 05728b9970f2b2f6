/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import io.warmcache.core.image.ImageDisk;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/**
 * A file system on the heap that loses power: of what was not forced, bytes are lost from any point on, and each change
 * of a name is kept or lost by itself.
 */
final class HeapDisk implements ImageDisk {
    /** Runs before each operation; may throw. */
    interface Hook {
        void before(String operation, Path file) throws IOException;
    }

    private static final class Inode {
        byte[] bytes = new byte[0];
        int forced;
    }

    /** A change of a directory's names. */
    private interface Change {
        void apply(Map<Path, Inode> names);
    }

    Hook hook = (operation, file) -> {};
    private Map<Path, Inode> names = new HashMap<>();
    private Map<Path, Inode> durable = new HashMap<>();
    private final List<Change> pending = new ArrayList<>();

    private synchronized void change(Change change) {
        change.apply(names);
        pending.add(change);
    }

    /** What a death of the process leaves: everything. */
    synchronized HeapDisk afterKill() {
        HeapDisk after = new HeapDisk();
        names.forEach((path, inode) -> after.names.put(path, copy(inode, inode.bytes.length)));
        after.durable = new HashMap<>(after.names);
        return after;
    }

    synchronized HeapDisk afterPowerLoss(Random random) {
        Map<Path, Inode> left = new HashMap<>(durable);
        for (Change change : pending) {
            if (random.nextBoolean()) {
                change.apply(left);
            }
        }
        HeapDisk after = new HeapDisk();
        left.forEach((path, inode) -> {
            int unforced = inode.bytes.length - inode.forced;
            after.names.put(path, copy(inode, inode.forced + (unforced == 0 ? 0 : random.nextInt(unforced + 1))));
        });
        after.durable = new HashMap<>(after.names);
        return after;
    }

    private static Inode copy(Inode inode, int length) {
        Inode copy = new Inode();
        copy.bytes = Arrays.copyOf(inode.bytes, length);
        copy.forced = length;
        return copy;
    }

    synchronized boolean has(Path file) {
        return names.containsKey(file);
    }

    synchronized byte[] bytes(Path file) {
        return names.get(file).bytes.clone();
    }

    /** Puts a file there, durably. */
    synchronized void put(Path file, byte[] bytes) {
        Inode inode = new Inode();
        inode.bytes = bytes.clone();
        inode.forced = bytes.length;
        names.put(file, inode);
        durable.put(file, inode);
    }

    @Override
    public synchronized Writer create(Path file) throws IOException {
        hook.before("create", file);
        Inode inode = new Inode();
        change(map -> map.put(file, inode));
        return new Writer() {
            @Override
            public void write(ByteBuffer bytes) throws IOException {
                hook.before("write", file);
                int at = inode.bytes.length;
                int length = bytes.remaining();
                inode.bytes = Arrays.copyOf(inode.bytes, at + length);
                bytes.get(inode.bytes, at, length);
            }

            @Override
            public void force() throws IOException {
                hook.before("force", file);
                inode.forced = inode.bytes.length;
            }

            @Override
            public void close() {}
        };
    }

    @Override
    public synchronized Reader open(Path file) throws IOException {
        hook.before("open", file);
        Inode inode = names.get(file);
        if (inode == null) {
            throw new NoSuchFileException(file.toString());
        }
        return new Reader() {
            @Override
            public long size() {
                return inode.bytes.length;
            }

            @Override
            public void read(ByteBuffer into, long position) throws IOException {
                hook.before("read", file);
                if (position < 0 || position + into.remaining() > inode.bytes.length) {
                    throw new EOFException(file.toString());
                }
                into.put(inode.bytes, (int) position, into.remaining());
            }

            @Override
            public void close() {}
        };
    }

    @Override
    public void rename(Path from, Path to) throws IOException {
        hook.before("rename", to); // not under the monitor: while it is held up, others may use the disk
        synchronized (this) {
            Inode inode = names.get(from);
            if (inode == null) {
                throw new NoSuchFileException(from.toString());
            }
            change(map -> {
                map.remove(from);
                map.put(to, inode);
            });
        }
    }

    @Override
    public synchronized boolean delete(Path file) throws IOException {
        hook.before("delete", file);
        boolean there = names.containsKey(file);
        if (there) {
            change(map -> map.remove(file));
        }
        return there;
    }

    @Override
    public synchronized void forceDirectory(Path directory) throws IOException {
        hook.before("forceDirectory", directory);
        durable = new HashMap<>(names);
        pending.clear();
    }
}
