/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.embedding;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.CacheConfig;
import io.warmcache.PageCache;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The README's example is this module's class, and does what the README says. */
class CounterTest {
    @TempDir
    Path dir;

    @Test
    void countsItsStartsAndFindsItsPageInMemory() throws Exception {
        String name = "embedding-test-" + ProcessHandle.current().pid();
        try {
            assertEquals("start 1, pages found in memory: 0", run(name));
            assertEquals("start 2, pages found in memory: 1", run(name));
            assertEquals("start 3, pages found in memory: 1", run(name));
        } finally {
            PageCache.drop(CacheConfig.of(name, 64 << 20));
        }
    }

    private String run(String name) throws IOException, InterruptedException {
        Process process = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "--enable-native-access=ALL-UNNAMED",
                        "--illegal-native-access=deny",
                        "--sun-misc-unsafe-memory-access=deny",
                        "-cp",
                        System.getProperty("java.class.path"),
                        Counter.class.getName(),
                        name,
                        dir.resolve("counter").toString())
                .redirectError(ProcessBuilder.Redirect.INHERIT)
                .start();
        String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
        assertEquals(137, process.waitFor());
        return said;
    }

    @Test
    void isWhatTheReadmeShows() throws IOException {
        String source = Files.readString(
                Path.of("src", "main", "java", "io", "warmcache", "embedding", "Counter.java"));
        List<String> shown = source.lines()
                .dropWhile(line -> !line.equals("// README: begin"))
                .skip(1)
                .takeWhile(line -> !line.equals("// README: end"))
                .toList();
        String readme = Files.readString(Path.of("..", "..", "README.md"));
        assertTrue(shown.size() > 15);
        assertTrue(readme.contains(String.join("\n", shown)), "README.md does not show Counter.java as it is");
    }
}
