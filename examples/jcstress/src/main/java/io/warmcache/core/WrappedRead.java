/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;
import static org.openjdk.jcstress.annotations.Expect.FORBIDDEN;

import io.warmcache.WritePolicy;
import java.util.concurrent.atomic.AtomicLong;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.I_Result;

/**
 * As {@link OptimisticRead} with a version of one bit, which two writes bring around: only the wrap epoch, read before
 * the first and after the second look at the word, can tell (R1, R6). By stamps in one reader, by the cursor's own
 * check in the other.
 */
@JCStressTest
@Outcome(id = "0", expect = ACCEPTABLE, desc = "read again")
@Outcome(id = "1", expect = ACCEPTABLE, desc = "valid and whole")
@Outcome(id = "2", expect = FORBIDDEN, desc = "valid and torn")
@State
public class WrappedRead {
    private static final int PAGES = 8;
    private static final Fixture FIXTURE = new Fixture(2 * PAGES, PAGES, 1, WritePolicy.WRITE_BACK);
    private static final AtomicLong COUNT = new AtomicLong();

    private final long number = COUNT.addAndGet(2);
    private final long page = number / 2 % PAGES;
    private final long[] seen = new long[2];

    @Actor
    public void write() {
        FIXTURE.write(page, number);
        FIXTURE.write(page, number + 1);
    }

    @Actor
    public void read(I_Result result) {
        CachedFile inside = FIXTURE.inside();
        long[] leaf = inside.index.leafOrCreate(page);
        int slot = RadixIndex.slot(page);
        long epoch = inside.epoch.get();
        long word = TranslationWord.acquire(leaf, slot);
        if (!TranslationWord.isResident(word)) {
            return;
        }
        long base = (long) TranslationWord.frame(word) * Fixture.PAGE;
        seen[0] = FIXTURE.at(base);
        seen[1] = FIXTURE.at(base + Fixture.PAGE - 8);
        if (inside.stillValid(leaf, slot, word, epoch)) {
            result.r1 = seen[0] == seen[1] ? 1 : 2;
        }
    }
}
