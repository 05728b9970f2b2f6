/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.CacheConfig;
import io.warmcache.PageCache;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.Pipeline;
import redis.clients.jedis.Response;
import redis.clients.jedis.exceptions.JedisConnectionException;
import redis.clients.jedis.params.SetParams;

/** Servers that are killed under load and started again, and what they then still know. */
class DurabilityTest {
    private static final int WRITERS = 3;
    private static final int KEYS_EACH = 40;
    private static final long CACHE_BYTES = 4L << 20;

    @TempDir
    Path directory;

    private final String cacheName = "kv-test-" + ProcessHandle.current().pid() + "-" + System.nanoTime();

    private ServerProcess start(String durability) throws Exception {
        return start(durability, "plain");
    }

    private ServerProcess start(String durability, String storage) throws Exception {
        return new ServerProcess(
                "--storage", storage, "--file", directory.resolve("kv.mvstore").toString(), "--durability", durability,
                "--cache-name", cacheName, "--cache-size", Long.toString(CACHE_BYTES));
    }

    @AfterEach
    void dropCache() throws Exception {
        PageCache.drop(CacheConfig.of(cacheName, CACHE_BYTES));
    }

    /**
     * What one client knows of keys that nobody else writes: for each the value acknowledged last, and the one that was
     * under way when the server died. Writes go in pairs by MSET, which must never be seen apart.
     */
    private static final class Oracle {
        private final int writer;
        private final Random random;
        private final long[] acknowledged = new long[KEYS_EACH];
        private final long[] pending = new long[KEYS_EACH];
        private final AtomicLong writes = new AtomicLong();
        private long counterAcknowledged;
        private long next = 1;

        Oracle(int writer, long seed) {
            this.writer = writer;
            random = new Random(seed + writer);
        }

        private String key(int number) {
            return "w" + writer + ":" + number;
        }

        private String counter() {
            return "counter" + writer;
        }

        /** Writes until the server is gone. */
        void write(ServerProcess server) {
            try (Jedis jedis = server.jedis()) {
                while (true) {
                    int number = random.nextInt(KEYS_EACH);
                    long value = next++;
                    pending[number] = value;
                    jedis.mset(key(number), value(value), key(number) + ":twin", value(value));
                    acknowledged[number] = value;
                    counterAcknowledged = jedis.incr(counter());
                    writes.incrementAndGet();
                }
            } catch (JedisConnectionException e) {
                // killed, as planned
            }
        }

        /** Values differ in length, so that pages split and move. */
        private static String value(long number) {
            return number + ":" + "x".repeat((int) (number % 700));
        }

        /** Checks what the restarted server has, and takes it as acknowledged: a second restart must not change it. */
        void check(Jedis jedis, String where) {
            for (int number = 0; number < KEYS_EACH; number++) {
                String text = jedis.get(key(number));
                assertEquals(text, jedis.get(key(number) + ":twin"), "half an MSET " + where);
                long found = 0;
                if (text != null) {
                    found = Long.parseLong(text.substring(0, text.indexOf(':')));
                    assertEquals(value(found), text);
                }
                assertTrue(
                        found == acknowledged[number] || found == pending[number],
                        key(number) + " is " + found + ", acknowledged was " + acknowledged[number] + ", pending "
                                + pending[number] + " " + where);
                acknowledged[number] = found;
                pending[number] = found;
            }
            String counter = jedis.get(counter());
            long found = counter == null ? 0 : Long.parseLong(counter);
            assertTrue(
                    found == counterAcknowledged || found == counterAcknowledged + 1,
                    counter() + " is " + found + ", acknowledged was " + counterAcknowledged + " " + where);
            counterAcknowledged = found;
        }
    }

    /** Reads counters that others raise; what it has seen must not be taken back. */
    private static long[] readCounters(ServerProcess server) {
        long[] seen = new long[WRITERS];
        try (Jedis jedis = server.jedis()) {
            while (true) {
                for (int i = 0; i < WRITERS; i++) {
                    String value = jedis.get("counter" + i);
                    if (value != null) {
                        seen[i] = Math.max(seen[i], Long.parseLong(value));
                    }
                }
            }
        } catch (JedisConnectionException e) {
            return seen;
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"plain", "warm"})
    void alwaysKeepsEveryAcknowledgedWriteAndEveryValueSeenThroughKills(String storage) throws Exception {
        long seed = System.nanoTime();
        System.out.println("DurabilityTest seed " + seed);
        Random random = new Random(seed);
        List<Oracle> oracles = new ArrayList<>();
        for (int i = 0; i < WRITERS; i++) {
            oracles.add(new Oracle(i, seed));
        }
        ExecutorService threads = Executors.newFixedThreadPool(WRITERS + 1);
        try {
            for (int round = 0; round < 4; round++) {
                List<Future<?>> writers = new ArrayList<>();
                Future<long[]> reader;
                try (ServerProcess server = start("always", storage)) {
                    long before = oracles.stream().mapToLong(each -> each.writes.get()).sum();
                    oracles.forEach(each -> writers.add(threads.submit(() -> each.write(server))));
                    reader = threads.submit(() -> readCounters(server));
                    long wanted = before + 20 + random.nextInt(300);
                    Await.until(
                            "enough was written",
                            () -> oracles.stream().mapToLong(each -> each.writes.get()).sum() >= wanted);
                    server.kill();
                }
                for (Future<?> each : writers) {
                    each.get(60, TimeUnit.SECONDS);
                }
                long[] seen = reader.get(60, TimeUnit.SECONDS);
                try (ServerProcess server = start("always", storage);
                        Jedis jedis = server.jedis()) {
                    assertEquals(storage.equals("warm") ? "1" : "0", server.ready("warm"));
                    for (int i = 0; i < WRITERS; i++) {
                        String counter = jedis.get("counter" + i);
                        assertTrue(
                                seen[i] <= (counter == null ? 0 : Long.parseLong(counter)),
                                "a reader saw counter" + i + " at " + seen[i] + ", now it is " + counter);
                        oracles.get(i).check(jedis, "in round " + round);
                    }
                }
            }
        } finally {
            threads.shutdownNow();
        }
    }

    @Test
    void everysecLosesAtMostAnUncommittedTailAndNothingBeforeIt() throws Exception {
        int keys = 50;
        long durable = -1;
        try (ServerProcess server = start("everysec")) {
            try (Jedis jedis = server.jedis();
                    Jedis observer = server.jedis()) {
                long n = 0;
                int rounds = 0;
                long forces = forces(observer);
                long written = 0;
                while (rounds < 3) {
                    jedis.set("k" + n % keys, Long.toString(n));
                    n++;
                    // two more forces have ended, so one of their commits began after the write that is noted here
                    if (forces(observer) >= forces + 2) {
                        durable = written;
                        forces = forces(observer);
                        written = n - 1;
                        rounds++;
                    }
                }
            }
            server.kill();
        }
        try (ServerProcess server = start("everysec");
                Jedis jedis = server.jedis()) {
            long newest = -1;
            for (int i = 0; i < keys; i++) {
                String value = jedis.get("k" + i);
                newest = Math.max(newest, value == null ? -1 : Long.parseLong(value));
            }
            assertTrue(durable > 0 && newest >= durable, newest + " was kept, but " + durable + " was durable");
            // what is there is the state after write number newest, not a mixture
            for (int i = 0; i < keys; i++) {
                long expected = newest - Math.floorMod(newest - i, keys);
                String value = jedis.get("k" + i);
                assertEquals(expected < 0 ? null : Long.toString(expected), value, "k" + i + " of " + newest);
            }
        }
    }

    private static long forces(Jedis jedis) {
        return persistence(jedis, "forces:");
    }

    private static long persistence(Jedis jedis, String field) {
        String info = jedis.info("persistence");
        String line = info.lines().filter(each -> each.startsWith(field)).findFirst().orElseThrow();
        return Long.parseLong(line.substring(field.length()));
    }

    @Test
    void aCleanStopLosesNothingAndSaysSo() throws Exception {
        try (ServerProcess server = start("everysec")) {
            assertEquals("everysec", server.ready("durability"));
            assertEquals(server.process().pid(), Long.parseLong(server.ready("pid")));
            assertTrue(Long.parseLong(server.ready("elapsed_ms")) > 0);
            try (Jedis jedis = server.jedis()) {
                jedis.set("k", "v");
                jedis.set("dies", "v", SetParams.setParams().ex(5000));
            }
            assertEquals(0, server.terminate());
        }
        try (ServerProcess server = start("everysec")) {
            try (Jedis jedis = server.jedis()) {
                assertEquals("v", jedis.get("k"));
                assertTrue(jedis.ttl("dies") > 4000);
                jedis.set("k", "w");
                jedis.shutdown();
            }
            assertEquals(0, server.exitCode());
        }
        try (ServerProcess server = start("always");
                Jedis jedis = server.jedis()) {
            assertEquals("w", jedis.get("k"));
            jedis.set("k", "x");
            assertEquals(0, server.terminate());
        }
    }

    @Test
    void infoTellsWhatAWarmRestartKept() throws Exception {
        try (ServerProcess server = start("always", "warm");
                Jedis jedis = server.jedis()) {
            assertEquals("0", server.ready("warm"));
            assertEquals("0", cache(jedis).get("recovery_warm"));
            for (int i = 0; i < 100; i++) {
                jedis.set("k" + i, "v".repeat(1000));
            }
            server.kill();
        }
        try (ServerProcess server = start("always", "warm");
                Jedis jedis = server.jedis()) {
            Map<String, String> cache = cache(jedis);
            assertEquals("1", cache.get("warmcache_enabled"));
            assertEquals(cacheName, cache.get("cache_name"));
            assertEquals("1", cache.get("recovery_warm"));
            assertEquals("0", cache.get("recovery_clean_stop"));
            assertEquals("1", cache.get("healthy"));
            assertEquals("0", cache.get("dirty_blocks"));
            long found = Long.parseLong(cache.get("recovery_frames_found"));
            assertEquals(found, Long.parseLong(server.ready("frames_found")));
            assertTrue(found > 10, cache.toString());
            long dropped = cache.entrySet().stream()
                    .filter(each -> each.getKey().startsWith("recovery_dropped_"))
                    .mapToLong(each -> Long.parseLong(each.getValue()))
                    .sum();
            assertEquals(dropped, Long.parseLong(cache.get("recovery_frames_dropped")));
            assertEquals(found, dropped + Long.parseLong(cache.get("recovery_frames_kept")));
            assertEquals("v".repeat(1000), jedis.get("k7"));
            assertTrue(Double.parseDouble(cache(jedis).get("hit_ratio")) > 0, cache.toString());
            assertEquals(0, server.terminate());
        }
        try (ServerProcess server = start("always", "warm");
                Jedis jedis = server.jedis()) {
            assertEquals("1", cache(jedis).get("recovery_clean_stop"));
            assertEquals("v".repeat(1000), jedis.get("k99"));
        }
    }

    private static Map<String, String> cache(Jedis jedis) {
        return jedis.info("warmcache").lines()
                .filter(line -> line.indexOf(':') > 0)
                .collect(Collectors.toMap(
                        line -> line.substring(0, line.indexOf(':')), line -> line.substring(line.indexOf(':') + 1)));
    }

    @Test
    void alwaysSharesACommitAmongAPipeline() throws Exception {
        try (ServerProcess server = start("always");
                Jedis jedis = server.jedis()) {
            long before = persistence(jedis, "commits:");
            Pipeline pipeline = jedis.pipelined();
            List<Response<String>> replies = new ArrayList<>();
            for (int i = 0; i < 10_000; i++) {
                pipeline.set("k" + i % 100, "v" + i);
                replies.add(pipeline.get("k" + i % 100));
            }
            pipeline.sync();
            for (int i = 0; i < replies.size(); i++) {
                assertEquals("v" + i, replies.get(i).get());
            }
            long commits = persistence(jedis, "commits:") - before;
            assertTrue(commits > 0 && commits < 1000, commits + " commits for 10,000 writes");
        }
    }

    @Test
    void aSecondServerOnTheSameFileIsRefusedAndHarmsNothing() throws Exception {
        try (ServerProcess first = start("always");
                Jedis jedis = first.jedis()) {
            jedis.set("k", "v");
            Process second = new ProcessBuilder(
                            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                            "-cp",
                            System.getProperty("java.class.path"),
                            KvServer.class.getName(),
                            "--port",
                            "0",
                            "--storage",
                            "plain",
                            "--file",
                            directory.resolve("kv.mvstore").toString())
                    .redirectErrorStream(true)
                    .start();
            String told = new String(second.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            assertEquals(1, second.waitFor());
            assertTrue(told.contains("is in use by another process: stop that one, or choose another --file"), told);
            jedis.set("k", "w");
            first.kill();
        }
        try (ServerProcess again = start("always");
                Jedis jedis = again.jedis()) {
            assertEquals("w", jedis.get("k"));
            assertNotEquals(0, again.port());
        }
    }
}
