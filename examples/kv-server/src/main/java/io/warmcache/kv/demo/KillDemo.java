/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv.demo;

import java.io.IOException;
import java.time.Duration;
import java.util.Locale;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;

/**
 * Kills and restarts a server many times: while it starts, while everything is being compared, and under a load of
 * writes. The next server is started at once, without waiting for the dead one.
 */
final class KillDemo {
    private static final double WRITE_SHARE = 0.5;
    private static final double SKEW = 0.9;
    private static final double KILL_WHILE_STARTING = 0.2;
    private static final double KILL_WHILE_COMPARING = 0.15;
    private static final int LEAST_LOAD_MILLIS = 30;
    private static final int MOST_LOAD_MILLIS = 1200;
    private static final Duration STOP_PATIENCE = Duration.ofSeconds(30);
    private static final String IO = "direct";

    private final DemoOptions options;
    private final Session session;
    private final Progress progress;
    private final String name;
    private final SplittableRandom random;
    private final Map<String, Long> dropped = new TreeMap<>();
    private final Map<String, Integer> coldReasons = new TreeMap<>();
    private int kills;
    private int whileStarting;
    private int whileComparing;
    private int warmStarts;
    private int coldStarts;
    private long framesKept;
    /** How long starting and comparing took last time, for a kill somewhere inside. */
    private double startSeconds = 1;
    private double compareSeconds = 1;

    KillDemo(DemoOptions options, Session session, String name) {
        this.options = options;
        this.session = session;
        this.name = name;
        progress = session.progress();
        random = new SplittableRandom(options.seedValue());
    }

    /**
     * Runs all of it and stops the last server cleanly.
     *
     * @throws IOException if a restart fails
     */
    KillReport run() throws IOException, InterruptedException {
        progress.step(String.format(
                Locale.ROOT,
                "%d kills with seed %d: %,d keys, %s in a cache of %s; half of the requests are writes",
                options.kills,
                options.seedValue(),
                session.model().keys(),
                Sizes.format(session.model().blobs().bytes()),
                Sizes.format(options.cache)));
        Life first = session.start("loading", name, IO, DemoOptions.Durability.ALWAYS);
        session.load(first);
        underLoad(first, 0);
        while (kills < options.kills) {
            killAgain();
        }
        finish();
        Tally tally = session.tally();
        return new KillReport(
                options.seedValue(),
                kills,
                whileStarting,
                whileComparing,
                kills - whileStarting - whileComparing,
                warmStarts,
                coldStarts,
                coldReasons,
                framesKept,
                dropped,
                Report.Answers.of(tally));
    }

    private void killAgain() throws IOException, InterruptedException {
        DemoOptions.Durability durability =
                kills % 2 == 0 ? DemoOptions.Durability.ALWAYS : DemoOptions.Durability.EVERYSEC;
        String phase = "after kill " + kills + ", " + durability.name().toLowerCase(Locale.ROOT);
        ServerProcess server = session.servers().start(name, IO, durability);
        double dice = random.nextDouble();
        if (dice < KILL_WHILE_STARTING) {
            TimeUnit.NANOSECONDS.sleep((long) (1e9 * random.nextDouble() * 1.2 * startSeconds));
            if (!server.alive()) {
                throw new IOException("a restart failed: " + server.lastWords());
            }
            server.kill();
            whileStarting++;
            killed();
            return;
        }
        Life life = session.serve(phase, server, durability);
        startSeconds = life.age();
        started(life.info());
        long compareStart = System.nanoTime();
        if (dice < KILL_WHILE_STARTING + KILL_WHILE_COMPARING) {
            long until = compareStart + (long) (1e9 * random.nextDouble() * compareSeconds);
            session.verify(life, () -> System.nanoTime() > until);
            life.kill(session.oracle());
            whileComparing++;
            killed();
            return;
        }
        session.verify(life, () -> false);
        compareSeconds = (System.nanoTime() - compareStart) / 1e9;
        underLoad(life, kills);
    }

    private void underLoad(Life life, int sequence) throws IOException {
        long until = System.nanoTime()
                + TimeUnit.MILLISECONDS.toNanos(random.nextInt(LEAST_LOAD_MILLIS, MOST_LOAD_MILLIS));
        life.drive(session.mixed(SKEW, WRITE_SHARE, sequence), () -> System.nanoTime() > until);
        life.kill(session.oracle());
        killed();
    }

    private void killed() {
        kills++;
        Tally tally = session.tally();
        progress.update(() -> String.format(
                Locale.ROOT,
                "%d kills, %d warm and %d cold starts, %,d writes acknowledged, %,d values compared, %d wrong",
                kills,
                warmStarts,
                coldStarts,
                tally.writes(),
                tally.reads(),
                tally.wrongValues()));
    }

    private void started(Info info) {
        if (info.number("recovery_warm") == 1) {
            warmStarts++;
        } else {
            coldStarts++;
            coldReasons.merge(info.text("recovery_cold_reason"), 1, Integer::sum);
        }
        framesKept += info.number("recovery_frames_kept");
        info.dropped().forEach((reason, frames) -> dropped.merge(reason, frames, Long::sum));
    }

    /** Everything once more, over a clean stop too. */
    private void finish() throws IOException, InterruptedException {
        Life life = session.start("after the last kill", name, IO, DemoOptions.Durability.ALWAYS);
        started(life.info());
        session.verify(life);
        session.stop(life, STOP_PATIENCE);
        Life last = session.start("after a clean stop", name, IO, DemoOptions.Durability.ALWAYS);
        started(last.info());
        session.verify(last);
        session.stop(last, STOP_PATIENCE);
    }
}
