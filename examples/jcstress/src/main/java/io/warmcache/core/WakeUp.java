/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;
import static org.openjdk.jcstress.annotations.Expect.FORBIDDEN;

import io.warmcache.LatchTimeoutException;
import java.util.concurrent.TimeUnit;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.I_Result;

/**
 * Whoever counts itself as a waiter and then reads the word, and whoever changes the word and then reads the count, do
 * not miss each other: no wake-up is lost.
 */
@JCStressTest
@Outcome(id = "1", expect = ACCEPTABLE, desc = "the wait ended")
@Outcome(id = "2", expect = FORBIDDEN, desc = "nobody woke the waiter")
@State
public class WakeUp {
    /** A wait that nothing but a lost wake-up makes so long. */
    private static final long PATIENCE = TimeUnit.MILLISECONDS.toNanos(Long.getLong("warmcache.patience", 60_000));

    private final LatchWaiters waiters = new LatchWaiters();
    private final long[] leaf = new long[RadixIndex.LEAF_SLOTS];

    public WakeUp() {
        TranslationWord.set(leaf, 0, TranslationWord.LOADING);
    }

    @Actor
    public void await(I_Result result) {
        try {
            waiters.await(leaf, 0, 0, TranslationWord.LOADING, System.nanoTime() + PATIENCE);
            result.r1 = 1;
        } catch (LatchTimeoutException e) {
            result.r1 = 2;
        }
    }

    @Actor
    public void publish() {
        TranslationWord.set(leaf, 0, TranslationWord.RESIDENT);
        waiters.wake(0);
    }
}
