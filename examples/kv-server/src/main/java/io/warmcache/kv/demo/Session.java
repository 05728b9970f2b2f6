/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv.demo;

import java.io.IOException;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;

/** What both demos share: one data set, one oracle, and servers that come and go. */
final class Session {
    private static final Duration DEATH_PATIENCE = Duration.ofSeconds(30);
    /** What {@code everysec} may lose: a second, and the time that the commit under way takes. */
    private static final long EVERYSEC_WINDOW_NANOS = TimeUnit.SECONDS.toNanos(2);
    private static final int MGET_KEYS = 16;
    /** More than later on: with large commits the store consists of fewer chunks, and a restart looks at each. */
    private static final int LOADING_DEPTH = 128;

    private final DemoOptions options;
    private final Servers servers;
    private final Progress progress;
    private final Model model;
    private final Oracle oracle;
    private final Tally tally = new Tally();
    private final Requests requests;

    Session(DemoOptions options, Servers servers, Progress progress, Model model) {
        this.options = options;
        this.servers = servers;
        this.progress = progress;
        this.model = model;
        oracle = new Oracle(model.keys());
        requests = new Requests(model, oracle, tally, options.connections);
    }

    Servers servers() {
        return servers;
    }

    Progress progress() {
        return progress;
    }

    Model model() {
        return model;
    }

    Oracle oracle() {
        return oracle;
    }

    Tally tally() {
        return tally;
    }

    Requests requests() {
        return requests;
    }

    /** Starts a server and waits until it serves. */
    Life start(String phase, String cacheName, String io, DemoOptions.Durability durability, String... jvmOptions)
            throws IOException, InterruptedException {
        return serve(phase, servers.start(cacheName, io, durability, jvmOptions), durability);
    }

    /** Waits until a server that was started serves. */
    Life serve(String phase, ServerProcess server, DemoOptions.Durability durability)
            throws IOException, InterruptedException {
        requests.phase(phase);
        Life life = new Life(server, requests, options.connections, options.depth);
        oracle.serverStarted(durability == DemoOptions.Durability.ALWAYS ? 0 : EVERYSEC_WINDOW_NANOS);
        return life;
    }

    /** Gives every key its first version. */
    void load(Life life) throws IOException {
        Requests.Pass pass = requests.loading();
        long size = model.blobs().bytes();
        long start = System.nanoTime();
        life.depth(Math.max(LOADING_DEPTH, options.depth));
        life.complete(pass, () -> progress.update(() -> {
            double share = 1 - (double) pass.left() / pass.total();
            double seconds = (System.nanoTime() - start) / 1e9;
            return String.format("loading, %.0f %%, %s/s", 100 * share, Sizes.format(share * size / seconds));
        }));
        life.depth(options.depth);
    }

    /** Reads and compares every key. */
    void verify(Life life) throws IOException {
        Requests.Pass pass = requests.verifying(MGET_KEYS);
        life.complete(pass, () -> progress.update(() -> String.format(
                "comparing every key, %.0f %%", 100 * (1 - (double) pass.left() / pass.total()))));
    }

    /** Reads and compares keys until {@code enough}, or all of them. */
    void verify(Life life, BooleanSupplier enough) throws IOException {
        life.complete(requests.verifying(MGET_KEYS), enough, () -> { });
    }

    /** The load: reads and writes by Zipf's law, in the same order for the same {@code sequence}. */
    Client.Source mixed(double skew, double writes, long sequence) {
        return requests.mixed(new Zipf(requests.ranks(), skew), writes, options.seedValue(), sequence);
    }

    /** SIGKILL, and waits until the process is gone. */
    void kill(Life life) throws IOException, InterruptedException {
        life.kill(oracle);
        life.server().awaitDeath(DEATH_PATIENCE);
    }

    /** SIGTERM, once everything was answered. */
    void stop(Life life, Duration patience) throws IOException, InterruptedException {
        life.drain();
        life.close();
        int status = life.server().stop(patience);
        if (status != 0) {
            throw new IOException("the server stopped with exit status " + status + " after SIGTERM; "
                    + life.server().lastWords());
        }
        oracle.serverStopped();
    }
}
