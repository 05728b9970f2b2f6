/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;

/** How words lie in a segment: little-endian, each at a multiple of its size. */
final class Layout {
    static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG.withOrder(ByteOrder.LITTLE_ENDIAN);
    static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT.withOrder(ByteOrder.LITTLE_ENDIAN);

    /** Coordinates: segment, offset in bytes. */
    static final VarHandle LONG_VAR = LONG.varHandle().withInvokeExactBehavior();
    /** Coordinates: segment, offset in bytes. */
    static final VarHandle INT_VAR = INT.varHandle().withInvokeExactBehavior();

    /** Bytes of a block, the unit of checksums and of direct I/O. */
    static final int BLOCK = 4096;

    private Layout() {}

    static long roundUp(long value, long unit) {
        return (value + unit - 1) / unit * unit;
    }
}
