/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture.faults;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.concurrent.TimeUnit;

/** Waits for a load to get on. */
final class Progress {
    private Progress() {}

    private static long writes(MemorySegment account) {
        long sum = 0;
        for (long at = 0; at < account.byteSize(); at += 16) {
            sum += account.get(ValueLayout.JAVA_LONG, at);
        }
        return sum;
    }

    /** Until so many more writes have begun. */
    static void await(Dataset data, int more) throws IOException {
        MemorySegment account = data.account();
        long until = writes(account) + more;
        long deadline = System.nanoTime() + TimeUnit.MINUTES.toNanos(3);
        while (writes(account) < until) {
            if (System.nanoTime() > deadline) {
                throw new IllegalStateException("the load makes no progress");
            }
            Thread.onSpinWait();
        }
    }
}
