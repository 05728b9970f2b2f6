/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache;

import java.util.List;
import java.util.Map;

/**
 * A cache as management tools see it, registered while it is open as {@code io.warmcache:type=PageCache,name="..."},
 * with {@code ,instance=2} and so on where another cache of that name is registered already (of another back end, or
 * through another class loader). {@link CacheStats}, {@link Health} and {@link RecoveryReport} say what the attributes
 * mean. Safe for use by many threads; option {@code core.mxbean=off} leaves it out.
 */
public interface PageCacheMXBean {
    String getName();

    String getBackend();

    /** Bytes of all frames. */
    long getCapacity();

    int getPageSize();

    long getHits();

    long getMisses();

    long getReadAhead();

    long getReadAheadUnused();

    /** Hits as a share of hits and misses, 0 to 1. */
    double getHitRatio();

    long getEvictions();

    long getPagesWritten();

    long getBlocksWritten();

    long getBytesRead();

    long getBytesWritten();

    long getForces();

    long getValidated();

    long getValidationFailures();

    long getWriteFailures();

    int getResidentFrames();

    int getFreeFrames();

    int getDirtyPages();

    int getDirtyBlocks();

    boolean isHealthy();

    List<String> getProblems();

    boolean isWarm();

    /** Why the start was cold; empty when warm. */
    String getColdReason();

    boolean isCleanStop();

    int getFramesFound();

    int getFramesKept();

    int getFramesUnvalidated();

    /** Frames not kept, by the name of their {@link DropReason}. */
    Map<String, Integer> getFramesDropped();

    /** Milliseconds from the start of {@code open} until every lookup was answered. */
    long getTimeToReadyMillis();

    /** One line a file mapped so far: name, verdict, frames found and kept. */
    List<String> getFileVerdicts();
}
