/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

import io.warmcache.CacheConfig;
import io.warmcache.spi.FrameState;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;

/** Looks at what an {@code xen-simd} records of a cache that nobody has open, and changes nothing. */
public final class XenInspector {
    private XenInspector() {}

    /**
     * The cache's frames by state, as its last guest left them. Those {@code WRITTEN} are dropped by the next attach if
     * that guest died.
     *
     * @param config with the option {@code xen.socket}
     * @throws IOException if no {@code xen-simd} listens there, or it has no such cache
     * @throws io.warmcache.BusyException if a guest is attached
     * @throws IllegalArgumentException if the option is missing
     */
    public static Map<FrameState, Integer> inspect(CacheConfig config) throws IOException {
        NativeAccess.require();
        String socket = config.options().get("xen.socket");
        if (socket == null) {
            throw new IllegalArgumentException("the option xen.socket says where xen-simd listens: it is missing");
        }
        return RemoteBackend.inspect(Path.of(socket), config.name());
    }
}
