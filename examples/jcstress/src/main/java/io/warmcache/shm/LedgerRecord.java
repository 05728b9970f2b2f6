/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;
import static org.openjdk.jcstress.annotations.Expect.FORBIDDEN;

import java.lang.foreign.MemorySegment;
import java.lang.invoke.VarHandle;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.II_Result;

/** F4 and E4 in shared memory: who sees a record CLEAN, and CLEAN again afterwards, has seen it whole. */
@JCStressTest
@Outcome(id = "0, 0", expect = ACCEPTABLE, desc = "not CLEAN, or not any more")
@Outcome(id = "1, 1", expect = ACCEPTABLE, desc = "CLEAN and whole")
@Outcome(expect = FORBIDDEN, desc = "CLEAN and not whole")
@State
public class LedgerRecord {
    static final Geometry GEOMETRY = Geometry.of(4096, 1, 1);

    /** One record at the place it has in a segment; what comes before it is not touched. */
    static Ledger ledger(MemorySegment record) {
        Geometry at = new Geometry(
                4096, 1, 1, 0, GEOMETRY.recordSize(), 0, GEOMETRY.recordSize(), GEOMETRY.recordSize());
        return new Ledger(record, at, 0x1234_5678_9abc_def1L, null);
    }

    static MemorySegment record() {
        return MemorySegment.ofArray(new long[GEOMETRY.recordSize() / 8]);
    }

    private final Ledger ledger = ledger(record());

    public LedgerRecord() {
        ledger.format(0);
    }

    @Actor
    public void fill() {
        ledger.begin(0, 7, 9);
        ledger.checksum(0, 0, 11);
        ledger.publish(0, Ledger.CLEAN);
        ledger.free(0);
    }

    @Actor
    public void read(II_Result result) {
        if (ledger.stateWord(0) == Ledger.CLEAN) {
            boolean whole = ledger.isWhole(0) && ledger.page(0) == 9;
            VarHandle.acquireFence();
            if (ledger.stateWord(0) == Ledger.CLEAN) {
                result.r1 = 1;
                result.r2 = whole ? 1 : 0;
            }
        }
    }
}
