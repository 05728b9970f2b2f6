/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
/** A simulated Xen VMM as a back end: the laboratory of the warm-cache reboot. */
@org.jspecify.annotations.NullMarked
module io.warmcache.xen {
    requires transitive io.warmcache.api;
    requires static org.jspecify;

    exports io.warmcache.xen;

    uses io.warmcache.spi.BlockChecksum;

    provides io.warmcache.spi.FrameBackendProvider with
            io.warmcache.xen.XenProvider;
}
