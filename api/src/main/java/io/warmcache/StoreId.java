/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache;

/**
 * The identity of a {@link BackingStore}, 128 bits. Two stores with one identity share their cached pages, so a store
 * that is deleted and created again needs a new identity: derive it from something that is never used twice.
 *
 * @param high the upper 64 bits
 * @param low the lower 64 bits
 */
public record StoreId(long high, long low) {
    @Override
    public String toString() {
        return String.format("%016x%016x", high, low);
    }
}
