/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture;

import io.warmcache.BackingStore;
import io.warmcache.StoreId;
import io.warmcache.StoreVersion;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/**
 * An engine's own store on a plain file, which can fail, transfer less than it was asked to, be full, or be so slow
 * that a kill finds transfers half done. What it fails is not drawn from the seed: it depends on timing anyway.
 */
final class TortureStore implements BackingStore {
    /** What goes wrong. */
    enum Fault {
        /** Nothing. */
        NONE,
        /** Transfers are shorter than asked for, by whole units when writing. */
        SHORT,
        /** Reads, writes and forces fail now and then, writes after some units were written. */
        EIO,
        /** Writes that lengthen the file fail after some units. */
        FULL,
        /** Transfers take milliseconds, with the half of them done. */
        SLOW
    }

    private final FileChannel channel;
    private final StoreId id;
    private final String name;
    private volatile Fault fault = Fault.NONE;

    TortureStore(Path file, StoreId id) throws IOException {
        channel = FileChannel.open(
                file, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE);
        this.id = id;
        name = file.getFileName().toString();
    }

    void fault(Fault value) {
        fault = value;
    }

    private static boolean chance(int oneIn) {
        return ThreadLocalRandom.current().nextInt(oneIn) == 0;
    }

    private static void pause() {
        LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(1 + ThreadLocalRandom.current().nextInt(12)));
    }

    /** Some of the bytes, in whole units. */
    private static int some(long length) {
        return (int) Math.min(length, Content.UNIT * (1L + ThreadLocalRandom.current().nextInt(
                Math.toIntExact(length / Content.UNIT + 1))));
    }

    @Override
    public StoreId id() {
        return id;
    }

    @Override
    public StoreVersion version() {
        return StoreVersion.exact(id.high(), id.low());
    }

    @Override
    public long size() throws IOException {
        return channel.size();
    }

    @Override
    public int read(long position, MemorySegment target) throws IOException {
        long length = target.byteSize();
        switch (fault) {
            case EIO -> {
                if (chance(40)) {
                    throw new IOException("injected EIO, reading at " + position);
                }
            }
            case SHORT -> length = 1 + ThreadLocalRandom.current().nextLong(length);
            case SLOW -> {
                if (chance(3)) {
                    pause();
                    length = Math.max(1, length / 2);
                }
            }
            default -> {}
        }
        return channel.read(buffer(target, length), position);
    }

    @Override
    public int write(long position, MemorySegment source) throws IOException {
        long length = source.byteSize();
        switch (fault) {
            case EIO -> {
                if (chance(30)) {
                    int _ = channel.write(buffer(source, chance(2) ? some(length) : 0), position);
                    throw new IOException("injected EIO, writing at " + position);
                }
            }
            case FULL -> {
                if (position + length > channel.size() && chance(2)) {
                    int _ = channel.write(buffer(source, chance(2) ? some(length) : 0), position);
                    throw new IOException("injected: no space left on device, writing at " + position);
                }
            }
            case SHORT -> length = some(length);
            case SLOW -> {
                if (length >= 2 * Content.UNIT && chance(3)) {
                    int half = some(length / 2 / Content.UNIT * Content.UNIT);
                    int done = channel.write(buffer(source, half), position);
                    pause();
                    return done;
                }
            }
            default -> {}
        }
        return channel.write(buffer(source, length), position);
    }

    private static ByteBuffer buffer(MemorySegment segment, long length) {
        return segment.asSlice(0, length).asByteBuffer();
    }

    @Override
    public void force() throws IOException {
        if (fault == Fault.EIO && chance(20)) {
            throw new IOException("injected EIO, forcing");
        }
        if (fault == Fault.SLOW) {
            pause();
        }
        channel.force(true);
    }

    @Override
    public void truncate(long size) throws IOException {
        if (size <= channel.size()) {
            FileChannel _ = channel.truncate(size);
        } else {
            // FileChannel.truncate does not lengthen
            int _ = channel.write(ByteBuffer.wrap(new byte[1]), size - 1);
        }
    }

    @Override
    public String name() {
        return name;
    }

    @Override
    public void close() throws IOException {
        channel.close();
    }
}
