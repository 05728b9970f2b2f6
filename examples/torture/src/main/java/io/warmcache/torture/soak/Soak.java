/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture.soak;

import io.warmcache.PageCache;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;

/** The command {@code examples/torture/soak}: starts lives, ends them, and looks at them meanwhile. */
public final class Soak {
    private static final Path SHARED = Path.of("/dev/shm");
    /** How long a life may take to be ready, or to end. */
    private static final long PATIENCE = TimeUnit.SECONDS.toNanos(180);

    private final SoakOptions options;
    private final Path directory;
    private final String name;
    private final int pages;
    private final SoakAccount account;
    private final List<SoakReport.Sample> samples = new ArrayList<>();
    private final List<SoakReport.Life> lives = new ArrayList<>();
    private final List<String> problems = new ArrayList<>();
    private final long begun = System.nanoTime();
    private @Nullable Process daemon;
    private @Nullable Process dying;

    private Soak(SoakOptions options, Path directory, Arena arena) throws IOException {
        this.options = options;
        this.directory = directory;
        name = "soak-" + ProcessHandle.current().pid();
        // The files together are half as large again as the cache.
        pages = (int) (((long) options.capacityMib << 20) / SoakChild.PAGE / 2);
        for (int f = 0; f < SoakChild.FILES; f++) {
            Files.write(SoakChild.data(directory, f), new byte[0]);
            try (var channel = java.nio.channels.FileChannel.open(
                    SoakChild.data(directory, f), java.nio.file.StandardOpenOption.WRITE)) {
                java.nio.ByteBuffer zeros = java.nio.ByteBuffer.allocate(SoakChild.PAGE);
                for (int p = 0; p < pages; p++) {
                    var _ = channel.write(zeros.clear());
                }
            }
        }
        account = SoakAccount.map(SoakChild.account(directory), (long) SoakChild.FILES * pages, arena);
    }

    /** Runs a soak; exits with 0 if all was flat and nothing wrong, 1 if not so, 2 if it could not run. */
    public static void main(String[] args) {
        System.exit(new CommandLine(new SoakOptions())
                .setCaseInsensitiveEnumValuesAllowed(true)
                .execute(args));
    }

    /** Runs it, prints the report and writes it to the directory of the options. */
    static SoakReport run(SoakOptions options) throws IOException {
        long seed = options.seedValue();
        System.out.println("seed " + seed);
        Files.createDirectories(options.out);
        Path directory = Files.createTempDirectory(options.out.toAbsolutePath(), "soak-");
        try (Arena arena = Arena.ofShared()) {
            Soak soak = new Soak(options, directory, arena);
            SoakReport report = soak.run();
            Path json = options.out.resolve("soak.json");
            JsonMapper.builder()
                    .enable(SerializationFeature.INDENT_OUTPUT)
                    .build()
                    .writeValue(json, report);
            Path svg = options.out.resolve("soak.svg");
            Files.writeString(svg, SoakPicture.of(report));
            print(report);
            System.out.println("written: " + json + ", " + svg);
            return report;
        } finally {
            delete(directory);
        }
    }

    private SoakReport run() throws IOException {
        boolean xen = options.backend == SoakOptions.Backend.XEN;
        String socket = xen ? Files.createTempDirectory("soak").resolve("s").toString() : "";
        if (xen) {
            daemon = startDaemon(socket);
        }
        try {
            long end = begun + (long) (options.minutes * 60 * 1e9);
            for (int number = 0; System.nanoTime() < end && problems.isEmpty(); number++) {
                life(number, socket);
            }
        } finally {
            cleanUp(socket);
        }
        long wrong = account.get(SoakAccount.WRONG);
        return new SoakReport(
                options.backend.name().toLowerCase(Locale.ROOT),
                options.seedValue(),
                seconds(),
                options.every,
                (int) lives.stream().filter(SoakReport.Life::killed).count(),
                (int) lives.stream().filter(life -> !life.killed()).count(),
                account.get(SoakAccount.OPERATIONS),
                account.get(SoakAccount.COMPARED),
                account.get(SoakAccount.WARM),
                wrong,
                problems,
                SoakReport.trends(lives, SoakChild.config(name, "", pages).frames(), xen),
                lives,
                samples);
    }

    private double seconds() {
        return (System.nanoTime() - begun) / 1e9;
    }

    // ---- processes

    private static List<String> java(Class<?> main, String heap) {
        return new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                // All of the heap from the beginning, so that what grows is not that.
                "-Xms" + heap,
                "-Xmx" + heap,
                "-XX:+AlwaysPreTouch",
                "-XX:+UseSerialGC",
                "-XX:-UsePerfData",
                "--enable-native-access=ALL-UNNAMED",
                "--illegal-native-access=deny",
                "--sun-misc-unsafe-memory-access=deny",
                "-cp",
                System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")),
                main.getName()));
    }

    private Process startDaemon(String socket) throws IOException {
        List<String> command = java(io.warmcache.xen.XenSimd.class, "64m");
        command.addAll(List.of(
                "--socket", socket, "--memory", 2 * options.capacityMib + 64 + "m", "--disks", directory.toString()));
        Process process =
                new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
        String line = process.inputReader().readLine();
        if (line == null || !line.startsWith("READY")) {
            process.destroyForcibly();
            throw new IOException("xen-simd did not start: it said " + line);
        }
        return process;
    }

    private Process startChild(int number, String socket) throws IOException {
        List<String> command = java(SoakChild.class, "48m");
        command.addAll(List.of(
                name,
                socket,
                directory.toString(),
                Integer.toString(pages),
                Long.toString(options.seedValue() + number),
                Integer.toString(options.rate)));
        return new ProcessBuilder(command)
                .redirectErrorStream(true)
                .redirectOutput(ProcessBuilder.Redirect.appendTo(
                        options.out.resolve("soak.log").toFile()))
                .start();
    }

    /** One life, from its start to its end; the next may start at once. */
    private void life(int number, String socket) throws IOException {
        boolean kill = number % 2 == 0;
        account.set(SoakAccount.READY, 0);
        account.set(SoakAccount.STOP, 0);
        long start = System.nanoTime();
        Process child = startChild(number, socket);
        boolean handedOn = false;
        try {
            while (account.get(SoakAccount.READY) == 0) {
                if (!child.isAlive() || System.nanoTime() - start > PATIENCE) {
                    problems.add("life " + number + " was not ready " + (child.isAlive() ? "in time" : "and ended with "
                            + child.exitValue()) + ": see " + options.out.resolve("soak.log"));
                    return;
                }
                pause(5);
            }
            double readyAfter = (System.nanoTime() - start) / 1e9;
            reap();
            SoakReport.Sample last = watch(child);
            if (last == null) {
                problems.add("life " + number + " ended by itself: see " + options.out.resolve("soak.log"));
                return;
            }
            long operations = samples.stream()
                    .filter(sample -> sample.at() > last.at() - options.every)
                    .mapToLong(sample -> Math.round(sample.operations()))
                    .sum();
            long counted = samples.stream()
                    .filter(sample -> sample.at() > last.at() - options.every)
                    .count();
            lives.add(new SoakReport.Life(
                    number,
                    kill,
                    readyAfter,
                    account.get(SoakAccount.KEPT),
                    counted == 0 ? 0 : (double) operations / counted,
                    last));
            if (kill) {
                child.destroyForcibly();
                dying = child; // not waited for: the next life starts beside what is left of it
                handedOn = true;
            } else {
                stop(number, child);
            }
        } finally {
            if (!handedOn) {
                child.destroyForcibly();
            }
        }
    }

    private void stop(int number, Process child) {
        account.set(SoakAccount.STOP, 1);
        if (!ends(child)) {
            problems.add("life " + number + " did not end in order");
        } else if (child.exitValue() != 0) {
            problems.add("life " + number + " ended with " + child.exitValue() + ": see "
                    + options.out.resolve("soak.log"));
        }
    }

    private static boolean ends(Process child) {
        long deadline = System.nanoTime() + PATIENCE;
        while (child.isAlive()) {
            if (System.nanoTime() > deadline) {
                return false;
            }
            pause(5);
        }
        return true;
    }

    private void reap() {
        Process gone = dying;
        dying = null;
        if (gone != null && !ends(gone)) {
            problems.add("a killed process is still there");
        }
    }

    private static void pause(int millis) {
        LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(millis));
    }

    private void cleanUp(String socket) throws IOException {
        reap();
        PageCache.drop(SoakChild.config(name, socket, pages));
        Process machine = daemon;
        if (machine != null) {
            machine.destroy();
            if (!ends(machine)) {
                machine.destroyForcibly();
                problems.add("xen-simd did not end");
            }
            delete(Path.of(socket).getParent());
        }
        if (!sharedFiles().isEmpty()) {
            problems.add("left in shared memory: " + sharedFiles());
        }
    }

    private static void delete(@Nullable Path root) throws IOException {
        if (root == null) {
            return;
        }
        try (Stream<Path> files = Files.walk(root)) {
            for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                Files.deleteIfExists(file);
            }
        }
    }

    // ---- looking at them

    /** Samples until the life's time is over; the last sample, or null if the life ended before. */
    private SoakReport.@Nullable Sample watch(Process child) throws IOException {
        long start = System.nanoTime();
        long life = (long) (options.every * 1e9);
        long interval = Math.min(TimeUnit.SECONDS.toNanos(2), life / 4);
        long before = account.get(SoakAccount.OPERATIONS);
        long beforeAt = start;
        SoakReport.Sample last = null;
        while (System.nanoTime() - start < life) {
            while (System.nanoTime() - beforeAt < interval) {
                pause(5);
            }
            long now = System.nanoTime();
            long operations = account.get(SoakAccount.OPERATIONS);
            SoakReport.Sample sample = sample(child, (operations - before) * 1e9 / (now - beforeAt));
            if (sample == null) {
                return null;
            }
            samples.add(sample);
            last = sample;
            before = operations;
            beforeAt = now;
        }
        return last;
    }

    private SoakReport.@Nullable Sample sample(Process child, double operations) throws IOException {
        List<Path> shared = sharedFiles();
        long bytes = 0;
        for (Path file : shared) {
            bytes += Files.size(file);
        }
        long pid = child.pid();
        Process machine = daemon;
        try {
            return new SoakReport.Sample(
                    seconds(),
                    operations,
                    account.get(SoakAccount.RESIDENT),
                    status(pid, "VmRSS") << 10,
                    status(pid, "RssAnon") << 10,
                    descriptors(pid),
                    (int) status(pid, "Threads"),
                    shared.size(),
                    bytes,
                    machine == null ? 0 : status(machine.pid(), "VmRSS") << 10,
                    machine == null ? 0 : descriptors(machine.pid()));
        } catch (NoSuchFileException e) {
            return null; // it has ended
        }
    }

    private List<Path> sharedFiles() throws IOException {
        List<Path> found = new ArrayList<>();
        try (Stream<Path> files = Files.list(SHARED)) {
            for (Path file : files.toList()) {
                if (String.valueOf(file.getFileName()).contains(name)) {
                    found.add(file);
                }
            }
        }
        return found;
    }

    private static long status(long pid, String field) throws IOException {
        for (String line : Files.readAllLines(Path.of("/proc", Long.toString(pid), "status"))) {
            if (line.startsWith(field + ":")) {
                return Long.parseLong(line.replaceAll("[^0-9]", ""));
            }
        }
        throw new NoSuchFileException("/proc/" + pid + "/status has no " + field);
    }

    private static int descriptors(long pid) throws IOException {
        try (Stream<Path> files = Files.list(Path.of("/proc", Long.toString(pid), "fd"))) {
            return (int) files.count();
        }
    }

    // ---- telling

    private static void print(SoakReport r) {
        System.out.printf(
                Locale.ROOT,
                "%d kills and %d stops in %.0f s on %s; %,d operations; %,d pages compared after restarts, %,d of them"
                        + " without a read%n",
                r.kills(), r.stops(), r.seconds(), r.backend(), r.operations(), r.compared(), r.warm());
        System.out.printf(
                Locale.ROOT,
                "%-24s %14s %14s %14s %14s %14s%n",
                "per life", "median", "least", "most", "drift", "bound");
        for (Trend t : r.trends()) {
            boolean bytes = t.unit().equals("bytes");
            double unit = bytes ? 1 << 20 : 1;
            System.out.printf(
                    Locale.ROOT,
                    "%-24s %,14.1f %,14.1f %,14.1f %+,14.2f %14s %s%n",
                    t.name() + (bytes ? ", MiB" : ""),
                    t.median() / unit,
                    t.least() / unit,
                    t.most() / unit,
                    t.drift() / unit,
                    t.judged() ? String.format(Locale.ROOT, "%,.2f", t.bound() / unit) : "-",
                    !t.judged() ? "" : t.flat() ? "flat" : "NOT FLAT");
        }
        System.out.println("wrong values: " + r.wrong());
        r.problems().forEach(problem -> System.out.println("PROBLEM: " + problem));
        System.out.println(r.good() ? "SOUND" : "NOT SOUND: seed " + r.seed());
    }
}
