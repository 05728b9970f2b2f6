/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

import io.warmcache.CacheStats;
import io.warmcache.DropReason;
import io.warmcache.Health;
import io.warmcache.PageCache;
import io.warmcache.RecoveryReport;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;

/** A page cache's own account of itself. */
final class WarmCacheView implements CacheView {
    private final PageCache cache;

    WarmCacheView(PageCache cache) {
        this.cache = cache;
    }

    @Override
    public Map<String, String> fields() {
        Map<String, String> fields = new LinkedHashMap<>();
        fields.put("warmcache_enabled", "1");
        fields.put("cache_name", cache.config().name());
        fields.put("cache_backend", cache.config().backend());
        put(fields, "cache_page_bytes", cache.config().pageSize());
        put(fields, "cache_capacity_bytes", cache.config().capacity());
        recovery(fields, cache.recovery());
        counters(fields, cache.stats());
        Health health = cache.health();
        put(fields, "healthy", health.healthy() ? 1 : 0);
        int problem = 0;
        for (String each : health.problems()) {
            fields.put("problem" + problem++, each);
        }
        return fields;
    }

    private static void recovery(Map<String, String> fields, RecoveryReport report) {
        put(fields, "recovery_warm", report.warm() ? 1 : 0);
        fields.put("recovery_cold_reason", report.coldReason());
        put(fields, "recovery_clean_stop", report.cleanStop() ? 1 : 0);
        put(fields, "recovery_frames_total", report.framesTotal());
        put(fields, "recovery_frames_found", report.found());
        put(fields, "recovery_frames_kept", report.kept());
        put(fields, "recovery_frames_unvalidated", report.unvalidated());
        put(fields, "recovery_frames_dropped", report.droppedTotal());
        for (DropReason reason : DropReason.values()) {
            put(fields, "recovery_dropped_" + reason.name().toLowerCase(Locale.ROOT),
                    report.dropped().getOrDefault(reason, 0));
        }
        put(fields, "recovery_bytes_kept", report.bytesKept());
        put(fields, "recovery_owner_wait_micros", report.ownerWait().toNanos() / 1000);
        put(fields, "recovery_ready_micros", report.timeToReady().toNanos() / 1000);
        int file = 0;
        for (RecoveryReport.FileRecovery each : report.files()) {
            fields.put("recovery_file" + file++, "name=" + each.name() + ",verdict=" + each.verdict() + ",found="
                    + each.found() + ",kept=" + each.kept() + ",canary_blocks=" + each.canaryBlocks());
        }
    }

    private static void counters(Map<String, String> fields, CacheStats stats) {
        put(fields, "hits", stats.hits());
        put(fields, "misses", stats.misses());
        put(fields, "read_ahead", stats.readAhead());
        put(fields, "read_ahead_unused", stats.readAheadUnused());
        fields.put("hit_ratio", String.format(Locale.ROOT, "%.6f", stats.hitRatio()));
        put(fields, "evictions", stats.evictions());
        put(fields, "frames_resident", stats.residentFrames());
        put(fields, "frames_free", stats.freeFrames());
        put(fields, "dirty_pages", stats.dirtyPages());
        put(fields, "dirty_blocks", stats.dirtyBlocks());
        put(fields, "pages_written", stats.pagesWritten());
        put(fields, "blocks_written", stats.blocksWritten());
        put(fields, "bytes_read", stats.bytesRead());
        put(fields, "bytes_written", stats.bytesWritten());
        put(fields, "forces", stats.forces());
        put(fields, "frames_validated", stats.validated());
        put(fields, "validation_failures", stats.validationFailures());
        put(fields, "write_failures", stats.writeFailures());
    }

    private static void put(Map<String, String> fields, String name, long value) {
        fields.put(name, Long.toString(value));
    }
}
