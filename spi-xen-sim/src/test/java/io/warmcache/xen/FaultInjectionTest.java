/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.DropReason;
import io.warmcache.xen.FaultInjector.Kind;
import io.warmcache.xen.FaultInjector.Occasion;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;

/**
 * Runs with every fault on. {@code -Dxen.faults} sets how many runs, {@code -Dxen.seed} where their seeds begin: a
 * failure prints the two that replay it.
 */
class FaultInjectionTest {
    private static final int RUNS = Integer.getInteger("xen.faults", 300);

    /** Why frames are dropped that something was being done to. */
    private static final Set<DropReason> UNDER_WAY =
            Set.of(DropReason.FILLING, DropReason.DIRTY, DropReason.UNFORCED, DropReason.RECORD_DAMAGED);

    /** A fault that is the test's own to inject, or that a power cut is: injected, detected, harmless. */
    private static final String DISK_CHANGED = "DISK_CHANGED";

    private static final String DISK_CACHE_LOST = "DISK_CACHE_LOST";

    /** What a run found. */
    static final class Result {
        final Map<String, int[]> faults = new TreeMap<>();
        final Map<DropReason, Integer> dropped = new EnumMap<>(DropReason.class);
        int lives;

        void count(String fault, int injected, int detected, int harmless) {
            int[] sum = faults.computeIfAbsent(fault, f -> new int[3]);
            sum[0] += injected;
            sum[1] += detected;
            sum[2] += harmless;
        }

        void add(Result one) {
            one.faults.forEach((fault, n) -> count(fault, n[0], n[1], n[2]));
            one.dropped.forEach((reason, n) -> dropped.merge(reason, n, Integer::sum));
            lives += one.lives;
        }
    }

    private static FaultInjector injector(long seed) {
        FaultInjector faults = new FaultInjector(seed);
        for (Kind kind : Kind.values()) {
            faults.rate(
                    kind,
                    switch (kind.occasion()) {
                        case RUNNING -> kind == Kind.OLD_CONTENT ? 0.15 : 0.02;
                        case OFF -> 0.5;
                        case TRANSFER -> 0.004;
                        case STEP -> 0.006;
                    });
        }
        return faults;
    }

    /** Nobody is told of the transfers of a dead guest's drained request, so more of them may fail. */
    private static void transfers(FaultInjector faults, double rate) {
        for (Kind kind : Kind.values()) {
            if (kind.occasion() == Occasion.TRANSFER) {
                faults.rate(kind, rate);
            }
        }
    }

    private static FaultInjector none(long seed) {
        return new FaultInjector(seed).rate(Kind.GUEST_CRASH, 0.006);
    }

    /**
     * Three lives of a guest: operations, faults, a crash at some step, a disk changed meanwhile now and then.
     *
     * @param faulty whether anything fails but the guest
     */
    static Result run(long seed, boolean faulty, Mutation... broken) throws Exception {
        Result result = new Result();
        Random random = new Random(seed);
        FaultInjector faults = faulty ? injector(seed) : none(seed);
        int[] step = {0};
        try (Lab lab = new Lab(seed, true)) {
            lab.model = false;
            lab.machine.mutate(broken);
            lab.open();
            for (int life = 0; life < 3; life++) {
                result.lives++;
                live(lab, faults, faulty, step);
                powerCut(lab, random.nextLong(), faults, result);
                boolean changed = faulty && random.nextInt(4) == 0 && lab.disks[0].size() > 5000;
                if (changed) {
                    lab.disks[0].changeElsewhere(random.nextInt(4000), new byte[] {1, 2, 3, 4, 5, 6, 7, 8});
                    lab.refresh();
                }
                boolean crashed = faults.injected(Kind.GUEST_CRASH)
                        > faults.detected(Kind.GUEST_CRASH) + faults.harmless(Kind.GUEST_CRASH);
                faults.decay(lab.domain());
                faults.judgeBeforeReboot(lab.domain(), mfn -> lab.sum(mfn));
                lab.open();
                var recovery = lab.cache.recovery();
                String missed = faults.judgeAfterReboot(lab.domain());
                if (missed != null) {
                    throw new Lab.WrongByte("not found: " + missed);
                }
                if (crashed) {
                    faults.judgeCrash(recovery.dropped().keySet().stream().anyMatch(UNDER_WAY::contains));
                }
                if (changed) {
                    var file = recovery.files().get(0);
                    boolean found = file.verdict().contains("CHANGED");
                    result.count(DISK_CHANGED, 1, found && file.found() > 0 ? 1 : 0, file.found() == 0 ? 1 : 0);
                }
                lab.compare();
                recovery.dropped().forEach((reason, n) -> result.dropped.merge(reason, n, Integer::sum));
                lab.machine.check();
            }
        } catch (Throwable t) {
            throw new AssertionError(
                    "-Dxen.faults=1 -Dxen.seed=" + seed + " fails after step " + step[0] + ": " + t, t);
        }
        for (Kind kind : Kind.values()) {
            result.count(kind.name(), faults.injected(kind), faults.detected(kind), faults.harmless(kind));
        }
        return result;
    }

    /** One life, up to a crash or the end of its operations, which is one. */
    private static void live(Lab lab, FaultInjector faults, boolean faulty, int[] step) throws Exception {
        faults.serve(lab.domain());
        if (faulty) {
            transfers(faults, 0.004);
        }
        for (VirtualDisk disk : lab.disks) {
            disk.faults(faults);
        }
        lab.machine.onStep((domain, name) -> {
            step[0]++;
            faults.before(domain, name);
            if (faulty && domain.state() != Domain.State.RUNNING) {
                transfers(faults, 0.15);
            }
        });
        for (int i = 0; i < 60 && lab.alive(); i++) {
            // Restarts are this test's own business.
            lab.tryOperation(i % 16 == 15 ? 0 : i);
            if (lab.alive()) {
                faults.strike(lab.domain());
            }
        }
        lab.machine.onStep(null);
        lab.domain().crash("the end of this life");
        for (VirtualDisk disk : lab.disks) {
            disk.faults(null);
        }
    }

    /** Disks lose what was not forced; blocks of it that are in memory must not be taken for what the disk has. */
    private static void powerCut(Lab lab, long seed, FaultInjector faults, Result result) {
        byte[][] before = {lab.disks[0].content(), lab.disks[1].content()};
        lab.powerCut(seed);
        faults.powerCut();
        for (int i = 0; i < before.length; i++) {
            byte[] after = lab.disks[i].content();
            for (int at = 0; at < after.length; at += Machine.FRAME_SIZE) {
                int end = Math.min(after.length, at + Machine.FRAME_SIZE);
                if (!Arrays.equals(before[i], at, end, after, at, end)) {
                    boolean inMemory = lab.isReusable(i, at / Machine.FRAME_SIZE);
                    result.count(DISK_CACHE_LOST, 1, inMemory ? 1 : 0, inMemory ? 0 : 1);
                }
            }
        }
    }

    @Test
    void noFaultIsServedAfterAttach() throws Exception {
        long base = Long.getLong("xen.seed", 5000);
        System.out.println("seeds from " + base);
        Result all = new Result();
        for (long seed = base; seed < base + RUNS; seed++) {
            all.add(run(seed, true));
        }
        System.out.printf(
                Locale.ROOT,
                "%d runs, %d lives, 0 wrong bytes%n%-22s%10s%10s%10s%n",
                RUNS,
                all.lives,
                "fault",
                "injected",
                "detected",
                "harmless");
        all.faults.forEach((fault, n) -> System.out.printf(
                Locale.ROOT, "%-22s%10d%10d%10d%n", fault, n[0], n[1], n[2]));
        System.out.println("frames dropped " + all.dropped);
        if (RUNS >= 100) {
            all.faults.forEach((fault, n) -> {
                assertTrue(n[0] > 0, fault + " was injected");
                assertTrue(n[1] > 0, fault + " was detected");
                assertTrue(n[2] > 0, fault + " was harmless");
            });
        }
        int[] changes = all.faults.getOrDefault(DISK_CHANGED, new int[3]);
        assertEquals(changes[0], changes[1] + changes[2], "every change of a disk was found");
    }
}
