/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
/** The cache. */
module io.warmcache.core {
    requires io.warmcache.api;
    requires roaringbitmap;
    requires static org.jspecify;
}
