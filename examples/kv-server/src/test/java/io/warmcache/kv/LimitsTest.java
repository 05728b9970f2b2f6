/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.SocketException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import redis.clients.jedis.DefaultJedisClientConfig;
import redis.clients.jedis.HostAndPort;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.RedisProtocol;
import redis.clients.jedis.exceptions.JedisDataException;

/** What clients may not do, and that a server survives their doing it. */
class LimitsTest {
    private static final Limits SMALL = new Limits(3, 100_000, 60_000, 1000, 100);

    @TempDir
    Path directory;

    private TestServer small() throws IOException {
        return new TestServer.Settings(directory).limits(SMALL).start();
    }

    @Test
    void aClientTooManyIsToldAndClosedUntilAnotherLeaves() throws Exception {
        try (TestServer server = small()) {
            List<RawClient> clients = new ArrayList<>();
            for (int i = 0; i < 3; i++) {
                RawClient client = server.raw();
                clients.add(client);
                assertEquals("+PONG", client.call("PING"));
            }
            try (RawClient fourth = server.raw()) {
                assertEquals("-ERR max number of clients reached\r\n", fourth.rest());
            }
            assertEquals("+PONG", clients.get(0).call("PING"));
            clients.remove(0).close();
            Await.until("there is room for a client again", () -> {
                try (RawClient next = server.raw()) {
                    return next.call("PING").equals("+PONG");
                }
            });
            for (RawClient each : clients) {
                each.close();
            }
        }
    }

    @Test
    void requestsBeyondTheLimitsAreToldAndClosed() throws IOException {
        try (TestServer server = small()) {
            String[] tooManyArguments = new String[101];
            Arrays.fill(tooManyArguments, "x");
            assertRefused(server, "-ERR Protocol error: invalid multibulk length", RawClient.frame(tooManyArguments));
            assertRefused(
                    server,
                    "-ERR Protocol error: invalid bulk length",
                    RawClient.bytes("*2\r\n$3\r\nGET\r\n$60001\r\n"));
            String half = "x".repeat(50_000);
            assertRefused(
                    server,
                    "-ERR Protocol error: request is larger than the 100000 bytes that --max-request allows",
                    RawClient.frame("MSET", "a", half, "b", half));
            assertRefused(
                    server, "-ERR Protocol error: length: ", RawClient.bytes("A".repeat(200_000)));
            try (RawClient raw = server.raw()) {
                assertEquals(
                        "-ERR key is longer than the 1000 bytes that --max-key allows",
                        raw.call("SET", "k".repeat(1001), "v"));
                assertEquals(
                        "-ERR key is longer than the 1000 bytes that --max-key allows",
                        raw.call("MSET", "a", "1", "k".repeat(1001), "v"));
                assertEquals("nil", raw.call("GET", "a"));
                assertEquals("+OK", raw.call("SET", "k".repeat(1000), "v".repeat(60_000)));
                assertEquals("-ERR string exceeds maximum allowed size (proto-max-bulk-len)", raw.call(
                        "APPEND", "k".repeat(1000), "v"));
            }
        }
    }

    private static void assertRefused(TestServer server, String message, byte[] request) throws IOException {
        try (RawClient raw = server.raw()) {
            raw.send(RawClient.frame("ECHO", "first"));
            raw.send(request);
            assertEquals("\"first\"", raw.reply());
            assertTrue(raw.rest().startsWith(message), message);
        }
    }

    @Test
    void withAPasswordNothingButAuthenticationIsServedBeforeIt() throws IOException {
        try (TestServer server = new TestServer.Settings(directory).password("s3cret").start()) {
            try (RawClient raw = server.raw()) {
                String refused = "-NOAUTH Authentication required.";
                assertEquals(refused, raw.call("PING"));
                assertEquals(refused, raw.call("SET", "k", "v"));
                assertEquals(refused, raw.call("SHUTDOWN"));
                assertTrue(raw.call("HELLO", "3").startsWith("-NOAUTH HELLO must be called with the client already"));
                String wrong = "-WRONGPASS invalid username-password pair or user is disabled.";
                assertEquals(wrong, raw.call("AUTH", "guess"));
                assertEquals(wrong, raw.call("AUTH", "root", "s3cret"));
                assertEquals(wrong, raw.call("HELLO", "3", "AUTH", "default", "guess"));
                assertEquals("-ERR syntax error", raw.call("AUTH", "a", "b", "c"));
                assertEquals(refused, raw.call("GET", "k"));
                assertEquals("+OK", raw.call("AUTH", "s3cret"));
                assertEquals("nil", raw.call("GET", "k"));
            }
            try (RawClient raw = server.raw()) {
                assertTrue(raw.call("HELLO", "3", "AUTH", "default", "s3cret").startsWith("%["));
                assertEquals("_", raw.call("GET", "k"));
            }
            try (RawClient raw = server.raw()) {
                assertEquals("+OK", raw.call("AUTH", "default", "s3cret"));
                assertEquals("+OK", raw.call("SET", "large", "v".repeat(100_000)));
            }
            for (RedisProtocol protocol : List.of(RedisProtocol.RESP2, RedisProtocol.RESP3)) {
                try (Jedis jedis = login(server, protocol, "s3cret")) {
                    assertEquals("PONG", jedis.ping());
                }
                assertThrows(JedisDataException.class, () -> login(server, protocol, "guess").close());
            }
            try (RawClient raw = server.raw()) {
                raw.send(RawClient.bytes("*2\r\n$4\r\nECHO\r\n$20000\r\n"));
                assertEquals("-ERR Protocol error: unauthenticated bulk length\r\n", raw.rest());
            }
        }
    }

    private static Jedis login(TestServer server, RedisProtocol protocol, String password) {
        return new Jedis(
                new HostAndPort("127.0.0.1", server.port()),
                DefaultJedisClientConfig.builder().protocol(protocol).password(password).build());
    }

    @Test
    void authWithoutAPasswordConfiguredSaysSo() throws IOException {
        try (TestServer server = small();
                RawClient raw = server.raw()) {
            assertEquals(
                    "-ERR AUTH <password> called without any password configured for the default user."
                            + " Are you sure your configuration is correct?",
                    raw.call("AUTH", "x"));
            assertEquals("+OK", raw.call("AUTH", "default", "anything"));
        }
    }

    @Test
    void nonsenseNeverKillsTheServer() throws Exception {
        long seed = System.nanoTime();
        System.out.println("LimitsTest seed " + seed);
        Random random = new Random(seed);
        Limits limits = new Limits(50, 100_000, 60_000, 1000, 100);
        try (TestServer server = new TestServer.Settings(directory).limits(limits).start()) {
            try (RawClient raw = server.raw()) {
                assertEquals("+OK", raw.call("SELECT", "9"));
                assertEquals("+OK", raw.call("SET", "untouched", "value"));
            }
            for (int round = 0; round < 400; round++) {
                byte[] nonsense = nonsense(random);
                try (RawClient raw = server.raw()) {
                    for (int from = 0; from < nonsense.length; ) {
                        int to = Math.min(nonsense.length, from + 1 + random.nextInt(nonsense.length));
                        raw.send(Arrays.copyOfRange(nonsense, from, to));
                        from = to;
                    }
                    if (random.nextInt(3) > 0) {
                        raw.finish();
                        raw.rest();
                    }
                } catch (SocketException e) {
                    // closed by the server while we sent: that is one of the two right answers
                    assertTrue(server.server.stats().protocolErrors.sum() > 0);
                }
            }
            try (RawClient raw = server.raw()) {
                assertEquals("+PONG", raw.call("PING"));
                assertEquals("+OK", raw.call("SELECT", "9"));
                assertEquals("\"value\"", raw.call("GET", "untouched"));
            }
            Await.until("the connections are gone", () -> server.server.clients() == 0);
            assertEquals(0, server.shutdownRequests.get());
            assertTrue(server.server.stats().protocolErrors.sum() > 50);
        }
    }

    /** Frames cut, mutated and mixed with noise. Nothing in it empties a database by a whole command that was meant. */
    private static byte[] nonsense(Random random) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        int parts = 1 + random.nextInt(6);
        for (int i = 0; i < parts; i++) {
            byte[] part = switch (random.nextInt(8)) {
                case 0 -> RawClient.frame("SET", "k" + random.nextInt(100), "v".repeat(random.nextInt(3000)));
                case 1 -> RawClient.frame("MGET", "k1", "k2", "k" + random.nextInt(100));
                case 2 -> RawClient.frame("SCAN", Long.toString(random.nextLong()), "COUNT", "5");
                case 3 -> RawClient.bytes("*" + random.nextLong() + "\r\n");
                case 4 -> RawClient.bytes("*3\r\n$" + random.nextInt() + "\r\n");
                case 5 -> RawClient.bytes("set k " + random.nextInt() + "\r\n");
                case 6 -> RawClient.bytes(
                        List.of("+OK\r\n", "-ERR\r\n", ":5\r\n", "$-1\r\n", "*1\r\n*1\r\n", "$5\r\n", "_\r\n", "%1\r\n")
                                .get(random.nextInt(8)));
                default -> {
                    byte[] noise = new byte[random.nextInt(300)];
                    random.nextBytes(noise);
                    yield noise;
                }
            };
            for (int flips = random.nextInt(3); flips > 0 && part.length > 0; flips--) {
                part[random.nextInt(part.length)] = (byte) random.nextInt(256);
            }
            out.write(part, 0, random.nextInt(4) == 0 ? random.nextInt(part.length + 1) : part.length);
        }
        byte[] bytes = out.toByteArray();
        return bytes.length == 0 ? new byte[] {'*'} : bytes;
    }

    @Test
    void aClientThatDoesNotReadItsRepliesHoldsUpNobodyElse() throws Exception {
        try (TestServer server = TestServer.start(directory);
                RawClient deaf = server.raw();
                RawClient other = server.raw()) {
            assertEquals("+OK", other.call("SET", "large", "v".repeat(1 << 20)));
            byte[] get = RawClient.frame("GET", "large");
            int sent = 5000;
            for (int i = 0; i < sent; i++) {
                deaf.send(get);
            }
            // 5 GiB of replies are owed; other commands are answered, and the JVM of this test would not hold them
            for (int i = 0; i < 100; i++) {
                assertEquals("+PONG", other.call("PING"));
            }
            assertTrue(server.server.stats().commands.sum() < sent);
        }
    }
}
