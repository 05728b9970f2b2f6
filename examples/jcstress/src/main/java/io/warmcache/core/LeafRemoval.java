/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;
import static org.openjdk.jcstress.annotations.Expect.FORBIDDEN;

import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.Arbiter;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.II_Result;

/** T9: nobody owns a word of a leaf that has left the tree. */
@JCStressTest
@Outcome(id = {"0, 0", "0, 1"}, expect = ACCEPTABLE, desc = "came too late for the old leaf")
@Outcome(id = {"1, 0"}, expect = ACCEPTABLE, desc = "owns a word, the leaf stays")
@Outcome(id = {"1, 1"}, expect = ACCEPTABLE, desc = "owns a word of the leaf's successor")
@Outcome(expect = FORBIDDEN, desc = "owns a word that no lookup finds")
@State
public class LeafRemoval {
    private static final long PAGE = 70_000;

    private final RadixIndex index = new RadixIndex();
    private final WrapEpoch epoch = new WrapEpoch(2);
    private final long[] first = index.leafOrCreate(PAGE);
    private long[] owned = first;

    @Actor
    public void own(II_Result result) {
        long[] leaf = index.leafOrCreate(PAGE);
        if (TranslationWord.cas(leaf, RadixIndex.slot(PAGE), TranslationWord.EMPTY, TranslationWord.LOADING)) {
            owned = leaf;
            result.r1 = 1;
        }
    }

    @Actor
    public void remove(II_Result result) {
        if (RadixIndex.own(first)) {
            epoch.raise();
            index.bury(PAGE & -RadixIndex.LEAF_SLOTS, first);
            result.r2 = 1;
        }
    }

    @Arbiter
    @SuppressWarnings("ReferenceEquality") // that very leaf is meant
    public void lookUp(II_Result result) {
        if (result.r1 == 1 && index.leaf(PAGE) != owned) {
            result.r1 = 3;
        }
    }
}
