/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
/** H2 on warmcache. */
module io.warmcache.h2 {
    requires com.h2database;
    requires transitive io.warmcache.api;
    requires transitive java.sql;
    requires static org.jspecify;

    exports io.warmcache.h2;

    provides java.sql.Driver with
            io.warmcache.h2.WarmDriver;
}
