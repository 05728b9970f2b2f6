/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv.demo;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class AotCacheTest {
    @TempDir
    Path directory;

    private final AtomicInteger trained = new AtomicInteger();

    private Path obtain(String settings, String backend) throws Exception {
        return AotCache.obtain(directory, settings, backend, (option, patience) -> {
            trained.incrementAndGet();
            Files.writeString(Path.of(option.substring(option.indexOf('=') + 1)), "trained");
        });
    }

    @Test
    void aCacheIsTrainedOnceForSettingsAndBackEndEach() throws Exception {
        Path shm = obtain("-Xmx1g", "shm");
        assertEquals(shm, obtain("-Xmx1g", "shm"));
        assertEquals(1, trained.get());
        Path xen = obtain("-Xmx1g", "xen");
        assertNotEquals(shm, xen, "a cache trained with the classes of one back end has not those of another");
        assertNotEquals(shm, obtain("-Xmx2g", "shm"));
        assertEquals(xen, obtain("-Xmx1g", "xen"));
        assertEquals(3, trained.get());
    }
}
