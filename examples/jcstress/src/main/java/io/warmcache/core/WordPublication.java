/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;
import static org.openjdk.jcstress.annotations.Expect.FORBIDDEN;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.II_Result;

/** F5: who sees a word RESIDENT sees the bytes stored before it was published. */
@JCStressTest
@Outcome(id = "0, 0", expect = ACCEPTABLE, desc = "not published yet")
@Outcome(id = "1, 1", expect = ACCEPTABLE, desc = "published, bytes there")
@Outcome(expect = FORBIDDEN, desc = "published before its bytes")
@State
public class WordPublication {
    private static final WrapEpoch EPOCH = new WrapEpoch(TranslationWord.VERSION_BITS);

    private final long[] leaf = new long[RadixIndex.LEAF_SLOTS];
    private final MemorySegment frame = MemorySegment.ofArray(new byte[64]);

    @Actor
    public void load() {
        frame.set(ValueLayout.JAVA_BYTE, 0, (byte) 1);
        TranslationWord.set(leaf, 5, EPOCH.nextVersion(TranslationWord.of(0, TranslationWord.RESIDENT, 0)));
    }

    @Actor
    public void read(II_Result result) {
        if (TranslationWord.isResident(TranslationWord.acquire(leaf, 5))) {
            result.r1 = 1;
            result.r2 = frame.get(ValueLayout.JAVA_BYTE, 0);
        }
    }
}
