/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import io.warmcache.DropReason;
import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.junit.jupiter.api.Test;
import org.jspecify.annotations.Nullable;

/**
 * Breaks the rules one at a time, those that this back end keeps and those of the core that a life in the simulator can
 * show, and prints how each break is caught: by a wrong byte, by the VMM's own recount, or by frames dropped for their
 * checksum in a run in which nothing damages memory. The core's {@code MutationTableTest} breaks all of the core's.
 */
class MutationTableTest {
    private static final int MOST_RUNS = 60;
    private static final long SEED = 9000;

    /** Names of the core's switches, which are not this package's to see. */
    private static final List<String> CORE = List.of(
            "CHECKSUM_NOT_COMPARED",
            "STORE_CHANGE_IGNORED",
            "NO_FREE_ON_EVICT",
            "REFILL_OF_UNFORCED_IS_CLEAN");

    /** How a broken rule is caught, or null if it is not. */
    private static @Nullable String caught(long seed, Mutation... broken) throws Exception {
        try {
            FaultInjectionTest.Result quiet = FaultInjectionTest.run(seed, false, broken);
            for (DropReason reason : List.of(DropReason.CHECKSUM, DropReason.DUPLICATE, DropReason.DIFFERS)) {
                if (quiet.dropped.containsKey(reason)) {
                    return "frames dropped for " + reason + " though nothing damaged them";
                }
            }
            FaultInjectionTest.run(seed, true, broken);
            return null;
        } catch (AssertionError e) {
            return String.valueOf(e.getCause()).lines().findFirst().orElse("").replaceFirst("^.*?: ", "");
        }
    }

    private static void breakCore(@Nullable String rule) throws ReflectiveOperationException {
        Class<?> mutation = Class.forName("io.warmcache.core.Mutation");
        Method turnOn = mutation.getDeclaredMethod("turnOn", mutation);
        turnOn.setAccessible(true);
        Method valueOf = mutation.getDeclaredMethod("valueOf", String.class);
        valueOf.setAccessible(true);
        turnOn.invoke(null, rule == null ? null : valueOf.invoke(null, rule));
    }

    private static boolean isCaught(String whose, String rule, Mutation... broken) throws Exception {
        String how = null;
        int runs = 0;
        while (how == null && runs < MOST_RUNS) {
            how = caught(SEED + runs++, broken);
        }
        System.out.printf(
                Locale.ROOT, "%-6s%-34s%6d  %s%n", whose, rule, runs, how == null ? "NOT CAUGHT" : how);
        return how != null;
    }

    @Test
    void everyBrokenRuleIsCaught() throws Exception {
        int control = 15;
        for (int i = 0; i < control; i++) {
            assertNull(caught(SEED + i), "with no rule broken");
        }
        System.out.printf(Locale.ROOT, "%-40s%6s  %s%n", "broken rule", "runs", "caught by");
        System.out.printf(Locale.ROOT, "%-40s%6d  %s%n", "(none)", control, "-");
        List<String> missed = new ArrayList<>();
        for (Mutation rule : Mutation.values()) {
            if (!isCaught("xen", rule.name(), rule)) {
                missed.add(rule.name());
            }
        }
        try {
            for (String rule : CORE) {
                breakCore(rule);
                if (!isCaught("core", rule)) {
                    missed.add(rule);
                }
            }
        } finally {
            breakCore(null);
        }
        assertEquals(List.of(), missed, "not caught in " + MOST_RUNS + " runs");
        System.out.println(Mutation.values().length + CORE.size() + " broken rules caught in the simulator");
    }
}
