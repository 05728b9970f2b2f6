/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.spi;

import io.warmcache.CacheConfig;
import java.util.List;

/**
 * What the cache asks of a back end.
 *
 * @param cache the user's configuration
 * @param checksum the algorithm for new segments
 * @param checksums every algorithm known, for segments that were formatted with another
 */
public record BackendConfig(CacheConfig cache, BlockChecksum checksum, List<BlockChecksum> checksums) {
    public BackendConfig {
        checksums = List.copyOf(checksums);
    }
}
