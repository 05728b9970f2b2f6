/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.micrometer;

import io.micrometer.core.instrument.FunctionCounter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Tag;
import io.micrometer.core.instrument.Tags;
import io.micrometer.core.instrument.TimeGauge;
import io.micrometer.core.instrument.binder.MeterBinder;
import io.warmcache.DropReason;
import io.warmcache.PageCache;
import java.util.Locale;
import java.util.concurrent.TimeUnit;
import java.util.function.ToDoubleFunction;

/**
 * The meters of one cache, tagged {@code cache=NAME}. Each reading asks the cache, so that nothing is counted twice and
 * an access pays for nothing. Registries hold the cache weakly: keep it, and remove the meters when it is closed if the
 * registry lives on. Safe for use by many threads.
 */
public final class CacheMeters implements MeterBinder {
    private final PageCache cache;
    private final Tags tags;

    /** Meters of {@code cache}, with further tags on each. */
    public CacheMeters(PageCache cache, Iterable<Tag> tags) {
        this.cache = cache;
        this.tags = Tags.of(tags).and("cache", cache.config().name());
    }

    /** Meters of {@code cache}. */
    public CacheMeters(PageCache cache) {
        this(cache, Tags.empty());
    }

    @Override
    public void bindTo(MeterRegistry registry) {
        Tags none = Tags.empty();
        String accesses = "Page accesses";
        counter(registry, "accesses", accesses, "", Tags.of("result", "hit"), c -> c.stats().hits());
        counter(registry, "accesses", accesses, "", Tags.of("result", "miss"), c -> c.stats().misses());
        String ahead = "Pages read before they were asked for";
        counter(registry, "read.ahead", ahead, "", none, c -> c.stats().readAhead());
        counter(registry, "read.ahead.unused", ahead + ", and evicted unused", "", none, CacheMeters::unused);
        counter(registry, "evictions", "Frames given up for others", "", none, c -> c.stats().evictions());
        counter(registry, "read", "Read from stores", "bytes", none, c -> c.stats().bytesRead());
        counter(registry, "written", "Written to stores", "bytes", none, c -> c.stats().bytesWritten());
        counter(registry, "forces", "Stores made durable", "", none, c -> c.stats().forces());
        counter(registry, "write.failures", "Failed writes and forces", "", none, c -> c.stats().writeFailures());
        String validated = "Frames found in memory and compared with their checksums";
        counter(registry, "validations", validated, "", Tags.of("result", "valid"), c -> c.stats().validated());
        counter(registry, "validations", validated, "", Tags.of("result", "failed"), CacheMeters::validationFailures);

        String frames = "Frames by what they hold";
        gauge(registry, "frames", frames, Tags.of("state", "resident"), c -> c.stats().residentFrames());
        gauge(registry, "frames", frames, Tags.of("state", "free"), c -> c.stats().freeFrames());
        gauge(registry, "dirty.pages", "Pages with changes not yet written", none, c -> c.stats().dirtyPages());
        gauge(registry, "dirty.blocks", "4 KiB blocks with changes not written", none, c -> c.stats().dirtyBlocks());
        gauge(registry, "healthy", "1 if cache and files work, else 0", none, c -> c.health().healthy() ? 1 : 0);
        gauge(registry, "recovery.warm", "1 if frames were taken over", none, c -> c.recovery().warm() ? 1 : 0);
        gauge(registry, "recovery.found", "Frames that held something at open", none, c -> c.recovery().found());
        gauge(registry, "recovery.kept", "Frames found and still reusable", none, c -> c.recovery().kept());
        for (DropReason reason : DropReason.values()) {
            Tags why = Tags.of("reason", reason.name().toLowerCase(Locale.ROOT));
            gauge(registry, "recovery.dropped", "Frames found and not kept", why, c -> dropped(c, reason));
        }
        TimeGauge.builder("warmcache.recovery.ready", cache, TimeUnit.NANOSECONDS, CacheMeters::nanosToReady)
                .description("From the start of open until every lookup was answered")
                .tags(tags)
                .register(registry);
    }

    private static double unused(PageCache cache) {
        return cache.stats().readAheadUnused();
    }

    private static double validationFailures(PageCache cache) {
        return cache.stats().validationFailures();
    }

    private static double dropped(PageCache cache, DropReason reason) {
        return cache.recovery().dropped().getOrDefault(reason, 0);
    }

    private static double nanosToReady(PageCache cache) {
        return cache.recovery().timeToReady().toNanos();
    }

    private void counter(
            MeterRegistry registry,
            String name,
            String description,
            String unit,
            Tags more,
            ToDoubleFunction<PageCache> value) {
        FunctionCounter.Builder<PageCache> builder = FunctionCounter.builder("warmcache." + name, cache, value)
                .description(description)
                .tags(tags.and(more));
        if (!unit.isEmpty()) {
            builder.baseUnit(unit);
        }
        builder.register(registry);
    }

    private void gauge(
            MeterRegistry registry, String name, String description, Tags more, ToDoubleFunction<PageCache> value) {
        Gauge.builder("warmcache." + name, cache, value)
                .description(description)
                .tags(tags.and(more))
                .register(registry);
    }
}
