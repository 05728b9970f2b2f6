/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

import io.warmcache.CacheConfig;
import io.warmcache.CacheException;
import io.warmcache.MapOptions;
import io.warmcache.h2.WarmFileSystem;
import java.io.IOException;
import java.io.UncheckedIOException;

/** A file behind a page cache that outlives the process. */
final class WarmDataFile implements DataFile {
    private final WarmFileSystem fileSystem;
    private final String name;
    private final CacheView view;

    private WarmDataFile(WarmFileSystem fileSystem, String path) {
        this.fileSystem = fileSystem;
        this.name = WarmFileSystem.SCHEME + ":" + path;
        this.view = new WarmCacheView(fileSystem.cache());
    }

    /**
     * Opens the cache and puts it under {@code path}, write-through: what MVStore has written is in the file.
     *
     * @throws IOException if the cache cannot be had; says why and what mends it
     */
    static WarmDataFile open(String path, CacheConfig config, MapOptions options) throws IOException {
        try {
            return new WarmDataFile(WarmFileSystem.open(config, options), path);
        } catch (CacheException e) {
            throw new IOException(e.getMessage(), e);
        }
    }

    @Override
    public String name() {
        return name;
    }

    @Override
    public CacheView cache() {
        return view;
    }

    @Override
    public void close() {
        try {
            fileSystem.close();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
