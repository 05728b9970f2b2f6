/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.Socket;
import java.net.SocketException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/** A socket that sends bytes as they are, and shows replies as text: what no client library lets one see. */
final class RawClient implements AutoCloseable {
    private static final int TIMEOUT_MILLIS = 60_000;

    private final Socket socket;
    private final InputStream in;

    RawClient(int port) throws IOException {
        socket = new Socket(InetAddress.getLoopbackAddress(), port);
        socket.setSoTimeout(TIMEOUT_MILLIS);
        socket.setTcpNoDelay(true);
        in = new BufferedInputStream(socket.getInputStream());
    }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.ISO_8859_1);
    }

    /** A request as clients send it. */
    static byte[] frame(String... arguments) {
        ByteArrayOutputStream frame = new ByteArrayOutputStream();
        frame.writeBytes(bytes("*" + arguments.length + "\r\n"));
        for (String each : arguments) {
            frame.writeBytes(bytes("$" + each.length() + "\r\n" + each + "\r\n"));
        }
        return frame.toByteArray();
    }

    void send(byte[] bytes) throws IOException {
        socket.getOutputStream().write(bytes);
    }

    void send(String text) throws IOException {
        send(bytes(text));
    }

    /** Sends a request and reads its reply. */
    String call(String... arguments) throws IOException {
        send(frame(arguments));
        return reply();
    }

    /** One reply: its type and value, elements of aggregates in brackets; a bulk string in quotes. */
    String reply() throws IOException {
        String line = line();
        char type = line.charAt(0);
        String rest = line.substring(1);
        return switch (type) {
            case '+', '-', ':', ',', '#', '_' -> line;
            case '$' -> rest.equals("-1") ? "nil" : '"' + bulk(Integer.parseInt(rest)) + '"';
            case '=' -> "text " + bulk(Integer.parseInt(rest));
            case '*', '~' -> type + elements(Integer.parseInt(rest));
            case '%' -> type + elements(2 * Integer.parseInt(rest));
            default -> throw new IOException("no reply starts with " + line);
        };
    }

    private String elements(int count) throws IOException {
        List<String> elements = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            elements.add(reply());
        }
        return elements.toString();
    }

    private String bulk(int length) throws IOException {
        byte[] value = in.readNBytes(length);
        if (value.length < length || !line().isEmpty()) {
            throw new EOFException("in a bulk string");
        }
        return new String(value, StandardCharsets.ISO_8859_1);
    }

    private String line() throws IOException {
        StringBuilder line = new StringBuilder();
        while (true) {
            int c = in.read();
            if (c < 0) {
                throw new EOFException("after '" + line + "'");
            }
            if (c == '\r') {
                if (in.read() != '\n') {
                    throw new IOException("a line ends without LF: " + line);
                }
                return line.toString();
            }
            line.append((char) c);
        }
    }

    /** Tells the server that nothing more comes. */
    void finish() throws IOException {
        socket.shutdownOutput();
    }

    /** All that still comes until the server closes the connection, in order or not. */
    String rest() throws IOException {
        ByteArrayOutputStream rest = new ByteArrayOutputStream();
        byte[] buffer = new byte[8192];
        try {
            int length;
            while ((length = in.read(buffer)) >= 0) {
                rest.write(buffer, 0, length);
            }
        } catch (SocketException e) {
            // reset, as happens to who still sends to a closed connection
            return rest.toString(StandardCharsets.ISO_8859_1);
        }
        return rest.toString(StandardCharsets.ISO_8859_1);
    }

    @Override
    public void close() throws IOException {
        socket.close();
    }
}
