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
     * Runs {@code work} for each of {@code slices} parts of 0 to {@code count}, and returns, also with an exception,
     * when all have ended. Where no thread can be had, the caller does it all.
     */
    static void run(int count, int slices, Work work) {
        run(count, slices, work, Slices::daemon);
    }

    /** Makes a thread that is not started yet. */
    @FunctionalInterface
    interface ThreadMaker {
        Thread make(Runnable task);
    }

    private static Thread daemon(Runnable task) {
        Thread thread = new Thread(task, "warmcache-policy");
        thread.setDaemon(true);
        return thread;
    }

    /** As above, with threads of another making. */
    static void run(int count, int slices, Work work, ThreadMaker threads) {
        AtomicInteger next = new AtomicInteger();
        @Nullable Throwable[] failures = new @Nullable Throwable[slices];
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
        try {
            start(helpers, all, threads);
            all.run();
        } finally {
            next.set(slices); // nobody begins another one when the caller has failed
            join(helpers);
        }
        for (Throwable failure : failures) {
            if (failure instanceof RuntimeException e) {
                throw e;
            } else if (failure instanceof Error e) {
                throw e;
            }
        }
    }

    /** Each thread is noted before it starts: whatever fails, all that run are waited for. */
    private static void start(@Nullable Thread[] helpers, Runnable all, ThreadMaker threads) {
        try {
            for (int i = 0; i < helpers.length; i++) {
                Thread helper = threads.make(all);
                helpers[i] = helper;
                helper.start();
            }
        } catch (OutOfMemoryError e) {
            // no further thread to be had: fewer will do
        }
    }

    private static void join(@Nullable Thread[] helpers) {
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
    }
}
