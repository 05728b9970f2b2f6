/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import io.warmcache.CacheException;
import java.lang.foreign.MemorySegment;
import java.util.Locale;

/** Whether this JVM can and may make the system calls that preserved memory needs. */
final class NativeAccess {
    private NativeAccess() {}

    /**
     * Must be called before {@link Libc} is first touched: an initializer of that class that fails could only say so
     * as a linkage error.
     *
     * @throws CacheException if the platform is not supported or native access is denied
     */
    @SuppressWarnings("restricted")
    static void require() {
        String os = System.getProperty("os.name", "");
        String arch = System.getProperty("os.arch", "").toLowerCase(Locale.ROOT);
        if (!os.equals("Linux") || !(arch.equals("amd64") || arch.equals("aarch64"))) {
            throw new CacheException("the shm back end runs on Linux on x86-64 and aarch64 only, this is " + os + " on "
                    + arch + ": choose another back end");
        }
        try {
            var _ = MemorySegment.NULL.reinterpret(1);
        } catch (IllegalCallerException e) {
            Module module = NativeAccess.class.getModule();
            throw new CacheException(
                    "the shm back end calls flock, mmap and pread of the C library, and native access is denied to it:"
                            + " start java with --enable-native-access="
                            + (module.isNamed() ? module.getName() : "ALL-UNNAMED"),
                    e);
        }
    }
}
