/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache;

/**
 * A force failed after pages whose bytes may not have reached the disk had been evicted: what the store holds is not
 * known any more. Other files of the cache go on. Close the file, check the store, and map it again.
 */
public final class FilePoisonedException extends CacheException {
    private static final long serialVersionUID = 1L;

    public FilePoisonedException(String message, Throwable cause) {
        super(message, cause);
    }
}
