/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv.demo;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ReplyTest {
    private final Reply reply = new Reply();

    @Test
    void readsEachKind() throws IOException {
        parseAll("+OK\r\n");
        assertTrue(reply.isOk());
        parseAll("-ERR no such thing\r\n");
        assertEquals(Reply.Kind.ERROR, reply.kind());
        assertEquals("ERR no such thing", reply.text());
        parseAll(":-42\r\n");
        assertEquals(-42, reply.number());
        parseAll("$5\r\na\r\nbc\r\n");
        assertEquals("a\r\nbc", reply.text());
        parseAll("$0\r\n\r\n");
        assertEquals("", reply.text());
        parseAll("$-1\r\n");
        assertEquals(Reply.Kind.NIL, reply.kind());
        parseAll("*-1\r\n");
        assertEquals(Reply.Kind.NIL, reply.kind());
        parseAll("*3\r\n$1\r\nx\r\n$-1\r\n:7\r\n");
        assertEquals(3, reply.size());
        assertEquals("x", reply.get(0).text());
        assertEquals(Reply.Kind.NIL, reply.get(1).kind());
        assertEquals(7, reply.get(2).number());
        parseAll("*0\r\n");
        assertEquals(0, reply.size());
    }

    @ParameterizedTest
    @ValueSource(strings = {"+OK\r\n", "$5\r\na\r\nbc\r\n", "*2\r\n$3\r\nabc\r\n:12\r\n", "$-1\r\n"})
    void waitsForTheRestOfACutReply(String text) throws IOException {
        byte[] bytes = text.getBytes(StandardCharsets.ISO_8859_1);
        for (int end = 0; end < bytes.length; end++) {
            assertEquals(-1, reply.parse(bytes, 0, end), "cut at " + end);
        }
        parseAll(text);
    }

    @Test
    void endsWhereTheNextReplyStarts() throws IOException {
        byte[] bytes = "$2\r\nhi\r\n:1\r\n".getBytes(StandardCharsets.ISO_8859_1);
        int next = reply.parse(bytes, 0, bytes.length);
        assertEquals("hi", reply.text());
        assertEquals(bytes.length, reply.parse(bytes, next, bytes.length));
        assertEquals(1, reply.number());
    }

    @ParameterizedTest
    @ValueSource(strings = {"hello\r\n", ":1x\r\n", "$\r\n", "*-\r\n"})
    void refusesWhatIsNoReply(String text) {
        byte[] bytes = text.getBytes(StandardCharsets.ISO_8859_1);
        assertThrows(IOException.class, () -> reply.parse(bytes, 0, bytes.length));
    }

    private void parseAll(String text) throws IOException {
        byte[] bytes = text.getBytes(StandardCharsets.ISO_8859_1);
        assertEquals(bytes.length, reply.parse(bytes, 0, bytes.length));
    }
}
