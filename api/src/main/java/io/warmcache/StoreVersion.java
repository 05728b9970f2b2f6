/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache;

/**
 * What tells whether a store was changed by anyone but this cache. A token that is equal to the recorded one means "not
 * changed" as far as its {@linkplain Strength strength} goes; tokens are never ordered.
 *
 * @param strength what equality proves
 * @param first first word of the token; for a plain file its size in bytes
 * @param second second word; for a plain file the modification time in nanoseconds since the epoch
 * @param third third word; for a plain file the status-change time in nanoseconds since the epoch
 */
public record StoreVersion(Strength strength, long first, long second, long third) {
    /** What an equal token proves. */
    public enum Strength {
        /** Equality proves that nobody but this cache changed the store. */
        EXACT,
        /** Equality proves it up to the documented limits of file time stamps. */
        HEURISTIC,
        /** The store has no version: after a restart its frames are verified or dropped. */
        NONE
    }

    private static final StoreVersion NONE_VERSION = new StoreVersion(Strength.NONE, 0, 0, 0);

    /** An exact token of 128 bits, which changes whenever anyone but this cache changed the store. */
    public static StoreVersion exact(long high, long low) {
        return new StoreVersion(Strength.EXACT, high, low, 0);
    }

    /** The version of a store that has none. */
    public static StoreVersion none() {
        return NONE_VERSION;
    }

    /**
     * Whether {@code other} proves the store unchanged: equal in every word, of equal strength, and not {@code NONE}.
     */
    public boolean provesUnchanged(StoreVersion other) {
        return strength != Strength.NONE && equals(other);
    }
}
