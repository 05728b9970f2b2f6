/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.contract;

import io.warmcache.AttachProgress;
import io.warmcache.CacheConfig;
import io.warmcache.CacheException;
import io.warmcache.PageCache;
import io.warmcache.spi.BlockChecksum;
import io.warmcache.spi.PageCacheProvider;
import java.io.IOException;
import java.util.List;
import java.util.ServiceLoader;

/**
 * Opens caches with {@linkplain CheckedReads checked} files, by the provider that is found beside this one. It has to
 * be found first: name it in the first folder of a test class path.
 */
public final class CheckedProvider implements PageCacheProvider {
    /** For {@link ServiceLoader}. */
    public CheckedProvider() {}

    private static PageCacheProvider next() {
        return ServiceLoader.load(PageCacheProvider.class, CheckedProvider.class.getClassLoader()).stream()
                .filter(provider -> !provider.type().equals(CheckedProvider.class))
                .findFirst()
                .orElseThrow(() -> new CacheException("no page cache implementation found to be checked:"
                        + " add io.warmcache:warmcache-core to the class path"))
                .get();
    }

    @Override
    public PageCache open(CacheConfig config, AttachProgress progress) throws IOException {
        return CheckedReads.of(next().open(config, progress));
    }

    @Override
    public boolean drop(CacheConfig config) throws IOException {
        return next().drop(config);
    }

    @Override
    public List<BlockChecksum> checksums() {
        return next().checksums();
    }
}
