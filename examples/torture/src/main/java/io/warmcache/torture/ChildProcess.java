/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/** A child JVM that is told what to do by lines, and answers by lines. */
final class ChildProcess {
    /** Longer than any wait of the cache's own. */
    static final Duration PATIENCE = Duration.ofSeconds(100);

    private static final String END = "\0";
    private static final int KEPT_LINES = 200;

    private final Process process;
    private final Writer in;
    private final BlockingQueue<String> lines = new LinkedBlockingQueue<>();
    private final ArrayDeque<String> said = new ArrayDeque<>();

    /** What it said of something wrong, or failed, or leaked. */
    private final List<String> complaints = new ArrayList<>();

    private boolean ended;

    ChildProcess(List<String> command, Path directory) throws IOException {
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true).directory(directory.toFile());
        // options of the user's shell would make the child another JVM
        builder.environment().keySet().removeAll(List.of("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS"));
        process = builder.start();
        in = process.outputWriter(StandardCharsets.UTF_8);
        BufferedReader out = process.inputReader(StandardCharsets.UTF_8);
        Thread.ofPlatform().daemon().name("child-" + process.pid()).start(() -> read(out));
    }

    private void read(BufferedReader out) {
        try {
            String line;
            while ((line = out.readLine()) != null) {
                lines.add(line);
            }
        } catch (IOException | UncheckedIOException e) {
            lines.add("(its output ended: " + e.getMessage() + ")");
        }
        lines.add(END);
    }

    long pid() {
        return process.pid();
    }

    boolean isAlive() {
        return process.isAlive();
    }

    /** Tells it something; a child that is dead does not hear it. */
    void tell(String line) {
        try {
            in.write(line + "\n");
            in.flush();
        } catch (IOException e) {
            said.add("(not told " + line + ": " + e.getMessage() + ")");
        }
    }

    /** What it says next that starts with {@code start}; null if it ends before. */
    @Nullable String await(String start, Duration patience) throws HangException, InterruptedException {
        long deadline = System.nanoTime() + patience.toNanos();
        while (!ended) {
            String line = lines.poll(Math.max(0, deadline - System.nanoTime()), TimeUnit.NANOSECONDS);
            if (line == null) {
                throw new HangException("pid " + pid() + " did not say " + start + " for " + patience.toSeconds()
                        + " s\n" + stacks());
            }
            if (hear(line) && line.startsWith(start)) {
                return line;
            }
        }
        return null;
    }

    /** Whether it has said something that starts so by now. */
    boolean hasSaid(String start) {
        return said.stream().anyMatch(each -> each.startsWith(start))
                || lines.stream().anyMatch(each -> each.startsWith(start));
    }

    private boolean hear(String line) {
        if (line.equals(END)) {
            ended = true;
            return false;
        }
        said.add(line);
        if (said.size() > KEPT_LINES) {
            said.remove();
        }
        if (line.startsWith("WRONG") || line.startsWith("FAILED") || line.startsWith("LEAK")) {
            complaints.add(line);
        }
        return true;
    }

    /** Hears all that is left, once it is dead. */
    void awaitEnd(Duration patience) throws HangException, InterruptedException {
        String line = await("\0", patience);
        if (line != null || !process.waitFor(patience)) {
            throw new HangException("pid " + pid() + " is still there " + patience.toSeconds() + " s after its end");
        }
    }

    /** Waits for the end of a process that was killed; says so if there is none. */
    void awaitDeath() {
        boolean interrupted = Thread.interrupted();
        try {
            if (!process.waitFor(PATIENCE)) {
                System.err.println("torture: pid " + pid() + " does not die");
            }
        } catch (InterruptedException e) {
            interrupted = true;
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    List<String> complaints() {
        return complaints;
    }

    int exitValue() {
        return process.exitValue();
    }

    void signal(int signal) {
        if (process.isAlive()) {
            Signals.send(process.pid(), signal);
        }
    }

    String output() {
        return String.join("\n", said);
    }

    private String stacks() throws InterruptedException {
        try {
            Process jstack = new ProcessBuilder(
                            Path.of(System.getProperty("java.home"), "bin", "jstack").toString(),
                            "-l",
                            Long.toString(pid()))
                    .redirectErrorStream(true)
                    .start();
            String text = new String(jstack.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            jstack.waitFor();
            return text;
        } catch (IOException e) {
            return "no stacks: " + e.getMessage();
        }
    }
}
