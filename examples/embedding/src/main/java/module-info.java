/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
/** The embedding example of the README. */
module io.warmcache.embedding {
    requires io.warmcache.api;
    requires static org.jspecify;
}
