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

/** R1 to R6 beside W2 to W8: what was read and found valid is one write's, never half of one. */
@JCStressTest
@Outcome(id = "0", expect = ACCEPTABLE, desc = "read again")
@Outcome(id = "1", expect = ACCEPTABLE, desc = "valid and whole")
@Outcome(id = "2", expect = FORBIDDEN, desc = "valid and torn")
@State
public class OptimisticRead {
    private static final int PAGES = 32;
    private static final Fixture FIXTURE =
            new Fixture(2 * PAGES, PAGES, TranslationWord.VERSION_BITS, WritePolicy.WRITE_BACK);
    private static final AtomicLong COUNT = new AtomicLong();

    private final Fixture.Seen seen = new Fixture.Seen();
    private final long number = COUNT.incrementAndGet();

    @Actor
    public void write() {
        FIXTURE.write(number % PAGES, number);
    }

    @Actor
    public void read(I_Result result) {
        seen.read(FIXTURE.file, number % PAGES);
        result.r1 = !seen.valid ? 0 : seen.first == seen.last ? 1 : 2;
    }
}
