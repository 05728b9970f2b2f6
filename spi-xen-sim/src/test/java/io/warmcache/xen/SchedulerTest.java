/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.xen.FaultInjector.Kind;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Several guests on one machine, by turns that the seed draws, dying at steps that the seed draws. */
class SchedulerTest {
    private static final int GUESTS = 3;

    /** One guest's program: operations, and a reboot whenever it has died. */
    private static final class Program implements Scheduler.Task {
        final Lab lab;
        private int operations;
        private int power;

        Program(Lab lab) {
            this.lab = lab;
        }

        @Override
        public boolean turn() throws java.io.IOException {
            try {
                if (lab.domain() == null) {
                    lab.open();
                } else if (lab.alive()) {
                    lab.operation(operations++);
                } else {
                    lab.restart(power++);
                }
            } catch (GuestCrash e) {
                assertTrue(!lab.alive(), "a guest that runs is not refused");
            } catch (Throwable t) {
                if (lab.alive()) {
                    throw t;
                }
            }
            return operations < 60;
        }
    }

    /** Every step of every guest, with the virtual time. */
    private static List<String> trace(long seed) throws Exception {
        List<String> trace = new ArrayList<>();
        try (Machine machine = Machine.create("scheduled" + seed, GUESTS * 4 * Lab.FRAMES, seed)) {
            FaultInjector crashes = new FaultInjector(seed).rate(Kind.GUEST_CRASH, 0.003);
            machine.onStep((domain, step) -> {
                trace.add(machine.clock() + " " + domain.name() + " " + step);
                crashes.before(domain, step);
            });
            Scheduler scheduler = new Scheduler(seed);
            List<Program> programs = new ArrayList<>();
            for (int i = 0; i < GUESTS; i++) {
                Program program = new Program(new Lab(machine, "guest" + i, seed + i, false));
                programs.add(program);
                scheduler.add(program);
            }
            scheduler.run();
            machine.onStep(null);
            for (Program program : programs) {
                if (!program.lab.alive()) {
                    program.lab.restart(seed);
                }
                program.lab.useOn();
            }
            assertTrue(crashes.injected(Kind.GUEST_CRASH) > 0, "guests died");
            assertTrue(machine.clock() >= trace.size(), "each step takes virtual time");
        }
        return trace;
    }

    @Test
    void theSameSeedGivesTheSameStepsAtTheSameTimes() throws Exception {
        List<String> first = trace(11);
        assertEquals(first, trace(11));
        assertNotEquals(first, trace(12));
        int turns = 0;
        for (int i = 1; i < first.size(); i++) {
            turns += guest(first.get(i)).equals(guest(first.get(i - 1))) ? 0 : 1;
        }
        System.out.println("seed 11: " + first.size() + " steps of " + GUESTS + " guests, " + turns + " turns");
        assertTrue(turns > 60, turns + " turns");
    }

    private static String guest(String line) {
        return line.split(" ", -1)[1];
    }
}
