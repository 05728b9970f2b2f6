/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv.demo;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class ClientTest {
    private static final int CONNECTIONS = 3;
    private static final int DEPTH = 8;

    private ServerSocket listener;

    @BeforeEach
    void listen() throws IOException {
        listener = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
    }

    @AfterEach
    void stop() throws IOException {
        listener.close();
    }

    @Test
    void handsEachAnswerToItsRequestInOrderWhateverItsSize() throws IOException {
        serve((words, out) -> out.write(bulk(words.get(1).repeat(1 + Math.floorMod(words.get(1).hashCode(), 5000)))));
        int[] sent = new int[CONNECTIONS];
        List<String> wrong = new ArrayList<>();
        int[] answered = new int[1];
        Client.Source source = (connection, out) -> {
            if (sent[connection] == 500) {
                return null;
            }
            String word = "c" + connection + "n" + sent[connection]++;
            out.command(2).string("ECHO").string(word);
            return (reply, now) -> {
                answered[0]++;
                if (!reply.text().equals(word.repeat(1 + Math.floorMod(word.hashCode(), 5000)))) {
                    wrong.add(word);
                }
            };
        };
        try (Client client = new Client(listener.getLocalPort(), CONNECTIONS, DEPTH)) {
            while (answered[0] < 500 * CONNECTIONS) {
                client.step(source, 50);
                assertTrue(client.underWay() <= CONNECTIONS * DEPTH);
            }
            client.drain(1000);
            assertTrue(client.idle());
        }
        assertEquals(List.of(), wrong);
    }

    @Test
    void asksBesideTheLoad() throws IOException {
        serve((words, out) -> out.write(bulk("about " + words.get(1))));
        List<String> answers = new ArrayList<>();
        try (Client client = new Client(listener.getLocalPort(), 1, 1)) {
            client.ask((reply, now) -> answers.add(reply.text()), "INFO", "warmcache");
            client.drain(1000);
        }
        assertEquals(List.of("about warmcache"), answers);
    }

    @Test
    void handsOnWhatADyingServerAnsweredAndNothingElse() throws Exception {
        // answers the first 20 of one connection, then dies with requests unread
        CountDownLatch dead = new CountDownLatch(1);
        int[] served = new int[1];
        serve((words, out) -> {
            if (served[0]++ == 20) {
                dead.countDown();
                throw new IOException("dies");
            }
            out.write(bulk(words.get(1)));
        });
        List<String> answers = new ArrayList<>();
        int[] sent = new int[1];
        try (Client client = new Client(listener.getLocalPort(), 1, 100)) {
            Client.Source source = (connection, out) -> {
                if (sent[0] == 60) {
                    return null;
                }
                String word = "w" + sent[0]++;
                out.command(2).string("ECHO").string(word);
                return (reply, now) -> answers.add(reply.text());
            };
            client.step(source, 0);
            dead.await();
            client.readToEnd();
        }
        assertEquals(60, sent[0]);
        assertTrue(answers.size() <= 20, "answers to requests never answered: " + answers);
        for (int i = 0; i < answers.size(); i++) {
            assertEquals("w" + i, answers.get(i));
        }
    }

    @Test
    void failsWhenTheServerGoesWhileItIsNeeded() throws IOException {
        serve((words, out) -> {
            throw new IOException("dies");
        });
        try (Client client = new Client(listener.getLocalPort(), 1, 1)) {
            Client.Source source = (connection, out) -> {
                out.command(1).string("PING");
                return (reply, now) -> { };
            };
            assertThrows(IOException.class, () -> {
                while (true) {
                    client.step(source, 50);
                }
            });
        }
    }

    private interface Answer {
        void to(List<String> words, OutputStream out) throws IOException;
    }

    private void serve(Answer answer) {
        Thread.ofVirtual().start(() -> {
            try {
                while (true) {
                    Socket socket = listener.accept();
                    Thread.ofVirtual().start(() -> serve(socket, answer));
                }
            } catch (IOException e) {
                // the test is over
            }
        });
    }

    private static void serve(Socket socket, Answer answer) {
        try (socket) {
            InputStream in = new BufferedInputStream(socket.getInputStream());
            while (true) {
                int strings = Integer.parseInt(line(in).substring(1));
                List<String> words = new ArrayList<>();
                for (int i = 0; i < strings; i++) {
                    byte[] word = in.readNBytes(Integer.parseInt(line(in).substring(1)));
                    in.skipNBytes(2);
                    words.add(new String(word, StandardCharsets.UTF_8));
                }
                answer.to(words, socket.getOutputStream());
            }
        } catch (IOException e) {
            // the client or this server is gone
        } catch (RuntimeException e) {
            throw new UncheckedIOException(new IOException("not a command", e));
        }
    }

    private static String line(InputStream in) throws IOException {
        ByteArrayOutputStream line = new ByteArrayOutputStream();
        int next;
        while ((next = in.read()) != '\r') {
            if (next < 0) {
                throw new IOException("end");
            }
            line.write(next);
        }
        in.skipNBytes(1);
        return line.toString(StandardCharsets.UTF_8);
    }

    private static byte[] bulk(String text) {
        return ("$" + text.length() + "\r\n" + text + "\r\n").getBytes(StandardCharsets.UTF_8);
    }
}
