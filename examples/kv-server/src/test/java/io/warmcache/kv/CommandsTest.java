/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.Protocol;
import redis.clients.jedis.RedisProtocol;
import redis.clients.jedis.Response;
import redis.clients.jedis.args.ExpiryOption;
import redis.clients.jedis.args.FlushMode;
import redis.clients.jedis.exceptions.JedisDataException;
import redis.clients.jedis.params.SetParams;

/** Every command and option, through Jedis in both protocols. */
@ParameterizedClass
@EnumSource(value = RedisProtocol.class, names = {"RESP2", "RESP3"})
class CommandsTest {
    @Parameter
    RedisProtocol protocol;

    @TempDir
    Path directory;

    private TestServer server;
    private Jedis jedis;

    @BeforeEach
    void start() throws IOException {
        server = TestServer.start(directory);
        jedis = server.jedis(protocol);
    }

    @AfterEach
    void stop() {
        jedis.close();
        server.close();
    }

    private void assertError(String message, Runnable call) {
        assertEquals(message, assertThrows(JedisDataException.class, call::run).getMessage());
    }

    @Test
    void pingAndEcho() {
        assertEquals("PONG", jedis.ping());
        assertEquals("hello", jedis.ping("hello"));
        assertEquals("hello", jedis.echo("hello"));
    }

    @Test
    void getAndSet() {
        assertNull(jedis.get("k"));
        assertEquals("OK", jedis.set("k", "v"));
        assertEquals("v", jedis.get("k"));
        assertEquals("OK", jedis.set("k", ""));
        assertEquals("", jedis.get("k"));
        assertEquals("OK", jedis.set("", "empty key"));
        assertEquals("empty key", jedis.get(""));
    }

    @Test
    void keysAndValuesAreBytes() {
        byte[] all = new byte[256];
        for (int i = 0; i < all.length; i++) {
            all[i] = (byte) i;
        }
        byte[] large = new byte[3 << 20];
        new Random(7).nextBytes(large);
        jedis.set(all, large);
        jedis.set(new byte[] {0}, new byte[] {'\r', '\n', 0});
        assertArrayEquals(large, jedis.get(all));
        assertArrayEquals(new byte[] {'\r', '\n', 0}, jedis.get(new byte[] {0}));
        assertEquals(large.length, jedis.strlen(all));
        assertEquals(2, jedis.dbSize());
        Set<byte[]> keys = jedis.keys(new byte[] {'*'});
        assertTrue(keys.stream().anyMatch(key -> Arrays.equals(key, all)));
    }

    @Test
    void setOptions() {
        assertNull(jedis.set("k", "1", SetParams.setParams().xx()));
        assertEquals("OK", jedis.set("k", "1", SetParams.setParams().nx()));
        assertNull(jedis.set("k", "2", SetParams.setParams().nx()));
        assertEquals("1", jedis.get("k"));
        assertEquals("OK", jedis.set("k", "2", SetParams.setParams().xx().ex(100)));
        assertEquals(100, jedis.ttl("k"));
        assertEquals("OK", jedis.set("k", "3", SetParams.setParams().keepTtl()));
        assertEquals(100, jedis.ttl("k"));
        assertEquals("OK", jedis.set("k", "4"));
        assertEquals(-1, jedis.ttl("k"));
        assertEquals("OK", jedis.set("k", "5", SetParams.setParams().px(100_000)));
        assertTrue(jedis.pttl("k") > 0 && jedis.pttl("k") <= 100_000);
        long at = System.currentTimeMillis() / 1000 + 500;
        assertEquals("OK", jedis.set("k", "6", SetParams.setParams().exAt(at)));
        assertTrue(jedis.ttl("k") > 400 && jedis.ttl("k") <= 500);
        assertEquals("OK", jedis.set("k", "7", SetParams.setParams().pxAt(at * 1000)));
        assertTrue(jedis.ttl("k") > 400 && jedis.ttl("k") <= 500);
        assertEquals("7", jedis.setGet("k", "8"));
        assertEquals("8", jedis.get("k"));
        assertNull(jedis.setGet("new", "1"));
        assertEquals("8", jedis.setGet("k", "9", SetParams.setParams().nx()));
        assertEquals("8", jedis.get("k"));
        assertNull(jedis.setGet("other", "1", SetParams.setParams().nx()));
        assertEquals("1", jedis.get("other"));
        assertNull(jedis.setGet("none", "1", SetParams.setParams().xx()));
        assertNull(jedis.get("none"));
    }

    @Test
    void aDeadKeyIsAbsentToEverySetOption() throws Exception {
        jedis.set("k", "1", SetParams.setParams().px(1));
        Await.until("the key has expired", () -> jedis.get("k") == null);
        assertEquals("OK", jedis.set("k", "2", SetParams.setParams().nx().keepTtl()));
        assertEquals(-1, jedis.ttl("k"));
    }

    @Test
    void setRefusesOptionsThatDoNotGoTogether() {
        String syntax = "ERR syntax error";
        assertError(syntax, () -> set("k", "v", "NX", "XX"));
        assertError(syntax, () -> set("k", "v", "EX"));
        assertError(syntax, () -> set("k", "v", "EX", "1", "PX", "1"));
        assertError(syntax, () -> set("k", "v", "EX", "1", "KEEPTTL"));
        assertError(syntax, () -> set("k", "v", "KEEPTTL", "PX", "1"));
        assertError(syntax, () -> set("k", "v", "WHATEVER"));
        assertError("ERR invalid expire time in 'set' command", () -> set("k", "v", "EX", "0"));
        assertError("ERR invalid expire time in 'set' command", () -> set("k", "v", "PX", "-5"));
        assertError("ERR invalid expire time in 'set' command", () -> set("k", "v", "EX", "9223372036854775807"));
        assertError("ERR value is not an integer or out of range", () -> set("k", "v", "EX", "soon"));
        assertNull(jedis.get("k"));
    }

    private Object set(String... arguments) {
        return jedis.sendCommand(Protocol.Command.SET, arguments);
    }

    @Test
    void setnxAndGetdel() {
        assertEquals(1L, jedis.sendCommand(Protocol.Command.SETNX, "k", "1"));
        assertEquals(0L, jedis.sendCommand(Protocol.Command.SETNX, "k", "2"));
        assertEquals("1", jedis.getDel("k"));
        assertNull(jedis.getDel("k"));
        assertFalse(jedis.exists("k"));
    }

    @Test
    void mgetAndMset() {
        assertEquals("OK", jedis.mset("a", "1", "b", "2", "a", "3"));
        assertEquals(Arrays.asList("3", null, "2", "3"), jedis.mget("a", "x", "b", "a"));
        jedis.expire("a", 100);
        jedis.mset("a", "4");
        assertEquals(-1, jedis.ttl("a"));
        assertError("ERR wrong number of arguments for 'mset' command", () -> jedis.sendCommand(
                Protocol.Command.MSET, "a", "1", "b"));
    }

    @Test
    void thousandsOfKeysInOneRequest() {
        String[] pairs = new String[10_000];
        String[] keys = new String[pairs.length / 2];
        for (int i = 0; i < keys.length; i++) {
            pairs[2 * i] = keys[i] = "key" + i;
            pairs[2 * i + 1] = "value" + i;
        }
        assertEquals("OK", jedis.mset(pairs));
        List<String> values = jedis.mget(keys);
        for (int i = 0; i < keys.length; i++) {
            assertEquals("value" + i, values.get(i));
        }
        assertEquals(keys.length, jedis.exists(keys));
        assertEquals(keys.length, jedis.unlink(keys));
        assertEquals(0, jedis.dbSize());
    }

    @Test
    void delUnlinkAndExistsCount() {
        jedis.mset("a", "1", "b", "2", "c", "3");
        assertEquals(3, jedis.exists("a", "a", "b", "x"));
        assertEquals(2, jedis.del("a", "a", "b", "x"));
        assertEquals(1, jedis.unlink("c"));
        assertEquals(0, jedis.exists("a", "b", "c"));
    }

    @Test
    void counters() {
        assertEquals(1, jedis.incr("n"));
        assertEquals(0, jedis.decr("n"));
        assertEquals(41, jedis.incrBy("n", 41));
        assertEquals(-1, jedis.decrBy("n", 42));
        jedis.expire("n", 100);
        jedis.incr("n");
        assertEquals(100, jedis.ttl("n"));
        jedis.set("n", Long.toString(Long.MAX_VALUE));
        assertError("ERR increment or decrement would overflow", () -> jedis.incr("n"));
        assertEquals(Long.toString(Long.MAX_VALUE), jedis.get("n"));
        jedis.set("n", Long.toString(Long.MIN_VALUE));
        assertError("ERR increment or decrement would overflow", () -> jedis.decr("n"));
        assertError(
                "ERR decrement would overflow",
                () -> jedis.sendCommand(Protocol.Command.DECRBY, "n", "-9223372036854775808"));
        jedis.set("n", "1.5");
        assertError("ERR value is not an integer or out of range", () -> jedis.incr("n"));
        assertError(
                "ERR value is not an integer or out of range",
                () -> jedis.sendCommand(Protocol.Command.INCRBY, "n", "01"));
    }

    @Test
    void appendAndStrlen() {
        assertEquals(0, jedis.strlen("k"));
        assertEquals(3, jedis.append("k", "abc"));
        assertEquals(5, jedis.append("k", "de"));
        assertEquals("abcde", jedis.get("k"));
        assertEquals(5, jedis.strlen("k"));
        jedis.expire("k", 100);
        assertEquals(5, jedis.append("k", ""));
        jedis.append("k", "f");
        assertEquals(100, jedis.ttl("k"));
        byte[] large = new byte[3 << 20];
        jedis.set("large".getBytes(StandardCharsets.UTF_8), large);
        assertError(
                "ERR string exceeds maximum allowed size (proto-max-bulk-len)",
                () -> jedis.append("large".getBytes(StandardCharsets.UTF_8), large));
    }

    @Test
    void expiry() throws Exception {
        assertEquals(-2, jedis.ttl("k"));
        assertEquals(-2, jedis.pttl("k"));
        assertEquals(0, jedis.expire("k", 10));
        assertEquals(0, jedis.persist("k"));
        jedis.set("k", "v");
        assertEquals(-1, jedis.ttl("k"));
        assertEquals(-1, jedis.pttl("k"));
        assertEquals(0, jedis.persist("k"));
        assertEquals(1, jedis.expire("k", 100));
        assertEquals(100, jedis.ttl("k"));
        assertEquals(1, jedis.persist("k"));
        assertEquals(-1, jedis.ttl("k"));
        assertEquals(1, jedis.pexpire("k", 50_000));
        assertTrue(jedis.pttl("k") > 0 && jedis.pttl("k") <= 50_000);
        assertEquals(1, jedis.pexpire("k", 1));
        Await.until("the key has expired", () -> !jedis.exists("k"));
        assertEquals("none", jedis.type("k"));
        assertEquals(-2, jedis.ttl("k"));
        assertEquals(0, jedis.del("k"));
        jedis.set("k", "v");
        assertEquals(1, jedis.expire("k", -1));
        assertFalse(jedis.exists("k"));
        jedis.set("k", "v");
        assertError(
                "ERR invalid expire time in 'expire' command", () -> jedis.expire("k", Long.MAX_VALUE));
        assertEquals("v", jedis.get("k"));
    }

    @Test
    void expireConditions() {
        jedis.set("k", "v");
        assertEquals(0, jedis.expire("k", 100, ExpiryOption.XX));
        assertEquals(0, jedis.expire("k", 100, ExpiryOption.GT));
        assertEquals(1, jedis.expire("k", 100, ExpiryOption.LT));
        assertEquals(0, jedis.expire("k", 200, ExpiryOption.NX));
        assertEquals(0, jedis.expire("k", 200, ExpiryOption.LT));
        assertEquals(1, jedis.expire("k", 200, ExpiryOption.GT));
        assertEquals(0, jedis.expire("k", 100, ExpiryOption.GT));
        assertEquals(1, jedis.expire("k", 50, ExpiryOption.XX));
        assertEquals(50, jedis.ttl("k"));
        assertError(
                "ERR NX and XX, GT or LT options at the same time are not compatible",
                () -> jedis.sendCommand(Protocol.Command.EXPIRE, "k", "1", "NX", "GT"));
        assertError(
                "ERR GT and LT options at the same time are not compatible",
                () -> jedis.sendCommand(Protocol.Command.EXPIRE, "k", "1", "LT", "GT"));
        assertError(
                "ERR Unsupported option soon", () -> jedis.sendCommand(Protocol.Command.EXPIRE, "k", "1", "soon"));
    }

    @Test
    void typeAndKeys() {
        jedis.mset("one", "1", "two", "2", "three", "3");
        assertEquals("string", jedis.type("one"));
        assertEquals("none", jedis.type("four"));
        assertEquals(Set.of("one", "two", "three"), jedis.keys("*"));
        assertEquals(Set.of("two", "three"), jedis.keys("t*"));
        assertEquals(Set.of("one"), jedis.keys("[no]n?"));
        assertEquals(Set.of(), jedis.keys("x*"));
    }

    @Test
    void databasesAreSeparate() {
        jedis.set("k", "zero");
        assertEquals("OK", jedis.select(15));
        assertNull(jedis.get("k"));
        jedis.set("k", "fifteen");
        jedis.set("l", "fifteen");
        assertEquals(2, jedis.dbSize());
        jedis.select(0);
        assertEquals("zero", jedis.get("k"));
        assertEquals(1, jedis.dbSize());
        assertEquals("OK", jedis.flushDB());
        assertEquals(0, jedis.dbSize());
        jedis.select(15);
        assertEquals(2, jedis.dbSize());
        jedis.select(3);
        assertEquals("OK", jedis.flushAll(FlushMode.ASYNC));
        jedis.select(15);
        assertEquals(0, jedis.dbSize());
        assertEquals("OK", jedis.flushDB(FlushMode.SYNC));
        assertError("ERR syntax error", () -> jedis.sendCommand(Protocol.Command.FLUSHDB, "MAYBE"));
        assertError("ERR DB index is out of range", () -> jedis.select(16));
        assertError("ERR DB index is out of range", () -> jedis.select(-1));
        assertError(
                "ERR value is not an integer or out of range",
                () -> jedis.sendCommand(Protocol.Command.SELECT, "one"));
    }

    @Test
    void commandTellsOfCommands() {
        long count = jedis.commandCount();
        assertEquals(count, jedis.commandList().size());
        assertTrue(jedis.commandList().containsAll(List.of(
                "ping", "echo", "hello", "auth", "select", "command", "config", "info", "dbsize", "get", "set", "setnx",
                "getdel", "mget", "mset", "del", "unlink", "exists", "incr", "decr", "incrby", "decrby", "append",
                "strlen", "expire", "pexpire", "ttl", "pttl", "persist", "type", "keys", "scan", "flushdb", "flushall",
                "shutdown", "quit", "client")));
        List<?> all = (List<?>) jedis.sendCommand(Protocol.Command.COMMAND);
        assertEquals(count, all.size());
        var info = jedis.commandInfo("get", "mset");
        assertEquals(2, info.get("get").getArity());
        assertEquals(-3, info.get("mset").getArity());
        assertEquals(2, info.get("mset").getStep());
        assertTrue(((List<?>) jedis.sendCommand(Protocol.Command.COMMAND, "INFO", "nosuch")).get(0) == null);
    }

    @Test
    void configGet() {
        assertEquals(Map.of("databases", "16"), jedis.configGet("databases"));
        assertEquals(Map.of("save", ""), jedis.configGet("SAVE"));
        assertEquals("everysec", jedis.configGet("append*").get("appendfsync"));
        assertEquals(Map.of(), jedis.configGet("nosuch"));
        assertError(
                "ERR unknown subcommand 'SET'. Try CONFIG HELP.",
                () -> jedis.sendCommand(Protocol.Command.CONFIG, "SET", "a", "b"));
    }

    @Test
    void infoHasItsSections() {
        jedis.set("k", "v", SetParams.setParams().ex(100));
        jedis.get("k");
        jedis.get("x");
        String all = jedis.info();
        for (String section : List.of(
                "Server", "Clients", "Memory", "Persistence", "Stats", "Mvstore", "Warmcache", "Keyspace")) {
            assertTrue(all.contains("# " + section + "\r\n"), section);
        }
        assertTrue(all.contains("\r\ndb0:keys=1,expires=1,avg_ttl=0\r\n"), all);
        assertTrue(all.contains("\r\nkeyspace_hits:1\r\nkeyspace_misses:1\r\n"), all);
        assertTrue(all.contains("\r\nmvstore_cache_bytes:4194304\r\n"), all);
        // in RESP3 a verbatim string, whose format Jedis leaves in front as it does with Redis
        String format = protocol == RedisProtocol.RESP3 ? "txt:" : "";
        assertEquals(format + "# Warmcache\r\nwarmcache_enabled:0\r\n", jedis.info("WarmCache"));
        assertEquals(format, jedis.info("nosuch"));
    }

    @Test
    void clientCommandsThatLibrariesSend() {
        assertEquals("OK", jedis.clientSetname("me"));
        assertEquals("me", jedis.clientGetname());
        assertTrue(jedis.clientId() > 0);
        assertTrue(jedis.clientInfo().contains("name=me"));
        assertError(
                "ERR Client names cannot contain spaces, newlines or special characters.",
                () -> jedis.clientSetname("a b"));
        assertError(
                "ERR unknown subcommand 'whatever'. Try CLIENT HELP.",
                () -> jedis.sendCommand(Protocol.Command.CLIENT, "whatever"));
    }

    @Test
    void unknownCommandsAndWrongArgumentsAreErrorReplies() throws IOException {
        try (RawClient raw = server.raw()) {
            String unknown = "-ERR unknown command 'NOSUCH', with args beginning with: ";
            assertEquals(unknown + "'a' 'b' ", raw.call("NOSUCH", "a", "b"));
            assertEquals(unknown, raw.call("NOSUCH"));
            assertEquals(unknown.replace("NOSUCH", "a  b"), raw.call("a\r\nb"));
            assertEquals("-ERR wrong number of arguments for 'get' command", raw.call("GET"));
            assertEquals("-ERR wrong number of arguments for 'get' command", raw.call("get", "a", "b"));
            assertEquals("-ERR wrong number of arguments for 'ping' command", raw.call("PING", "a", "b"));
            assertEquals("-ERR wrong number of arguments for 'config|get' command", raw.call("CONFIG", "GET"));
            assertEquals("-ERR wrong number of arguments for 'client|id' command", raw.call("CLIENT", "ID", "x"));
            assertEquals("-ERR value is not an integer or out of range", raw.call("EXPIRE", "a", "b"));
            assertEquals("+PONG", raw.call("PING"));
        }
    }

    @Test
    void quitIsAnsweredAndCloses() throws IOException {
        try (RawClient raw = server.raw()) {
            raw.send(RawClient.frame("SET", "k", "v"));
            raw.send(RawClient.frame("QUIT"));
            raw.send(RawClient.frame("SET", "k", "after"));
            assertEquals("+OK", raw.reply());
            assertEquals("+OK", raw.reply());
            assertEquals("", raw.rest());
        }
        assertEquals("v", jedis.get("k"));
    }

    @Test
    void shutdownIsHandedOnAndAnsweredByClosing() throws Exception {
        try (RawClient raw = server.raw()) {
            assertEquals("-ERR syntax error", raw.call("SHUTDOWN", "LATER"));
            assertEquals("-ERR No shutdown in progress.", raw.call("SHUTDOWN", "ABORT"));
            raw.send(RawClient.frame("SHUTDOWN", "NOSAVE"));
            assertEquals("", raw.rest());
        }
        assertEquals(1, server.shutdownRequests.get());
    }

    @Test
    void helloNegotiatesTheProtocol() throws IOException {
        try (RawClient raw = server.raw()) {
            assertEquals("nil", raw.call("GET", "k"));
            assertTrue(raw.call("HELLO").startsWith("*[\"server\", \"redis\", \"version\", "));
            assertTrue(raw.call("HELLO", "3", "SETNAME", "me").startsWith("%[\"server\", \"redis\", \"version\", "));
            assertEquals("\"me\"", raw.call("CLIENT", "GETNAME"));
            assertEquals("_", raw.call("GET", "k"));
            assertTrue(raw.call("INFO", "warmcache").startsWith("text txt:# Warmcache"));
            assertTrue(raw.call("CONFIG", "GET", "port").startsWith("%["));
            assertTrue(raw.call("COMMAND", "INFO", "get").startsWith("*[*[\"get\", :2, ~[+readonly, +fast], :1"));
            assertEquals("-NOPROTO unsupported protocol version", raw.call("HELLO", "4"));
            assertEquals("-ERR Protocol version is not an integer or out of range", raw.call("HELLO", "x"));
            assertEquals("-ERR Syntax error in HELLO option 'what'", raw.call("HELLO", "3", "what"));
            assertEquals("_", raw.call("GET", "k"));
            raw.call("HELLO", "2");
            assertEquals("nil", raw.call("GET", "k"));
        }
    }

    @Test
    void inlineCommands() throws IOException {
        try (RawClient raw = server.raw()) {
            raw.send("PING\r\n");
            assertEquals("+PONG", raw.reply());
            raw.send("set key \"a value\\x00\"\r\n\r\nget key\r\n");
            assertEquals("+OK", raw.reply());
            assertEquals("\"a value\0\"", raw.reply());
        }
    }

    @Test
    void tenThousandCommandsInOnePipeline() {
        var pipeline = jedis.pipelined();
        List<Response<?>> responses = new ArrayList<>();
        for (int i = 0; i < 2500; i++) {
            responses.add(pipeline.set("k" + i, "v" + i));
            responses.add(pipeline.get("k" + i));
            responses.add(pipeline.incr("n"));
            responses.add(pipeline.get("none" + i));
        }
        pipeline.sync();
        for (int i = 0; i < 2500; i++) {
            assertEquals("OK", responses.get(4 * i).get());
            assertEquals("v" + i, responses.get(4 * i + 1).get());
            assertEquals(i + 1L, responses.get(4 * i + 2).get());
            assertNull(responses.get(4 * i + 3).get());
        }
    }

    @Test
    void repliesFarLargerThanAnyBufferArriveInOrder() throws IOException {
        byte[] value = new byte[1 << 20];
        new Random(3).nextBytes(value);
        jedis.set("large".getBytes(StandardCharsets.UTF_8), value);
        String expected = '"' + new String(value, StandardCharsets.ISO_8859_1) + '"';
        try (RawClient raw = server.raw()) {
            for (int i = 0; i < 100; i++) {
                raw.send(RawClient.frame("GET", "large"));
                raw.send(RawClient.frame("ECHO", "after " + i));
            }
            for (int i = 0; i < 100; i++) {
                assertEquals(expected, raw.reply());
                assertEquals("\"after " + i + "\"", raw.reply());
            }
        }
    }
}
