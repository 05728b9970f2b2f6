/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.spi;

import io.warmcache.AttachProgress;
import io.warmcache.CacheConfig;
import io.warmcache.CacheException;
import io.warmcache.PageCache;
import java.io.IOException;
import java.util.List;
import java.util.ServiceLoader;

/** The cache's implementation, found through {@link ServiceLoader}. */
public interface PageCacheProvider {
    PageCache open(CacheConfig config, AttachProgress progress) throws IOException;

    boolean drop(CacheConfig config) throws IOException;

    /** Every block checksum known, for tools that verify a segment without opening it. */
    List<BlockChecksum> checksums();

    /**
     * The implementation on the class or module path.
     *
     * @throws CacheException if there is none
     */
    static PageCacheProvider load() {
        return ServiceLoader.load(PageCacheProvider.class, PageCacheProvider.class.getClassLoader())
                .findFirst()
                .orElseThrow(() -> new CacheException("no page cache implementation found:"
                        + " add io.warmcache:warmcache-core to the class or module path"));
    }
}
