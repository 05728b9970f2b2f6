/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
/** Preserved memory in POSIX shared memory. */
module io.warmcache.shm {
    requires io.warmcache.api;
    requires static org.jspecify;
}
