/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

import org.jspecify.annotations.Nullable;

/** A stored value and the moment it dies. Immutable: nobody writes to the array once it is in here. */
final class Entry {
    /** The {@link #expireAt} of a value that lives until it is removed. */
    static final long NEVER = 0;

    private final byte[] value;
    private final long expireAt;

    /** @param expireAt milliseconds since 1970, or {@link #NEVER} */
    Entry(byte[] value, long expireAt) {
        this.value = value;
        this.expireAt = expireAt;
    }

    byte[] value() {
        return value;
    }

    long expireAt() {
        return expireAt;
    }

    boolean expires() {
        return expireAt != NEVER;
    }

    boolean liveAt(long now) {
        return expireAt == NEVER || now < expireAt;
    }

    /** {@code entry} if there is one and it has not expired. */
    static @Nullable Entry live(@Nullable Entry entry, long now) {
        return entry != null && entry.liveAt(now) ? entry : null;
    }
}
