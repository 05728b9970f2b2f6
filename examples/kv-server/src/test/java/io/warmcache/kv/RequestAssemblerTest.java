/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNull;

import io.netty.buffer.Unpooled;
import io.netty.channel.embedded.EmbeddedChannel;
import io.netty.handler.codec.redis.FixedRedisMessagePool;
import io.netty.handler.codec.redis.RedisDecoder;
import java.io.ByteArrayOutputStream;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class RequestAssemblerTest {
    private static final Limits LIMITS = new Limits(1, 1000, 600, 100, 20);

    private static EmbeddedChannel channel(boolean authenticated) {
        RequestAssembler assembler = new RequestAssembler(LIMITS, () -> authenticated);
        return new EmbeddedChannel(
                assembler.meter(),
                new RedisDecoder(Limits.LINE_BYTES, FixedRedisMessagePool.INSTANCE, true),
                assembler);
    }

    private static List<Object> send(EmbeddedChannel channel, byte[] bytes) {
        channel.writeInbound(Unpooled.wrappedBuffer(bytes));
        List<Object> found = new ArrayList<>();
        Object each;
        while ((each = channel.readInbound()) != null) {
            found.add(each);
        }
        return found;
    }

    private static void assertRefused(String message, byte[]... pieces) {
        assertRefused(true, message, pieces);
    }

    private static void assertRefused(boolean authenticated, String message, byte[]... pieces) {
        EmbeddedChannel channel = channel(authenticated);
        List<Object> found = new ArrayList<>();
        for (byte[] piece : pieces) {
            found.addAll(send(channel, piece));
        }
        Object last = found.getLast();
        assertEquals(message, assertInstanceOf(ProtocolError.class, last).message());
        // what comes after nonsense is not looked at
        assertEquals(List.of(), send(channel, RawClient.frame("PING")));
        channel.finishAndReleaseAll();
    }

    @Test
    void findsTheSameRequestsHoweverTheBytesAreCut() {
        long seed = System.nanoTime();
        System.out.println("RequestAssemblerTest seed " + seed);
        Random random = new Random(seed);
        for (int round = 0; round < 300; round++) {
            List<byte[][]> requests = new ArrayList<>();
            ByteArrayOutputStream stream = new ByteArrayOutputStream();
            int count = 1 + random.nextInt(5);
            for (int i = 0; i < count; i++) {
                byte[][] arguments = new byte[1 + random.nextInt(5)][];
                stream.writeBytes(RawClient.bytes("*" + arguments.length + "\r\n"));
                for (int j = 0; j < arguments.length; j++) {
                    arguments[j] = new byte[random.nextInt(random.nextBoolean() ? 3 : 200)];
                    random.nextBytes(arguments[j]);
                    stream.writeBytes(RawClient.bytes("$" + arguments[j].length + "\r\n"));
                    stream.writeBytes(arguments[j]);
                    stream.writeBytes(RawClient.bytes("\r\n"));
                }
                requests.add(arguments);
            }
            byte[] bytes = stream.toByteArray();
            EmbeddedChannel channel = channel(true);
            List<Object> found = new ArrayList<>();
            for (int from = 0; from < bytes.length; ) {
                int to = Math.min(bytes.length, from + 1 + random.nextInt(round % 3 == 0 ? 3 : 100));
                found.addAll(send(channel, Arrays.copyOfRange(bytes, from, to)));
                from = to;
            }
            assertEquals(requests.size(), found.size());
            for (int i = 0; i < found.size(); i++) {
                Request request = assertInstanceOf(Request.class, found.get(i));
                assertArrayEquals(requests.get(i), request.from(0).toArray(new byte[0][]));
            }
            channel.finishAndReleaseAll();
        }
    }

    @Test
    void ignoresEmptyAndNullRequests() {
        EmbeddedChannel channel = channel(true);
        assertEquals(List.of(), send(channel, RawClient.bytes("*0\r\n*-1\r\n\r\n   \r\n")));
        assertEquals(1, send(channel, RawClient.bytes("PING\r\n")).size());
        assertNull(channel.readInbound());
    }

    @Test
    void refusesWhatIsLargerThanTheLimitsAsSoonAsItIsAnnounced() {
        assertRefused("invalid multibulk length", RawClient.bytes("*21\r\n"));
        assertRefused("invalid bulk length", RawClient.bytes("*2\r\n$601\r\n"));
        byte[] argument = RawClient.bytes("$500\r\n" + "x".repeat(500) + "\r\n");
        assertRefused(
                "request is larger than the 1000 bytes that --max-request allows",
                RawClient.bytes("*3\r\n"), argument, argument, RawClient.bytes("$1\r\n"));
        assertEquals(1, send(channel(true), RawClient.bytes("*1\r\n$600\r\n" + "x".repeat(600) + "\r\n")).size());
    }

    @Test
    void refusesMoreBeforeAuthenticationThanAuthenticationNeeds() {
        assertRefused(false, "unauthenticated multibulk length", RawClient.bytes("*11\r\n"));
        Limits wide = new Limits(1, 1 << 20, 1 << 20, 100, 20);
        RequestAssembler assembler = new RequestAssembler(wide, () -> false);
        EmbeddedChannel channel = new EmbeddedChannel(
                assembler.meter(),
                new RedisDecoder(Limits.LINE_BYTES, FixedRedisMessagePool.INSTANCE, true),
                assembler);
        Object last = send(channel, RawClient.bytes("*2\r\n$20000\r\n")).getLast();
        assertEquals("unauthenticated bulk length", assertInstanceOf(ProtocolError.class, last).message());
        channel.finishAndReleaseAll();
    }

    @Test
    void refusesWhatMakesNoSense() {
        assertRefused("expected '$' and the length of an argument", RawClient.bytes("*1\r\n+OK\r\n"));
        assertRefused("expected '$' and the length of an argument", RawClient.bytes("*1\r\nPING\r\n"));
        assertRefused("expected '$', got '*'", RawClient.bytes("*1\r\n*1\r\n"));
        assertRefused("expected '*', got '$'", RawClient.bytes("$3\r\nGET\r\n"));
        assertRefused(
                "expected '*' and the number of arguments, or an inline command", RawClient.bytes("-ERR hello\r\n"));
        assertRefused("invalid bulk length", RawClient.bytes("*1\r\n$-1\r\n"));
        assertRefused("unbalanced quotes in request", RawClient.bytes("SET a \"b\r\n"));
        assertRefused(
                "inline commands are UTF-8 text; send other bytes as an array of bulk strings",
                RawClient.bytes("SET a \u00ff\u00fe\r\n"));
    }

    @Test
    void refusesWhatTheDecoderCannotRead() {
        for (String bytes : List.of(
                "*x\r\n", "*\r\n", "*1\r\n$x\r\n", "*1\r\n$3\r\nGETxx", "*1\n$4\r\n", ":a\r\n")) {
            EmbeddedChannel channel = channel(true);
            assertInstanceOf(ProtocolError.class, send(channel, RawClient.bytes(bytes)).getLast(), bytes);
            channel.finishAndReleaseAll();
        }
    }

    @Test
    void noticesALineThatDoesNotEnd() {
        for (String start : new String[] {"", "*", "*2\r\n$"}) {
            EmbeddedChannel channel = channel(true);
            List<Object> found = new ArrayList<>(send(channel, RawClient.bytes(start)));
            int sent = 0;
            while (found.isEmpty() && sent < 10 * Limits.LINE_BYTES) {
                found.addAll(send(channel, RawClient.bytes("1".repeat(1000))));
                sent += 1000;
            }
            assertInstanceOf(ProtocolError.class, found.getLast(), "after '" + start + "'");
            channel.finishAndReleaseAll();
        }
    }
}
