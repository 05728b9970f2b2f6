/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.spi;

import java.io.IOException;

/** Attaches to preserved memory; found through {@link java.util.ServiceLoader} by {@link #name()}. */
public interface FrameBackendProvider {
    /** The name a user gives in {@link io.warmcache.CacheConfig#backend()}. */
    String name();

    /**
     * Becomes the owner of the segment that {@code config} names, formatting it if it is missing or cannot be trusted.
     *
     * @throws io.warmcache.BusyException if it stays owned for longer than the configured wait
     * @throws IOException if the memory cannot be had; names the sizes and the mend
     */
    FrameBackend attach(BackendConfig config) throws IOException;

    /** Wipes and removes the segment; see {@link io.warmcache.PageCache#drop(io.warmcache.CacheConfig)}. */
    boolean drop(BackendConfig config) throws IOException;
}
