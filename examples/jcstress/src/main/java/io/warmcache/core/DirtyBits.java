/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;
import static org.openjdk.jcstress.annotations.Expect.FORBIDDEN;

import io.warmcache.WritePolicy;
import java.io.IOException;
import java.io.UncheckedIOException;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.Arbiter;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.II_Result;

/** W5 and W8 beside B1 to B4: a write that a write-back missed is dirty afterwards, and none is counted twice. */
@JCStressTest
@Outcome(id = "0, 0", expect = ACCEPTABLE, desc = "in the store after one more flush, nothing dirty")
@Outcome(expect = FORBIDDEN, desc = "lost by the store, or counted wrong")
@State
public class DirtyBits {
    private static final int PAGES = 4;

    private final Fixture fixture = new Fixture(8, PAGES, TranslationWord.VERSION_BITS, WritePolicy.WRITE_BACK);

    @Actor
    public void write() {
        for (int i = 1; i <= 8; i++) {
            fixture.write(i % PAGES, 100 + i);
        }
    }

    @Actor
    public void flush() {
        for (int i = 0; i < 4; i++) {
            flushAll();
        }
    }

    @Arbiter
    public void compare(II_Result result) {
        flushAll();
        for (int page = 0; page < PAGES; page++) {
            Fixture.Seen seen = new Fixture.Seen();
            seen.read(fixture.file, page);
            boolean same = seen.valid && seen.first == fixture.stored(page) && seen.first >= 105;
            result.r1 |= same ? 0 : 1 << page;
        }
        result.r2 = fixture.inside().sets.dirtyCount() + (int) fixture.cache.counters.dirtyBlocks.get();
        fixture.end();
    }

    private void flushAll() {
        try {
            fixture.file.flush();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
