/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache;

/** A page stayed pinned or latched by others for longer than {@link CacheConfig#latchTimeout()}. */
public final class LatchTimeoutException extends CacheException {
    private static final long serialVersionUID = 1L;

    public LatchTimeoutException(String message) {
        super(message);
    }
}
