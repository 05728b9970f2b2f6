/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import redis.clients.jedis.DefaultJedisClientConfig;
import redis.clients.jedis.HostAndPort;
import redis.clients.jedis.Jedis;

/** The server as a process of its own, which can be killed. */
final class ServerProcess implements AutoCloseable {
    private final Process process;
    private final Map<String, String> ready = new HashMap<>();

    /** Starts a server and waits until it is ready. */
    ServerProcess(String... arguments) throws IOException {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "--illegal-native-access=deny",
                "--sun-misc-unsafe-memory-access=deny",
                "-XX:-UsePerfData",
                "-Xmx512m",
                "-ea",
                "-cp",
                System.getProperty("java.class.path"),
                KvServer.class.getName(),
                "--port",
                "0"));
        command.addAll(Arrays.asList(arguments));
        process = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
        BufferedReader out =
                new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8));
        String line = out.readLine();
        if (line == null || !line.startsWith("READY ")) {
            process.destroyForcibly();
            throw new IOException("the server did not become ready: " + line);
        }
        for (String pair : line.substring("READY ".length()).split(" ", -1)) {
            int equals = pair.indexOf('=');
            ready.put(pair.substring(0, equals), pair.substring(equals + 1));
        }
    }

    /** A value of the READY line. */
    String ready(String name) {
        return ready.get(name);
    }

    int port() {
        return Integer.parseInt(ready("port"));
    }

    Process process() {
        return process;
    }

    Jedis jedis() {
        return new Jedis(
                new HostAndPort("127.0.0.1", port()),
                DefaultJedisClientConfig.builder().socketTimeoutMillis(60_000).build());
    }

    /** SIGKILL; returns when the process is gone. */
    void kill() throws InterruptedException {
        process.destroyForcibly().waitFor();
    }

    /** SIGTERM; returns the exit code. */
    int terminate() throws InterruptedException {
        process.destroy();
        return exitCode();
    }

    int exitCode() throws InterruptedException {
        if (!process.waitFor(60, TimeUnit.SECONDS)) {
            throw new AssertionError("the server did not stop within 60 s");
        }
        return process.exitValue();
    }

    @Override
    public void close() throws InterruptedException {
        kill();
    }
}
