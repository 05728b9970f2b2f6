/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

import java.util.Map;

/** What lies between the data file and the disk, as INFO's section {@code warmcache} shows it. */
interface CacheView {
    /** No page cache of our own: the file is read and written by H2 itself. */
    CacheView NONE = () -> Map.of("warmcache_enabled", "0");

    /** The section's fields in their order: the recovery report, then the counters of now. */
    Map<String, String> fields();
}
