/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
/**
 * What a back end provides: memory that outlives the cache's process, a ledger of what each frame holds, and the block
 * I/O path on which checksums are taken. Start at {@link io.warmcache.spi.FrameBackend}.
 */
package io.warmcache.spi;
