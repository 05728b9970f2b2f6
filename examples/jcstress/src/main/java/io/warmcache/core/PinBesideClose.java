/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;
import static org.openjdk.jcstress.annotations.Expect.FORBIDDEN;

import io.warmcache.WritePolicy;
import java.lang.invoke.VarHandle;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.II_Result;

/** C2: a pin that a closing file did not see counted is not granted (Dekker). */
@JCStressTest
@Outcome(id = "0, 0", expect = ACCEPTABLE, desc = "refused")
@Outcome(id = "0, 1", expect = ACCEPTABLE, desc = "refused, and waited for meanwhile")
@Outcome(id = "1, 1", expect = ACCEPTABLE, desc = "granted, and waited for")
@Outcome(id = "1, 0", expect = FORBIDDEN, desc = "granted, and not waited for")
@State
public class PinBesideClose {
    private static final Cache CACHE =
            new Fixture(8, 1, TranslationWord.VERSION_BITS, WritePolicy.WRITE_THROUGH).cache;

    private final CachedFile file = new CachedFile(CACHE, 2);
    private final long[] leaf = new long[RadixIndex.LEAF_SLOTS];
    private final long word = TranslationWord.of(0, TranslationWord.RESIDENT, 3);

    public PinBesideClose() {
        TranslationWord.set(leaf, 0, word);
        file.open = true;
    }

    @Actor
    public void pin(II_Result result) {
        result.r1 = file.tryPin(leaf, 0, 0, word, 1) ? 1 : 0;
    }

    @Actor
    public void close(II_Result result) {
        file.open = false;
        VarHandle.fullFence();
        result.r2 = TranslationWord.pins(TranslationWord.acquire(leaf, 0));
    }
}
