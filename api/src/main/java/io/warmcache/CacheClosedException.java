/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache;

/** The cache, the file, the cursor or the pin has been closed. */
public final class CacheClosedException extends CacheException {
    private static final long serialVersionUID = 1L;

    public CacheClosedException(String message) {
        super(message);
    }
}
