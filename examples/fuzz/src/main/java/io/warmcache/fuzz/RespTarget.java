/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.fuzz;

import io.warmcache.CacheConfig;
import io.warmcache.PageCache;
import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.Socket;
import java.net.SocketException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.TreeSet;
import java.util.random.RandomGenerator;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * A real KV server on a warm cache gets streams of requests, right and wrong, cut and stuck together. What it replies
 * must be well-formed, its errors of the documented kinds, and after each stream it must still serve.
 */
final class RespTarget implements Target {
    private static final int TIMEOUT_MILLIS = 100_000;
    private static final int LOOK_EVERY = 64;
    private static final long MOST_KIB = 700 << 10;
    private static final int MOST_DEPTH = 8;
    private static final Pattern PORT = Pattern.compile(" port=([0-9]+)");
    private static final Set<String> ERRORS = Set.of("ERR", "WRONGTYPE", "NOAUTH", "NOPROTO", "WRONGPASS", "NOPERM");
    private static final String[] COMMANDS = {
        "PING", "ECHO", "HELLO", "AUTH", "SELECT", "CLIENT", "QUIT", "GET", "SET", "SETNX", "GETDEL", "MGET", "MSET",
        "INCR", "DECR", "INCRBY", "DECRBY", "APPEND", "STRLEN", "DEL", "UNLINK", "EXISTS", "TYPE", "EXPIRE", "PEXPIRE",
        "TTL", "PTTL", "PERSIST", "KEYS", "SCAN", "DBSIZE", "FLUSHDB", "FLUSHALL", "COMMAND", "CONFIG", "INFO"
    };
    private static final String[] WORDS = {
        "a", "b", "key:1", "key:2", "", "0", "1", "-1", "10", "9223372036854775807", "-9223372036854775808",
        "9223372036854775808", "1e5", "EX", "PX", "EXAT", "PXAT", "NX", "XX", "GT", "LT", "GET", "KEEPTTL", "MATCH",
        "COUNT", "TYPE", "*", "[a-", "k*y?[^1]", "\\", "string", "SETNAME", "GETNAME", "ID", "LIST", "INFO", "DOCS",
        "maxmemory", "3", "2", "AUTH", "default", "\0\r\n", "***************************b", "ASYNC", "RESET", "REPLY"
    };

    private final Path directory;
    private final CacheConfig config;
    private final Server server;
    private final int port;
    private long runs;
    private long served;

    RespTarget(Path out) throws IOException {
        directory = Files.createTempDirectory(out, "kv-");
        String name = "fuzz-" + ProcessHandle.current().pid() + "-kv";
        config = CacheConfig.of(name, 4 << 20);
        server = new Server(List.of(
                "io.warmcache.kv.KvServer",
                "--port", "0", "--dir", directory.toString(), "--cache-name", name, "--cache-size", "4m",
                "--max-clients", "64", "--max-request", "1m", "--max-bulk", "256k", "--max-key", "4k",
                "--max-args", "2048"));
        Matcher found = PORT.matcher(server.ready);
        if (!found.find()) {
            throw new IOException("no port in " + server.ready);
        }
        port = Integer.parseInt(found.group(1));
    }

    private Socket connect() throws IOException {
        Socket socket = new Socket(InetAddress.getLoopbackAddress(), port);
        socket.setSoTimeout(TIMEOUT_MILLIS);
        return socket;
    }

    @Override
    public String run(RandomGenerator random) throws Exception {
        byte[] stream = stream(random);
        Set<String> kinds = new TreeSet<>();
        try (Socket socket = connect()) {
            // Small enough for the kernel's buffers, or read meanwhile: a client that does not read is not served.
            int pieces = random.nextInt(3);
            Thread sender = Thread.ofPlatform().start(() -> send(socket, stream, pieces));
            InputStream in = new BufferedInputStream(socket.getInputStream());
            try {
                while (true) {
                    in.mark(1);
                    if (in.read() < 0) {
                        break;
                    }
                    in.reset();
                    kinds.add(reply(in, 0));
                    served++;
                }
            } catch (EOFException e) {
                kinds.add("cut");
            } catch (SocketException e) {
                // Reset, as happens to who still sends to a closed connection.
                kinds.add("reset");
            }
            sender.join();
        }
        server.requireWell();
        if (++runs % LOOK_EVERY == 0) {
            look();
        }
        return kinds.toString();
    }

    /** Another client is served, and the server has not grown. */
    private void look() throws Exception {
        try (Socket socket = connect()) {
            socket.getOutputStream().write("PING\r\n".getBytes(StandardCharsets.ISO_8859_1));
            String pong = line(socket.getInputStream());
            if (!pong.equals("+PONG")) {
                throw new Finding("PING is answered with " + pong);
            }
        }
        long kib = server.residentKib();
        if (kib > MOST_KIB) {
            throw new Finding("the server has grown to " + kib + " KiB");
        }
    }

    private static void send(Socket socket, byte[] stream, int pieces) {
        try {
            var out = socket.getOutputStream();
            int at = 0;
            for (int i = 0; i < pieces; i++) {
                int next = at + (stream.length - at) / 2;
                out.write(stream, at, next - at);
                out.flush();
                at = next;
            }
            out.write(stream, at, stream.length - at);
            socket.shutdownOutput();
        } catch (IOException e) {
            // The server has closed the connection because of what it read: it may.
            assert e != null;
        }
    }

    // ---- requests

    private byte[] stream(RandomGenerator random) {
        while (true) {
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            int requests = 1 + random.nextInt(8);
            for (int i = 0; i < requests; i++) {
                out.writeBytes(request(random));
            }
            byte[] bytes = out.toByteArray();
            if (random.nextInt(3) > 0) {
                int changes = random.nextInt(4);
                for (int i = 0; i < changes; i++) {
                    Mutation.any(bytes, 0, bytes.length, random);
                }
                if (random.nextInt(4) == 0) {
                    bytes = Mutation.resized(bytes, random);
                }
            }
            // It would do as it is told.
            if (!new String(bytes, StandardCharsets.ISO_8859_1).toUpperCase(Locale.ROOT).contains("SHUTDOWN")) {
                return bytes;
            }
        }
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.ISO_8859_1);
    }

    private static byte[] request(RandomGenerator random) {
        int arguments = random.nextInt(32) == 0 ? random.nextInt(3000) : random.nextInt(6);
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        if (random.nextInt(8) == 0) {
            StringBuilder line = new StringBuilder(COMMANDS[random.nextInt(COMMANDS.length)]);
            for (int i = 0; i < arguments; i++) {
                line.append(' ').append(random.nextInt(8) == 0 ? "\"" : "").append(WORDS[random.nextInt(WORDS.length)]);
            }
            out.writeBytes(bytes(line.append(random.nextInt(8) == 0 ? "\n" : "\r\n").toString()));
            return out.toByteArray();
        }
        out.writeBytes(bytes("*" + count(arguments + 1, random) + "\r\n"));
        bulk(out, bytes(COMMANDS[random.nextInt(COMMANDS.length)]), random);
        for (int i = 0; i < arguments; i++) {
            byte[] argument;
            if (random.nextInt(8) == 0) {
                argument = new byte[random.nextInt(1 << random.nextInt(random.nextInt(16) == 0 ? 19 : 10))];
                for (int b = 0; b < Math.min(64, argument.length); b++) {
                    argument[b] = (byte) random.nextInt(256);
                }
            } else {
                argument = bytes(WORDS[random.nextInt(WORDS.length)]);
            }
            bulk(out, argument, random);
        }
        return out.toByteArray();
    }

    private static String count(int count, RandomGenerator random) {
        return random.nextInt(64) > 0 ? Integer.toString(count) : Long.toString(Mutation.word(random));
    }

    private static void bulk(ByteArrayOutputStream out, byte[] argument, RandomGenerator random) {
        out.writeBytes(bytes("$" + count(argument.length, random) + "\r\n"));
        out.writeBytes(argument);
        out.writeBytes(bytes("\r\n"));
    }

    // ---- replies

    private String reply(InputStream in, int depth) throws IOException, Finding {
        String line = line(in);
        if (line.isEmpty() || depth > MOST_DEPTH) {
            throw new Finding("no reply starts with '" + line + "' at depth " + depth);
        }
        String rest = line.substring(1);
        switch (line.charAt(0)) {
            case '+', ':', ',', '#', '_', '(' -> { }
            case '-' -> {
                String code = rest.split(" ", 2)[0];
                if (!ERRORS.contains(code) || rest.contains("internal error")) {
                    throw new Finding("an error that is documented nowhere: " + rest);
                }
                return "-" + rest.replaceAll("'.*", "").replaceAll("[0-9]+", "N");
            }
            case '$', '=' -> {
                int length = Integer.parseInt(rest);
                if (length >= 0 && (in.readNBytes(length).length < length || !line(in).isEmpty())) {
                    throw new EOFException("in a bulk string");
                }
            }
            case '*', '~', '>', '%' -> {
                int count = Integer.parseInt(rest) * (line.charAt(0) == '%' ? 2 : 1);
                for (int i = 0; i < count; i++) {
                    reply(in, depth + 1);
                }
            }
            default -> throw new Finding("no reply starts with '" + line + "'");
        }
        return line.substring(0, 1);
    }

    private static String line(InputStream in) throws IOException {
        StringBuilder line = new StringBuilder();
        while (true) {
            int c = in.read();
            if (c < 0) {
                throw new EOFException("after '" + line + "'");
            }
            if (c == '\r') {
                if (in.read() != '\n') {
                    throw new EOFException("a line without LF");
                }
                return line.toString();
            }
            line.append((char) c);
        }
    }

    @Override
    public long served() {
        return served;
    }

    @Override
    public void close() throws IOException {
        try {
            server.close();
        } finally {
            PageCache.drop(config);
            try (Stream<Path> all = Files.walk(directory)) {
                for (Path each : all.sorted(Comparator.reverseOrder()).toList()) {
                    Files.delete(each);
                }
            }
        }
    }
}
