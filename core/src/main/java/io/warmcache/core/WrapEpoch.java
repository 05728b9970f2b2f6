/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;

/**
 * Counts the occasions on which a translation word's version may come around again: a version that wraps, a leaf that
 * is replaced by one starting at 0. Read by every optimistic reader, written almost never.
 */
final class WrapEpoch {
    private static final VarHandle VALUE;

    static {
        try {
            VALUE = MethodHandles.lookup().findVarHandle(WrapEpoch.class, "value", long.class);
        } catch (ReflectiveOperationException e) {
            throw new ExceptionInInitializerError(e);
        }
    }

    private final long versionMask;

    private long value;

    /**
     * @param versionBits how many bits of the word's version count before it wraps; fewer than the word has only in
     *     tests
     */
    WrapEpoch(int versionBits) {
        versionMask = ((1L << versionBits) - 1) << TranslationWord.VERSION_SHIFT;
    }

    long get() {
        return (long) VALUE.getAcquire(this);
    }

    void raise() {
        VALUE.getAndAdd(this, 1L);
    }

    /** The word with the next version. Raises the epoch first when the version wraps. */
    long nextVersion(long word) {
        long version = (word + (1L << TranslationWord.VERSION_SHIFT)) & versionMask;
        if (version == 0) {
            raise();
        }
        return (word & ~TranslationWord.VERSION_MASK) | version;
    }
}
