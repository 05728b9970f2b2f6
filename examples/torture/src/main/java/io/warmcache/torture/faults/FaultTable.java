/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture.faults;

import io.warmcache.torture.Bounds;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import tools.jackson.databind.json.JsonMapper;

/** The command {@code examples/torture/faults}. */
@Command(
        name = "faults",
        sortOptions = false,
        usageHelpAutoWidth = true,
        description = {
            "",
            "Kills a cache, breaks what it left in memory or its files, and compares what the next one serves with the"
                    + " files; then breaks the memory of a cache while it runs. Prints a table.",
            ""
        },
        footer = {"", "Exit codes: 0 nothing wrong was served, 1 something was, 2 it could not run."})
public final class FaultTable {
    @Option(
            names = "--per-kind",
            paramLabel = "N",
            description = "Breaks of each kind and back end (default: ${DEFAULT-VALUE}).")
    int perKind = 200;

    @Option(
            names = "--backend",
            paramLabel = "NAME",
            description = "shm, xen or both (default: ${DEFAULT-VALUE}).")
    String backend = "both";

    @Option(names = "--seed", paramLabel = "N", description = "Of every random choice; printed (default: random).")
    @Nullable Long seed;

    @Option(
            names = "--kinds",
            split = ",",
            paramLabel = "N",
            description = "Only these of the 15 kinds, by number; 0 for none.")
    @Nullable List<Integer> kinds;

    @Option(
            names = "--running",
            paramLabel = "N",
            description = "Breaks of each of the kinds 1 to 5 while a cache runs, with and without the paranoid mode"
                    + " (default: ${DEFAULT-VALUE}).")
    int running = 40;

    @Option(
            names = "--seconds",
            paramLabel = "N",
            description = "End after about so long, with what has been done written down; the same command goes on"
                    + " from there (default: when all is done).")
    long seconds = TimeUnit.DAYS.toSeconds(1000);

    @Option(
            names = "--out",
            paramLabel = "DIR",
            defaultValue = "${sys:warmcache.torture.out:-warmcache-torture}",
            description = "Where faults.json goes; what is in it is not done again (default: ${DEFAULT-VALUE}).")
    Path out = Path.of("");

    @Option(names = {"-h", "--help"}, usageHelp = true, description = "This text.")
    boolean help;

    /** What has been done so far; the content of {@code faults.json}. */
    static final class State {
        public Map<String, Tally> between = new TreeMap<>();
        public Map<String, RunningTally> running = new TreeMap<>();
        public Map<String, Long> seeds = new TreeMap<>();
        public String jdk = Runtime.version().toString();
    }

    private FaultTable() {}

    /** Runs what is missing and prints the table. */
    public static void main(String[] arguments) {
        FaultTable table = new FaultTable();
        CommandLine line = new CommandLine(table);
        try {
            line.parseArgs(arguments);
        } catch (CommandLine.ParameterException e) {
            System.err.println("faults: " + e.getMessage());
            System.exit(2);
        }
        if (table.help) {
            line.usage(System.out);
            return;
        }
        try {
            System.exit(table.run() ? 0 : 1);
        } catch (IOException | InterruptedException | IllegalArgumentException e) {
            System.err.println("faults: " + e);
            System.exit(2);
        }
    }

    private Set<Kind> wanted() {
        Set<Kind> wanted = EnumSet.noneOf(Kind.class);
        List<Integer> numbers = kinds;
        for (Kind kind : Kind.values()) {
            if (numbers == null || numbers.contains(kind.number)) {
                wanted.add(kind);
            }
        }
        return wanted;
    }

    private List<String> backends() {
        return switch (backend) {
            case "both" -> List.of("shm", "xen");
            case "shm", "xen" -> List.of(backend);
            default -> throw new IllegalArgumentException("--backend is " + backend + ": shm, xen or both");
        };
    }

    private boolean run() throws IOException, InterruptedException {
        Files.createDirectories(out);
        Path file = out.resolve("faults.json");
        JsonMapper json = JsonMapper.builder().build();
        State state = Files.exists(file) ? json.readValue(Files.readString(file), State.class) : new State();
        Long given = seed;
        long start = given != null ? given : new SecureRandom().nextInt(1_000_000);
        System.out.println("seed " + start + ", state in " + file);
        List<String> findings = new ArrayList<>();
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(seconds);
        for (String name : backends()) {
            Campaign campaign = new Campaign(name.equals("xen"), System.out, deadline);
            for (Kind kind : wanted()) {
                String key = key(name, kind);
                Tally tally = state.between.computeIfAbsent(key, k -> new Tally());
                if (!campaign.isDone(kind, tally, perKind) && System.nanoTime() - deadline < 0) {
                    campaign.run(kind, perKind, start, tally);
                    state.seeds.put(key, start);
                    System.out.println(key + " " + kind.title + ": " + tally);
                    write(file, json.writerWithDefaultPrettyPrinter().writeValueAsString(state));
                }
            }
            findings.addAll(campaign.findings);
            for (Kind kind : running > 0 ? Running.KINDS : List.<Kind>of()) {
                for (boolean paranoid : new boolean[] {false, true}) {
                    String key = key(name, kind) + (paranoid ? " paranoid" : "");
                    RunningTally tally = state.running.computeIfAbsent(key, k -> new RunningTally());
                    if (tally.injected < running && System.nanoTime() - deadline < 0) {
                        boolean xen = name.equals("xen");
                        Running.run(xen, List.of(kind), running, paranoid, start, tally, deadline);
                        state.seeds.put(key + " running", start);
                        System.out.println("running " + key + " " + kind.title + ": " + tally);
                        write(file, json.writerWithDefaultPrettyPrinter().writeValueAsString(state));
                    }
                }
            }
        }
        print(state);
        findings.forEach(System.out::println);
        boolean wrong = state.between.values().stream().anyMatch(t -> t.servedWrong > 0);
        boolean written = state.running.entrySet().stream()
                .anyMatch(e -> e.getKey().endsWith("paranoid") && e.getValue().written + e.getValue().seen > 0);
        return !wrong && !written;
    }

    /** All of it or nothing: half a state would be the end of a campaign. */
    private static void write(Path file, String text) throws IOException {
        Path next = file.resolveSibling(file.getFileName() + ".next");
        Files.writeString(next, text);
        Files.move(next, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    }

    private static String key(String backend, Kind kind) {
        return String.format(Locale.ROOT, "%s %02d", backend, kind.number);
    }

    static void print(State state) {
        System.out.println("JDK " + state.jdk + ", seeds " + Set.copyOf(state.seeds.values()));
        System.out.println("| back end | kind | injected | detected | harmless | served wrong | at most, in 100 | "
                + "unlike oracle | restarts |");
        System.out.println("|---|---|---:|---:|---:|---:|---:|---:|---:|");
        state.between.forEach((key, t) -> {
            if (t.injected == 0) {
                return;
            }
            Kind kind = Kind.of(Integer.parseInt(key.substring(key.length() - 2)));
            System.out.printf(
                    Locale.ROOT,
                    "| %s | (%d) %s | %d | %d | %d | %d | %.2f | %d | %d |%n",
                    key.substring(0, 3),
                    kind.number,
                    kind.title,
                    t.injected,
                    t.detected,
                    t.harmless,
                    t.servedWrong,
                    100 * Bounds.upper(t.servedWrong, t.injected),
                    t.unlikeOracle,
                    t.restarts);
        });
        System.out.println();
        state.between.forEach((key, t) -> System.out.println(key + ": " + t.variants + "; " + t.reasons));
        System.out.println();
        System.out.println("| back end, kind | paranoid | broken | gone | still there | hits served wrong: median,"
                + " most | until gone, ms: median, most | told | refused | seen in a file | blocks wrong at the end |");
        System.out.println("|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
        state.running.forEach((key, t) -> {
            if (t.injected > 0) {
                System.out.println("| " + key.substring(0, 6) + " | " + (key.endsWith("paranoid") ? "on" : "off")
                        + " | " + t.row() + " |");
            }
        });
    }
}
