/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.DropReason;
import java.io.IOException;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * A guest that dies before each step of a workload. {@code -Dxen.crash=seed:step[:second]:drain|tear} runs one case
 * again, as a failure prints it; {@code -Dxen.full=true} takes a second crash at every step of every recovery instead
 * of some, and {@code -Dxen.operations} sets the length of the workload.
 */
class CrashPointTest {
    private static final int OPERATIONS = Integer.getInteger("xen.operations", 80);
    private static final boolean FULL = Boolean.getBoolean("xen.full");
    private static final int NEVER = Integer.MAX_VALUE;

    /** Kills the guest before a step, and leaves the request under way to the VMM or tears it down. */
    private static final class Killer implements StepHook {
        final boolean drain;
        final Map<String, Integer> names = new TreeMap<>();
        /** Each step with the virtual time. */
        final List<String> trace = new ArrayList<>();
        int left;
        int steps;

        Killer(int at, boolean drain) {
            left = at;
            this.drain = drain;
        }

        @Override
        public void before(Domain domain, String step) {
            steps++;
            trace.add(domain.machine().clock() + " " + step);
            names.merge(step, 1, Integer::sum);
            if (left-- == 0) {
                domain.crash("at " + step);
                if (!drain) {
                    throw new GuestCrash("at " + step);
                }
            }
        }
    }

    private static final class Totals {
        int runs;
        int crashes;
        int kept;
        int ballooned;
        int resized;
        int recoverySteps;
        final Map<DropReason, Integer> dropped = new EnumMap<>(DropReason.class);

        @Override
        public String toString() {
            return runs + " runs, " + crashes + " of them crashed, " + kept + " frames kept, dropped " + dropped + ", "
                    + ballooned + " frames ballooned";
        }
    }

    /** Steps of the workload, or of the recovery when a second crash is asked for. */
    private static Killer run(long seed, int at, int second, boolean drain, Totals totals) {
        return run(seed, at, second, drain, false, totals);
    }

    private static Killer run(long seed, int at, int second, boolean drain, boolean resizing, Totals totals) {
        Killer killer = new Killer(at, drain);
        try (Lab lab = resizing ? Lab.resizing(seed) : new Lab(seed)) {
            lab.machine.onStep(killer);
            boolean crashed = false;
            try {
                lab.open();
                for (int i = 0; i < OPERATIONS && lab.alive(); i++) {
                    if (resizing && i % 3 == 0) {
                        lab.resize();
                    }
                    lab.operation(i);
                }
            } catch (GuestCrash e) {
                crashed = true;
            } catch (Throwable t) {
                if (lab.alive()) {
                    throw t;
                }
                crashed = true;
            }
            lab.machine.onStep(null);
            totals.crashes += crashed || !lab.alive() ? 1 : 0;
            lab.domain().crash("the end of the workload");
            lab.powerCut(at);
            Killer again = new Killer(second, drain);
            lab.machine.onStep(again);
            try {
                lab.recover();
            } catch (GuestCrash e) {
                lab.machine.onStep(null);
                lab.powerCut(second);
                lab.recover();
            }
            lab.machine.onStep(null);
            totals.recoverySteps = again.steps;
            lab.useOn();
            totals.runs++;
            totals.kept += lab.kept;
            totals.ballooned += lab.ballooned;
            totals.resized += lab.resized;
            lab.dropped.forEach((reason, n) -> totals.dropped.merge(reason, n, Integer::sum));
        } catch (Throwable t) {
            throw new AssertionError("-Dxen.crash=" + seed + ":" + at + (second == NEVER ? "" : ":" + second) + ":"
                    + (drain ? "drain" : "tear") + (resizing ? " while its capacity changes" : "") + " fails: " + t, t);
        }
        return killer;
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void aCrashBeforeEveryStepServesNoWrongByte(boolean drain) {
        long seed = 77;
        Totals totals = new Totals();
        Killer whole = run(seed, NEVER, NEVER, drain, totals);
        System.out.println("seed " + seed + ": " + whole.steps + " steps " + whole.names);
        assertTrue(whole.steps >= 500, whole.steps + " steps");
        for (int at = 0; at <= whole.steps; at++) {
            run(seed, at, NEVER, drain, totals);
        }
        System.out.println((drain ? "requests drained: " : "requests torn down: ") + totals);
        assertTrue(totals.crashes >= whole.steps);
        assertTrue(totals.kept > totals.runs, "recovery kept frames");
        assertTrue(!totals.dropped.containsKey(DropReason.CHECKSUM), "nothing damaged a frame");
        assertTrue(totals.dropped.keySet().containsAll(Set.of(DropReason.DIRTY, DropReason.UNFORCED)));
        assertEquals(drain, !totals.dropped.containsKey(DropReason.FILLING), "a drained fill is complete");
    }

    /** Each step of {@code resize} and {@code move} is among them, and the recovery opens at another capacity. */
    @Test
    void aCrashBeforeEveryStepOfResizesServesNoWrongByte() {
        long seed = 79;
        Totals totals = new Totals();
        Killer whole = run(seed, NEVER, NEVER, false, true, totals);
        System.out.println("seed " + seed + ": " + whole.steps + " steps " + whole.names);
        assertTrue(
                whole.names.keySet().containsAll(Set.of("resize", "move", "decrease_reservation", "populate_physmap")),
                () -> whole.names.toString());
        Random random = new Random(seed);
        for (int at = 0; at <= whole.steps; at += FULL ? 1 : 1 + random.nextInt(3)) {
            run(seed, at, random.nextInt(4) == 0 ? random.nextInt(100) : NEVER, random.nextBoolean(), true, totals);
        }
        System.out.println(totals + ", " + totals.resized + " changes of capacity");
        assertTrue(totals.kept > totals.runs, "recovery kept frames");
        assertTrue(!totals.dropped.containsKey(DropReason.CHECKSUM), "nothing damaged a frame");
    }

    @Test
    void aSecondCrashDuringRecoveryServesNoWrongByte() {
        long seed = 78;
        System.out.println("seed " + seed + (FULL ? ", every step of every recovery" : ", some"));
        Totals totals = new Totals();
        Random random = new Random(seed);
        int steps = run(seed, NEVER, NEVER, false, totals).steps;
        for (int at = 0; at <= steps; at += FULL ? 1 : 5) {
            boolean drain = random.nextBoolean();
            run(seed, at, NEVER, drain, totals);
            int recovery = totals.recoverySteps;
            assertTrue(recovery > 5, "recovery has " + recovery + " steps");
            for (int second = FULL ? 0 : random.nextInt(recovery); second < recovery; second += FULL ? 1 : 60) {
                run(seed, at, second, drain, totals);
            }
        }
        System.out.println(totals);
    }

    @Test
    void randomSeedsAndStepsServeNoWrongByte() {
        String one = System.getProperty("xen.crash");
        Totals totals = new Totals();
        if (one != null) {
            String[] parts = one.split(":", -1);
            int second = parts.length > 3 ? Integer.parseInt(parts[2]) : NEVER;
            run(Long.parseLong(parts[0]), Integer.parseInt(parts[1]), second, one.endsWith("drain"), totals);
            return;
        }
        long base = Long.getLong("xen.seed", 1000);
        System.out.println("seeds from " + base);
        for (long seed = base; seed < base + Integer.getInteger("xen.runs", 100); seed++) {
            Random random = new Random(seed);
            run(seed, random.nextInt(900), random.nextBoolean() ? random.nextInt(150) : NEVER, random.nextBoolean(),
                    totals);
        }
        System.out.println(totals);
    }

    @Test
    void theSameSeedTakesTheSameSteps() throws IOException {
        Totals totals = new Totals();
        Killer one = run(5, NEVER, NEVER, false, totals);
        Killer other = run(5, NEVER, NEVER, false, totals);
        assertEquals(one.trace, other.trace);
    }
}
