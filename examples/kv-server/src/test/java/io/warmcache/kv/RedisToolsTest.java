/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.File;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Redis's own tools against the server, where they are installed. */
class RedisToolsTest {
    @TempDir
    Path directory;

    private static String run(TestServer server, String tool, String... arguments) throws Exception {
        boolean installed = Arrays.stream(System.getenv().getOrDefault("PATH", "").split(File.pathSeparator, -1))
                .anyMatch(each -> Files.isExecutable(Path.of(each, tool)));
        assumeTrue(installed, tool + " is not on the PATH");
        List<String> command = new ArrayList<>(List.of(tool, "-p", Integer.toString(server.port())));
        command.addAll(Arrays.asList(arguments));
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        process.getOutputStream().close();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, process.waitFor(), output);
        return output;
    }

    @Test
    void redisBenchmarkRunsWithoutAnError() throws Exception {
        for (Durability durability : Durability.values()) {
            Path own = Files.createDirectory(directory.resolve(durability.word()));
            try (TestServer server = new TestServer.Settings(own).durability(durability).start()) {
                String output = run(
                        server, "redis-benchmark", "-t", "set,get,incr,mset", "-P", "16", "-n", "20000", "-r", "1000",
                        "--csv");
                assertEquals(5, output.lines().count(), output);
                assertTrue(!output.contains("rror"), output);
                assertEquals("0", server.info("total_error_replies"));
                assertTrue(Long.parseLong(server.info("total_commands_processed")) >= 80_000);
            }
        }
    }

    @Test
    void redisCliSpeaksBothProtocols() throws Exception {
        try (TestServer server = TestServer.start(directory)) {
            assertEquals("OK\n", run(server, "redis-cli", "SET", "k", "v"));
            assertEquals("v\n", run(server, "redis-cli", "-3", "GET", "k"));
            assertEquals("k\n", run(server, "redis-cli", "--scan", "--pattern", "*"));
            assertTrue(run(server, "redis-cli", "-3", "INFO", "server").contains("server_name:warmcache-kv"));
        }
    }
}
