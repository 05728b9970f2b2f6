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
 * E2 to E5, F3 and F4 beside R1 to R6: a page is read while others are faulted into the few frames there are. What was
 * found valid is never another page's.
 */
@JCStressTest
@Outcome(id = "0", expect = ACCEPTABLE, desc = "read again")
@Outcome(id = "1", expect = ACCEPTABLE, desc = "valid, and the page's own")
@Outcome(id = "2", expect = FORBIDDEN, desc = "valid, and another page's")
@State
public class ReusedFrame {
    private static final int PAGES = 64;
    private static final Fixture FIXTURE =
            new Fixture(8, PAGES, TranslationWord.VERSION_BITS, WritePolicy.WRITE_THROUGH);
    private static final AtomicLong COUNT = new AtomicLong();

    private final Fixture.Seen mine = new Fixture.Seen();
    private final Fixture.Seen other = new Fixture.Seen();
    private final long number = COUNT.incrementAndGet();

    @Actor
    public void fault() {
        for (int i = 0; i < 10; i++) {
            other.read(FIXTURE.file, (number + i) % PAGES);
        }
    }

    @Actor
    public void read(I_Result result) {
        long page = number % 4;
        for (int i = 0; i < 10 && result.r1 != 2; i++) {
            mine.read(FIXTURE.file, page);
            result.r1 = !mine.valid ? 0 : mine.first == page && mine.last == page ? 1 : 2;
        }
    }
}
