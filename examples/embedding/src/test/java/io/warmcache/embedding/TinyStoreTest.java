/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.embedding;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.CacheConfig;
import io.warmcache.PageCache;
import io.warmcache.contract.CheckedProvider;
import io.warmcache.spi.PageCacheProvider;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalLong;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The engine of docs/embedding.md keeps what it acknowledged, warm or not, and the document shows it as it is. */
class TinyStoreTest {
    private static final Path SOURCES = Path.of("src", "main", "java", "io", "warmcache", "embedding");

    @TempDir
    Path dir;

    private final String name = "tiny-" + ProcessHandle.current().pid() + "-" + System.nanoTime();

    @AfterEach
    void drop() throws IOException {
        PageCache.drop(CacheConfig.of(name, 8 << 20));
    }

    private Path data() {
        return dir.resolve("data");
    }

    /** Commits keys one after the other and says so, until it is killed. */
    static final class Victim {
        private Victim() {}

        public static void main(String[] arguments) throws IOException {
            TinyStore store = TinyStore.open(arguments[0], Path.of(arguments[1]));
            for (long key = Long.parseLong(arguments[2]); ; key++) {
                store.put(key, key * key);
                store.put(-key, key);
                store.commit();
                System.out.println(key);
            }
        }
    }

    /** Returns the last key that was acknowledged before the process was killed. */
    private long killAfter(long first, int commits) throws IOException, InterruptedException {
        Process process = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "--enable-native-access=ALL-UNNAMED",
                        "-cp",
                        System.getProperty("java.class.path"),
                        Victim.class.getName(),
                        name,
                        data().toString(),
                        Long.toString(first))
                .redirectError(ProcessBuilder.Redirect.DISCARD)
                .start();
        long last = first - 1;
        try (BufferedReader said = process.inputReader(StandardCharsets.UTF_8)) {
            for (String line = said.readLine(); line != null; line = said.readLine()) {
                last = Long.parseLong(line);
                if (last == first + commits) {
                    process.toHandle().destroyForcibly(); // SIGKILL, and what it said before can still be read
                }
            }
        }
        process.waitFor();
        assertTrue(last >= first + commits, "the victim ended by itself");
        return last;
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void keepsWhatItAcknowledgedThroughKills(boolean warm) throws Exception {
        long last = 0;
        for (int life = 0; life < 2; life++) {
            last = killAfter(last + 1, 150);
            if (!warm) {
                PageCache.drop(CacheConfig.of(name, 8 << 20));
            }
            try (TinyStore store = TinyStore.open(name, data())) {
                assertEquals(warm, store.recovery().warm(), store.recovery()::coldReason);
                if (warm && life == 1) { // of the first life's pages all may have been dirty
                    assertTrue(store.recovery().kept() > 0, store.recovery()::toString);
                }
                for (long key = 1; key <= last; key++) {
                    assertEquals(OptionalLong.of(key * key), store.get(key));
                    assertEquals(OptionalLong.of(key), store.get(-key));
                }
                assertEquals(OptionalLong.empty(), store.get(last + 1000));
            }
        }
    }

    /** Every test here is one of a cache that makes reads without validation fail. */
    @Test
    void readsAreChecked() {
        assertEquals(CheckedProvider.class, PageCacheProvider.load().getClass());
    }

    @Test
    void closedStoreIsWarmAndReadsNothing() throws Exception {
        try (TinyStore store = TinyStore.open(name, data())) {
            for (long key = 0; key < 5000; key++) {
                store.put(key, ~key);
            }
            store.commit();
        }
        try (TinyStore store = TinyStore.open(name, data())) {
            for (long key = 0; key < 5000; key++) {
                assertEquals(OptionalLong.of(~key), store.get(key));
            }
            assertEquals(0, store.misses());
        }
    }

    @Test
    void restoredDataIsServedAndNotWhatWasCached() throws Exception {
        Path backup = dir.resolve("backup");
        try (TinyStore store = TinyStore.open(name, data())) {
            store.put(1, 10);
            store.commit();
        }
        Files.copy(data(), backup);
        try (TinyStore store = TinyStore.open(name, data())) {
            store.put(1, 20);
            store.commit();
        }
        EngineStore.restore(data(), backup);
        try (TinyStore store = TinyStore.open(name, data())) {
            assertEquals(OptionalLong.of(10), store.get(1));
            assertTrue(store.recovery().files().getFirst().verdict().startsWith("CHANGED"));
        }
    }

    @Test
    void documentShowsTheEngineAsItIs() throws IOException {
        String document = Files.readString(Path.of("..", "..", "docs", "embedding.md"));
        int shown = 0;
        for (String source : new String[] {"EngineStore.java", "TinyStore.java"}) {
            List<String> lines = Files.readAllLines(SOURCES.resolve(source));
            for (int i = 0; i < lines.size(); i++) {
                if (lines.get(i).strip().startsWith("// DOC: begin")) {
                    String end = lines.get(i).strip().replace("begin", "end");
                    int to = i;
                    while (!lines.get(to).strip().equals(end)) {
                        to++;
                    }
                    String part = String.join("\n", lines.subList(i + 1, to)).stripIndent();
                    assertTrue(document.contains(part), "docs/embedding.md does not show it as it is: " + part);
                    shown++;
                }
            }
        }
        assertEquals(4, shown);
    }
}
