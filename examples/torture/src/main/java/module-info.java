/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
/** Kills processes that use warmcache, and looks whether anything wrong is served afterwards. */
module io.warmcache.torture {
    requires info.picocli;
    requires io.warmcache.api;
    requires io.warmcache.core;
    requires io.warmcache.shm;
    requires io.warmcache.xen;
    requires static org.jspecify;
    requires com.fasterxml.jackson.annotation;
    requires jdk.unsupported;
    requires tools.jackson.databind;

    uses io.warmcache.spi.FrameBackendProvider;

    provides io.warmcache.spi.FrameBackendProvider with
            io.warmcache.torture.SteppedProvider;

    opens io.warmcache.torture.faults to
            info.picocli,
            tools.jackson.databind;
    opens io.warmcache.torture to
            info.picocli,
            tools.jackson.databind;
    opens io.warmcache.torture.soak to
            info.picocli,
            tools.jackson.databind;
}
