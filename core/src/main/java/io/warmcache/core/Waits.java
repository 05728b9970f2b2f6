/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import java.time.Duration;

/** Waits that no interrupt ends: it is pending again when they return. */
final class Waits {
    private Waits() {}

    /** A wait of limited length. */
    interface Timed {
        /** Returns whether what was waited for came within {@code nanos}, which may be negative. */
        boolean await(long nanos) throws InterruptedException;
    }

    /** Returns whether what is waited for came before {@link System#nanoTime} reached {@code deadline}. */
    static boolean until(long deadline, Timed wait) {
        boolean interrupted = false;
        try {
            while (true) {
                try {
                    return wait.await(deadline - System.nanoTime());
                } catch (InterruptedException e) {
                    interrupted = true;
                }
            }
        } finally {
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    /**
     * Waits for the end of a thread, which one that was never started has behind it; returns whether it came in time.
     */
    static boolean ended(Thread thread, long deadline) {
        return until(deadline, left -> !thread.isAlive() || thread.join(Duration.ofNanos(left)));
    }
}
