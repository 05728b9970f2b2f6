/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;

/**
 * The 64-bit word that translates a page to a frame, and is the page's latch at once.
 *
 * <pre>
 *  63        43 42   40 39 38  37  36      24 23        0
 *  +-----------+-------+-----+----+----------+----------+
 *  |  version  | state | use | fl |   pins   |  frame   |
 *  +-----------+-------+-----+----+----------+----------+
 *      21          3      2    1      13         24
 * </pre>
 *
 * <p>States and transitions are in {@code docs/internals.md}, section 1. The methods here only compute; who may make
 * which transition is the protocols' business.
 */
final class TranslationWord {
    static final int FRAME_BITS = 24;
    static final int PIN_BITS = 13;
    static final int USE_BITS = 2;
    static final int STATE_BITS = 3;

    static final int PIN_SHIFT = FRAME_BITS;
    static final int FLUSH_SHIFT = PIN_SHIFT + PIN_BITS;
    static final int USE_SHIFT = FLUSH_SHIFT + 1;
    static final int STATE_SHIFT = USE_SHIFT + USE_BITS;
    static final int VERSION_SHIFT = STATE_SHIFT + STATE_BITS;
    static final int VERSION_BITS = Long.SIZE - VERSION_SHIFT;

    static final long FRAME_MASK = (1L << FRAME_BITS) - 1;
    static final long ONE_PIN = 1L << PIN_SHIFT;
    static final int MAX_PINS = (1 << PIN_BITS) - 1;
    static final long PIN_MASK = (long) MAX_PINS << PIN_SHIFT;
    static final long FLUSH = 1L << FLUSH_SHIFT;
    static final long ONE_USE = 1L << USE_SHIFT;
    static final int MAX_USE = (1 << USE_BITS) - 1;
    static final long USE_MASK = (long) MAX_USE << USE_SHIFT;
    static final long STATE_MASK = ((1L << STATE_BITS) - 1) << STATE_SHIFT;
    static final long VERSION_MASK = -1L << VERSION_SHIFT;

    static final long EMPTY = 0;
    static final long LOADING = 1L << STATE_SHIFT;
    static final long RESIDENT = 2L << STATE_SHIFT;
    static final long EXCLUSIVE = 3L << STATE_SHIFT;
    static final long UNVERIFIED = 4L << STATE_SHIFT;
    static final long DETACHED = 5L << STATE_SHIFT;
    static final long DEAD = 6L << STATE_SHIFT;

    /** What a reader compares: frame, state and version. The other 16 bits change without changing the bytes. */
    static final long STAMP_MASK = FRAME_MASK | STATE_MASK | VERSION_MASK;

    /** Where a stamp keeps 16 bits of the wrap epoch: pins, flush and use bits are next to each other. */
    static final int STAMP_EPOCH_SHIFT = PIN_SHIFT;

    private static final VarHandle LEAF = MethodHandles.arrayElementVarHandle(long[].class);

    private TranslationWord() {}

    static long state(long word) {
        return word & STATE_MASK;
    }

    static int frame(long word) {
        return (int) (word & FRAME_MASK);
    }

    static int pins(long word) {
        return (int) ((word & PIN_MASK) >>> PIN_SHIFT);
    }

    static int uses(long word) {
        return (int) ((word & USE_MASK) >>> USE_SHIFT);
    }

    static boolean isResident(long word) {
        return (word & STATE_MASK) == RESIDENT;
    }

    /** Resident, and used as often as is counted: readable with nothing to write, which is what most hits find. */
    static boolean isHot(long word) {
        return (word & (STATE_MASK | USE_MASK)) == (RESIDENT | USE_MASK);
    }

    static boolean isFlushing(long word) {
        return (word & FLUSH) != 0;
    }

    /** The word with another state, and nothing else changed. */
    static long withState(long word, long state) {
        return (word & ~STATE_MASK) | state;
    }

    static long withFrame(long word, int frame) {
        return (word & ~FRAME_MASK) | frame;
    }

    static long withUses(long word, int uses) {
        return (word & ~USE_MASK) | ((long) uses << USE_SHIFT);
    }

    /** A word of this state and frame, no pins, no flush, no uses, at the version of {@code word}. */
    static long of(long word, long state, int frame) {
        return (word & VERSION_MASK) | state | frame;
    }

    static long stamp(long word, long epoch) {
        return (word & STAMP_MASK) | ((epoch & 0xFFFF) << STAMP_EPOCH_SHIFT);
    }

    static long acquire(long[] leaf, int slot) {
        return (long) LEAF.getAcquire(leaf, slot);
    }

    static long get(long[] leaf, int slot) {
        return (long) LEAF.getVolatile(leaf, slot);
    }

    /** For whoever is alone with the leaf: no other thread has seen it, or all who have had ended before. */
    static long plain(long[] leaf, int slot) {
        return leaf[slot];
    }

    /** As {@link #plain}. */
    static void setPlain(long[] leaf, int slot, long word) {
        leaf[slot] = word;
    }

    static boolean cas(long[] leaf, int slot, long expected, long word) {
        return LEAF.compareAndSet(leaf, slot, expected, word);
    }

    static void set(long[] leaf, int slot, long word) {
        LEAF.setVolatile(leaf, slot, word);
    }

    static String describe(long word) {
        String[] names = {"EMPTY", "LOADING", "RESIDENT", "EXCLUSIVE", "UNVERIFIED", "DETACHED", "DEAD", "?"};
        return names[(int) (state(word) >>> STATE_SHIFT)] + " frame " + frame(word) + " pins " + pins(word) + " uses "
                + uses(word) + (isFlushing(word) ? " flushing" : "") + " version " + (word >>> VERSION_SHIFT);
    }
}
