/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache;

/** No frame could be freed within the bounded effort: all are pinned, latched, or dirty with a store that fails. */
public final class CacheFullException extends CacheException {
    private static final long serialVersionUID = 1L;

    public CacheFullException(String message) {
        super(message);
    }
}
