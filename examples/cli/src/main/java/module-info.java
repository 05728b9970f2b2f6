/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
/** The {@code warmcache} command. */
module io.warmcache.cli {
    requires info.picocli;
    requires io.warmcache.api;
    requires io.warmcache.core;
    requires io.warmcache.shm;
    requires io.warmcache.xen;
    requires static org.jspecify;
    requires tools.jackson.databind;

    opens io.warmcache.cli to
            info.picocli,
            tools.jackson.databind;
}
