/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

import io.warmcache.spi.FrameState;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.jspecify.annotations.Nullable;

/**
 * Breaks things at rates, drawn from a seed, and knows afterwards what became of each break. Memory is struck where the
 * VMM records that a frame equals the disk, since only there can a break be served. For one thread.
 */
public final class FaultInjector implements VirtualDisk.FaultPlan {
    /** What may go wrong. */
    public enum Kind {
        /** 1 to 64 bits of a frame turn over. */
        BIT_FLIPS,
        /** A store of 8 bytes to a place that is not the writer's. */
        RANDOM_STORE,
        /** A store of one byte just past the end of somebody's page. */
        OFF_BY_ONE,
        /** A copy that runs on: half of them by 1 byte, 44 % by 2 to 1,024, 6 % by 2 to 4 KiB. */
        COPY_OVERRUN,
        /** Two frames hold each other's bytes. */
        FRAME_SWAP,
        /** A frame that is in use is filled by somebody who takes it for free. */
        PREMATURE_FREE,
        /** A writer that did not latch the page, and so took no write fault. */
        ELIDED_LATCH,
        /** A frame holds again what it held under an earlier record. */
        OLD_CONTENT,
        /** A record of a frame that holds nothing says it holds something; while the guest is off. */
        UNINITIALISED_RECORD,
        /** A record names another block than the one its frame holds; while the guest is off. */
        WRONG_KEY,
        /** One bit turns over while the guest is off. */
        BIT_DECAY,
        /** A transfer fails. */
        DISK_FAILED,
        /** A transfer fails half-way. */
        DISK_TORN,
        /** A transfer moves less than was asked for. */
        DISK_SHORT,
        /** A transfer goes to another block. */
        DISK_MISDIRECTED
    }

    private record Hit(Kind kind, int mfn, long device, long block, int generation) {}

    @SuppressWarnings("ArrayRecordComponent") // never compared
    private record Snapshot(int mfn, byte[] bytes) {}

    private final Random random;
    private final Map<Kind, Double> rates = new EnumMap<>(Kind.class);
    private final Map<Kind, int[]> counts = new EnumMap<>(Kind.class);
    private final List<Hit> hits = new ArrayList<>();
    private final Map<Integer, Snapshot> old = new HashMap<>();

    /** An injector that does nothing yet. */
    public FaultInjector(long seed) {
        random = new Random(seed);
    }

    /**
     * Sets how likely a fault is at each opportunity: a call of {@link #strike} or {@link #decay}, or a transfer.
     *
     * @param rate from 0 to 1
     */
    public FaultInjector rate(Kind kind, double rate) {
        rates.put(kind, rate);
        return this;
    }

    /** How many faults of a kind were injected. */
    public int injected(Kind kind) {
        return count(kind)[0];
    }

    /** How many were found, and their frames or transfers not used. */
    public int detected(Kind kind) {
        return count(kind)[1];
    }

    /** How many were gone before anybody could be served: the frame was given up, filled again or changed back. */
    public int harmless(Kind kind) {
        return count(kind)[2];
    }

    private int[] count(Kind kind) {
        return counts.computeIfAbsent(kind, k -> new int[3]);
    }

    private boolean happens(Kind kind) {
        return random.nextDouble() < rates.getOrDefault(kind, 0.0);
    }

    // ---- memory

    /** Strikes a running guest's memory. */
    public void strike(Domain domain) {
        synchronized (domain.machine()) {
            for (Kind kind : Kind.values()) {
                if (kind.compareTo(Kind.OLD_CONTENT) <= 0 && happens(kind)) {
                    int mfn = reusable(domain);
                    if (mfn >= 0) {
                        strike(domain, kind, mfn);
                    }
                }
            }
            int mfn = reusable(domain);
            if (mfn >= 0) {
                old.putIfAbsent(mfn, new Snapshot(mfn, domain.frame(mfn).toArray(ValueLayout.JAVA_BYTE)));
            }
        }
    }

    /** Strikes the memory of a guest that is off. */
    public void decay(Domain domain) {
        synchronized (domain.machine()) {
            MappingTable table = domain.table();
            int mfn = reusable(domain);
            if (mfn >= 0 && happens(Kind.BIT_DECAY)) {
                flip(domain.frame(mfn), 1);
                hit(domain, Kind.BIT_DECAY, mfn);
            }
            int blocks = domain.pageSize / Machine.FRAME_SIZE;
            mfn = reusable(domain);
            if (mfn >= 0 && table.isKept(mfn) && happens(Kind.WRONG_KEY)) {
                int first = domain.machine().m2p[mfn] / blocks * blocks;
                long page = random.nextInt(8);
                // a premature free may have taken a frame of the page
                boolean whole = true;
                for (int b = 0; b < blocks; b++) {
                    whole &= domain.p2m(first + b) >= 0;
                }
                if (whole && page != table.block[mfn] / blocks) {
                    for (int b = 0; b < blocks; b++) {
                        table.block[domain.p2m(first + b)] = page * blocks + b;
                    }
                    hit(domain, Kind.WRONG_KEY, mfn);
                }
            }
            if (happens(Kind.UNINITIALISED_RECORD)) {
                int frame = random.nextInt(domain.pages() / blocks);
                int device = 1 + random.nextInt(3);
                int page = random.nextInt(30);
                int generation = random.nextInt(100);
                for (int b = 0; b < blocks; b++) {
                    int m = domain.p2m(frame * blocks + b);
                    if (m < 0) {
                        // what was written so far stays: a record that was never whole
                        return;
                    }
                    table.device[m] = device;
                    table.block[m] = (long) page * blocks + b;
                    table.generation[m] = generation;
                    table.checksum[m] = random.nextLong();
                    table.state(m, FrameState.CLEAN);
                    domain.protect(m);
                }
                hit(domain, Kind.UNINITIALISED_RECORD, domain.p2m(frame * blocks));
            }
        }
    }

    /** A random frame that is recorded as equal to the disk, or -1. */
    private int reusable(Domain domain) {
        for (int attempt = 0; attempt < 40; attempt++) {
            int mfn = domain.p2m(random.nextInt(domain.pages()));
            if (mfn >= 0 && domain.table().reuse.get(mfn)) {
                return mfn;
            }
        }
        return -1;
    }

    private void hit(Domain domain, Kind kind, int mfn) {
        count(kind)[0]++;
        MappingTable t = domain.table();
        hits.add(new Hit(kind, mfn, t.device[mfn], t.block[mfn], t.generation[mfn]));
    }

    private void flip(MemorySegment frame, int bits) {
        for (int i = 0; i < bits; i++) {
            int at = random.nextInt(Machine.FRAME_SIZE);
            byte was = frame.get(ValueLayout.JAVA_BYTE, at);
            frame.set(ValueLayout.JAVA_BYTE, at, (byte) (was ^ (1 << random.nextInt(8))));
        }
    }

    private void store(MemorySegment frame, int at, int length) {
        byte[] bytes = new byte[length];
        random.nextBytes(bytes);
        MemorySegment.copy(bytes, 0, frame, ValueLayout.JAVA_BYTE, at, length);
    }

    private void strike(Domain domain, Kind kind, int mfn) {
        MemorySegment frame = domain.frame(mfn);
        switch (kind) {
            case BIT_FLIPS -> flip(frame, 1 + random.nextInt(64));
            case RANDOM_STORE -> store(frame, 8 * random.nextInt(Machine.FRAME_SIZE / 8), 8);
            case OFF_BY_ONE -> store(frame, 0, 1);
            case COPY_OVERRUN -> {
                int percent = random.nextInt(100);
                int length = percent < 50
                        ? 1
                        : percent < 94 ? 2 + random.nextInt(1023) : 2048 + random.nextInt(2049);
                store(frame, 0, length);
            }
            case PREMATURE_FREE -> store(frame, 0, Machine.FRAME_SIZE);
            case ELIDED_LATCH -> store(frame, random.nextInt(Machine.FRAME_SIZE - 64), 64);
            case FRAME_SWAP -> {
                int other = reusable(domain);
                if (other < 0 || other == mfn) {
                    return;
                }
                MemorySegment bytes = domain.frame(other);
                byte[] mine = frame.toArray(ValueLayout.JAVA_BYTE);
                frame.copyFrom(bytes);
                bytes.copyFrom(MemorySegment.ofArray(mine));
            }
            case OLD_CONTENT -> {
                Snapshot snapshot = null;
                for (Snapshot s : old.values()) {
                    boolean isOwn = domain.machine().owner[s.mfn()] == domain.id();
                    if (isOwn
                            && domain.table().reuse.get(s.mfn())
                            && domain.frame(s.mfn()).mismatch(MemorySegment.ofArray(s.bytes())) >= 0) {
                        snapshot = s;
                    }
                }
                if (snapshot == null) {
                    return;
                }
                domain.frame(snapshot.mfn()).copyFrom(MemorySegment.ofArray(snapshot.bytes()));
                old.remove(snapshot.mfn());
                hit(domain, kind, snapshot.mfn());
                return;
            }
            default -> throw new IllegalArgumentException(kind + " is no fault of memory");
        }
        hit(domain, kind, mfn);
    }

    private static boolean sameRecord(Domain domain, Hit hit) {
        MappingTable t = domain.table();
        return domain.machine().owner[hit.mfn()] == domain.id()
                && t.isKept(hit.mfn())
                && t.device[hit.mfn()] == hit.device()
                && t.block[hit.mfn()] == hit.block()
                && t.generation[hit.mfn()] == hit.generation();
    }

    /** Computes the checksum that a frame's record should have. */
    @FunctionalInterface
    interface Sum {
        long of(int mfn);
    }

    /**
     * With the guest off, counts the memory faults that can no longer be served as harmless; the rest must be found by
     * the next attach.
     */
    void judgeBeforeReboot(Domain domain, Sum sum) {
        synchronized (domain.machine()) {
            hits.removeIf(hit -> {
                boolean gone = !sameRecord(domain, hit)
                        || domain.table().checksum[hit.mfn()] == sum.of(hit.mfn());
                if (gone) {
                    count(hit.kind())[2]++;
                }
                return gone;
            });
        }
    }

    /**
     * After every survivor of a mapped file was validated: what is left must have been dropped.
     *
     * @return a fault that was not found, or null
     */
    @Nullable String judgeAfterReboot(Domain domain) {
        synchronized (domain.machine()) {
            List<Hit> unmapped = new ArrayList<>();
            for (Hit hit : hits) {
                Device device = domain.devices().get(hit.device());
                if (!sameRecord(domain, hit)) {
                    count(hit.kind())[1]++;
                } else if (device != null && !device.open) {
                    unmapped.add(hit); // nothing was asked of it yet
                } else {
                    return hit.toString();
                }
            }
            hits.clear();
            hits.addAll(unmapped);
            old.clear();
            return null;
        }
    }

    // ---- disks

    @Override
    public VirtualDisk.@Nullable Fault next(String operation, long position, long bytes) {
        for (Kind kind : List.of(Kind.DISK_FAILED, Kind.DISK_TORN, Kind.DISK_SHORT, Kind.DISK_MISDIRECTED)) {
            boolean isTransfer = bytes > VirtualDisk.SECTOR;
            if ((isTransfer || kind == Kind.DISK_FAILED) && happens(kind)) {
                int[] count = count(kind);
                count[0]++;
                // Each but a short transfer is an error that the guest sees at once.
                count[kind == Kind.DISK_SHORT ? 2 : 1]++;
                return switch (kind) {
                    case DISK_FAILED -> VirtualDisk.Fault.FAILED;
                    case DISK_TORN -> VirtualDisk.Fault.TORN;
                    case DISK_SHORT -> VirtualDisk.Fault.SHORT;
                    default -> VirtualDisk.Fault.MISDIRECTED;
                };
            }
        }
        return null;
    }
}
