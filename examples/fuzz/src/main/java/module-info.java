/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
/** Mutated input for everything of warmcache that reads bytes it did not just write. */
@org.jspecify.annotations.NullMarked
module io.warmcache.fuzz {
    requires info.picocli;
    requires io.warmcache.api;
    requires io.warmcache.core;
    requires static org.jspecify;
    requires java.logging;
    requires tools.jackson.databind;

    uses io.warmcache.spi.BlockChecksum;

    opens io.warmcache.fuzz to
            info.picocli,
            tools.jackson.databind;
}
