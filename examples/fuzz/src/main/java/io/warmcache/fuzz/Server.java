/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.fuzz;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** A process that says when it is ready, and what is wrong with it. */
final class Server implements AutoCloseable {
    private static final int KEPT = 1 << 16;

    /** The line by which it said so. */
    final String ready;

    private final Process process;
    private final Thread killer;
    private final StringBuilder said = new StringBuilder();

    Server(List<String> arguments) throws IOException {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx192m",
                "-XX:+UseSerialGC",
                "-XX:-UsePerfData",
                "-XX:MaxDirectMemorySize=64m",
                "--enable-native-access=ALL-UNNAMED",
                "--illegal-native-access=deny",
                "--sun-misc-unsafe-memory-access=deny",
                "-cp",
                System.getProperty("java.class.path")));
        command.addAll(arguments);
        process = new ProcessBuilder(command).redirectErrorStream(true).start();
        killer = new Thread(process::destroyForcibly);
        Runtime.getRuntime().addShutdownHook(killer);
        BufferedReader out = process.inputReader();
        String line;
        do {
            line = out.readLine();
            if (line == null) {
                process.destroyForcibly();
                throw new IOException(arguments + " ended: " + said);
            }
            said.append(line).append('\n');
        } while (!line.startsWith("READY "));
        ready = line;
        said.setLength(0);
        Thread.ofPlatform().daemon().start(() -> out.lines().forEach(this::heard));
    }

    private synchronized void heard(String line) {
        if (said.length() < KEPT) {
            said.append(line).append('\n');
        }
    }

    /**
     * Looks whether it lives and has said nothing that it must not.
     *
     * @throws Finding if not
     */
    synchronized void requireWell() throws Finding {
        if (!process.isAlive()) {
            throw new Finding("DEATH: the server ended with status " + process.exitValue() + ": " + said);
        }
        if (said.indexOf("Exception") >= 0 || said.indexOf("Error") >= 0) {
            throw new Finding("the server said: " + said);
        }
    }

    /** Memory that it has touched, in KiB. */
    long residentKib() throws IOException {
        for (String line : Files.readAllLines(Path.of("/proc/" + process.pid() + "/status"))) {
            if (line.startsWith("VmRSS:")) {
                return Long.parseLong(line.replaceAll("[^0-9]", ""));
            }
        }
        throw new IOException("no VmRSS");
    }

    @Override
    public void close() throws IOException {
        process.destroy();
        boolean interrupted = false;
        while (true) {
            try {
                process.waitFor();
                break;
            } catch (InterruptedException e) {
                interrupted = true;
                process.destroyForcibly();
            }
        }
        Runtime.getRuntime().removeShutdownHook(killer);
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
