/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv.demo;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** The process of a simulated machine, which has the memory of the servers' caches and reads the disk for them. */
final class XenDaemon implements AutoCloseable {
    /** What a cache has to be told. */
    static final String OPTION = "xen.socket";

    private final Process process;
    private final Path directory;

    private XenDaemon(Process process, Path directory) {
        this.process = process;
        this.directory = directory;
    }

    /**
     * Starts it, with room for one cache, and waits until it serves.
     *
     * @param cacheBytes the cache's size
     * @param dataFile what the servers have as a disk
     * @throws IOException if it did not start; says what it printed
     */
    static XenDaemon start(String classPath, long cacheBytes, Path dataFile, Path log) throws IOException {
        // Not below the data, whose path may be longer than a socket's can be.
        Path directory = Files.createTempDirectory("kv-demo-xen");
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx512m",
                "-XX:+UseSerialGC",
                "-XX:-UsePerfData",
                "--enable-native-access=ALL-UNNAMED",
                "--illegal-native-access=deny",
                "--sun-misc-unsafe-memory-access=deny",
                "-cp",
                classPath,
                "io.warmcache.xen.XenSimd"));
        command.addAll(List.of("--socket", directory.resolve("s").toString()));
        command.addAll(List.of("--memory", Long.toString(cacheBytes + 4 * Sizes.MIB)));
        command.addAll(List.of("--disks", String.valueOf(dataFile.toAbsolutePath().getParent())));
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        BufferedReader reader = process.inputReader();
        StringBuilder said = new StringBuilder();
        String line;
        while ((line = reader.readLine()) != null) {
            said.append(line).append(System.lineSeparator());
            if (line.startsWith("READY")) {
                XenDaemon daemon = new XenDaemon(process, directory);
                Thread.ofVirtual()
                        .name("xen-simd-output")
                        .start(() -> reader.lines().forEach(each -> append(log, each)));
                return daemon;
            }
        }
        process.destroyForcibly();
        Files.delete(directory);
        throw new IOException("xen-simd did not start: " + said);
    }

    private static void append(Path log, String line) {
        try {
            Files.writeString(
                    log, line + System.lineSeparator(), StandardOpenOption.CREATE, StandardOpenOption.APPEND);
        } catch (IOException e) {
            System.err.println("demo: " + line);
        }
    }

    Path socket() {
        return directory.resolve("s");
    }

    long pid() {
        return process.pid();
    }

    @Override
    public void close() {
        process.toHandle().destroy();
        try {
            if (!process.waitFor(30, TimeUnit.SECONDS)) {
                process.destroyForcibly();
            }
            Files.deleteIfExists(socket());
            Files.deleteIfExists(directory.resolve("s.lock"));
            Files.deleteIfExists(directory);
        } catch (InterruptedException e) {
            process.destroyForcibly();
            Thread.currentThread().interrupt();
        } catch (IOException e) {
            System.err.println("demo: " + directory + " could not be removed: " + e.getMessage());
        }
    }
}
