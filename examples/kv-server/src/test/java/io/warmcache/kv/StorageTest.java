/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import redis.clients.jedis.Jedis;

class StorageTest {
    @TempDir
    Path directory;

    @Test
    void spaceOfOverwrittenValuesIsReused() throws Exception {
        Path file = directory.resolve("test.mvstore");
        long seed = System.nanoTime();
        System.out.println("StorageTest seed " + seed);
        Random random = new Random(seed);
        byte[] value = new byte[20_000];
        int keys = 500;
        int round = 5_000;
        long written = 0;
        try (TestServer server = TestServer.start(directory);
                Jedis jedis = server.jedis()) {
            byte[][] last = new byte[keys][];
            // what is younger than the retention time is not reused, however much that is on a fast machine
            do {
                assertTrue(written < 60L * round * value.length, Files.size(file) + " bytes for "
                        + (long) keys * value.length + " live ones, after " + written + " were written");
                for (int i = 0; i < round; i++) {
                    random.nextBytes(value);
                    int key = random.nextInt(keys);
                    jedis.set(("key" + key).getBytes(StandardCharsets.UTF_8), value);
                    last[key] = value.clone();
                }
                written += (long) round * value.length;
            } while (written < 4L * round * value.length || Files.size(file) > written / 3);
            for (int key = 0; key < keys; key++) {
                assertArrayEquals(
                        last[key], jedis.get(("key" + key).getBytes(StandardCharsets.UTF_8)));
            }
        }
    }

    @Test
    void readersAreRightWhileSpaceIsReusedUnderThem() throws Exception {
        long seed = System.nanoTime();
        System.out.println("StorageTest seed " + seed);
        try (TestServer server = new TestServer.Settings(directory).durability(Durability.ALWAYS).start()) {
            AtomicBoolean stop = new AtomicBoolean();
            ExecutorService threads = Executors.newFixedThreadPool(3);
            try {
                List<Future<?>> running = new ArrayList<>();
                for (int t = 0; t < 3; t++) {
                    Random random = new Random(seed + t);
                    boolean writes = t == 0;
                    running.add(threads.submit(() -> {
                        try (Jedis jedis = server.jedis()) {
                            for (int i = 0; writes ? i < 1500 : !stop.get(); i++) {
                                int key = random.nextInt(300);
                                if (writes) {
                                    String value = key + ":" + "y".repeat(random.nextInt(8000));
                                    jedis.mset("a" + key, value, "b" + key, value);
                                } else if (random.nextInt(50) == 0) {
                                    jedis.keys("a*1");
                                } else {
                                    String value = jedis.get("a" + key);
                                    assertTrue(value == null || value.startsWith(key + ":"), value);
                                }
                            }
                        } finally {
                            if (writes) {
                                stop.set(true);
                            }
                        }
                        return null;
                    }));
                }
                for (Future<?> each : running) {
                    each.get();
                }
            } finally {
                stop.set(true);
                threads.shutdownNow();
            }
            assertEquals(0, server.server.stats().errorReplies.sum());
        }
    }

    @Test
    void aCommitAcknowledgesEverythingBeforeIt() throws Exception {
        String file = directory.resolve("direct.mvstore").toString();
        AtomicReference<Throwable> failure = new AtomicReference<>();
        byte[] key = {1};
        try (Storage storage = new Storage(file, 8192, 4, Durability.ALWAYS, failure::set)) {
            long ticket;
            try (WriteGate.Scope scope = storage.gate().enter(3, key)) {
                assertEquals(0, scope.ticket());
                storage.keyspace(3).put(scope, key, new Entry(new byte[] {2}, Entry.NEVER));
                ticket = scope.ticket();
            }
            assertEquals(ticket, storage.gate().ticketOf(3, key));
            storage.committer().changed();
            AtomicBoolean completed = new AtomicBoolean();
            storage.committer().whenCompleted(ticket, () -> completed.set(true));
            Await.until("the commit has ended", completed::get);
            assertTrue(storage.committer().isCompleted(ticket));
            try (WriteGate.Scope scope = storage.gate().enter(3, key)) {
                storage.keyspace(3).remove(scope, key);
                assertTrue(scope.ticket() > ticket);
            }
            assertNull(storage.keyspace(3).get(key));
        }
        assertNull(failure.get());
    }
}
