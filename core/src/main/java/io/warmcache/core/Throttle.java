/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;

/** Spreads background work over time. For one thread. */
final class Throttle {
    private static final long LONGEST_NAP = TimeUnit.MILLISECONDS.toNanos(20);

    private final long rate;
    private final long began = System.nanoTime();
    private long paid;

    /** At most so many bytes a second; 0 for no limit. */
    Throttle(long bytesPerSecond) {
        rate = bytesPerSecond;
    }

    /** Waits until {@code bytes} more may have been moved, or {@code goesOn} says no. */
    void pay(long bytes, BooleanSupplier goesOn) {
        paid += bytes;
        if (rate == 0) {
            return;
        }
        long due = (long) ((double) paid / rate * TimeUnit.SECONDS.toNanos(1));
        boolean interrupted = false;
        long left = due - (System.nanoTime() - began);
        while (left > 0 && goesOn.getAsBoolean()) {
            LockSupport.parkNanos(Math.min(left, LONGEST_NAP));
            interrupted |= Thread.interrupted();
            left = due - (System.nanoTime() - began);
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
