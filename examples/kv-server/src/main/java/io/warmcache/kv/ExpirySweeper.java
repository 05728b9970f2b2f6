/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

import java.lang.System.Logger.Level;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;

/**
 * Removes entries that have died. Reads do not see them in any case; this gives their space back. It works in short
 * turns, and not at all while the storage cannot keep up.
 */
final class ExpirySweeper implements AutoCloseable {
    private static final System.Logger LOG = System.getLogger(ExpirySweeper.class.getName());
    private static final long PERIOD_MILLIS = 100;
    private static final long TURN_NANOS = TimeUnit.MILLISECONDS.toNanos(25);
    private static final int BATCH = 256;

    private final Storage storage;
    private final ServerStats stats;
    private final ScheduledExecutorService thread = Executors.newSingleThreadScheduledExecutor(work -> {
        Thread made = new Thread(work, "kv-sweeper");
        made.setDaemon(true);
        return made;
    });
    private volatile boolean stopping;

    ExpirySweeper(Storage storage, ServerStats stats) {
        this.storage = storage;
        this.stats = stats;
    }

    void start() {
        var _ = thread.scheduleWithFixedDelay(this::turn, PERIOD_MILLIS, PERIOD_MILLIS, TimeUnit.MILLISECONDS);
    }

    private void turn() {
        try {
            long start = System.nanoTime();
            for (Keyspace each : storage.keyspaces()) {
                int removed = BATCH;
                while (removed == BATCH
                        && !stopping
                        && !storage.committer().congested()
                        && System.nanoTime() - start < TURN_NANOS) {
                    removed = each.sweep(storage.gate(), System.currentTimeMillis(), BATCH);
                    if (removed > 0) {
                        stats.expiredKeys.add(removed);
                        storage.committer().changed();
                    }
                }
            }
        } catch (RuntimeException e) {
            // an exception that left here would end the turns silently
            LOG.log(Level.ERROR, "expired keys could not be removed; they stay invisible, and keep their space", e);
        }
    }

    @Override
    public void close() {
        stopping = true;
        thread.shutdown();
        try {
            thread.awaitTermination(10, TimeUnit.SECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
