/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv.demo;

import io.warmcache.spi.FrameState;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * The main demo: fills a server, brings it to a steady hit ratio, kills it under load, and restarts it warm and in
 * three cold ways.
 */
final class RestartDemo {
    private static final double BASE_SECONDS = 5;
    private static final double STEADY_HIT_RATIO_CHANGE = 0.003;
    private static final double STEADY_AT_LATEST_SECONDS = 45;
    private static final int FIRST_REQUESTS = 10_000;
    private static final double CAUGHT_UP = 0.95;
    private static final long BEFORE_SEQUENCE = 1;
    private static final long AFTER_SEQUENCE = 2;

    private final DemoOptions options;
    private final Session session;
    private final Progress progress;
    private final String name;

    /** One way to start again. */
    private enum Way {
        WARM("warm", "direct", "The memory of the killed server is taken over; direct I/O."),
        PAGE_CACHE_HOT(
                "cold, page cache hot",
                "buffered",
                "No memory is taken over; buffered I/O, with the whole file in the operating system's page cache."),
        DIRECT("cold, direct I/O", "direct", "No memory is taken over; direct I/O, as for the warm restart."),
        PAGE_CACHE_DROPPED(
                "cold, page cache dropped",
                "buffered",
                "No memory is taken over; buffered I/O, after the file was dropped from the operating system's page"
                        + " cache.");

        private final String label;
        private final String io;
        private final String meaning;

        Way(String label, String io, String meaning) {
            this.label = label;
            this.io = io;
            this.meaning = meaning;
        }
    }

    /** @param name of the first cache; the others' names begin with it */
    RestartDemo(DemoOptions options, Session session, String name) {
        this.options = options;
        this.session = session;
        this.name = name;
        progress = session.progress();
    }

    /** Runs all of it; the data's directory is known to be large enough. */
    Report run(Path dataDirectory) throws IOException, InterruptedException {
        Blobs blobs = session.model().blobs();
        Life life = session.start("loading", name, Way.WARM.io, options.durability);
        progress.step(String.format(
                "loading %,d keys, %s: %,d classes of the JDK in up to %d versions",
                blobs.count(), Sizes.format(blobs.bytes()), blobs.classes(), blobs.variants()));
        session.load(life);
        progress.step("loaded; now " + load());
        Report.Before before = killUnderLoad(life);
        List<Report.Restart> restarts = new ArrayList<>();
        String cache = name;
        for (Way way : Way.values()) {
            if (way != Way.WARM) {
                session.servers().drop(cache);
                cache = name + "-" + restarts.size();
                preparePageCache(way);
            }
            restarts.add(restart(way, cache, before));
        }
        return report(before, restarts, dataDirectory);
    }

    private String load() {
        return String.format(
                Locale.ROOT,
                "%.0f %% GET, %.0f %% SET, keys by Zipf's law with exponent %.2f, %d connections with %d requests each",
                100 - options.writes,
                options.writes,
                options.skew,
                options.connections,
                options.depth);
    }

    private Report.Before killUnderLoad(Life life) throws IOException, InterruptedException {
        session.requests().phase("before the kill");
        Timeline timeline = life.timeline();
        double start = life.age();
        life.drive(
                session.mixed(options.skew, options.writeShare(), BEFORE_SEQUENCE),
                () -> {
                    progress.update(() -> "under load, " + now(timeline));
                    return steady(timeline, life.age() - start);
                });
        Timeline.Rates rates = timeline.between(timeline.lastSecond() - BASE_SECONDS, timeline.lastSecond());
        progress.step(String.format(
                Locale.ROOT,
                "steady after %.0f s: hit ratio %s, %s requests/s, %s read from disk a request",
                life.age() - start,
                Figures.percent(rates.hitRatio()),
                Figures.count(rates.requestsPerSecond()),
                Figures.bytes(rates.diskReadBytesPerRequest())));
        session.kill(life);
        progress.step("SIGKILL to process " + life.server().pid() + " under load; "
                + Figures.count(session.oracle().uncertainKeys()) + " keys have a write that may or may not be there");
        Map<FrameState, Integer> records = session.servers().records(name);
        Map<String, Long> byState = new TreeMap<>();
        records.forEach((state, count) -> byState.put(state.name(), (long) count));
        long reusable = byState.getOrDefault("CLEAN", 0L) + byState.getOrDefault("WRITTEN", 0L);
        progress.step("its memory holds " + Figures.count(reusable) + " reusable frames " + byState);
        return new Report.Before(
                session.model().keys(),
                session.model().blobs().bytes(),
                session.servers().dataFileBytes(),
                rates,
                reusable,
                byState,
                timeline.samples());
    }

    private static String now(Timeline timeline) {
        if (timeline.isEmpty()) {
            return "starting";
        }
        Timeline.Rates rates = timeline.between(timeline.lastSecond() - 1, timeline.lastSecond());
        return Figures.count(rates.requestsPerSecond()) + " requests/s, hit ratio " + Figures.percent(rates.hitRatio());
    }

    private boolean steady(Timeline timeline, double seconds) {
        double window = Math.min(4, options.seconds);
        if (seconds < 3 * window) {
            return false;
        }
        double end = timeline.lastSecond();
        double middle = end - window;
        double change = timeline.between(middle, end).hitRatio()
                - timeline.between(middle - window, middle).hitRatio();
        return Math.abs(change) < STEADY_HIT_RATIO_CHANGE || seconds > STEADY_AT_LATEST_SECONDS;
    }

    private void preparePageCache(Way way) throws IOException, InterruptedException {
        Path file = session.servers().dataFile();
        OsPageCache.drop(file);
        if (way == Way.PAGE_CACHE_HOT) {
            if (!Preflight.pageCacheHolds(session.servers().dataFileBytes())) {
                progress.step("note: there is too little memory for the page cache to hold the whole file");
            }
            OsPageCache.heat(file);
        }
    }

    private Report.Restart restart(Way way, String cache, Report.Before before)
            throws IOException, InterruptedException {
        long comparedBefore = session.tally().reads();
        long wrongBefore = session.tally().wrongValues();
        Life life = session.start(way.label, cache, way.io, options.durability);
        Client.Source load = session.mixed(options.skew, options.writeShare(), AFTER_SEQUENCE);
        double firstReply = life.firstReply(load);
        long attachBytes = life.server().diskReadBytes();
        life.sample();
        Timeline timeline = life.timeline();
        double end = timeline.firstSecond() + options.seconds;
        life.drive(load, () -> {
            progress.update(() -> way.label + ", " + now(timeline));
            return timeline.lastSecond() >= end;
        });
        life.drain();
        Info info = life.info();
        Timeline.Rates firstSecond = timeline.between(timeline.firstSecond(), timeline.firstSecond() + 1);
        progress.step(String.format(
                Locale.ROOT,
                "%s: first reply after %s, %s frames kept, hit ratio of the first second %s",
                way.label,
                Figures.seconds(firstReply),
                Figures.count(info.number("recovery_frames_kept")),
                Figures.percent(firstSecond.hitRatio())));
        session.verify(life);
        Info last = life.info();
        session.kill(life);
        double enoughThroughput = CAUGHT_UP * before.rates().requestsPerSecond();
        double enoughHits = CAUGHT_UP * before.rates().hitRatio();
        long compared = session.tally().reads() - comparedBefore;
        progress.step(way.label + ": compared every key, " + Figures.count(compared) + " values in all, "
                + Figures.count(session.tally().wrongValues() - wrongBefore) + " wrong");
        return new Report.Restart(
                way.label,
                way.meaning,
                way.io,
                firstReply,
                info.number("recovery_ready_micros") / 1e6,
                info.number("recovery_warm") == 1,
                info.text("recovery_cold_reason"),
                last.number("recovery_frames_found"),
                last.number("recovery_frames_kept"),
                last.dropped(),
                firstSecond,
                timeline.firstRequests(FIRST_REQUESTS),
                timeline.between(timeline.lastSecond() - BASE_SECONDS, timeline.lastSecond()),
                orNull(timeline.timeToThroughput(enoughThroughput)),
                orNull(timeline.timeToHitRatio(enoughHits)),
                attachBytes,
                compared,
                session.tally().wrongValues() - wrongBefore,
                timeline.samples());
    }

    private static @Nullable Double orNull(OptionalDouble value) {
        return value.isPresent() ? value.getAsDouble() : null;
    }

    private Report report(Report.Before before, List<Report.Restart> restarts, Path dataDirectory)
            throws IOException {
        return new Report(
                Instant.now().truncatedTo(ChronoUnit.SECONDS).toString(),
                Preflight.machine(dataDirectory),
                settings(before),
                before,
                restarts,
                targets(before, restarts.getFirst()),
                Report.Answers.of(session.tally()));
    }

    private Map<String, String> settings(Report.Before before) {
        Map<String, String> settings = new LinkedHashMap<>();
        settings.put("keys", Figures.count(before.keys()));
        settings.put("data", Sizes.format(before.dataBytes()));
        settings.put("data file at the kill", Sizes.format(before.fileBytes()));
        settings.put("cache", Sizes.format(options.cache) + " in pages of " + Sizes.format(options.pageSize));
        settings.put(
                "MVStore's own heap cache", options.mvstoreCache == 0 ? "none" : Sizes.format(options.mvstoreCache));
        settings.put("load", load());
        settings.put("durability", options.durability.name().toLowerCase(Locale.ROOT));
        settings.put("each restart watched for", Duration.ofSeconds(options.seconds).toSeconds() + " s");
        settings.put("seed", Long.toString(options.seedValue()));
        settings.put("JVM of every server", String.join(" ", session.servers().jvmSettings()));
        settings.put("command line", "demo " + String.join(" ", options.commandLine()));
        return settings;
    }

    static List<Report.Target> targets(Report.Before before, Report.Restart warm) {
        List<Report.Target> targets = new ArrayList<>();
        double ratio = before.rates().hitRatio();
        targets.add(new Report.Target(
                "hit ratio before the kill", "80 % to 97 %", Figures.percent(ratio), ratio >= 0.8 && ratio <= 0.97));
        double kept = before.reusableFrames() == 0 ? 0 : (double) warm.framesKept() / before.reusableFrames();
        targets.add(new Report.Target(
                "frames kept of those counted reusable after the kill",
                "99 % or more",
                Figures.percent(kept) + " (" + Figures.count(warm.framesKept()) + " of "
                        + Figures.count(before.reusableFrames()) + ")",
                kept >= 0.99));
        targets.add(hitRatio("first second", ratio, warm.firstSecond()));
        targets.add(hitRatio("first 10,000 requests", ratio, warm.firstRequests()));
        targets.add(diskRead("first second", before.rates(), warm.firstSecond()));
        targets.add(diskRead("first 10,000 requests", before.rates(), warm.firstRequests()));
        return targets;
    }

    private static Report.Target hitRatio(String when, double before, Timeline.Rates after) {
        double points = 100 * (after.hitRatio() - before);
        return new Report.Target(
                "hit ratio of the " + when,
                "within 1 point of before",
                String.format(Locale.ROOT, "%s, %+.2f points", Figures.percent(after.hitRatio()), points),
                Math.abs(points) <= 1);
    }

    private static Report.Target diskRead(String when, Timeline.Rates before, Timeline.Rates after) {
        double change = before.diskReadBytesPerRequest() == 0
                ? 0
                : after.diskReadBytesPerRequest() / before.diskReadBytesPerRequest() - 1;
        return new Report.Target(
                "bytes read from disk a request, " + when,
                "within 10 % of before",
                String.format(
                        Locale.ROOT, "%s, %+.1f %%", Figures.bytes(after.diskReadBytesPerRequest()), 100 * change),
                Math.abs(change) <= 0.1);
    }
}
