/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.micrometer;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.micrometer.core.instrument.Meter;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.warmcache.CacheConfig;
import io.warmcache.MapOptions;
import io.warmcache.PageCache;
import io.warmcache.PagedFile;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CacheMetersTest {
    @TempDir
    Path dir;

    @Test
    void metersTellWhatTheCacheTells() throws Exception {
        Path store = Files.write(dir.resolve("store"), new byte[10 * 4096]);
        CacheConfig config = CacheConfig.of("meters-" + ProcessHandle.current().pid(), 16 * 4096);
        SimpleMeterRegistry registry = new SimpleMeterRegistry();
        try (PageCache cache = PageCache.open(config);
                PagedFile file = cache.map(store, MapOptions.DEFAULT)) {
            new CacheMeters(cache).bindTo(registry);
            assertEquals(0, counter(registry, "accesses", "result", "miss"));
            for (int page = 0; page < 10; page++) {
                var _ = file.read(page, (memory, at) -> memory.get(ValueLayout.JAVA_BYTE, at));
            }
            file.pin(3).close();
            assertEquals(10, counter(registry, "accesses", "result", "miss"));
            assertEquals(1, counter(registry, "accesses", "result", "hit"));
            assertEquals(
                    10 * 4096,
                    registry.get("warmcache.read").functionCounter().count());
            assertEquals(10, registry.get("warmcache.frames").tag("state", "resident").gauge().value());
            assertEquals(6, registry.get("warmcache.frames").tag("state", "free").gauge().value());
            assertEquals(1, registry.get("warmcache.healthy").gauge().value());
            assertEquals(0, registry.get("warmcache.recovery.dropped").tag("reason", "checksum").gauge().value());
            assertTrue(registry.get("warmcache.recovery.ready").timeGauge().value() > 0);
            for (Meter meter : registry.getMeters()) {
                assertEquals(config.name(), meter.getId().getTag("cache"), () -> "" + meter.getId());
            }
        } finally {
            PageCache.drop(config);
        }
    }

    private static double counter(SimpleMeterRegistry registry, String name, String key, String value) {
        return registry.get("warmcache." + name).tag(key, value).functionCounter().count();
    }
}
