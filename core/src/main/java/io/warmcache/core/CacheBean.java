/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import io.warmcache.CacheConfig;
import io.warmcache.CacheStats;
import io.warmcache.PageCache;
import io.warmcache.PageCacheMXBean;
import io.warmcache.RecoveryReport;
import java.lang.management.ManagementFactory;
import java.lang.ref.WeakReference;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicInteger;
import javax.management.InstanceAlreadyExistsException;
import javax.management.InstanceNotFoundException;
import javax.management.JMException;
import javax.management.MBeanServer;
import javax.management.ObjectName;
import org.jspecify.annotations.Nullable;

/**
 * The management bean of one open cache. Holds the cache weakly: a cache that its user forgot to close is not kept by
 * being managed, nor is its class loader.
 */
final class CacheBean implements PageCacheMXBean {
    static final String OPTION = "core.mxbean";

    private static final System.Logger LOG = System.getLogger("io.warmcache");

    /** Other class loaders count for themselves, so a number may be taken: the next one is tried then. */
    private static final AtomicInteger INSTANCES = new AtomicInteger(1);

    private static final int MOST_TRIES = 1000;

    private final CacheConfig config;
    private final WeakReference<PageCache> cache;

    private CacheBean(PageCache cache) {
        config = cache.config();
        this.cache = new WeakReference<>(cache);
    }

    /** Registers a cache under its name; returns null, and says so in the log, if that cannot be done. */
    static @Nullable ObjectName register(PageCache cache) {
        if ("off".equals(cache.config().options().get(OPTION))) {
            return null;
        }
        String name = "io.warmcache:type=PageCache,name="
                + ObjectName.quote(cache.config().name());
        try {
            MBeanServer server = ManagementFactory.getPlatformMBeanServer();
            CacheBean bean = new CacheBean(cache);
            for (int i = 0; i < MOST_TRIES; i++) {
                String full = i == 0 ? name : name + ",instance=" + INSTANCES.incrementAndGet();
                try {
                    return server.registerMBean(bean, new ObjectName(full)).getObjectName();
                } catch (InstanceAlreadyExistsException e) {
                    LOG.log(System.Logger.Level.TRACE, "another cache is registered under this name", e);
                }
            }
        } catch (JMException | RuntimeException e) {
            LOG.log(System.Logger.Level.WARNING, "the management bean of " + name + " was not registered", e);
        }
        return null;
    }

    static void unregister(@Nullable ObjectName name) {
        if (name == null) {
            return;
        }
        try {
            ManagementFactory.getPlatformMBeanServer().unregisterMBean(name);
        } catch (InstanceNotFoundException e) {
            LOG.log(System.Logger.Level.TRACE, "unregistered by somebody else", e);
        } catch (JMException | RuntimeException e) {
            LOG.log(System.Logger.Level.WARNING, name + " was not unregistered", e);
        }
    }

    private PageCache cache() {
        return Objects.requireNonNull(cache.get(), "the cache was not closed, and is garbage");
    }

    private CacheStats stats() {
        return cache().stats();
    }

    private RecoveryReport recovery() {
        return cache().recovery();
    }

    @Override
    public String getName() {
        return config.name();
    }

    @Override
    public String getBackend() {
        return config.backend();
    }

    @Override
    public long getCapacity() {
        return cache().capacity();
    }

    @Override
    public int getPageSize() {
        return config.pageSize();
    }

    @Override
    public long getHits() {
        return stats().hits();
    }

    @Override
    public long getMisses() {
        return stats().misses();
    }

    @Override
    public long getReadAhead() {
        return stats().readAhead();
    }

    @Override
    public long getReadAheadUnused() {
        return stats().readAheadUnused();
    }

    @Override
    public double getHitRatio() {
        return stats().hitRatio();
    }

    @Override
    public long getEvictions() {
        return stats().evictions();
    }

    @Override
    public long getPagesWritten() {
        return stats().pagesWritten();
    }

    @Override
    public long getBlocksWritten() {
        return stats().blocksWritten();
    }

    @Override
    public long getBytesRead() {
        return stats().bytesRead();
    }

    @Override
    public long getBytesWritten() {
        return stats().bytesWritten();
    }

    @Override
    public long getForces() {
        return stats().forces();
    }

    @Override
    public long getValidated() {
        return stats().validated();
    }

    @Override
    public long getValidationFailures() {
        return stats().validationFailures();
    }

    @Override
    public long getWriteFailures() {
        return stats().writeFailures();
    }

    @Override
    public int getResidentFrames() {
        return stats().residentFrames();
    }

    @Override
    public int getFreeFrames() {
        return stats().freeFrames();
    }

    @Override
    public int getDirtyPages() {
        return stats().dirtyPages();
    }

    @Override
    public int getDirtyBlocks() {
        return stats().dirtyBlocks();
    }

    @Override
    public boolean isHealthy() {
        return cache().health().healthy();
    }

    @Override
    public List<String> getProblems() {
        return cache().health().problems();
    }

    @Override
    public boolean isWarm() {
        return recovery().warm();
    }

    @Override
    public String getColdReason() {
        return recovery().coldReason();
    }

    @Override
    public boolean isCleanStop() {
        return recovery().cleanStop();
    }

    @Override
    public int getFramesFound() {
        return recovery().found();
    }

    @Override
    public int getFramesKept() {
        return recovery().kept();
    }

    @Override
    public int getFramesUnvalidated() {
        return recovery().unvalidated();
    }

    @Override
    public Map<String, Integer> getFramesDropped() {
        Map<String, Integer> dropped = new TreeMap<>();
        recovery().dropped().forEach((reason, count) -> dropped.put(reason.name(), count));
        return dropped;
    }

    @Override
    public long getTimeToReadyMillis() {
        return recovery().timeToReady().toMillis();
    }

    @Override
    public List<String> getFileVerdicts() {
        return recovery().files().stream()
                .map(file -> file.name() + ": " + file.verdict() + "; found " + file.found() + ", kept " + file.kept())
                .toList();
    }
}
