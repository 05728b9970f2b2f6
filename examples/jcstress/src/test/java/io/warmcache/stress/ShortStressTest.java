/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.stress;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The stress tests in their shortest useful form, in one compilation mode: {@code jcstress/run} is the long one. And
 * the same against broken classes, to see that they can fail.
 */
class ShortStressTest {
    private static final Path ROOT = Path.of("../..").toAbsolutePath().normalize();
    private static final Pattern RESULTS = Pattern.compile(
            "Results: (\\d+) planned; (\\d+) passed, (\\d+) failed, (\\d+) soft errs, (\\d+) hard errs");

    private static final Pattern FAILED = Pattern.compile("\\[FAILED] ([\\w.]+)");

    @TempDir
    Path folder;

    @BeforeAll
    static void needsTwoProcessors() {
        assumeTrue(Runtime.getRuntime().availableProcessors() > 1, "two threads must run at once");
    }

    @Test
    void everyTestHolds() throws Exception {
        Run run = new Run(List.of(), "-iters", "1", "-time", "100", "-t", ".*");
        assertTrue(run.planned >= 12, run.output);
        assertEquals(run.planned, run.passed, run.output);
        assertEquals(0, run.exit, run.output);
    }

    /**
     * On x86, too, a store may be seen after a later load, so a word released in place of a volatile store loses
     * wake-ups; and with an epoch that is not compared a torn page passes.
     */
    @Test
    void aWeakerStoreOfTheWordAndAnEpochNotComparedAreFound() throws Exception {
        Path broken = broken("io/warmcache/core/TranslationWord.java", "LEAF.setVolatile(", "LEAF.setRelease(");
        Set<String> found = new TreeSet<>();
        // Chance decides how soon, and on a machine with other work it is smaller.
        for (int millis = 500; found.size() < 2 && millis <= 32_000; millis *= 2) {
            Run run = new Run(
                    List.of(broken),
                    "-iters",
                    "3",
                    "-time",
                    Integer.toString(millis),
                    "-t",
                    "WordDekker|WrappedRead",
                    "-Dwarmcache.core.breakable=true -Dwarmcache.broken=WRAP_EPOCH_NOT_COMPARED");
            assertEquals(2, run.planned, run.output);
            assertEquals(run.failed > 0, run.exit != 0, run.output);
            Matcher failed = FAILED.matcher(run.output);
            while (failed.find()) {
                found.add(failed.group(1));
            }
        }
        System.out.println("broken on purpose, and found: " + found);
        assertEquals(Set.of("io.warmcache.core.WordDekker", "io.warmcache.core.WrappedRead"), found);
    }

    /** The class of a source of the core with one line changed, to be found before the right one. */
    private Path broken(String source, String right, String wrong) throws IOException {
        Path sources = ROOT.resolve("core/src/main/java");
        String text = Files.readString(sources.resolve(source));
        assertTrue(text.contains(right), source + " has no " + right);
        Path copy = Files.writeString(folder.resolve(Path.of(source).getFileName()), text.replace(right, wrong));
        Path classes = Files.createDirectories(folder.resolve("broken"));
        int result = ToolProvider.getSystemJavaCompiler()
                .run(
                        null,
                        null,
                        null,
                        "-proc:none",
                        "-d",
                        classes.toString(),
                        "-cp",
                        System.getProperty("java.class.path"),
                        copy.toString());
        assertEquals(0, result);
        return classes;
    }

    /** One run of jcstress in a process of its own, which starts more. */
    private final class Run {
        final int exit;
        final String output;
        final int planned;
        final int passed;
        final int failed;

        /** @param arguments jcstress's, the last one being more for the virtual machine if it begins with -D */
        Run(List<Path> first, String... arguments) throws Exception {
            List<String> classPath = new ArrayList<>();
            first.forEach(path -> classPath.add(path.toString()));
            classPath.add(System.getProperty("java.class.path"));
            List<String> command = new ArrayList<>(List.of(
                    Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                    "-cp",
                    String.join(File.pathSeparator, classPath),
                    "org.openjdk.jcstress.Main",
                    "-sc",
                    "false",
                    "-f",
                    "1",
                    "-fsm",
                    "1",
                    "-v"));
            String flags = "-Xmx256m";
            for (String argument : arguments) {
                if (argument.startsWith("-D")) {
                    flags += " " + argument;
                } else {
                    command.add(argument);
                }
            }
            command.addAll(List.of("-jvmArgs", flags));
            Path log = folder.resolve("log");
            Process process = new ProcessBuilder(command)
                    .directory(folder.toFile()) // where it leaves its raw results
                    .redirectErrorStream(true)
                    .redirectOutput(log.toFile())
                    .start();
            try {
                assertTrue(process.waitFor(5, TimeUnit.MINUTES), "jcstress hangs");
            } finally {
                process.descendants().forEach(ProcessHandle::destroyForcibly);
                process.destroyForcibly();
            }
            exit = process.exitValue();
            output = Files.readString(log);
            Matcher results = RESULTS.matcher(output);
            int[] counts = new int[3];
            while (results.find()) {
                for (int i = 0; i < counts.length; i++) {
                    counts[i] = Integer.parseInt(results.group(i + 1));
                }
            }
            planned = counts[0];
            passed = counts[1];
            failed = counts[2];
        }
    }
}
