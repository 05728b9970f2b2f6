/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core.local;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;
import static org.openjdk.jcstress.annotations.Expect.FORBIDDEN;

import io.warmcache.spi.FrameRecord;
import io.warmcache.spi.FrameState;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.II_Result;

/** F4 in the back end "volatile": who sees a record CLEAN sees its checksums. */
@JCStressTest
@Outcome(id = "0, 0", expect = ACCEPTABLE, desc = "not CLEAN yet")
@Outcome(id = "1, 3", expect = ACCEPTABLE, desc = "CLEAN, key and checksums there")
@Outcome(expect = FORBIDDEN, desc = "CLEAN before its key or checksums")
@State
public class VolatileRecord {
    private final Records records = new Records(1, 2);
    private final FrameRecord seen = new FrameRecord();

    @Actor
    public void fill() {
        records.begin(0, 7, 9);
        records.checksum(0, 0, 11);
        records.checksum(0, 1, 12);
        records.state(0, FrameState.CLEAN);
    }

    @Actor
    public void read(II_Result result) {
        records.read(0, seen);
        if (seen.state == FrameState.CLEAN) {
            result.r1 = 1;
            result.r2 = (seen.fileId == 7 && seen.page == 9 ? 1 : 0)
                    + (seen.checksums[0] == 11 && seen.checksums[1] == 12 ? 2 : 0);
        }
    }
}
