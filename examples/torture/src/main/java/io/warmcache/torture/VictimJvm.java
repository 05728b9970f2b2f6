/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/** How a child JVM is started: small, and soon. */
final class VictimJvm {
    private final @Nullable Path aotCache;

    private VictimJvm(@Nullable Path aotCache) {
        this.aotCache = aotCache;
    }

    /** One without an AOT cache. */
    static VictimJvm plain() {
        return new VictimJvm(null);
    }

    /**
     * One with the classes of a victim linked beforehand, where the class path allows that: an AOT cache takes jars.
     * A campaign that goes on takes the one it has, unless a jar is newer.
     *
     * @param training a plan for a short life
     */
    static VictimJvm trained(Path directory, LifePlan training) throws IOException, InterruptedException {
        if (classPath().stream().anyMatch(Files::isDirectory)) {
            return plain();
        }
        Path cache = directory.resolve("victim-" + training.text("backend") + ".aot");
        if (Files.exists(cache) && newest(classPath()) < Files.getLastModifiedTime(cache).toMillis()) {
            return new VictimJvm(cache);
        }
        Path unfinished = cache.resolveSibling(cache.getFileName() + ".tmp");
        Files.deleteIfExists(unfinished);
        try {
            ChildProcess child = plain().start(training, List.of(), "-XX:AOTCacheOutput=" + unfinished);
            child.tell("OPEN");
            child.await("CHECKED", ChildProcess.PATIENCE);
            child.tell("LOAD");
            child.await("LOADING", ChildProcess.PATIENCE);
            Thread.sleep(500); // of its load: what is loaded meanwhile goes into the AOT cache
            child.tell("CLOSE");
            child.await("CLOSED", ChildProcess.PATIENCE);
            child.awaitEnd(ChildProcess.PATIENCE);
            if (!child.complaints().isEmpty()) {
                throw new IOException("the training run failed:\n" + child.output());
            }
        } catch (HangException e) {
            throw new IOException("the training run did not end", e);
        }
        if (!Files.exists(unfinished)) {
            return plain();
        }
        Files.move(unfinished, cache, StandardCopyOption.REPLACE_EXISTING);
        return new VictimJvm(cache);
    }

    private static long newest(List<Path> files) throws IOException {
        long newest = 0;
        for (Path file : files) {
            newest = Math.max(newest, Files.getLastModifiedTime(file).toMillis());
        }
        return newest;
    }

    /** The start of a command line, of the JVM that runs this. */
    static List<String> command(String heap) {
        return List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                heap,
                "-Xss512k",
                "-XX:TieredStopAtLevel=1",
                "-XX:+UseSerialGC",
                "-XX:-UsePerfData",
                "--enable-native-access=ALL-UNNAMED",
                "--illegal-native-access=deny",
                "--sun-misc-unsafe-memory-access=deny");
    }

    /**
     * Starts a victim.
     *
     * @param wrapper a command that runs it, or nothing
     * @param options further ones of the JVM
     */
    ChildProcess start(LifePlan plan, List<String> wrapper, String... options) throws IOException {
        List<String> command = new ArrayList<>(wrapper);
        command.addAll(command("-Xmx64m"));
        if (aotCache != null) {
            command.add("-XX:AOTCache=" + aotCache);
        }
        command.add("-XX:ErrorFile=" + plan.directory().resolve("hs_err_%p.log"));
        command.addAll(List.of(options));
        command.addAll(List.of("-cp", join(classPath()), Victim.class.getName()));
        command.addAll(plan.arguments());
        return new ChildProcess(command, plan.directory());
    }

    /** The class path of this JVM. */
    private static List<Path> classPath() {
        return Pattern.compile(File.pathSeparator, Pattern.LITERAL)
                .splitAsStream(System.getProperty("java.class.path"))
                .map(each -> Path.of(each).toAbsolutePath())
                .toList();
    }

    private static String join(List<Path> paths) {
        return paths.stream().map(Path::toString).collect(Collectors.joining(File.pathSeparator));
    }
}
