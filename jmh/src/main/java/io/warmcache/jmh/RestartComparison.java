/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.jmh;

import io.warmcache.PageCache;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * How fast a process is after another one was killed with all pages in memory: from its start to its first hit, and in
 * its first second beside later ones; in a JVM that is warm already and in a fresh one, with and without an AOT cache,
 * beside those that begin without the memory. {@code jmh/restart} runs it.
 */
final class RestartComparison {
    private static final String USAGE =
            """
            usage: restart prepare DIRECTORY [GiB]      writes the file (8 GiB), reads it, is killed
                   restart ROUNDS DIRECTORY JSON WAY..  measures, and adds what it measured to the JSON file; a way is
                                                        JVM-HOW-REQUEST: JVM fresh, aot or warm; HOW lazy, eager, cold,
                                                        reread or channel; REQUEST kv or raw
                   restart table JSON                   prints what was measured
                   restart clean DIRECTORY              removes file and memory
            """;

    private static final double SKEW = 0.99;
    private static final int DRAWS = 1 << 23;
    private static final String CACHE = "jmh-restart";

    private final Path directory;
    private final Path file;
    private final Path keys;
    private final int keyCount;

    private RestartComparison(Path directory, int keyCount) {
        this.directory = directory;
        file = directory.resolve("restart.data");
        keys = directory.resolve("restart.keys");
        this.keyCount = keyCount;
    }

    public static void main(String[] args) throws IOException, InterruptedException {
        if (args.length >= 2 && args[0].equals("prepare")) {
            int gib = args.length > 2 ? Integer.parseInt(args[2]) : 8;
            new RestartComparison(Path.of(args[1]).toAbsolutePath(), gib << 20).prepare();
        } else if (args.length == 2 && args[0].equals("table")) {
            table(Files.readAllLines(Path.of(args[1])));
        } else if (args.length == 2 && args[0].equals("clean")) {
            existing(Path.of(args[1])).clean();
        } else if (args.length >= 4 && args[0].matches("\\d+")) {
            RestartComparison comparison = existing(Path.of(args[1]));
            for (int round = 0; round < Integer.parseInt(args[0]); round++) {
                for (String way : List.of(args).subList(3, args.length)) {
                    comparison.measure(way, Path.of(args[2]));
                }
            }
        } else {
            System.err.print(USAGE);
            System.exit(2);
        }
    }

    private static RestartComparison existing(Path directory) throws IOException {
        Path file = directory.toAbsolutePath().resolve("restart.data");
        long values = Files.size(file) / RestartProbe.VALUE;
        return new RestartComparison(directory.toAbsolutePath(), (int) Long.highestOneBit(values));
    }

    private void prepare() throws IOException, InterruptedException {
        Files.createDirectories(directory);
        new RestartProbe.Table(keyCount).write(file);
        drawKeys();
        System.out.println("written: " + (Files.size(file) >> 20) + " MiB");
        fill();
    }

    /** A process that makes all pages resident and is killed. */
    private void fill() throws IOException, InterruptedException {
        forgetPages();
        PageCache.drop(RestartProbe.config(CACHE, new RestartProbe.Table(keyCount)));
        System.out.println("all pages resident, then killed: " + run(List.of(), "fill", false, "kv", true));
    }

    private void clean() throws IOException {
        PageCache.drop(RestartProbe.config(CACHE, new RestartProbe.Table(keyCount)));
        for (Path path : List.of(file, keys, aotCache())) {
            Files.deleteIfExists(path);
        }
    }

    /** Keys by Zipf's law, the most popular ones anywhere in the table. */
    private void drawKeys() throws IOException {
        double[] cumulative = new double[keyCount];
        double sum = 0;
        for (int rank = 0; rank < keyCount; rank++) {
            sum += Math.pow(rank + 1, -SKEW);
            cumulative[rank] = sum;
        }
        SplittableRandom random = new SplittableRandom(11);
        try (FileChannel channel = FileChannel.open(
                        keys,
                        StandardOpenOption.CREATE,
                        StandardOpenOption.TRUNCATE_EXISTING,
                        StandardOpenOption.READ,
                        StandardOpenOption.WRITE);
                Arena arena = Arena.ofConfined()) {
            MemorySegment draws =
                    channel.map(FileChannel.MapMode.READ_WRITE, 0, (long) DRAWS * Integer.BYTES, arena);
            for (int i = 0; i < DRAWS; i++) {
                int found = Arrays.binarySearch(cumulative, random.nextDouble(sum));
                int rank = found < 0 ? -found - 1 : found;
                draws.setAtIndex(ValueLayout.JAVA_INT, i, (rank * 0x85EBCA6B) & (keyCount - 1));
            }
        }
    }

    // ---- one process
    // ----------------------------------------------------------------------------------------------

    private void measure(String way, Path json) throws IOException, InterruptedException {
        String[] parts = way.split("-", -1);
        if (parts.length != 3) {
            System.err.print(USAGE);
            System.exit(2);
        }
        RestartProbe.Table table = new RestartProbe.Table(keyCount);
        boolean withoutMemory = !parts[1].equals("lazy") && !parts[1].equals("eager");
        if (withoutMemory) {
            PageCache.drop(RestartProbe.config(CACHE, table));
        } else if (!Files.exists(Path.of("/dev/shm/warmcache." + CACHE))) {
            fill();
        }
        if (parts[1].equals("channel")) {
            readPages();
        }
        String line = "{\"way\": \"" + way + "\", " + run(parts[0], parts[1], parts[2]).substring(1);
        if (withoutMemory) {
            forgetPages();
        }
        System.out.println(line);
        Files.writeString(json, line + "\n", StandardOpenOption.CREATE, StandardOpenOption.APPEND);
    }

    private Path aotCache() {
        return directory.resolve("restart.aot");
    }

    private String run(String jvm, String how, String request) throws IOException, InterruptedException {
        List<String> options = new ArrayList<>();
        if (jvm.equals("aot")) {
            if (!Files.exists(aotCache())) {
                train();
            }
            options.add("-XX:AOTCache=" + aotCache());
            options.add("-XX:AOTMode=on"); // to fail rather than go without
        }
        return run(options, how, jvm.equals("warm"), request, true);
    }

    /** Runs a probe until it has said what it measured, and kills it, or lets it end by itself. */
    private String run(List<String> options, String how, boolean warm, String request, boolean kill)
            throws IOException, InterruptedException {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx2g",
                "--enable-native-access=ALL-UNNAMED"));
        command.addAll(options);
        command.addAll(List.of("-cp", System.getProperty("java.class.path"), RestartProbe.class.getName()));
        command.addAll(List.of(how, warm ? "warm" : "fresh", request, file.toString(), keys.toString(), CACHE));
        command.add(Integer.toString(keyCount));
        command.add(Instant.now().toString());
        ProcessBuilder builder = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.DISCARD);
        Process process = builder.start();
        try (BufferedReader out =
                new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
            String line = out.readLine();
            if (line == null) {
                throw new IOException("the process ended with " + process.waitFor() + ": " + command);
            }
            if (!kill) {
                process.getOutputStream().close();
                process.waitFor();
            }
            return line;
        } finally {
            process.destroyForcibly().waitFor();
        }
    }

    /** A training run on what is there, for an AOT cache of classes and profiles. */
    private void train() throws IOException, InterruptedException {
        run(List.of("-XX:AOTCacheOutput=" + aotCache()), "lazy", false, "kv", false);
        if (!Files.exists(aotCache())) {
            throw new IOException("the training run left no AOT cache: is the class path made of jars alone?");
        }
    }

    // ---- the operating system's page cache
    // ------------------------------------------------------------------------

    private void readPages() throws IOException {
        ByteBuffer buffer = ByteBuffer.allocateDirect(1 << 20);
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
            while (channel.read(buffer.clear()) >= 0) {
                // for the page cache alone
            }
        }
    }

    private void forgetPages() throws IOException, InterruptedException {
        new ProcessBuilder("dd", "if=" + file, "iflag=nocache", "count=0", "status=none")
                .start()
                .waitFor();
    }

    // ---- what is said
    // ---------------------------------------------------------------------------------------------

    private static final Pattern FIGURE = Pattern.compile("\"(\\w+)\": (?:\"([^\"]*)\"|\\[([^\\]]*)\\]|([-\\d.]+))");

    private record Run(double firstHit, double open, double map, double first, double tenth, double steady) {}

    private static Map<String, String> figures(String line) {
        Map<String, String> figures = new LinkedHashMap<>();
        Matcher matcher = FIGURE.matcher(line);
        while (matcher.find()) {
            figures.put(matcher.group(1), first(first(matcher.group(2), matcher.group(3)), matcher.group(4)));
        }
        return figures;
    }

    private static String first(@Nullable String one, @Nullable String other) {
        return one != null ? one : other != null ? other : "";
    }

    private static double number(Map<String, String> figures, String name) {
        String figure = figures.getOrDefault(name, "");
        return figure.isEmpty() ? Double.NaN : Double.parseDouble(figure); // null: not measured of that way
    }

    private static void table(List<String> lines) {
        Map<String, List<Run>> runs = new LinkedHashMap<>();
        for (String line : lines) {
            Map<String, String> figures = figures(line);
            double[] tenths = Stream.of(figures.getOrDefault("tenths", "").split(", "))
                    .mapToDouble(Double::parseDouble)
                    .toArray();
            runs.computeIfAbsent(figures.getOrDefault("way", ""), way -> new ArrayList<>())
                    .add(new Run(
                            number(figures, "firstHitMillis"),
                            number(figures, "openMillis"),
                            number(figures, "mapMillis"),
                            Arrays.stream(tenths).sum(),
                            tenths[0] * tenths.length,
                            number(figures, "steady")));
        }
        System.out.println("| way | runs | first hit, ms | open, ms | map, ms | requests/s: first 0.1 s |"
                + " first second | steady | first second of steady |");
        System.out.println("|---|---:|---:|---:|---:|---:|---:|---:|---:|");
        runs.forEach((way, of) -> System.out.printf(
                Locale.ROOT,
                "| %s | %d | %.0f | %.0f | %.0f | %,.0f | %,.0f | %,.0f | %.1f %% |%n",
                way,
                of.size(),
                median(of, Run::firstHit),
                median(of, Run::open),
                median(of, Run::map),
                median(of, Run::tenth),
                median(of, Run::first),
                median(of, Run::steady),
                100 * median(of, r -> r.first() / r.steady())));
    }

    /** A figure of a run. */
    private interface Figure {
        double of(Run run);
    }

    private static double median(List<Run> runs, Figure figure) {
        return Ratios.median(runs.stream().mapToDouble(figure::of).toArray());
    }
}
