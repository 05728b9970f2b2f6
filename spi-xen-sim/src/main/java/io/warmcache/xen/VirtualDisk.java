/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

import io.warmcache.BackingStore;
import io.warmcache.StoreId;
import io.warmcache.StoreVersion;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;

/**
 * A virtual disk in memory, with a write cache that a guest's crash may lose and a counter that moves exactly when
 * anybody but the block back end changes it. Lengths are durable at once, as on a file system that journals them; bytes
 * are after {@link #force()}. Safe for use by many threads. Closing has no effect: a disk outlives its users.
 */
public final class VirtualDisk implements BackingStore {
    /** The unit that a disk writes whole. */
    public static final int SECTOR = 512;

    /** What may go wrong with one transfer. */
    public enum Fault {
        /** It fails and does nothing. */
        FAILED,
        /** It fails after some of its sectors were transferred. */
        TORN,
        /** It transfers fewer bytes than asked for, and says so. */
        SHORT,
        /**
         * It goes to another block. The disk finds that by the reference tag that comes with each block (as in T10
         * protection information), refuses it, and the transfer fails.
         */
        MISDIRECTED,
        /**
         * A write is taken, its bytes are lost, and the next force fails and says so, once; as a kernel does whose own
         * write-back fails. The length changes as it should.
         */
        LOST
    }

    /** Decides about each transfer. */
    @FunctionalInterface
    public interface FaultPlan {
        /** The fault of this transfer, or null for none. */
        @Nullable Fault next(String operation, long position, long bytes);
    }

    @SuppressWarnings("ArrayRecordComponent") // an entry of a log, never compared
    private record Write(int position, byte[] before, byte[] after) {}

    private final StoreId id;
    private byte[] bytes;
    private final List<Write> cache = new ArrayList<>();
    private long changes = 1;
    private @Nullable FaultPlan faults;
    private final SplittableRandom tear = new SplittableRandom(7);
    private int lost;
    private boolean lostSinceForce;

    /** A disk is in memory, and a few copies of it are made at times. */
    private static final int LARGEST = 1 << 28;

    /** A disk of an identity of its own that holds a copy of these bytes. */
    public VirtualDisk(StoreId id, byte[] content) {
        this.id = id;
        bytes = content.clone();
    }

    /** Sets or removes what decides about faults. */
    public synchronized void faults(@Nullable FaultPlan plan) {
        faults = plan;
    }

    /** What a cold read of the whole disk gives. */
    public synchronized byte[] content() {
        return bytes.clone();
    }

    /** Changes the disk behind the block back end's return: the version moves. */
    public synchronized void changeElsewhere(int position, byte[] content) {
        System.arraycopy(content, 0, bytes, position, content.length);
        cache.clear();
        changes++;
    }

    /**
     * Loses a part of what was not forced: each sector of each such write survives or not by the seed, later ones
     * whether or not earlier ones did.
     *
     * @return sectors whose bytes were lost
     */
    public synchronized int crash(long seed) {
        Random random = new Random(seed);
        byte[] now = bytes;
        byte[] after = now.clone();
        for (int i = cache.size() - 1; i >= 0; i--) {
            Write write = cache.get(i);
            put(after, write.position(), write.before(), 0, write.before().length);
        }
        for (Write write : cache) {
            for (int at = 0; at < write.after().length; ) {
                int n = Math.min(SECTOR - (write.position() + at) % SECTOR, write.after().length - at);
                if (random.nextBoolean()) {
                    put(after, write.position() + at, write.after(), at, n);
                }
                at += n;
            }
        }
        int sectors = 0;
        for (int at = 0; at < now.length; at += SECTOR) {
            int end = Math.min(now.length, at + SECTOR);
            sectors += Arrays.equals(now, at, end, after, at, end) ? 0 : 1;
        }
        bytes = after;
        cache.clear();
        lostSinceForce = false;
        lost += sectors;
        return sectors;
    }

    /** Sectors lost by all crashes. */
    public synchronized int lostSectors() {
        return lost;
    }

    /** As far as the disk still reaches there. */
    private static void put(byte[] target, int position, byte[] source, int from, int length) {
        int n = Math.min(length, target.length - position);
        if (n > 0) {
            System.arraycopy(source, from, target, position, n);
        }
    }

    @Override
    public StoreId id() {
        return id;
    }

    @Override
    public synchronized StoreVersion version() {
        return StoreVersion.exact(id.low(), changes);
    }

    @Override
    public synchronized long size() {
        return bytes.length;
    }

    private @Nullable Fault fault(String operation, long position, long length) throws IOException {
        FaultPlan plan = faults;
        Fault fault = plan == null ? null : plan.next(operation, position, length);
        if (fault == Fault.FAILED || fault == Fault.MISDIRECTED) {
            throw new IOException(operation + " at " + position + " of disk " + id + ": "
                    + (fault == Fault.FAILED ? "medium error" : "reference tag is another block's"));
        }
        return fault;
    }

    private void requireRoom(long position, long length) throws IOException {
        if (position < 0) {
            throw new IndexOutOfBoundsException("position is " + position);
        }
        if (position > LARGEST - length) {
            throw new IOException("disk " + id + " has no room for " + length + " bytes at " + position + ": a disk in"
                    + " memory has at most " + LARGEST);
        }
    }

    @Override
    public synchronized int read(long position, MemorySegment target) throws IOException {
        if (position < 0) {
            throw new IndexOutOfBoundsException("position is " + position);
        }
        Fault fault = fault("read", position, target.byteSize());
        if (position >= bytes.length) {
            return -1;
        }
        int length = length(fault, (int) Math.min(target.byteSize(), bytes.length - position));
        MemorySegment.copy(bytes, (int) position, target, ValueLayout.JAVA_BYTE, 0, length);
        if (fault == Fault.TORN) {
            throw new IOException("read at " + position + " of disk " + id + ": failed half-way");
        }
        return length;
    }

    private int length(@Nullable Fault fault, int whole) {
        return switch (fault) {
            case TORN -> Math.min(whole, SECTOR * tear.nextInt(0, whole / SECTOR + 1));
            case SHORT -> Math.max(1, tear.nextInt(0, whole));
            case null, default -> whole;
        };
    }

    @Override
    public synchronized int write(long position, MemorySegment source) throws IOException {
        requireRoom(position, source.byteSize());
        Fault fault = fault("write", position, source.byteSize());
        int length = length(fault, (int) source.byteSize());
        int at = (int) position;
        if (at + length > bytes.length) {
            bytes = Arrays.copyOf(bytes, at + length);
        }
        if (fault == Fault.LOST) {
            lostSinceForce = true;
            return length;
        }
        byte[] after = source.asSlice(0, length).toArray(ValueLayout.JAVA_BYTE);
        cache.add(new Write(at, Arrays.copyOfRange(bytes, at, at + length), after));
        System.arraycopy(after, 0, bytes, at, length);
        if (fault == Fault.TORN) {
            throw new IOException("write at " + position + " of disk " + id + ": failed half-way");
        }
        return length;
    }

    @Override
    public synchronized void force() throws IOException {
        var _ = fault("force", 0, 0);
        if (lostSinceForce) {
            lostSinceForce = false;
            throw new IOException("force of disk " + id + ": a write that was taken has been lost");
        }
        cache.clear();
    }

    @Override
    public synchronized void truncate(long size) throws IOException {
        requireRoom(size, 0);
        var _ = fault("truncate", size, 0);
        // What was cut off must not come back with a lost write, nor with a later growth.
        if (size < bytes.length) {
            for (int i = 0; i < cache.size(); i++) {
                Write w = cache.get(i);
                int keep = Math.clamp(size - w.position(), 0, w.after().length);
                cache.set(i, new Write(w.position(), Arrays.copyOf(w.before(), keep), Arrays.copyOf(w.after(), keep)));
            }
        }
        bytes = Arrays.copyOf(bytes, (int) size);
    }

    @Override
    public String name() {
        return "disk " + id.low();
    }

    @Override
    public void close() {}
}
