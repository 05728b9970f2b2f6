/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
/** Tests that every back end must pass, and a check for the tests of engines. */
@org.jspecify.annotations.NullMarked
module io.warmcache.contract {
    requires transitive io.warmcache.api;
    requires transitive org.junit.jupiter.api;
    requires static org.jspecify;

    exports io.warmcache.contract;

    uses io.warmcache.spi.PageCacheProvider;
}
