/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import jdk.jfr.Category;
import jdk.jfr.DataAmount;
import jdk.jfr.Description;
import jdk.jfr.Enabled;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;
import jdk.jfr.Timespan;

/**
 * Events for the Flight Recorder. Those that come with every miss, write or frame are off unless a recording asks for
 * them by name, and their fields are then filled in after {@code shouldCommit()}: without a recording a miss pays for
 * an object that does not outlive it, and a hit for nothing, since it has no event.
 */
final class Events {
    private Events() {}

    /** What the events of single pages have in common. */
    @Category("warmcache")
    @StackTrace(false)
    abstract static class PageEvent extends Event {
        @Label("Cache")
        String cache = "";

        @Label("File")
        String file = "";

        @Label("Page")
        @Description("The first page of the run")
        long page;

        @Label("Bytes")
        @DataAmount
        long bytes;

        @Label("Reason")
        String reason = "";

        void of(CachedFile of, long first, long length, String why) {
            cache = of.cache.config.name();
            file = of.name;
            page = first;
            bytes = length;
            reason = why;
        }
    }

    @Name("io.warmcache.Fault")
    @Label("Page Fault")
    @Description("Pages read from a store because they were not in memory, or because what was there failed validation")
    @Enabled(false)
    static final class Fault extends PageEvent {}

    @Name("io.warmcache.Evict")
    @Label("Page Eviction")
    @Description("A page given up for another one; the reason says whether it had been validated")
    @Enabled(false)
    static final class Evict extends PageEvent {}

    @Name("io.warmcache.WriteBack")
    @Label("Page Write-Back")
    @Description("Dirty blocks written to a store; the reason is the write policy, or the failure")
    @Enabled(false)
    static final class Write extends PageEvent {}

    @Name("io.warmcache.Validate")
    @Label("Frame Validation")
    @Description("A frame found in memory compared with its checksums; the reason says who asked, and what was wrong")
    @Enabled(false)
    static final class Validate extends PageEvent {}

    @Name("io.warmcache.Drop")
    @Label("Frame Drop")
    @Description("A frame found in memory that is not reused")
    @Enabled(false)
    static final class Drop extends PageEvent {}

    @Name("io.warmcache.Force")
    @Label("Store Force")
    @Description("A store made durable; page is the number of pages that had been written and not forced")
    static final class Force extends PageEvent {}

    @Name("io.warmcache.Map")
    @Label("File Map")
    @Description("The gates of a file; the reason is their verdict, page is the number of frames found in memory,"
            + " bytes what was kept of them")
    static final class MapFile extends PageEvent {}

    @Name("io.warmcache.Attach")
    @Label("Cache Attach")
    @Category("warmcache")
    @StackTrace(false)
    static final class Attach extends Event {
        @Label("Cache")
        String cache = "";

        @Label("Warm")
        boolean warm;

        @Label("Clean Stop")
        @Description("Whether the previous owner had closed the cache")
        boolean cleanStop;

        @Label("Frames Found")
        int found;

        @Label("Frames Kept")
        int kept;

        @Label("Bytes Kept")
        @DataAmount
        long bytes;

        @Label("Owner Wait")
        @Timespan(Timespan.NANOSECONDS)
        long ownerWait;

        @Label("Reason")
        @Description("Why the start is cold; empty for a warm one")
        String reason = "";
    }
}
