/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core.local;

import io.warmcache.spi.BackendConfig;
import io.warmcache.spi.FrameBackend;
import io.warmcache.spi.FrameBackendProvider;
import java.io.IOException;

/**
 * The back end {@code "volatile"}: frames in off-heap memory of this process, gone with the cache. Runs wherever a JDK
 * does, needs no native access, and claims nothing: every {@code open} starts cold and says so. Within the process a
 * file that is mapped again finds its frames, if its store can be shown unchanged.
 *
 * <p>The memory is neither part of the Java heap nor limited by {@code -XX:MaxDirectMemorySize}. Caches of one name do
 * not share it. Takes no options.
 *
 * <p>Plain files are read and written through the operating system's page cache, by calls that an interrupt does not
 * end. A file is locked against other processes' caches of this back end with the JDK's file locks, which are advisory
 * and end when any other descriptor of the file is closed in this process; caches of the back end {@code "shm"} are not
 * kept out.
 */
public final class LocalProvider implements FrameBackendProvider {
    /** For {@link java.util.ServiceLoader}. */
    public LocalProvider() {}

    @Override
    public String name() {
        return "volatile";
    }

    @Override
    public FrameBackend attach(BackendConfig config) throws IOException {
        return new LocalBackend(config);
    }

    /** There is never anything to drop. */
    @Override
    public boolean drop(BackendConfig config) {
        return false;
    }
}
