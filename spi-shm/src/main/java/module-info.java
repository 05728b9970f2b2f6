/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
/** Preserved memory in POSIX shared memory. */
@org.jspecify.annotations.NullMarked
module io.warmcache.shm {
    requires transitive io.warmcache.api;
    requires jdk.management;
    requires static org.jspecify;

    exports io.warmcache.shm;

    provides io.warmcache.spi.FrameBackendProvider with
            io.warmcache.shm.ShmProvider;
}
