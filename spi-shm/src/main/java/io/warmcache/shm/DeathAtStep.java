/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.invoke.MethodHandle;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;

/**
 * Kills its own process with SIGKILL at a step that a test asked for with {@code -Dwarmcache.shm.dieAtStep=N}, the N-th
 * step of all, or {@code NAME:N}, the N-th step of that name. Without the property there is no hook at all.
 */
final class DeathAtStep implements StepHook {
    private static final int SIGKILL = 9;

    private final @Nullable String name;
    private final AtomicLong left;
    private final MethodHandle kill;
    private final int pid = Math.toIntExact(ProcessHandle.current().pid());

    @SuppressWarnings("restricted")
    private DeathAtStep(@Nullable String name, long count) {
        this.name = name;
        left = new AtomicLong(count);
        Linker linker = Linker.nativeLinker();
        kill = linker.downcallHandle(
                linker.defaultLookup().find("kill").orElseThrow(),
                FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_INT));
    }

    /** What the property asks for; null, as ever, if nothing. */
    static @Nullable StepHook asked() {
        String asked = System.getProperty("warmcache.shm.dieAtStep", "");
        if (asked.isEmpty()) {
            return null;
        }
        int colon = asked.indexOf(':');
        return new DeathAtStep(
                colon < 0 ? null : asked.substring(0, colon), Long.parseLong(asked.substring(colon + 1)));
    }

    @Override
    public void at(String step) {
        if ((name == null || name.equals(step)) && left.decrementAndGet() == 0) {
            try {
                int result = (int) kill.invokeExact(pid, SIGKILL);
                throw new IllegalStateException("a process outlived its SIGKILL: " + result);
            } catch (RuntimeException | Error t) {
                throw t;
            } catch (Throwable t) {
                throw new IllegalStateException(t);
            }
        }
    }
}
