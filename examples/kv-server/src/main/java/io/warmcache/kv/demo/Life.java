/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv.demo;

import java.io.IOException;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;

/** A server that serves, and the load on it. */
final class Life implements AutoCloseable {
    private static final Duration READY_PATIENCE = Duration.ofSeconds(90);
    private static final long ANSWER_MILLIS = 60_000;
    private static final long SAMPLE_NANOS = TimeUnit.MILLISECONDS.toNanos(100);
    private static final long STEP_MILLIS = 20;

    private final ServerProcess server;
    private final Requests requests;
    private final Client client;
    private final Timeline timeline = new Timeline();
    private @Nullable Info info;
    private boolean asked;

    /** Waits until the server serves, and connects. */
    Life(ServerProcess server, Requests requests, int connections, int depth) throws IOException, InterruptedException {
        this.server = server;
        this.requests = requests;
        client = new Client(server.awaitReady(READY_PATIENCE), connections, depth);
    }

    ServerProcess server() {
        return server;
    }

    Timeline timeline() {
        return timeline;
    }

    /** Lets each connection have so many requests under way from now on. */
    void depth(int requests) {
        client.depth(requests);
    }

    /** Seconds since the process was started. */
    double age() {
        return (System.nanoTime() - server.startedNanos()) / 1e9;
    }

    /** The server's account of its cache, now. */
    Info info() throws IOException {
        info = null;
        ask(false);
        Info answer;
        while ((answer = info) == null) {
            client.step((connection, out) -> null, STEP_MILLIS);
        }
        return answer;
    }

    /**
     * Sends one request of {@code source} and waits for its answer.
     *
     * @return seconds from the start of the process to that answer
     */
    double firstReply(Client.Source source) throws IOException {
        boolean[] sent = new boolean[1];
        long before = requests.answered();
        while (requests.answered() == before) {
            client.step(
                    (connection, out) -> {
                        if (sent[0]) {
                            return null;
                        }
                        sent[0] = true;
                        return source.next(connection, out);
                    },
                    STEP_MILLIS);
        }
        return age();
    }

    /** Takes a sample now. */
    void sample() throws IOException {
        int before = timeline.samples().size();
        ask(true);
        while (timeline.samples().size() == before) {
            client.step((connection, out) -> null, STEP_MILLIS);
        }
    }

    /**
     * Drives {@code source} and takes samples until {@code done}, which is asked about fifty times a second or more.
     */
    void drive(Client.Source source, BooleanSupplier done) throws IOException {
        long nextSample = System.nanoTime();
        while (!done.getAsBoolean()) {
            client.step(source, STEP_MILLIS);
            long now = System.nanoTime();
            if (now >= nextSample) {
                nextSample = Math.max(nextSample + SAMPLE_NANOS, now);
                ask(true);
            }
        }
    }

    /** Drives a source that ends to its end, and waits for every answer. */
    void complete(Requests.Pass pass, Runnable progress) throws IOException {
        complete(pass, () -> false, progress);
    }

    /** Drives a source to its end, and waits for every answer; or stops at once when it is {@code enough}. */
    void complete(Requests.Pass pass, BooleanSupplier enough, Runnable progress) throws IOException {
        long last = System.nanoTime();
        int left = pass.left();
        while ((pass.left() > 0 || client.underWay() > 0) && !enough.getAsBoolean()) {
            client.step(pass, STEP_MILLIS);
            progress.run();
            long now = System.nanoTime();
            if (pass.left() != left) {
                left = pass.left();
                last = now;
            } else if (now - last > TimeUnit.MILLISECONDS.toNanos(ANSWER_MILLIS)) {
                throw new IOException("the server has answered nothing for a minute; " + server.lastWords());
            }
        }
    }

    void drain() throws IOException {
        client.drain(ANSWER_MILLIS);
    }

    /** SIGKILL; then takes in what the server had answered. */
    void kill(Oracle oracle) {
        long now = System.nanoTime();
        server.kill();
        client.readToEnd();
        oracle.serverKilled(now);
    }

    private void ask(boolean sample) throws IOException {
        if (asked) {
            return;
        }
        asked = true;
        client.ask(
                (reply, now) -> {
                    asked = false;
                    Info answer = Info.parse(reply.text());
                    info = answer;
                    if (sample) {
                        timeline.add(new Timeline.Sample(
                                (now - server.startedNanos()) / 1e9,
                                requests.answered(),
                                answer.hits(),
                                answer.misses(),
                                server.diskReadBytes()));
                    }
                },
                "INFO",
                "warmcache");
    }

    @Override
    public void close() {
        client.close();
    }
}
