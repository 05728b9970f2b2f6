/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
/** Public types of warmcache: for engines that use the cache, and for authors of back ends. */
@org.jspecify.annotations.NullMarked
module io.warmcache.api {
    requires static transitive org.jspecify;

    exports io.warmcache;
    exports io.warmcache.spi;

    uses io.warmcache.spi.PageCacheProvider;
}
