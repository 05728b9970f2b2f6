/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import java.util.concurrent.atomic.AtomicReferenceArray;
import org.jspecify.annotations.Nullable;

/**
 * Arrays of a page's length for what a writer may have to put back, used again and again: else each write to a page
 * that is dirty already allocates a whole page. A few are kept, the rest is the collector's.
 */
final class UndoBuffers {
    private static final int SLOTS = 16;

    /** Slots are this far apart, so that threads do not share a cache line. */
    private static final int SPREAD = 16;

    private final AtomicReferenceArray<byte @Nullable []> kept = new AtomicReferenceArray<>(SLOTS * SPREAD);
    private final int length;

    UndoBuffers(int length) {
        this.length = length;
    }

    private static int slot() {
        return (int) (Thread.currentThread().threadId() % SLOTS) * SPREAD;
    }

    /** An array with any bytes, the caller's own until it gives it back. */
    byte[] take() {
        byte[] found = kept.getAndSet(slot(), null);
        return found != null ? found : new byte[length];
    }

    void give(byte[] buffer) {
        kept.lazySet(slot(), buffer);
    }
}
