/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
/**
 * The cache: found by {@code io.warmcache.PageCache.open} and reached through the types of io.warmcache.api alone. What
 * it exports is for tools.
 */
@org.jspecify.annotations.NullMarked
@SuppressWarnings("requires-automatic") // lz4-java fixes its module's name in its manifest, but is no module yet
module io.warmcache.core {
    requires transitive io.warmcache.api;
    requires java.management;
    requires jdk.jfr;
    requires org.lz4.java;
    requires roaringbitmap;
    requires static org.jspecify;

    exports io.warmcache.core.inspect;

    uses io.warmcache.spi.FrameBackendProvider;

    provides io.warmcache.spi.BlockChecksum with
            io.warmcache.core.checksum.Crc32c,
            io.warmcache.core.checksum.Xxh64;
    provides io.warmcache.spi.PageCacheProvider with
            io.warmcache.core.CacheProvider;
    provides io.warmcache.spi.FrameBackendProvider with
            io.warmcache.core.local.LocalProvider;
}
