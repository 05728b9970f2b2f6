/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

import io.warmcache.CacheException;
import java.lang.foreign.MemorySegment;

/** Whether this JVM may make the system calls that machine memory needs. */
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
        if (!System.getProperty("os.name", "").equals("Linux")) {
            throw new CacheException("the xen back end runs on Linux only: choose another back end");
        }
        try {
            var _ = MemorySegment.NULL.reinterpret(1);
        } catch (IllegalCallerException e) {
            Module module = NativeAccess.class.getModule();
            throw new CacheException(
                    "the xen back end calls mmap of the C library, and native access is denied to it: start java with"
                            + " --enable-native-access=" + (module.isNamed() ? module.getName() : "ALL-UNNAMED"),
                    e);
        }
    }
}
