/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture;

import io.warmcache.PageCache;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/** Lanes of lives, and what they come to; goes on where an earlier run in the same directory ended. */
final class Campaign {
    private final TortureOptions options;
    private final Path file;
    private final Tally tally;
    private final String backend;
    private final long started = System.nanoTime();
    private final double secondsBefore;
    private VictimJvm jvm = VictimJvm.plain();
    private @Nullable XenDaemon daemon;
    private volatile boolean stopped;
    private volatile boolean ending;
    private volatile @Nullable Throwable broken;
    private volatile @Nullable String failure;
    private final String mutation;

    /** What a campaign must not find. */
    enum Failure {
        WRONG,
        HANG,
        RESTART,
        FRAMES,
        PINS,
        SEGMENT,
        FILE
    }

    /** Copies what is to be looked at into a directory. */
    @FunctionalInterface
    interface Evidence {
        void keep(Path to) throws IOException;
    }

    Campaign(TortureOptions options) throws IOException {
        this(options, "");
    }

    /** One whose victims break a rule of the core. */
    Campaign(TortureOptions options, String mutation) throws IOException {
        this.options = options;
        this.mutation = mutation;
        Files.createDirectories(options.out);
        file = options.out.resolve("campaign.json");
        tally = Tally.load(file);
        secondsBefore = tally.seconds;
        backend = options.backend.name().toLowerCase(Locale.ROOT);
        tally.of(backend);
    }

    /**
     * Runs until there are as many kills as asked for, in all runs together, or something was found.
     *
     * @return what was found, or null
     * @throws IOException if it cannot run
     */
    @Nullable String run() throws IOException, InterruptedException {
        try (FileChannel lock = FileChannel.open(
                        options.out.resolve("lock"), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
                FileLock held = lock.tryLock()) {
            if (held == null) {
                throw new IOException(options.out + " is in use by another campaign");
            }
            tally.seeds.add(options.seedValue());
            runLanes();
        }
        Throwable cause = broken;
        if (cause != null) {
            throw new IOException("the campaign cannot go on: " + cause, cause);
        }
        return failure;
    }

    private void runLanes() throws IOException, InterruptedException {
        List<Lane> lanes = new ArrayList<>();
        Thread ended = Thread.ofPlatform().name("torture-ended").unstarted(() -> {
            stopped = true;
            ending = true;
            lanes.forEach(Lane::close);
            closeDaemon();
        });
        Runtime.getRuntime().addShutdownHook(ended);
        try {
            if (options.backend == TortureOptions.Backend.XEN) {
                daemon = XenDaemon.start(options.out, options.out.resolve("xen-simd.log"));
            }
            train();
            List<Thread> threads = new ArrayList<>();
            for (int i = 0; i < options.parallel; i++) {
                Lane lane = new Lane(this, options, i);
                lanes.add(lane);
                threads.add(Thread.ofPlatform().name("lane-" + i).start(lane));
            }
            for (Thread thread : threads) {
                thread.join();
            }
            XenDaemon machine = daemon;
            // a lane that was interrupted has not dropped its cache
            if (machine != null && !stopped && !machine.leaks().isEmpty()) {
                failed(Failure.SEGMENT, "xen-simd still has " + machine.leaks(), "xen-simd still has "
                        + machine.leaks(), _ -> {});
            }
        } finally {
            lanes.forEach(Lane::close);
            closeDaemon();
            save();
            try {
                Runtime.getRuntime().removeShutdownHook(ended);
            } catch (IllegalStateException e) {
                // it is running
            }
        }
    }

    private synchronized void closeDaemon() {
        XenDaemon machine = daemon;
        daemon = null;
        if (machine != null) {
            machine.close();
        }
    }

    /** Makes what lets victims start soon. */
    private void train() throws IOException, InterruptedException {
        Path directory = options.out.resolve("training");
        Files.createDirectories(directory.resolve("data"));
        Files.createDirectories(directory.resolve("small"));
        Files.deleteIfExists(directory.resolve("journal"));
        for (SlotSpec spec : SlotSpec.ALL) {
            Files.deleteIfExists(Slot.path(spec, directory));
            Files.deleteIfExists(Path.of(Slot.path(spec, directory) + ".link"));
        }
        Journal _ = Journal.create(directory.resolve("journal"));
        LifePlan plan = new LifePlan()
                .with("cache", "torture-" + ProcessHandle.current().pid() + "-training")
                .with("backend", backend)
                .with("directory", directory)
                .with("salt", 1)
                .with("pageSize", 4096)
                .with("capacity", 2 << 20)
                .with("checksum", "xxh64")
                .with("validation", "LAZY")
                .with("seed", 1)
                .with("threads", 2)
                .with("readAll", true)
                .with("quiesce", true);
        complete(plan);
        jvm = VictimJvm.trained(options.out, plan);
        boolean _ = PageCache.drop(plan.config());
    }

    /** Adds what all plans have in common. */
    void complete(LifePlan plan) {
        XenDaemon machine = daemon;
        if (machine != null) {
            plan.with("socket", machine.socket());
        }
        if (!mutation.isEmpty()) {
            plan.with("mutation", mutation);
        }
    }

    VictimJvm jvm() {
        return jvm;
    }

    Tally tally() {
        return tally;
    }

    Tally.Sums sums() {
        return tally.of(backend);
    }

    /** Ends it as if there were enough kills. */
    void stop() {
        stopped = true;
    }

    /** Whether this process is ending, and its victims with it. */
    boolean isEnding() {
        return ending;
    }

    boolean goesOn() {
        synchronized (tally) {
            return !stopped
                    && sums().kills < options.kills
                    && (options.seconds == 0
                            || System.nanoTime() - started < TimeUnit.SECONDS.toNanos(options.seconds));
        }
    }

    /** Counts a life that ended as it should. */
    void ended(Kind kind) throws IOException {
        synchronized (tally) {
            Tally.Sums sums = sums();
            sums.lives++;
            if (kind != Kind.CLEAN) {
                sums.kills++;
                Tally.count(sums.killsByKind, kind.toString());
                if (sums.kills % 100 == 0) {
                    System.out.println(summary());
                }
            }
            save();
        }
    }

    private void save() throws IOException {
        synchronized (tally) {
            tally.seconds = secondsBefore + (System.nanoTime() - started) / 1e9;
            tally.save(file);
        }
    }

    /** Something is broken that is not the cache. */
    void broken(Throwable t) {
        broken = t;
        stopped = true;
    }

    /** Counts what was found, keeps the evidence, and ends the campaign. */
    void failed(Failure found, String report, String what, Evidence evidence) {
        synchronized (tally) {
            Tally.Sums sums = sums();
            switch (found) {
                case WRONG -> sums.wrong++;
                case HANG -> sums.hangs++;
                case RESTART -> sums.failedRestarts++;
                case FRAMES -> sums.leakedFrames++;
                case PINS -> sums.leakedPins++;
                case SEGMENT -> sums.leakedSegments++;
                case FILE -> sums.leakedFiles++;
            }
            Path directory = options.out.resolve("failure-" + tally.failures.size());
            String line = found + " in " + directory.getFileName() + ": " + what.lines().findFirst().orElse("");
            tally.failures.add(line);
            failure = line;
            stopped = true;
            try {
                Files.createDirectories(directory);
                Files.writeString(directory.resolve("report.txt"), report);
                evidence.keep(directory);
                save();
            } catch (IOException e) {
                System.err.println("torture: not all evidence could be kept: " + e);
            }
            System.err.println(report.lines().limit(60).reduce("", (a, b) -> a + b + "\n"));
        }
    }

    /** One line. */
    String summary() {
        synchronized (tally) {
            Tally.Sums sums = sums();
            return String.format(
                    Locale.ROOT,
                    "%s: %d kills, %d restarts (%d warm), %d resident pages compared, %d MiB of stores, wrong %d,"
                            + " hangs %d, failed restarts %d, leaks %d; wrong per kill at most %.2g, per page %.2g"
                            + " (95 %%); %.0f s",
                    backend,
                    sums.kills,
                    sums.restarts,
                    sums.warmRestarts,
                    sums.residentPagesCompared,
                    sums.storeBytesCompared >> 20,
                    sums.wrong,
                    sums.hangs,
                    sums.failedRestarts,
                    sums.bad() - sums.wrong - sums.hangs - sums.failedRestarts,
                    Bounds.upper95(sums.wrong, sums.kills),
                    Bounds.upper95(sums.wrong, sums.residentPagesCompared),
                    secondsBefore + (System.nanoTime() - started) / 1e9);
        }
    }
}
