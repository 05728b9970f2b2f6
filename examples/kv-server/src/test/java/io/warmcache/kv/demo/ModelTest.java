/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv.demo;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.channels.Channels;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class ModelTest {
    private static final ClassImage IMAGE =
            new ClassImage(new String[] {"a/A.class", "b/B.class"}, new byte[][] {new byte[700], new byte[30]});

    private final Model model = new Model(new Blobs(IMAGE, 3000, 1), 1, 1, 4);
    private final int counter = model.blobs().count();
    private final int log = counter + 1;

    @Test
    void knowsTheStateThatEachCommandLeavesInAServer() throws IOException {
        // a server is a map, and what the commands of this model do to it
        Map<String, String> server = new HashMap<>();
        for (int key = 0; key < model.keys(); key++) {
            for (int version = 1; version <= 2 * Model.LOG_ENTRIES + 3; version++) {
                List<String> command = command(key, version);
                Reply answer = execute(server, command);
                assertTrue(model.acknowledges(key, version, answer), model.nameText(key) + " " + version);
                Reply value = get(server, command.get(1));
                Oracle.Allowed allowed = new Oracle.Allowed(version, version + 1, version);
                assertEquals(version, model.identify(key, value, allowed), model.nameText(key) + " " + version);
            }
        }
    }

    @Test
    void deletesNowAndThenButNeverAtFirst() {
        int absent = 0;
        for (int version = 1; version <= 400; version++) {
            absent += model.absent(0, version) ? 1 : 0;
        }
        assertTrue(absent > 50 && absent < 150, "deleted " + absent + " times of 400");
        assertFalse(model.absent(0, 1));
        assertTrue(model.absent(0, 0));
        Model keeping = new Model(new Blobs(IMAGE, 3000, 1), 0, 0, 0);
        for (int version = 1; version <= 400; version++) {
            assertFalse(keeping.absent(0, version));
        }
    }

    @Test
    void tellsWhichOfSeveralAllowedVersionsAValueIs() throws IOException {
        int present = 2;
        while (model.absent(0, present) || model.absent(0, present + 2)) {
            present++;
        }
        Oracle.Allowed allowed = new Oracle.Allowed(present, present + 2, present + 2);
        assertEquals(present, model.identify(0, blob(present), allowed));
        assertEquals(present + 2, model.identify(0, blob(present + 2), allowed));
        assertEquals(-1, model.identify(0, blob(present + 1), allowed));
        assertEquals(-1, model.identify(0, reply("$-1\r\n"), allowed));
        assertEquals(-1, model.identify(0, reply(":7\r\n"), allowed));
        Oracle.Allowed counted = new Oracle.Allowed(6, 7, 9);
        assertEquals(7, model.identify(counter, reply("$1\r\n7\r\n"), counted));
        assertEquals(-1, model.identify(counter, reply("$2\r\n10\r\n"), counted));
    }

    @Test
    void takesAnAbsentKeyForTheNewestDeletionAllowed() throws IOException {
        int deleted = 2;
        while (!model.absent(0, deleted)) {
            deleted++;
        }
        Reply nil = reply("$-1\r\n");
        assertEquals(deleted, model.identify(0, nil, new Oracle.Allowed(0, deleted, deleted)));
        assertEquals(deleted, model.identify(0, nil, new Oracle.Allowed(deleted, deleted + 1, deleted)));
    }

    @Test
    void refusesADamagedValueAndSaysSo() throws IOException {
        Reply value = blob(3);
        value.buffer()[value.offset() + value.length() - 1] ^= 1;
        assertEquals(-1, model.identify(0, value, new Oracle.Allowed(3, 4, 3)));
        assertTrue(model.describe(0, value).startsWith("a damaged version 3"), model.describe(0, value));
    }

    @Test
    void takesNoOtherAnswerForAnAcknowledgement() throws IOException {
        assertFalse(model.acknowledges(0, 1, reply("-ERR no\r\n")));
        assertFalse(model.acknowledges(0, 1, reply("+QUEUED\r\n")));
        assertFalse(model.acknowledges(counter, 5, reply(":6\r\n")));
        assertFalse(model.acknowledges(log, 5, reply(":64\r\n")));
        assertTrue(model.acknowledges(log, 5, reply(":80\r\n")));
    }

    private static Reply execute(Map<String, String> server, List<String> command) throws IOException {
        String key = command.get(1);
        return switch (command.get(0)) {
            case "SET" -> {
                server.put(key, command.get(2));
                yield reply("+OK\r\n");
            }
            case "DEL" -> reply(server.remove(key) == null ? ":0\r\n" : ":1\r\n");
            case "INCR" -> reply(":" + server.merge(key, "1", (old, one) -> "" + (Integer.parseInt(old) + 1)) + "\r\n");
            case "APPEND" -> reply(":" + server.merge(key, command.get(2), String::concat).length() + "\r\n");
            default -> throw new AssertionError(command.get(0));
        };
    }

    private static Reply get(Map<String, String> server, String key) throws IOException {
        String value = server.get(key);
        return reply(value == null ? "$-1\r\n" : "$" + value.length() + "\r\n" + value + "\r\n");
    }

    private Reply blob(int version) throws IOException {
        byte[] value = new byte[model.blobs().valueBytes(0, version)];
        model.blobs().writeValue(0, version, value, 0);
        return reply("$" + value.length + "\r\n" + new String(value, StandardCharsets.ISO_8859_1) + "\r\n");
    }

    private List<String> command(int key, int version) throws IOException {
        CommandBuffer buffer = new CommandBuffer();
        model.writeCommand(key, version, buffer);
        ByteArrayOutputStream sent = new ByteArrayOutputStream();
        buffer.sendTo(Channels.newChannel(sent));
        // a command has the form of an array of strings
        Reply array = reply(sent.toString(StandardCharsets.ISO_8859_1));
        List<String> words = new ArrayList<>();
        for (int i = 0; i < array.size(); i++) {
            Reply word = array.get(i);
            words.add(new String(word.buffer(), word.offset(), word.length(), StandardCharsets.ISO_8859_1));
        }
        return words;
    }

    private static Reply reply(String text) throws IOException {
        byte[] bytes = text.getBytes(StandardCharsets.ISO_8859_1);
        Reply reply = new Reply();
        assertEquals(bytes.length, reply.parse(bytes, 0, bytes.length));
        return reply;
    }
}
