/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import io.warmcache.spi.BackendConfig;
import io.warmcache.spi.FrameBackend;
import io.warmcache.spi.FrameBackendProvider;
import java.io.IOException;
import org.jspecify.annotations.Nullable;

/**
 * The back end {@code "shm"}: frames in POSIX shared memory, or in any mappable file when the cache is named by an
 * absolute path. Linux on x86-64 and aarch64; needs native access.
 *
 * <p>Options in {@link io.warmcache.CacheConfig#options()}:
 * <ul>
 *   <li>{@code shm.cgroupCheck=off}: does not compare the memory limits of the process's control groups with what
 *       segment, heap and direct memory need;
 * <li>{@code shm.leastPercent=N}: where these limits leave no room for the configured capacity, open with less, down
 * to
 *       N percent of it (50 by default), keeping the hottest pages; 100 refuses at once;
 *   <li>{@code shm.reads=threads}: has pages that one caller wants together read by threads, not by io_uring; {@code
 *       uring}: tries io_uring also where a seccomp filter might end the process for it;
 *   <li>{@code shm.domain=os-reboot}: says that the memory outlives the operating system too, as persistent memory or
 *       a file on a host-backed device does; without it a segment found after a reboot is not trusted.
 * </ul>
 */
public final class ShmProvider implements FrameBackendProvider {
    /** Null but in a process that a test wants killed at a certain step. */
    private static final @Nullable StepHook HOOK = DeathAtStep.asked();

    /** For {@link java.util.ServiceLoader}. */
    public ShmProvider() {}

    @Override
    public String name() {
        return "shm";
    }

    @Override
    public FrameBackend attach(BackendConfig config) throws IOException {
        NativeAccess.require();
        return ShmBackend.attach(config, MemoryBudget.ofThisProcess(), HOOK);
    }

    @Override
    public boolean drop(BackendConfig config) throws IOException {
        NativeAccess.require();
        SegmentFile segment = SegmentFile.acquire(config.cache(), false);
        if (segment == null) {
            return false;
        }
        try {
            segment.requireOverwritable();
            segment.wipe(null);
            segment.giveBackStorage(null);
            segment.unlink();
            return true;
        } finally {
            segment.release();
        }
    }
}
