/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.h2;

import io.warmcache.CacheConfig;
import io.warmcache.MapOptions;
import io.warmcache.PageCache;
import java.io.IOException;
import java.nio.file.Path;

/** A file system on a cache of a name of its own; closing it leaves nothing of either. */
final class Warm implements AutoCloseable {
    private final CacheConfig config;
    private final MapOptions options;
    private PageCache cache;
    private WarmFileSystem system;

    private Warm(CacheConfig config, MapOptions options) throws IOException {
        this.config = config;
        this.options = options;
        open();
    }

    static Warm of(long capacity) throws IOException {
        return of(config(capacity), MapOptions.DEFAULT);
    }

    static Warm of(CacheConfig config, MapOptions options) throws IOException {
        return new Warm(config, options);
    }

    /** A configuration with a name that no other test, process or run uses. */
    static CacheConfig config(long capacity) {
        return CacheConfig.of("h2-test-" + ProcessHandle.current().pid() + "-" + System.nanoTime(), capacity);
    }

    static String path(Path file) {
        return "warm:" + file;
    }

    CacheConfig config() {
        return config;
    }

    PageCache cache() {
        return cache;
    }

    WarmFileSystem system() {
        return system;
    }

    /** Puts a hook in front of the cache, for the files that are opened from now on. */
    Intercepted intercept() throws IOException {
        system.close();
        Intercepted intercepted = new Intercepted(cache);
        system = WarmFileSystem.install(intercepted.cache(), options);
        return intercepted;
    }

    /** Opens what {@link #stop} closed. */
    void open() throws IOException {
        cache = PageCache.open(config);
        system = WarmFileSystem.install(cache, options);
    }

    /** Closes the file system and the cache; its memory stays. */
    void stop() throws IOException {
        try (PageCache closing = cache) {
            system.close();
        }
    }

    /** A clean stop and a start that finds the memory warm. */
    void restart() throws IOException {
        stop();
        open();
    }

    @Override
    public void close() throws IOException {
        try {
            stop();
        } finally {
            PageCache.drop(config);
        }
    }
}
