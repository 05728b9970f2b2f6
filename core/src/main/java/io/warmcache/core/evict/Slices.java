/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core.evict;

import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;

/** Work over a range of numbers, split between the caller and threads that end with it. */
final class Slices {
    /** Fewer numbers are not worth a thread. */
    private static final int LEAST = 1 << 18;

    /** What is done for one slice; no two run for the same. */
    @FunctionalInterface
    interface Work {
        void run(int slice, int from, int to);
    }

    private Slices() {}

    /** How many slices are worth while for so many numbers. */
    static int worth(int count) {
        return Math.clamp(count / LEAST, 1, Runtime.getRuntime().availableProcessors());
    }

    /**
     * Runs {@code work} for each of {@code slices} parts of 0 to {@code count}, and returns when all have ended.
     * Where no thread can be had, the caller does it all.
     */
    static void run(int count, int slices, Work work) {
        AtomicInteger next = new AtomicInteger();
        Throwable[] failures = new Throwable[slices];
        Runnable all = () -> {
            for (int i = next.getAndIncrement(); i < slices; i = next.getAndIncrement()) {
                try {
                    work.run(i, (int) ((long) count * i / slices), (int) ((long) count * (i + 1) / slices));
                } catch (Throwable t) {
                    failures[i] = t;
                }
            }
        };
        @Nullable Thread[] helpers = new @Nullable Thread[slices - 1];
        for (int i = 0; i < helpers.length; i++) {
            Thread helper = new Thread(all, "warmcache-policy-" + i);
            helper.setDaemon(true);
            try {
                helper.start();
            } catch (OutOfMemoryError e) {
                break; // no thread to be had
            }
            helpers[i] = helper;
        }
        all.run();
        boolean interrupted = false;
        for (Thread helper : helpers) {
            while (helper != null) {
                try {
                    helper.join();
                    break;
                } catch (InterruptedException e) {
                    interrupted = true;
                }
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
        for (Throwable failure : failures) {
            if (failure instanceof RuntimeException e) {
                throw e;
            } else if (failure instanceof Error e) {
                throw e;
            }
        }
    }
}
