/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv.demo;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** One life of the server: a child JVM, its output, and what the kernel says of it. */
final class ServerProcess {
    private static final int TAIL_LINES = 30;
    private static final Pattern PORT = Pattern.compile("\\bport=([0-9]+)");

    private final Process process;
    /** Whose reads from disk count, and how many it had made before. */
    private final long diskReaderPid;

    private final long readBefore;
    private final long startedNanos;
    private final CompletableFuture<Integer> port = new CompletableFuture<>();
    private final ArrayDeque<String> tail = new ArrayDeque<>();
    private final Thread reader;

    /**
     * Starts a process. What it prints goes to {@code log}, appended.
     *
     * @throws IOException if there is no such program
     */
    ServerProcess(List<String> command, Path log) throws IOException {
        this(command, log, 0);
    }

    /** As above, where another process reads the disk for it; 0 for none. */
    ServerProcess(List<String> command, Path log, long diskReader) throws IOException {
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
        // options of the user's shell would make the child another JVM than the one stated
        builder.environment().keySet().removeAll(List.of("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS"));
        startedNanos = System.nanoTime();
        readBefore = diskReader == 0 ? 0 : diskReadBytes(diskReader);
        process = builder.start();
        diskReaderPid = diskReader == 0 ? process.pid() : diskReader;
        reader = Thread.ofVirtual().name("server-output").start(() -> read(log));
    }

    long pid() {
        return process.pid();
    }

    /** When the process was about to be started, by {@link System#nanoTime}. */
    long startedNanos() {
        return startedNanos;
    }

    /**
     * Waits until it serves.
     *
     * @return its port
     * @throws IOException if it ended or was silent for too long; says what it printed last
     */
    int awaitReady(Duration patience) throws IOException, InterruptedException {
        try {
            return port.get(patience.toMillis(), TimeUnit.MILLISECONDS);
        } catch (TimeoutException e) {
            throw new IOException("the server was not ready after " + patience.toSeconds() + " s; " + lastWords(), e);
        } catch (ExecutionException e) {
            throw new IOException("the server did not start, " + lastWords(), e);
        }
    }

    /** SIGKILL, sent and not waited for. */
    void kill() {
        process.toHandle().destroyForcibly();
    }

    boolean alive() {
        return process.isAlive();
    }

    /** Waits for the end of a process that was killed. */
    void awaitDeath(Duration patience) throws IOException, InterruptedException {
        if (!process.waitFor(patience)) {
            throw new IOException("process " + pid() + " is still there " + patience.toSeconds() + " s after SIGKILL");
        }
    }

    /**
     * SIGTERM, and SIGKILL if that does not end it.
     *
     * @return the exit status
     * @throws IOException if it had to be killed
     */
    int stop(Duration patience) throws IOException, InterruptedException {
        // by its handle: Process.destroy would also close the pipe that the server says its last words into
        process.toHandle().destroy();
        if (!process.waitFor(patience)) {
            kill();
            throw new IOException("the server did not stop within " + patience.toSeconds() + " s of SIGTERM; "
                    + lastWords());
        }
        reader.join(Duration.ofSeconds(5));
        return process.exitValue();
    }

    /** Bytes that it had the disk read so far, by {@code /proc/PID/io}; 0 once it is gone. */
    long diskReadBytes() {
        return Math.max(0, diskReadBytes(diskReaderPid) - readBefore);
    }

    private static long diskReadBytes(long pid) {
        try {
            for (String line : Files.readAllLines(Path.of("/proc", Long.toString(pid), "io"))) {
                if (line.startsWith("read_bytes: ")) {
                    return Long.parseLong(line.substring("read_bytes: ".length()));
                }
            }
        } catch (IOException | UncheckedIOException e) {
            // it ended meanwhile
        }
        return 0;
    }

    /** What it printed last, for an error message. */
    String lastWords() {
        synchronized (tail) {
            String state = process.isAlive() ? "process " + pid() + " is alive" : "exit status " + process.exitValue();
            return state + (tail.isEmpty() ? ", printed nothing" : ", printed:\n  " + String.join("\n  ", tail));
        }
    }

    private void read(Path log) {
        try (BufferedReader lines =
                        new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8));
                PrintStream copy = new PrintStream(
                        Files.newOutputStream(
                                log,
                                StandardOpenOption.CREATE,
                                StandardOpenOption.APPEND),
                        true,
                        StandardCharsets.UTF_8)) {
            String line;
            while ((line = lines.readLine()) != null) {
                copy.println(pid() + " " + line);
                synchronized (tail) {
                    tail.add(line);
                    if (tail.size() > TAIL_LINES) {
                        tail.remove();
                    }
                }
                readPort(line);
            }
        } catch (IOException e) {
            // the pipe broke with the process
        }
        try {
            process.waitFor();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        port.completeExceptionally(new IOException("the server ended"));
    }

    private void readPort(String line) {
        if (line.startsWith("READY ")) {
            Matcher matcher = PORT.matcher(line);
            if (matcher.find()) {
                port.complete(Integer.parseInt(matcher.group(1)));
            }
        }
    }
}
