/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv.demo;

import java.io.Console;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.ParameterException;

/** The demo's command line; the script {@code demo} of this module builds and starts it. */
public final class Demo {
    private static final int GOOD = 0;
    private static final int BAD = 1;
    private static final int CANNOT_RUN = 2;

    private static final String DATA_FILE = "kv.mvstore";
    private static final long TRAINING_BYTES = 48 * Sizes.MIB;
    private static final long TRAINING_CACHE_BYTES = 12 * Sizes.MIB;
    private static final double TRAINING_SECONDS = 5;

    // keys besides the class files when there are kills
    private static final int COUNTERS = 64;
    private static final int LOGS = 64;
    private static final int DELETE_ONE_IN = 6;

    private final DemoOptions options;
    private final Progress progress = new Progress(System.out, terminal());

    private Demo(DemoOptions options) {
        this.options = options;
    }

    @SuppressWarnings("SystemConsoleNull") // null again since JDK 25 where there is none
    private static boolean terminal() {
        Console console = System.console();
        return console != null && console.isTerminal();
    }

    /** Runs the demo; {@code --help} tells the exit codes. */
    public static void main(String[] arguments) {
        DemoOptions options = new DemoOptions();
        CommandLine commandLine = new CommandLine(options).setCaseInsensitiveEnumValuesAllowed(true);
        int status;
        try {
            commandLine.parseArgs(arguments);
            if (options.help) {
                commandLine.usage(System.out);
                return;
            }
            options.complete();
            status = new Demo(options).run();
        } catch (ParameterException e) {
            System.err.println("demo: " + e.getMessage() + " (--help lists the options)");
            status = CANNOT_RUN;
        } catch (Preflight.Failed e) {
            System.err.println("demo: " + e.getMessage());
            status = CANNOT_RUN;
        } catch (IOException e) {
            System.err.println("demo: failed: " + e.getMessage());
            status = BAD;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            status = BAD;
        }
        System.exit(status);
    }

    private int run() throws IOException, InterruptedException, Preflight.Failed {
        Path out = options.out.toAbsolutePath().normalize();
        Files.createDirectories(out);
        Path data = dataDirectory(out);
        Path log = out.resolve("server.log");
        Files.deleteIfExists(log);
        // the pid keeps two demos at once apart
        String name = "kv-demo-" + ProcessHandle.current().pid();
        Servers servers = new Servers(options, options.cache, data.resolve(DATA_FILE), log);
        Cleanup cleanup = new Cleanup(servers, options.keep ? null : data);
        Runtime.getRuntime().addShutdownHook(new Thread(cleanup::run, "demo-cleanup"));
        try {
            Preflight.check(options, data);
            progress.step("seed " + options.seedValue() + ", data in " + data + ", servers' output in " + log);
            ClassImage image = ClassImage.load();
            if (!options.noAot) {
                servers.useAotCache(aotCache(image, out, servers, name + "-training"));
            }
            boolean good = options.kills > 0
                    ? kills(image, servers, name, out)
                    : restarts(image, servers, name, out, data);
            servers.close();
            List<String> leaked = leaked(name, data);
            for (String each : leaked) {
                System.err.println("demo: left behind: " + each);
            }
            return good && leaked.isEmpty() ? GOOD : BAD;
        } finally {
            cleanup.run();
        }
    }

    private boolean restarts(ClassImage image, Servers servers, String name, Path out, Path data)
            throws IOException, InterruptedException {
        Blobs blobs = new Blobs(image, options.size, options.seedValue());
        Session session = new Session(options, servers, progress, new Model(blobs, 0, 0, 0));
        Report report;
        try {
            report = new RestartDemo(options, session, name).run(data);
        } catch (IOException e) {
            session.tally().examples().forEach(System.err::println);
            throw e;
        }
        ReportWriter.write(report, out);
        System.out.println();
        System.out.print(Figures.of(report).text());
        System.out.println();
        for (Report.Target each : report.targets()) {
            System.out.printf("%-6s  %s: %s, wanted %s%n", each.held() ? "held" : "MISSED", each.what(),
                    each.measured(), each.wanted());
        }
        System.out.println();
        report.settings().forEach((what, value) -> System.out.printf("%-26s  %s%n", what, value));
        System.out.println();
        report.answers().examples().forEach(System.out::println);
        Report.Restart warm = report.restarts().getFirst();
        if (!warm.warm()) {
            System.out.println("The restart that was to be warm was cold: " + warm.coldReason());
        }
        System.out.println(verdict(report.answers()) + " See " + out.resolve("report.html"));
        return report.answers().right() && warm.warm();
    }

    private boolean kills(ClassImage image, Servers servers, String name, Path out)
            throws IOException, InterruptedException {
        Blobs blobs = new Blobs(image, options.size, options.seedValue());
        Session session = new Session(options, servers, progress, new Model(blobs, COUNTERS, LOGS, DELETE_ONE_IN));
        KillReport report;
        try {
            report = new KillDemo(options, session, name).run();
        } catch (IOException e) {
            System.err.println("demo: seed " + options.seedValue() + ", " + session.tally().wrongValues()
                    + " wrong values until then");
            session.tally().examples().forEach(System.err::println);
            throw e;
        }
        Files.writeString(out.resolve("report.json"), ReportWriter.json(report));
        System.out.println();
        System.out.print(report.text());
        report.answers().examples().forEach(System.out::println);
        System.out.println(verdict(report.answers()) + " See " + out.resolve("report.json"));
        return report.answers().right();
    }

    private static String verdict(Report.Answers answers) {
        return answers.right()
                ? "Every value was right."
                : answers.wrongValues() + " WRONG VALUES, " + answers.errors() + " WRONG REPLIES.";
    }

    private Path dataDirectory(Path out) throws IOException, Preflight.Failed {
        Path chosen = options.data;
        if (chosen == null) {
            return Files.createTempDirectory(out, "data-");
        }
        Path data = chosen.toAbsolutePath().normalize();
        Files.createDirectories(data);
        if (!names(data).isEmpty()) {
            throw new Preflight.Failed(data + " is not empty: give --data a new or empty directory");
        }
        return data;
    }

    /** The AOT cache, or null if it cannot be made: the demo is as good without, but slower in its first second. */
    private @Nullable Path aotCache(ClassImage image, Path out, Servers servers, String name)
            throws IOException, InterruptedException {
        Path training = Files.createTempDirectory(out, "training-");
        try (Servers trained = new Servers(
                options, TRAINING_CACHE_BYTES, training.resolve(DATA_FILE), out.resolve("server.log"))) {
            Path jar = Servers.classPath().getFirst();
            return AotCache.obtain(
                    jar.resolveSibling("aot"),
                    String.join(" ", servers.jvmSettings()),
                    options.backend,
                    (option, patience) -> train(image, trained, name, option, patience));
        } catch (IOException e) {
            progress.step("note: no AOT cache, the servers start without: " + e.getMessage());
            return null;
        } finally {
            deleteTree(training);
        }
    }

    /** A small copy of what comes: a server that is filled and killed, and the trained one that finds its memory. */
    private void train(ClassImage image, Servers servers, String name, String option, Duration patience)
            throws IOException, InterruptedException {
        progress.step("training an AOT cache, once for this build");
        Session session = new Session(
                options, servers, progress, new Model(new Blobs(image, TRAINING_BYTES, options.seedValue()), 0, 0, 0));
        Life first = session.start("training", name, "direct", options.durability);
        session.load(first);
        TimeUnit.SECONDS.sleep(1);
        session.kill(first);
        Life second = session.start("training", name, "direct", options.durability, option);
        long until = System.nanoTime() + (long) (1e9 * TRAINING_SECONDS);
        second.drive(session.mixed(options.skew, options.writeShare(), 1), () -> System.nanoTime() > until);
        session.stop(second, patience);
    }

    /** What must not be there after the end: memory by our name, and files that are not the data file. */
    private List<String> leaked(String name, Path data) throws IOException {
        List<String> leaked = new ArrayList<>();
        Path shm = Path.of("/dev/shm");
        if (Files.isDirectory(shm)) {
            for (String each : names(shm)) {
                if (each.contains(name)) {
                    leaked.add(shm.resolve(each).toString());
                }
            }
        }
        for (String each : names(data)) {
            if (!each.equals(DATA_FILE)) {
                leaked.add(data.resolve(each).toString());
            }
        }
        return leaked;
    }

    private static List<String> names(Path directory) throws IOException {
        List<String> names = new ArrayList<>();
        try (DirectoryStream<Path> all = Files.newDirectoryStream(directory)) {
            all.forEach(each -> names.add(each.getFileName().toString()));
        }
        return names;
    }

    private static void deleteTree(Path directory) {
        try (Stream<Path> all = Files.walk(directory)) {
            for (Path each : all.sorted((a, b) -> b.compareTo(a)).toList()) {
                Files.deleteIfExists(each);
            }
        } catch (IOException e) {
            System.err.println("demo: " + directory + " could not be removed: " + e.getMessage());
        }
    }

    /** Done once, at the end or when the demo is interrupted. */
    private static final class Cleanup {
        private final Servers servers;
        private final @Nullable Path data;
        private boolean done;

        Cleanup(Servers servers, @Nullable Path data) {
            this.servers = servers;
            this.data = data;
        }

        synchronized void run() {
            if (!done) {
                done = true;
                servers.close();
                if (data != null) {
                    deleteTree(data);
                }
            }
        }
    }
}
