/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import io.warmcache.DropReason;
import java.util.EnumMap;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.LongAdder;

/** What {@link io.warmcache.CacheStats} and {@link io.warmcache.RecoveryReport} are made of. */
final class Counters {
    final LongAdder hits = new LongAdder();
    final LongAdder misses = new LongAdder();

    // Counted in the middle of something, so they must not need memory.

    final AtomicLong readAhead = new AtomicLong();
    final AtomicLong readAheadUnused = new AtomicLong();

    final LongAdder evictions = new LongAdder();
    final LongAdder pagesWritten = new LongAdder();
    final LongAdder blocksWritten = new LongAdder();
    final LongAdder bytesRead = new LongAdder();
    final LongAdder bytesWritten = new LongAdder();
    final LongAdder forces = new LongAdder();
    final LongAdder validated = new LongAdder();
    final LongAdder validationFailures = new LongAdder();
    final LongAdder writeFailures = new LongAdder();
    final AtomicInteger dirtyBlocks = new AtomicInteger();

    /** Survivors still in memory and not validated. */
    final AtomicInteger unvalidated = new AtomicInteger();

    private final Map<DropReason, AtomicInteger> dropped = new EnumMap<>(DropReason.class);

    Counters() {
        for (DropReason reason : DropReason.values()) {
            dropped.put(reason, new AtomicInteger());
        }
    }

    void drop(DropReason reason) {
        Objects.requireNonNull(dropped.get(reason)).incrementAndGet();
    }

    Map<DropReason, Integer> dropped() {
        Map<DropReason, Integer> map = new EnumMap<>(DropReason.class);
        dropped.forEach((reason, count) -> {
            if (count.get() != 0) {
                map.put(reason, count.get());
            }
        });
        return map;
    }
}
