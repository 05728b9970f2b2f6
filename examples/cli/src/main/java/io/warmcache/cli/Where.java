/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.cli;

import io.warmcache.CacheConfig;
import java.nio.file.Path;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** Whether a cache is in shared memory or in that of an {@code xen-simd}. */
final class Where {
    @Option(
            names = "--xen",
            paramLabel = "SOCKET",
            description = "The caches are those of the xen-simd that listens here.")
    @Nullable Path xen;

    /** The least a configuration must say: to look at a cache, only its name and place are used. */
    CacheConfig config(String cache) {
        CacheConfig config = CacheConfig.of(cache, 8 * 4096);
        Path socket = xen;
        return socket == null
                ? config
                : config.withBackend("xen")
                        .withOptions(Map.of("xen.socket", socket.toAbsolutePath().toString()));
    }
}
