/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.TimeUnit;

/** A child JVM that prints a line when it is ready: an {@code xen-simd}, or a guest. */
final class SimdChild implements AutoCloseable {
    final Process process;
    /** The line by which it said so. */
    final String ready;

    private final Queue<String> said;

    private SimdChild(Process process, String ready, Queue<String> said) {
        this.process = process;
        this.ready = ready;
        this.said = said;
    }

    static SimdChild start(Class<?> main, String... arguments) throws IOException {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx256m",
                "-XX:TieredStopAtLevel=1",
                "--enable-native-access=ALL-UNNAMED",
                "--illegal-native-access=deny",
                "--sun-misc-unsafe-memory-access=deny",
                "-cp",
                System.getProperty("java.class.path"),
                main.getName()));
        command.addAll(List.of(arguments));
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        Queue<String> said = new ConcurrentLinkedQueue<>();
        BufferedReader reader = process.inputReader();
        String line;
        while ((line = reader.readLine()) != null) {
            if (line.startsWith("READY")) {
                // read on, or a child that says much would wait for ever
                Thread.ofPlatform().daemon().start(() -> drain(reader, said));
                return new SimdChild(process, line, said);
            }
            said.add(line);
        }
        process.destroyForcibly();
        throw new IOException(main.getSimpleName() + " ended: " + String.join("\n", said));
    }

    private static void drain(BufferedReader reader, Queue<String> said) {
        try {
            reader.lines().forEach(said::add);
        } catch (UncheckedIOException e) {
            // the pipe of a child that was killed
            said.add(String.valueOf(e.getMessage()));
        }
    }

    /** All that it has printed. */
    String said() {
        return String.join("\n", said);
    }

    static SimdChild daemon(Path directory, String memory) throws IOException {
        return start(
                XenSimd.class,
                "--socket", directory.resolve("s").toString(),
                "--memory", memory,
                "--disks", directory.toString());
    }

    /** SIGKILL. */
    void kill() throws InterruptedException {
        process.toHandle().destroyForcibly();
        assertTrue(process.waitFor(60, TimeUnit.SECONDS), "a killed process ends");
    }

    /** SIGTERM. */
    int stop() throws InterruptedException {
        process.toHandle().destroy();
        assertTrue(process.waitFor(60, TimeUnit.SECONDS), "a process told to end ends");
        return process.exitValue();
    }

    @Override
    public void close() throws InterruptedException {
        kill();
    }
}
