/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.fuzz;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;

/** The command line of the fuzzers; the script {@code run} of this module builds and starts it. */
@Command(
        name = "fuzz",
        sortOptions = false,
        usageHelpAutoWidth = true,
        description = {
            "",
            "Feeds mutated input to whatever reads bytes that it did not just write, in a child process. Each input"
                    + " follows from the seed and its number alone. Counts are added up in --out, so that a run that"
                    + " was ended goes on where it was.",
            ""
        },
        footer = {
            "",
            "Exit codes: 0 nothing found, 1 something was (the child died, hung, threw what is documented nowhere, or"
                    + " a wrong byte was served), 2 it could not run."
        })
public final class Fuzz implements Callable<Integer> {
    private static final Duration POLL = Duration.ofMillis(200);

    @Option(
            names = "--target",
            split = ",",
            paramLabel = "NAME",
            description = "segment, journal, image, hotlist, wire, resp (default: all).")
    private List<Target.Kind> targets = List.of(Target.Kind.values());

    @Option(
            names = "--mutations",
            paramLabel = "N",
            description = "How many inputs of each target there are to have been in all (default: ${DEFAULT-VALUE}).")
    private long mutations = 10_000;

    @Option(names = "--seed", paramLabel = "N", description = "Of every input (default: ${DEFAULT-VALUE}).")
    private long seed = 1;

    @Option(
            names = "--out",
            paramLabel = "DIR",
            defaultValue = "${sys:warmcache.fuzz.out:-warmcache-fuzz}",
            description = "Where counts, inputs to start from and reports go (default: ${DEFAULT-VALUE}).")
    private Path out = Path.of("");

    @Option(
            names = "--only",
            paramLabel = "N",
            description = "Feeds the N-th input of the seed alone, and counts nothing: to see again what was found.")
    private long only = -1;

    @Option(
            names = "--hang",
            paramLabel = "SECONDS",
            description = "An input that takes longer is a hang (default: ${DEFAULT-VALUE}).")
    private int hang = 120;

    @Option(
            names = "--jazzer",
            description = "Lets Jazzer choose the inputs of one target, guided by the code that they reach; goes on"
                    + " from the corpus in --out.")
    private boolean jazzer;

    @Option(names = {"-h", "--help"}, usageHelp = true, description = "This text.")
    @SuppressWarnings("UnusedVariable") // for picocli alone
    private boolean help;

    private final JsonMapper json =
            JsonMapper.builder().enable(SerializationFeature.INDENT_OUTPUT).build();

    private Fuzz() {}

    /** Runs the fuzzers; {@code --help} tells the exit codes. */
    public static void main(String[] arguments) {
        System.exit(run(arguments));
    }

    /** As the process ends with. */
    static int run(String... arguments) {
        CommandLine command = new CommandLine(new Fuzz()).setCaseInsensitiveEnumValuesAllowed(true);
        command.setExecutionExceptionHandler((e, line, result) -> {
            System.err.println("fuzz: " + e);
            return 2;
        });
        return command.execute(arguments);
    }

    @Override
    public Integer call() throws Exception {
        Path directory = out.toAbsolutePath().normalize();
        Files.createDirectories(directory);
        boolean good = true;
        for (Target.Kind each : targets) {
            good &= jazzer ? guided(each, directory) : seeded(each, directory);
        }
        return good ? 0 : 1;
    }

    // ---- by seed

    private boolean seeded(Target.Kind kind, Path directory) throws Exception {
        Path file = directory.resolve("fuzz-" + kind.label() + ".json");
        Tally before = new Tally();
        before.seed = seed;
        if (only < 0 && Files.exists(file)) {
            before = json.readValue(file.toFile(), Tally.class);
            if (before.seed != seed) {
                throw new IOException(file + " counts inputs of the seed " + before.seed + ", not of " + seed
                        + ": name another --out");
            }
            before.failure = null;
        }
        long first = only >= 0 ? only : before.next;
        long end = only >= 0 ? only + 1 : mutations;
        if (first >= end) {
            report(kind, before);
            return true;
        }
        Run run = new Run(kind, directory, first, end);
        Tally after = before.plus(run.tally);
        report(kind, after);
        String failure = run.failure;
        if (failure != null) {
            Path found = directory.resolve("found-" + kind.label() + "-" + seed + "-" + run.failedAt + ".txt");
            Files.writeString(found, failure + "\n" + run.said);
            System.out.println(kind.label() + ": FOUND with seed " + seed + ", input " + run.failedAt + ": "
                    + failure.lines().findFirst().orElse("") + "\n  see " + found + "; again: --target " + kind.label()
                    + " --seed " + seed + " --only " + run.failedAt + " --out " + directory);
        }
        if (only < 0) {
            Path temporary = directory.resolve(file.getFileName() + ".tmp");
            Files.writeString(temporary, json.writeValueAsString(after));
            Files.move(temporary, file, StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE);
        }
        return failure == null;
    }

    private static void report(Target.Kind kind, Tally tally) {
        System.out.printf(
                Locale.ROOT,
                "%s: seed %d, %,d mutations, %,d/s, %d outcomes, %,d served from memory or taken for good%n",
                kind.label(),
                tally.seed,
                tally.mutations,
                tally.perSecond(),
                tally.outcomes.size(),
                tally.served);
        tally.outcomes.entrySet().stream()
                .sorted(Map.Entry.<String, Long>comparingByValue().reversed())
                .limit(30)
                .forEach(each -> System.out.printf(Locale.ROOT, "  %,10d  %s%n", each.getValue(), each.getKey()));
    }

    private static List<String> java(String... more) {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx512m",
                "-XX:+UseSerialGC",
                "-XX:-UsePerfData",
                "--enable-native-access=ALL-UNNAMED",
                "--illegal-native-access=deny",
                "-cp",
                System.getProperty("java.class.path")));
        command.addAll(List.of(more));
        return command;
    }

    /** A child that has run. */
    private final class Run {
        Tally tally = new Tally();
        @Nullable String failure;
        long failedAt = -1;
        final StringBuilder said = new StringBuilder();

        private final Path at;

        Run(Target.Kind kind, Path directory, long first, long end) throws IOException, InterruptedException {
            at = Files.createTempFile(directory, "at-", ".bin");
            tally.next = first;
            try {
                run(kind, directory, first, end);
            } finally {
                Files.deleteIfExists(at);
            }
        }

        private void run(Target.Kind kind, Path directory, long first, long end)
                throws IOException, InterruptedException {
            List<String> command = java(
                    "--sun-misc-unsafe-memory-access=deny",
                    "-XX:ErrorFile=" + directory.resolve("hs_err_%p.log"),
                    Child.class.getName(),
                    kind.name(),
                    directory.toString(),
                    Long.toString(seed),
                    Long.toString(first),
                    Long.toString(end),
                    at.toString());
            Process child = new ProcessBuilder(command).redirectErrorStream(true).start();
            Thread killer = new Thread(() -> end(child));
            Runtime.getRuntime().addShutdownHook(killer);
            Thread reader = Thread.ofPlatform().start(() -> listen(child.inputReader()));
            long last = -2;
            long since = System.nanoTime();
            boolean hung = false;
            Set<ProcessHandle> servers = new HashSet<>();
            while (!child.waitFor(POLL)) {
                child.descendants().forEach(servers::add);
                long number = number();
                if (number != last) {
                    last = number;
                    since = System.nanoTime();
                } else if (System.nanoTime() - since > TimeUnit.SECONDS.toNanos(hang)) {
                    hung = true;
                    // Its threads go into what it said.
                    var _ = new ProcessBuilder("kill", "-QUIT", Long.toString(child.pid())).start().waitFor();
                    if (!child.waitFor(Duration.ofSeconds(3))) {
                        child.destroyForcibly();
                    }
                }
            }
            reader.join();
            servers.forEach(ProcessHandle::destroyForcibly);
            sweep(child.pid());
            Runtime.getRuntime().removeShutdownHook(killer);
            synchronized (this) {
                failure = tally.failure;
                int status = child.exitValue();
                if (hung) {
                    failure = "HANG: an input takes longer than " + hang + " s";
                } else if (failure == null && status != 0) {
                    failure = "DEATH: the child ended with status " + status;
                }
                if (failure != null) {
                    failedAt = number();
                    // What died took its last counts with it; the next run begins behind it.
                    tally.next = Math.max(tally.next, failedAt + 1);
                }
            }
        }

        private static void end(Process child) {
            List<ProcessHandle> all = child.descendants().toList();
            child.destroyForcibly();
            all.forEach(ProcessHandle::destroyForcibly);
            sweep(child.pid());
        }

        /** What a child leaves behind that could not clean up after itself. */
        private static void sweep(long pid) {
            remove(Path.of("/dev/shm"), "warmcache.fuzz-" + pid);
            remove(Path.of(System.getProperty("java.io.tmpdir")), "wc-fuzz-" + pid + "-");
        }

        private static void remove(Path directory, String prefix) {
            try (Stream<Path> all = Files.list(directory)) {
                for (Path each : all.filter(path -> String.valueOf(path.getFileName()).startsWith(prefix)).toList()) {
                    try (Stream<Path> tree = Files.walk(each)) {
                        for (Path leaf : tree.sorted(Comparator.reverseOrder()).toList()) {
                            Files.deleteIfExists(leaf);
                        }
                    }
                }
            } catch (IOException | UncheckedIOException e) {
                System.err.println("fuzz: something of " + directory + "/" + prefix + " is left: " + e.getMessage());
            }
        }

        private long number() throws IOException {
            byte[] bytes = Files.readAllBytes(at);
            return bytes.length < Long.BYTES
                    ? -1
                    : ByteBuffer.wrap(bytes).order(ByteOrder.nativeOrder()).getLong();
        }

        private void listen(BufferedReader reader) {
            reader.lines().forEach(line -> {
                synchronized (this) {
                    if (line.startsWith(Child.TALLY)) {
                        tally = json.readValue(line.substring(Child.TALLY.length()), Tally.class);
                    } else if (said.length() < 1 << 20) {
                        said.append(line).append('\n');
                    }
                }
            });
        }
    }

    // ---- by coverage

    private boolean guided(Target.Kind kind, Path directory) throws IOException, InterruptedException {
        Path corpus = directory.resolve("corpus-" + kind.label());
        Files.createDirectories(corpus);
        List<String> command = java(
                "-XX:+EnableDynamicAgentLoading",
                "-Dwarmcache.fuzz.target=" + kind.name(),
                "-Dwarmcache.fuzz.out=" + directory,
                "com.code_intelligence.jazzer.Jazzer",
                "--target_class=" + Guided.class.getName(),
                "--instrumentation_includes=io.warmcache.**",
                "--instrumentation_excludes=io.warmcache.fuzz.**",
                "--reproducer_path=" + directory,
                "-artifact_prefix=" + directory + "/",
                "-timeout=" + hang,
                "-rss_limit_mb=4096",
                "-max_len=512",
                "-print_final_stats=1",
                "-runs=" + mutations,
                corpus.toString());
        Process child = new ProcessBuilder(command).redirectErrorStream(true).start();
        Thread killer = new Thread(() -> Run.end(child));
        Runtime.getRuntime().addShutdownHook(killer);
        List<String> statistics = new ArrayList<>();
        Map<String, String> last = new TreeMap<>();
        try (BufferedReader reader = child.inputReader()) {
            reader.lines().forEach(line -> {
                if (line.startsWith("stat::") || line.startsWith("Done") || line.startsWith("==")) {
                    statistics.add(line);
                } else if (line.startsWith("#")) {
                    last.put("last", line);
                } else if (!line.startsWith("INFO")) {
                    System.out.println(line);
                }
            });
        }
        int status = child.waitFor();
        Run.sweep(child.pid());
        Runtime.getRuntime().removeShutdownHook(killer);
        System.out.println(kind.label() + " by coverage, status " + status + ": " + last.getOrDefault("last", ""));
        statistics.forEach(System.out::println);
        return status == 0;
    }
}
