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
public final class FaultInjector implements VirtualDisk.FaultPlan, StepHook {
    /** When a fault may come. */
    public enum Occasion {
        /** While the guest runs: {@link #strike}. */
        RUNNING,
        /** While the guest is off: {@link #decay}. */
        OFF,
        /** At a transfer of a disk: {@link #next}. */
        TRANSFER,
        /** Before a hypercall or a step of a block request: {@link #before}. */
        STEP
    }

    /** What may go wrong. */
    public enum Kind {
        /** 1 to 64 bits of a frame turn over. */
        BIT_FLIPS(Occasion.RUNNING),
        /** A store of 8 bytes to a place that is not the writer's. */
        RANDOM_STORE(Occasion.RUNNING),
        /** A store of one byte just past the end of somebody's page. */
        OFF_BY_ONE(Occasion.RUNNING),
        /** A copy that runs on: half of them by 1 byte, 44 % by 2 to 1,024, 6 % by 2 to 4 KiB. */
        COPY_OVERRUN(Occasion.RUNNING),
        /** Two frames hold each other's bytes. */
        FRAME_SWAP(Occasion.RUNNING),
        /** A frame that is in use is filled by somebody who takes it for free. */
        PREMATURE_FREE(Occasion.RUNNING),
        /** A writer that did not latch the page, and so took no write fault. */
        ELIDED_LATCH(Occasion.RUNNING),
        /** A frame holds again what it held under an earlier record. */
        OLD_CONTENT(Occasion.RUNNING),
        /** A record that nobody wrote, in any state. */
        UNINITIALISED_RECORD(Occasion.OFF),
        /** A record names another block than the one its frame holds. */
        WRONG_KEY(Occasion.OFF),
        /** One bit turns over. */
        BIT_DECAY(Occasion.OFF),
        /** A transfer fails. */
        DISK_FAILED(Occasion.TRANSFER),
        /** A transfer fails half-way. */
        DISK_TORN(Occasion.TRANSFER),
        /** A transfer moves less than was asked for. */
        DISK_SHORT(Occasion.TRANSFER),
        /** A transfer goes to another block. */
        DISK_MISDIRECTED(Occasion.TRANSFER),
        /** A write is taken and lost, which the next force says. */
        DISK_LOST(Occasion.TRANSFER),
        /** The guest dies at a step; its request under way is drained or torn down, by the seed. */
        GUEST_CRASH(Occasion.STEP);

        private final Occasion occasion;

        Kind(Occasion occasion) {
            this.occasion = occasion;
        }

        /** When it may come. */
        public Occasion occasion() {
            return occasion;
        }
    }

    private static final List<FrameState> STATES = List.of(FrameState.values());

    private record Hit(Kind kind, int mfn, long device, long block, int generation) {}

    @SuppressWarnings("ArrayRecordComponent") // never compared
    private record Snapshot(int mfn, byte[] bytes) {}

    private final Random random;
    private final Map<Kind, Double> rates = new EnumMap<>(Kind.class);
    private final Map<Kind, int[]> counts = new EnumMap<>(Kind.class);
    private final List<Hit> hits = new ArrayList<>();
    private final Map<Integer, Snapshot> old = new HashMap<>();
    /** Whose requests reach the disks. */
    private @Nullable Domain guest;
    /** Where the rest of a short transfer ends, or -1: only a caller that noticed asks for it. */
    private long shortEnd = -1;
    /** Writes lost since the last force of a disk. */
    private int lostWrites;

    /** An injector that does nothing yet. */
    public FaultInjector(long seed) {
        random = new Random(seed);
    }

    /**
     * Sets how likely a fault is at each opportunity: a call of {@link #strike} or {@link #decay}, a transfer,
     * or a step.
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

    /**
     * How many were gone before anybody could be served: the frame was given up, filled again or changed back, the
     * record was of a frame that is not kept anyway, the transfer was that of a dead guest.
     */
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
                if (kind.occasion() == Occasion.RUNNING && happens(kind)) {
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

    /** Strikes the memory of a guest that is off, and the records kept of it. */
    public void decay(Domain domain) {
        synchronized (domain.machine()) {
            int blocks = domain.pageSize / Machine.FRAME_SIZE;
            if (happens(Kind.BIT_DECAY)) {
                int mfn = domain.p2m(random.nextInt(domain.pages()));
                if (mfn >= 0) {
                    flip(domain.frame(mfn), 1);
                    hit(domain, Kind.BIT_DECAY, mfn);
                }
            }
            if (happens(Kind.WRONG_KEY)) {
                rename(domain, random.nextInt(domain.pages() / blocks) * blocks, blocks, random.nextInt(8));
            }
            if (happens(Kind.UNINITIALISED_RECORD)) {
                invent(domain, random.nextInt(domain.pages() / blocks) * blocks, blocks);
            }
        }
    }

    private static boolean hasMemory(Domain domain, int pfn, int blocks) {
        for (int b = 0; b < blocks; b++) {
            if (domain.p2m(pfn + b) < 0) {
                return false;
            }
        }
        return true;
    }

    private void rename(Domain domain, int pfn, int blocks, long page) {
        MappingTable table = domain.table();
        if (!hasMemory(domain, pfn, blocks) || page == table.block[domain.p2m(pfn)] / blocks) {
            return;
        }
        for (int b = 0; b < blocks; b++) {
            table.block[domain.p2m(pfn + b)] = page * blocks + b;
        }
        hit(domain, Kind.WRONG_KEY, domain.p2m(pfn));
    }

    private void invent(Domain domain, int pfn, int blocks) {
        int device = 1 + random.nextInt(3);
        int page = random.nextInt(30);
        int generation = random.nextInt(100);
        FrameState state = STATES.get(random.nextInt(STATES.size()));
        if (!hasMemory(domain, pfn, blocks)) {
            return;
        }
        MappingTable table = domain.table();
        for (int b = 0; b < blocks; b++) {
            int mfn = domain.p2m(pfn + b);
            table.device[mfn] = device;
            table.block[mfn] = (long) page * blocks + b;
            table.generation[mfn] = generation;
            table.checksum[mfn] = random.nextLong();
            table.state(mfn, state);
            if (table.reuse.get(mfn)) {
                domain.protect(mfn);
            } else {
                domain.writable(mfn);
            }
        }
        hit(domain, Kind.UNINITIALISED_RECORD, domain.p2m(pfn));
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

    /** Says whose requests reach the disks from now on; what is then pending of an earlier one is harmless. */
    public void serve(Domain domain) {
        guest = domain;
        powerCut();
    }

    /** The disks have lost their write caches: a write lost before is as good as one lost now. */
    public void powerCut() {
        endShort(false);
        count(Kind.DISK_LOST)[2] += lostWrites;
        lostWrites = 0;
    }

    private void endShort(boolean noticed) {
        if (shortEnd >= 0) {
            count(Kind.DISK_SHORT)[noticed ? 1 : 2]++;
            shortEnd = -1;
        }
    }

    @Override
    public VirtualDisk.@Nullable Fault next(String operation, long position, long bytes) {
        Domain domain = guest;
        boolean isServed = domain == null || domain.state() == Domain.State.RUNNING;
        endShort(isServed && position + bytes == shortEnd);
        if (operation.equals("force") && lostWrites > 0) {
            // The disk says so itself now.
            count(Kind.DISK_LOST)[isServed ? 1 : 2] += lostWrites;
            lostWrites = 0;
            return null;
        }
        for (Kind kind : Kind.values()) {
            if (kind.occasion() == Occasion.TRANSFER && isPossible(kind, operation, bytes) && happens(kind)) {
                count(kind)[0]++;
                switch (kind) {
                    case DISK_SHORT -> shortEnd = position + bytes;
                    case DISK_LOST -> lostWrites++;
                    default -> count(kind)[isServed ? 1 : 2]++; // an error, which the guest is told if it lives
                }
                return switch (kind) {
                    case DISK_FAILED -> VirtualDisk.Fault.FAILED;
                    case DISK_TORN -> VirtualDisk.Fault.TORN;
                    case DISK_SHORT -> VirtualDisk.Fault.SHORT;
                    case DISK_LOST -> VirtualDisk.Fault.LOST;
                    default -> VirtualDisk.Fault.MISDIRECTED;
                };
            }
        }
        return null;
    }

    private static boolean isPossible(Kind kind, String operation, long bytes) {
        return switch (kind) {
            case DISK_FAILED -> true;
            case DISK_LOST -> operation.equals("write");
            default -> bytes > VirtualDisk.SECTOR;
        };
    }

    // ---- the guest

    @Override
    public void before(Domain domain, String step) {
        if (domain.state() == Domain.State.RUNNING && happens(Kind.GUEST_CRASH)) {
            count(Kind.GUEST_CRASH)[0]++;
            boolean isTorn = random.nextBoolean();
            domain.crash("at " + step);
            if (isTorn) {
                throw new GuestCrash("at " + step);
            }
        }
    }

    /** Says what became of a crash: the next attach found something that was under way and dropped it, or nothing. */
    void judgeCrash(boolean isDetected) {
        count(Kind.GUEST_CRASH)[isDetected ? 1 : 2]++;
    }
}
