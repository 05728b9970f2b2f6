/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;
import static org.openjdk.jcstress.annotations.Expect.FORBIDDEN;

import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.II_Result;

/**
 * Unlatching a word and then looking for waiters, beside counting oneself and then looking at the word: one sees the
 * other. What {@link WakeUp} shows of the whole, here without the lock in between, which hides almost every miss.
 */
@JCStressTest
@Outcome(id = {"0, 1", "1, 0", "1, 1"}, expect = ACCEPTABLE, desc = "one saw the other, or both did")
@Outcome(id = "0, 0", expect = FORBIDDEN, desc = "neither saw the other: a wake-up lost")
@State
public class WordDekker {
    private final long[] leaf = new long[RadixIndex.LEAF_SLOTS];
    private volatile int waiting;

    @Actor
    public void unlatch(II_Result result) {
        TranslationWord.set(leaf, 0, TranslationWord.RESIDENT);
        result.r1 = waiting;
    }

    @Actor
    public void await(II_Result result) {
        waiting = 1;
        result.r2 = TranslationWord.isResident(TranslationWord.get(leaf, 0)) ? 1 : 0;
    }
}
