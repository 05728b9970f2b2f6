/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
/** Meters of a cache for Micrometer. */
@org.jspecify.annotations.NullMarked
module io.warmcache.micrometer {
    requires transitive io.warmcache.api;
    requires transitive micrometer.core;
    requires static org.jspecify;

    exports io.warmcache.micrometer;
}
