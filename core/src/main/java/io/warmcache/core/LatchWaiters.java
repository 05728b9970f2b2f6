/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import io.warmcache.LatchTimeoutException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Where threads park until a page's translation word changes. Striped by page, so waiters of other pages may wake too
 * and look again. A waiter counts itself and then reads the word; whoever changes a word then reads the count: with
 * both sides volatile, one sees the other and no wake-up is lost.
 */
final class LatchWaiters {
    private static final int STRIPES = 128;

    private static final class Stripe {
        final ReentrantLock lock = new ReentrantLock();
        final Condition changed = lock.newCondition();
        volatile int waiting;
    }

    private final Stripe[] stripes = new Stripe[STRIPES];

    LatchWaiters() {
        for (int i = 0; i < STRIPES; i++) {
            stripes[i] = new Stripe();
        }
    }

    /**
     * Parks until the word differs from {@code seen} other than in its use bits. Not ended by an interrupt, which
     * stays pending.
     *
     * @param deadline {@link System#nanoTime} at which to give up
     * @throws LatchTimeoutException at the deadline
     */
    @SuppressWarnings("NonAtomicVolatileUpdate") // "waiting" is written under the stripe's lock alone
    void await(long[] leaf, int slot, long page, long seen, long deadline) {
        Stripe stripe = stripes[(int) page & (STRIPES - 1)];
        boolean interrupted = false;
        stripe.lock.lock();
        try {
            stripe.waiting++;
            try {
                while (((TranslationWord.get(leaf, slot) ^ seen) & ~TranslationWord.USE_MASK) == 0) {
                    long left = deadline - System.nanoTime();
                    if (left <= 0) {
                        throw new LatchTimeoutException("page " + page + " stayed "
                                + TranslationWord.describe(seen) + " for longer than latchTimeout:"
                                + " close pins sooner, or raise latchTimeout");
                    }
                    try {
                        stripe.changed.await(left, TimeUnit.NANOSECONDS);
                    } catch (InterruptedException e) {
                        interrupted = true;
                    }
                }
            } finally {
                stripe.waiting--;
            }
        } finally {
            stripe.lock.unlock();
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    /** To be called after every change of a word that somebody may wait for, made by a volatile store or CAS. */
    void wake(long page) {
        Stripe stripe = stripes[(int) page & (STRIPES - 1)];
        if (stripe.waiting != 0) {
            stripe.lock.lock();
            try {
                stripe.changed.signalAll();
            } finally {
                stripe.lock.unlock();
            }
        }
    }
}
