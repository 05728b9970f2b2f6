/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import io.warmcache.AttachProgress;
import io.warmcache.CacheConfig;
import io.warmcache.CacheException;
import io.warmcache.PageCache;
import io.warmcache.core.checksum.Checksums;
import io.warmcache.spi.BackendConfig;
import io.warmcache.spi.BlockChecksum;
import io.warmcache.spi.FrameBackendProvider;
import io.warmcache.spi.PageCacheProvider;
import java.io.IOException;
import java.util.List;
import java.util.ServiceLoader;
import java.util.TreeSet;

/** Finds the back end by name and opens a {@link Cache} on it. Public for {@link ServiceLoader} alone. */
public final class CacheProvider implements PageCacheProvider {
    /** For {@link ServiceLoader}. */
    public CacheProvider() {}

    @Override
    public PageCache open(CacheConfig config, AttachProgress progress) throws IOException {
        return Cache.open(config, backend(config), backendConfig(config), progress)
                .managed();
    }

    @Override
    public boolean drop(CacheConfig config) throws IOException {
        return backend(config).drop(backendConfig(config));
    }

    @Override
    public List<BlockChecksum> checksums() {
        return Checksums.ALL;
    }

    private static BackendConfig backendConfig(CacheConfig config) {
        return new BackendConfig(config, checksum(config), Checksums.ALL);
    }

    private static BlockChecksum checksum(CacheConfig config) {
        return Checksums.byName(config.checksum())
                .orElseThrow(() -> new IllegalArgumentException("checksum is \"" + config.checksum() + "\": known are "
                        + Checksums.ALL.stream().map(BlockChecksum::algorithm).toList()));
    }

    private static FrameBackendProvider backend(CacheConfig config) {
        TreeSet<String> names = new TreeSet<>();
        for (FrameBackendProvider provider :
                ServiceLoader.load(FrameBackendProvider.class, CacheProvider.class.getClassLoader())) {
            if (provider.name().equals(config.backend())) {
                return provider;
            }
            names.add(provider.name());
        }
        throw new CacheException("no back end named \"" + config.backend() + "\" on the class or module path (found: "
                + names + "): add its artifact, for \"shm\" io.warmcache:warmcache-spi-shm, or choose \"volatile\""
                + " where nothing need outlive the process");
    }
}
