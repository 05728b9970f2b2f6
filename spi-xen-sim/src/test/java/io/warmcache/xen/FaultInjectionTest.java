/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import io.warmcache.DropReason;
import io.warmcache.xen.FaultInjector.Kind;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;

/**
 * Runs with every fault on, and the rules of the protocol broken one at a time. {@code -Dxen.faults} sets how many
 * runs, {@code -Dxen.seed} where their seeds begin.
 */
class FaultInjectionTest {
    private static final int RUNS = Integer.getInteger("xen.faults", 300);

    /** What a run found, beyond the faults' own counts. */
    private static final class Result {
        int crashes;
        int changed;
        int changesFound;
        int lostSectors;
        final Map<DropReason, Integer> dropped = new EnumMap<>(DropReason.class);
    }

    private static FaultInjector injector(long seed) {
        FaultInjector faults = new FaultInjector(seed);
        for (Kind kind : Kind.values()) {
            boolean isOff = Set.of(Kind.BIT_DECAY, Kind.UNINITIALISED_RECORD, Kind.WRONG_KEY).contains(kind);
            boolean isDisk = kind.compareTo(Kind.DISK_FAILED) >= 0;
            faults.rate(kind, isDisk ? 0.004 : isOff ? 0.4 : 0.02);
        }
        return faults.rate(Kind.OLD_CONTENT, 0.15);
    }

    /**
     * Three lives of a guest: operations, faults, a crash at a random step, a disk changed meanwhile now and then.
     *
     * @param faults null for none but crashes
     */
    private static Result run(long seed, FaultInjector faults, Mutation... broken) throws Exception {
        Result result = new Result();
        Random random = new Random(seed);
        try (Lab lab = new Lab(seed, true)) {
            lab.model = false;
            lab.machine.mutate(broken);
            lab.open();
            for (int life = 0; life < 3; life++) {
                for (VirtualDisk disk : lab.disks) {
                    disk.faults(faults);
                }
                int[] left = {random.nextInt(250)};
                boolean drain = random.nextBoolean();
                lab.machine.onStep((domain, step) -> {
                    if (left[0]-- == 0) {
                        domain.crash("at " + step);
                        if (!drain) {
                            throw new GuestCrash("at " + step);
                        }
                    }
                });
                for (int i = 0; i < 60 && lab.alive(); i++) {
                    // Restarts are this test's own business.
                    boolean restarts = i % 16 == 15;
                    lab.tryOperation(restarts ? 0 : i);
                    if (faults != null && lab.alive()) {
                        faults.strike(lab.domain());
                    }
                }
                lab.machine.onStep(null);
                lab.domain().crash("the end of this life");
                result.crashes++;
                for (VirtualDisk disk : lab.disks) {
                    disk.faults(null);
                }
                lab.powerCut(random.nextLong());
                boolean changed = faults != null && random.nextInt(4) == 0 && lab.disks[0].size() > 5000;
                if (changed) {
                    result.changed++;
                    lab.disks[0].changeElsewhere(random.nextInt(4000), new byte[] {1, 2, 3, 4, 5, 6, 7, 8});
                    lab.refresh();
                }
                if (faults != null) {
                    faults.decay(lab.domain());
                    faults.judgeBeforeReboot(lab.domain(), mfn -> lab.sum(mfn));
                }
                lab.open();
                if (faults != null) {
                    String missed = faults.judgeAfterReboot(lab.domain());
                    if (missed != null) {
                        throw new Lab.WrongByte("not found: " + missed);
                    }
                }
                if (changed && lab.cache.recovery().files().toString().contains("CHANGED")) {
                    result.changesFound++;
                }
                lab.compare();
                lab.cache.recovery().dropped().forEach((reason, n) -> result.dropped.merge(reason, n, Integer::sum));
                lab.machine.check();
            }
            for (VirtualDisk disk : lab.disks) {
                result.lostSectors += disk.lostSectors();
            }
        } catch (Throwable t) {
            throw new AssertionError("-Dxen.faults=1 -Dxen.seed=" + seed + " fails: " + t, t);
        }
        return result;
    }

    @Test
    void noFaultIsServedAfterAttach() throws Exception {
        long base = Long.getLong("xen.seed", 5000);
        System.out.println("seeds from " + base);
        Map<Kind, int[]> table = new EnumMap<>(Kind.class);
        Result all = new Result();
        for (long seed = base; seed < base + RUNS; seed++) {
            FaultInjector faults = injector(seed);
            Result one = run(seed, faults);
            for (Kind kind : Kind.values()) {
                int[] sum = table.computeIfAbsent(kind, k -> new int[3]);
                sum[0] += faults.injected(kind);
                sum[1] += faults.detected(kind);
                sum[2] += faults.harmless(kind);
            }
            all.crashes += one.crashes;
            all.changed += one.changed;
            all.changesFound += one.changesFound;
            all.lostSectors += one.lostSectors;
            one.dropped.forEach((reason, n) -> all.dropped.merge(reason, n, Integer::sum));
        }
        System.out.printf(Locale.ROOT, "%d runs, 0 wrong bytes%n%-22s%10s%10s%10s%n", RUNS, "fault", "injected",
                "detected", "harmless");
        table.forEach((kind, n) -> System.out.printf(
                Locale.ROOT, "%-22s%10d%10d%10d%n", kind, n[0], n[1], n[2]));
        System.out.printf(Locale.ROOT, "%-22s%10d%10d%n", "GUEST_CRASH", all.crashes, all.crashes);
        System.out.printf(Locale.ROOT, "%-22s%10d%10d%n", "DISK_CHANGED", all.changed, all.changesFound);
        System.out.printf(Locale.ROOT, "%-22s%10d sectors, %d frames dropped UNFORCED%n", "DISK_LOST",
                all.lostSectors, all.dropped.getOrDefault(DropReason.UNFORCED, 0));
        System.out.println("dropped " + all.dropped);
        if (RUNS >= 100) {
            table.forEach((kind, n) -> {
                assertTrue(n[0] > 0, kind + " was injected");
                assertTrue(n[1] > 0 || kind == Kind.DISK_SHORT, kind + " was detected");
                assertTrue(n[2] > 0 || kind.compareTo(Kind.UNINITIALISED_RECORD) >= 0, kind + " was harmless");
            });
            assertTrue(all.lostSectors > 0);
        }
        assertTrue(all.changed == all.changesFound, "every change of a disk was found");
    }

    /** How a broken rule is caught, or null if it is not. */
    private static String caught(Mutation rule, long seed) throws Exception {
        Mutation[] broken = rule == null ? new Mutation[0] : new Mutation[] {rule};
        try {
            Result quiet = run(seed, null, broken);
            for (DropReason reason : List.of(DropReason.CHECKSUM, DropReason.DUPLICATE, DropReason.DIFFERS)) {
                if (quiet.dropped.containsKey(reason)) {
                    return "frames dropped for " + reason + " though nothing damaged them";
                }
            }
            run(seed, injector(seed), broken);
            return null;
        } catch (AssertionError e) {
            return String.valueOf(e.getCause()).lines().findFirst().orElse("").replaceFirst("^.*?: ", "");
        }
    }

    @Test
    void everyBrokenRuleIsCaught() throws Exception {
        long base = 9000;
        int most = 60;
        for (int i = 0; i < 20; i++) {
            String control = caught(null, base + i);
            assertTrue(control == null, "with no rule broken: " + control);
        }
        System.out.printf(Locale.ROOT, "%-34s%6s  %s%n", "broken rule", "runs", "caught by");
        System.out.printf(Locale.ROOT, "%-34s%6d  %s%n", "(none)", 20, "-");
        List<Mutation> missed = new ArrayList<>();
        for (Mutation rule : Mutation.values()) {
            String how = null;
            int runs = 0;
            while (how == null && runs < most) {
                how = caught(rule, base + runs++);
            }
            System.out.printf(Locale.ROOT, "%-34s%6d  %s%n", rule, runs, how == null ? "NOT CAUGHT" : how);
            if (how == null) {
                missed.add(rule);
            }
        }
        if (!missed.isEmpty()) {
            fail("not caught in " + most + " runs: " + missed);
        }
    }
}
