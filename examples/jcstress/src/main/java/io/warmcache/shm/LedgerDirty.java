/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;
import static org.openjdk.jcstress.annotations.Expect.FORBIDDEN;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.II_Result;

/** W3: whoever sees a byte of a write sees the record DIRTY, as a successor of a killed process must. */
@JCStressTest
@Outcome(id = {"0, 0", "0, 1"}, expect = ACCEPTABLE, desc = "the byte is not there yet")
@Outcome(id = "1, 1", expect = ACCEPTABLE, desc = "the byte, and the record DIRTY")
@Outcome(id = "1, 0", expect = FORBIDDEN, desc = "the byte under a CLEAN record")
@State
public class LedgerDirty {
    private final Ledger ledger = LedgerRecord.ledger(LedgerRecord.record());
    private final MemorySegment frame = MemorySegment.ofArray(new byte[64]);

    public LedgerDirty() {
        ledger.format(0);
        ledger.begin(0, 7, 9);
        ledger.publish(0, Ledger.CLEAN);
    }

    @Actor
    public void write() {
        ledger.dirty(0);
        frame.set(ValueLayout.JAVA_BYTE, 0, (byte) 1);
    }

    @Actor
    public void look(II_Result result) {
        result.r1 = frame.get(ValueLayout.JAVA_BYTE, 0);
        VarHandle.acquireFence();
        result.r2 = ledger.stateWord(0) == Ledger.DIRTY ? 1 : 0;
    }
}
