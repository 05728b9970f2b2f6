/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.contract;

import io.warmcache.BackingStore;
import io.warmcache.CacheConfig;
import io.warmcache.CacheStats;
import io.warmcache.Checkpoint;
import io.warmcache.Health;
import io.warmcache.MapOptions;
import io.warmcache.PageCache;
import io.warmcache.PagedFile;
import io.warmcache.RecoveryReport;
import io.warmcache.WarmUp;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.function.Consumer;

/** A cache whose files are checked. */
final class CheckedCache implements PageCache {
    private final PageCache cache;

    CheckedCache(PageCache cache) {
        this.cache = cache;
    }

    @Override
    public CacheConfig config() {
        return cache.config();
    }

    @Override
    public PagedFile map(Path file, MapOptions options) throws IOException {
        return new CheckedFile(cache.map(file, options));
    }

    @Override
    public PagedFile map(BackingStore store, MapOptions options) throws IOException {
        return new CheckedFile(cache.map(store, options));
    }

    @Override
    public long capacity() {
        return cache.capacity();
    }

    @Override
    public void resize(long capacity) throws IOException {
        cache.resize(capacity);
    }

    @Override
    public RecoveryReport recovery() {
        return cache.recovery();
    }

    @Override
    public CacheStats stats() {
        return cache.stats();
    }

    @Override
    public Health health() {
        return cache.health();
    }

    @Override
    public void flush() throws IOException {
        cache.flush();
    }

    @Override
    public Checkpoint checkpoint(Path directory, Consumer<Checkpoint.Progress> progress) {
        return cache.checkpoint(directory, progress);
    }

    @Override
    public WarmUp warmUp() {
        return cache.warmUp();
    }

    @Override
    public void close(Duration grace) throws IOException {
        cache.close(grace);
    }

    @Override
    public void drop() throws IOException {
        cache.drop();
    }
}
