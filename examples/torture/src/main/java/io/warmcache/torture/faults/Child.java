/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture.faults;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** A {@link FaultLife} and what it says. */
final class Child implements AutoCloseable {
    /** Much more than any step takes, on a machine however loaded. */
    private static final int PATIENCE_SECONDS = 180;

    private static final String END = "END";

    private final Process process;
    private final BlockingQueue<String> lines = new LinkedBlockingQueue<>();
    /** All it has said so far. */
    final List<String> said = new ArrayList<>();

    Child(Map<String, String> options, List<String> jvmOptions) throws IOException {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx128m",
                "-Xshare:auto",
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-XX:-UsePerfData",
                "--enable-native-access=ALL-UNNAMED",
                "--illegal-native-access=deny",
                "--sun-misc-unsafe-memory-access=deny"));
        command.addAll(jvmOptions);
        command.addAll(List.of("-cp", System.getProperty("java.class.path"), FaultLife.class.getName()));
        command.addAll(FaultLife.arguments(options));
        process = new ProcessBuilder(command).redirectErrorStream(true).start();
        Thread.ofPlatform().daemon().start(this::read);
    }

    private void read() {
        try (BufferedReader reader = process.inputReader()) {
            String line;
            while ((line = reader.readLine()) != null) {
                lines.add(line);
            }
        } catch (IOException e) {
            lines.add("NOTE " + e.getMessage()); // the pipe of a child that was killed
        }
        lines.add(END);
    }

    /**
     * Waits until it has said something.
     *
     * @throws IllegalStateException if it ended, failed, or hangs
     */
    void await(String expected) throws InterruptedException {
        while (true) {
            String line = lines.poll(PATIENCE_SECONDS, TimeUnit.SECONDS);
            if (line == null) {
                throw new IllegalStateException("a life hangs: it has not said " + expected + " for "
                        + PATIENCE_SECONDS + " s\n" + tail());
            }
            if (line.equals(END)) {
                process.waitFor();
                throw new IllegalStateException("a life ended with exit code " + process.exitValue()
                        + " before it said " + expected + "\n" + tail());
            }
            said.add(line);
            if (line.startsWith("ERROR")) {
                throw new IllegalStateException("a life failed: " + line + "\n" + tail());
            }
            if (line.equals(expected)) {
                return;
            }
        }
    }

    private String tail() {
        return String.join("\n", said.subList(Math.max(0, said.size() - 30), said.size()));
    }

    /** SIGKILL; returns before it is dead. */
    void strike() {
        process.toHandle().destroyForcibly();
    }

    boolean isAlive() {
        return process.isAlive();
    }

    /** SIGKILL; returns when it is dead. */
    void kill() throws InterruptedException {
        strike();
        if (!process.waitFor(PATIENCE_SECONDS, TimeUnit.SECONDS)) {
            throw new IllegalStateException("a killed life does not end: pid " + process.pid());
        }
    }

    @Override
    public void close() {
        process.destroyForcibly();
    }
}
