/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache;

/** A segment or a store is owned by another cache; the message names the holder's pid. */
public final class BusyException extends CacheException {
    private static final long serialVersionUID = 1L;

    public BusyException(String message) {
        super(message);
    }
}
