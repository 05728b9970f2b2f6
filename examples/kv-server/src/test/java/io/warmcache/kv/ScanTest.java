/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.Protocol;
import redis.clients.jedis.exceptions.JedisDataException;
import redis.clients.jedis.params.ScanParams;
import redis.clients.jedis.resps.ScanResult;

class ScanTest {
    @TempDir
    Path directory;

    /** How often each key was returned by one full iteration. */
    private static Map<String, Integer> scanAll(Jedis jedis, ScanParams params) {
        Map<String, Integer> seen = new HashMap<>();
        String cursor = ScanParams.SCAN_POINTER_START;
        do {
            ScanResult<String> step = jedis.scan(cursor, params);
            step.getResult().forEach(key -> seen.merge(key, 1, Integer::sum));
            cursor = step.getCursor();
        } while (!cursor.equals(ScanParams.SCAN_POINTER_START));
        return seen;
    }

    @Test
    void everyKeyPresentThroughoutIsReturnedOnceWhateverElseChanges() throws Exception {
        long seed = System.nanoTime();
        System.out.println("ScanTest seed " + seed);
        try (TestServer server = TestServer.start(directory);
                Jedis jedis = server.jedis()) {
            Random random = new Random(seed);
            Set<String> stable = new TreeSet<>();
            while (stable.size() < 1500) {
                stable.add("key:" + Long.toHexString(random.nextLong()));
            }
            stable.forEach(key -> jedis.set(key, "stable"));
            AtomicBoolean stop = new AtomicBoolean();
            ExecutorService writers = Executors.newFixedThreadPool(2);
            try {
                List<Future<?>> running = new ArrayList<>();
                for (int i = 0; i < 2; i++) {
                    Random own = new Random(seed + i);
                    running.add(writers.submit(() -> {
                        try (Jedis writer = server.jedis()) {
                            while (!stop.get()) {
                                String key = "key:" + Long.toHexString(own.nextLong() & 0xf00000000000ffffL) + ":x";
                                if (own.nextBoolean()) {
                                    writer.set(key, "changing");
                                } else {
                                    writer.keys("key:?0*:x").forEach(writer::del);
                                }
                                // a present key may be written while the scan passes
                                writer.set(stable.iterator().next(), "written");
                            }
                        }
                        return null;
                    }));
                }
                for (int count : new int[] {1, 7, 100, 5000}) {
                    Map<String, Integer> seen = scanAll(jedis, new ScanParams().count(count));
                    for (String key : stable) {
                        assertEquals(1, seen.get(key), "with COUNT " + count + ", key " + key);
                    }
                }
                stop.set(true);
                for (Future<?> each : running) {
                    each.get();
                }
            } finally {
                stop.set(true);
                writers.shutdownNow();
            }
        }
    }

    @Test
    void matchAndTypeFilterWhatIsReturned() throws Exception {
        try (TestServer server = TestServer.start(directory);
                Jedis jedis = server.jedis()) {
            for (int i = 0; i < 300; i++) {
                jedis.set("a" + i, "1");
                jedis.set("b" + i, "1");
            }
            assertEquals(300, scanAll(jedis, new ScanParams().match("a*").count(50)).size());
            assertEquals(1, scanAll(jedis, new ScanParams().match("b77")).size());
            assertEquals(0, scanAll(jedis, new ScanParams().match("c*")).size());
            assertEquals(600, jedis.scan("0", new ScanParams().count(1000), "string").getResult().size());
            assertEquals(0, jedis.scan("0", new ScanParams().count(1000), "hash").getResult().size());
            assertEquals(10, jedis.scan("0").getResult().size());
        }
    }

    @Test
    void aStepThatEndsAtTheLastKeyIsTheLastStep() throws Exception {
        try (TestServer server = TestServer.start(directory);
                Jedis jedis = server.jedis()) {
            assertEquals("0", jedis.scan("0").getCursor());
            for (int i = 0; i < 20; i++) {
                jedis.set("key" + i, "1");
            }
            ScanResult<String> first = jedis.scan("0");
            assertNotEquals("0", first.getCursor());
            assertEquals("0", jedis.scan(first.getCursor()).getCursor());
        }
    }

    @Test
    void aCursorMayBeUsedAgain() throws Exception {
        try (TestServer server = TestServer.start(directory);
                Jedis jedis = server.jedis()) {
            for (int i = 0; i < 100; i++) {
                jedis.set("key" + i, "1");
            }
            String cursor = jedis.scan("0").getCursor();
            List<String> once = jedis.scan(cursor).getResult();
            assertEquals(once, jedis.scan(cursor).getResult());
            assertEquals(10, once.size());
        }
    }

    @Test
    void aCursorThatIsNotKnownIsAnErrorAndNeverASilentGap() throws Exception {
        String cursor;
        try (TestServer server = TestServer.start(directory);
                Jedis jedis = server.jedis()) {
            for (int i = 0; i < 100; i++) {
                jedis.set("key" + i, "1");
            }
            cursor = jedis.scan("0").getCursor();
            jedis.select(1);
            assertInvalidCursor(jedis, cursor);
            jedis.select(0);
            assertEquals(10, jedis.scan(cursor).getResult().size());
            assertInvalidCursor(jedis, "12345");
            assertInvalidCursor(jedis, "18446744073709551615");
            for (String wrong : List.of("x", "-1", "18446744073709551616", "")) {
                assertEquals(
                        "ERR invalid cursor",
                        assertThrows(JedisDataException.class, () -> jedis.scan(wrong)).getMessage());
            }
            String syntax = "ERR syntax error";
            assertEquals(syntax, error(jedis, "0", "COUNT", "0"));
            assertEquals(syntax, error(jedis, "0", "COUNT"));
            assertEquals(syntax, error(jedis, "0", "WHAT", "x"));
            assertEquals("ERR value is not an integer or out of range", error(jedis, "0", "COUNT", "x"));
        }
        try (TestServer server = TestServer.start(directory);
                Jedis jedis = server.jedis()) {
            assertInvalidCursor(jedis, cursor);
            assertEquals(100, scanAll(jedis, new ScanParams()).size());
        }
    }

    @Test
    void positionsAreBoundedAndTheLeastRecentlyUsedGoesFirst() {
        ScanCursors cursors = new ScanCursors();
        byte[] last = new byte[100];
        long first = cursors.remember(0, last);
        long second = cursors.remember(0, last);
        for (int i = 0; i < 65_534; i++) {
            cursors.remember(0, last);
        }
        assertTrue(cursors.last(0, first) != null);
        cursors.remember(0, last);
        assertTrue(cursors.last(0, first) != null, "used a moment ago");
        assertEquals(null, cursors.last(0, second), "not used since");
        ScanCursors large = new ScanCursors();
        long oldest = large.remember(0, new byte[20 << 20]);
        large.remember(0, new byte[20 << 20]);
        assertEquals(null, large.last(0, oldest));
    }

    private static void assertInvalidCursor(Jedis jedis, String cursor) {
        String message = assertThrows(JedisDataException.class, () -> jedis.scan(cursor)).getMessage();
        assertTrue(message.startsWith("ERR invalid cursor"), message);
    }

    private static String error(Jedis jedis, String... arguments) {
        return assertThrows(JedisDataException.class, () -> jedis.sendCommand(Protocol.Command.SCAN, arguments))
                .getMessage();
    }
}
