/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/** Runs guests by turns on the calling thread; the seed draws whose turn it is. */
public final class Scheduler {
    /** A guest's program. */
    @FunctionalInterface
    public interface Task {
        /** Does a piece of work; returns whether there is more. */
        boolean turn() throws IOException;
    }

    private final Random random;
    private final List<Task> tasks = new ArrayList<>();

    /** A scheduler without tasks. */
    public Scheduler(long seed) {
        random = new Random(seed);
    }

    /** Adds a task. */
    public void add(Task task) {
        tasks.add(task);
    }

    /** Runs until every task is done; a task that dies by {@link GuestCrash} is done. */
    public void run() throws IOException {
        while (!tasks.isEmpty()) {
            int chosen = random.nextInt(tasks.size());
            boolean more;
            try {
                more = tasks.get(chosen).turn();
            } catch (GuestCrash e) {
                more = false;
            }
            if (!more) {
                tasks.remove(chosen);
            }
        }
    }
}
