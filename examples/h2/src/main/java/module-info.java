/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
/** H2 on warmcache. */
module io.warmcache.h2 {
    requires com.h2database;
    requires io.warmcache.api;
    requires static org.jspecify;
}
