/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/** An {@code xen-simd}, whose machine has the memory of all victims of a campaign. */
final class XenDaemon implements AutoCloseable {
    private final Process process;
    private final Path directory;
    private final long descriptors;

    private XenDaemon(Process process, Path directory) throws IOException {
        this.process = process;
        this.directory = directory;
        descriptors = descriptors();
    }

    /**
     * Starts one and waits until it serves.
     *
     * @param disks below which the victims' files are
     * @throws IOException if it did not start; says what it printed
     */
    static XenDaemon start(Path disks, Path log) throws IOException {
        // Not below the data, whose path may be longer than a socket's can be.
        Path directory = Files.createTempDirectory("warmcache-torture-xen");
        List<String> command = new ArrayList<>(VictimJvm.command("-Xmx256m"));
        command.addAll(List.of(
                "-cp", System.getProperty("java.class.path"), "io.warmcache.xen.XenSimd",
                "--socket", directory.resolve("s").toString(),
                "--memory", "512m",
                "--disks", disks.toString()));
        Process process = new ProcessBuilder(command)
                .redirectError(ProcessBuilder.Redirect.appendTo(log.toFile()))
                .start();
        BufferedReader reader = process.inputReader();
        StringBuilder said = new StringBuilder();
        String line;
        while ((line = reader.readLine()) != null) {
            said.append(line).append(System.lineSeparator());
            if (line.startsWith("READY")) {
                Thread.ofPlatform().daemon().name("xen-simd-output").start(() -> reader.lines().forEach(_ -> {}));
                return new XenDaemon(process, directory);
            }
        }
        process.destroyForcibly();
        Files.delete(directory);
        throw new IOException("xen-simd did not start: " + said + ", see " + log);
    }

    Path socket() {
        return directory.resolve("s");
    }

    private long descriptors() throws IOException {
        try (Stream<Path> open = Files.list(Path.of("/proc/" + process.pid() + "/fd"))) {
            return open.count();
        }
    }

    /** What it holds though no victim has anything any more; empty if nothing. */
    String leaks() throws IOException {
        long left = 0;
        for (String mapping : Files.readAllLines(Path.of("/proc/" + process.pid() + "/maps"))) {
            left += mapping.contains("memfd:") ? 1 : 0;
        }
        // a few are opened when they are first needed, such as those of a class path
        long more = descriptors() - descriptors;
        return (left > 0 ? left + " mappings of victims' memory " : "") + (more > 16 ? more + " descriptors" : "");
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
            System.err.println("torture: " + directory + " could not be removed: " + e.getMessage());
        }
    }
}
