/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.CacheConfig;
import io.warmcache.MapOptions;
import io.warmcache.PageCache;
import io.warmcache.PagedFile;
import io.warmcache.ReadPin;
import io.warmcache.WritePin;
import io.warmcache.WritePolicy;
import io.warmcache.xen.XenSimd;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** The command on caches closed, damaged, changed behind their back, and in use. */
class WarmcacheTest {
    private static final int PAGE = 4096;
    private static final int PAGES = 40;

    @TempDir
    Path dir;

    private Path memory;
    private Path store;
    private CacheConfig config;

    private String printed = "";
    private String complained = "";

    @BeforeEach
    void prepare() throws IOException {
        memory = Files.createTempFile(Path.of("/dev/shm"), "warmcache-cli-test", "");
        Files.delete(memory);
        config = CacheConfig.of(memory.toString(), 64L * PAGE);
        byte[] bytes = new byte[PAGES * PAGE - 100];
        new Random(1).nextBytes(bytes);
        store = Files.write(dir.resolve("store"), bytes);
    }

    @AfterEach
    void cleanUp() throws IOException {
        Files.deleteIfExists(memory);
    }

    private int run(String... arguments) {
        StringWriter out = new StringWriter();
        StringWriter err = new StringWriter();
        CommandLine command = Warmcache.commandLine().setOut(new PrintWriter(out)).setErr(new PrintWriter(err));
        int code = command.execute(arguments);
        printed = out.toString();
        complained = err.toString();
        return code;
    }

    private JsonNode json() {
        return JsonMapper.builder().build().readTree(printed);
    }

    private String cache() {
        return memory.toString();
    }

    /** Loads every page and closes in order. */
    private void fill() throws IOException {
        try (PageCache open = PageCache.open(config);
                PagedFile file = open.map(store, MapOptions.DEFAULT)) {
            touchAll(file);
        }
    }

    private static void touchAll(PagedFile file) {
        for (int page = 0; page < file.pages(); page++) {
            var _ = file.read(page, (bytes, at) -> bytes.get(ValueLayout.JAVA_BYTE, at));
        }
    }

    private static Map<String, Object> times(Path file) throws IOException {
        return Files.readAttributes(file, "unix:lastModifiedTime,lastAccessTime,ctime,size");
    }

    @Test
    void statusTellsWhatACacheHoldsAndWhoHasIt() throws Exception {
        try (PageCache open = PageCache.open(config);
                PagedFile file = open.map(store, MapOptions.DEFAULT)) {
            touchAll(file);
            assertEquals(0, run("status", cache()), complained);
            assertTrue(printed.contains("in use by process " + ProcessHandle.current().pid()), printed);
            assertEquals(0, run("status", "--json", cache()), complained);
            assertEquals(PAGES, json().get(0).get("byState").get("CLEAN").asInt());
            assertEquals(64, json().get(0).get("frames").asInt());
            JsonNode first = json().get(0).get("files").get(0);
            assertEquals(store.toRealPath().toString(), first.get("path").asString());
            assertEquals(PAGES, first.get("resident").asInt());
            assertEquals(0, first.get("dirty").asInt());
        }
        try (PageCache open = PageCache.open(config);
                PagedFile file = open.map(store, MapOptions.DEFAULT.withPolicy(WritePolicy.WRITE_BACK))) {
            for (int page = 0; page < 3; page++) {
                try (WritePin pin = file.pinForWrite(page)) {
                    pin.dirty(0, 1);
                    pin.segment().set(ValueLayout.JAVA_BYTE, 0, (byte) 1);
                }
            }
            assertEquals(0, run("status", cache()), complained);
            assertTrue(printed.contains("store: 40 pages, 3 of them dirty"), printed);
        }
        assertEquals(0, run("status", cache()), complained);
        assertTrue(printed.contains("closed by its last owner"), printed);
        assertEquals(3, run("status", cache() + "-missing"), complained);
    }

    @Test
    void auditOfAClosedCacheIsSoundAndDisturbsNothing() throws Exception {
        fill();
        Map<String, Object> memoryBefore = times(memory);
        Map<String, Object> storeBefore = times(store);
        assertEquals(0, run("verify", cache()), printed + complained);
        assertEquals(0, run("audit", "--json", cache()), printed + complained);
        assertEquals(PAGES, json().get("equal").asInt());
        assertEquals(0, json().get("notCompared").asInt());
        assertTrue(json().get("files").get(0).get("store").asString().startsWith("SAME"), printed);
        assertEquals(0, run("audit", cache()), printed + complained);
        assertTrue(printed.contains(": sound"), printed);
        assertEquals(memoryBefore, times(memory));
        assertEquals(storeBefore, times(store));
        try (PageCache open = PageCache.open(config);
                PagedFile file = open.map(store, MapOptions.DEFAULT)) {
            touchAll(file);
            assertEquals(0, open.stats().misses());
        }
    }

    @Test
    void auditOfAKilledCacheIsSound() throws Exception {
        Process process = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "--enable-native-access=ALL-UNNAMED",
                        "-cp",
                        System.getProperty("java.class.path"),
                        Killed.class.getName(),
                        cache(),
                        store.toString())
                .inheritIO()
                .start();
        assertEquals(137, process.waitFor());
        assertEquals(0, run("audit", "--json", cache()), printed + complained);
        assertFalse(json().get("cleanStop").asBoolean());
        assertEquals(0, json().get("holder").asInt());
        assertEquals(PAGES, json().get("equal").asInt() + json().get("inFlight").asInt(), printed);
        assertTrue(json().get("inFlight").asInt() >= 1, printed);
    }

    /** Dies with a page latched and announced dirty, and others just written. */
    static final class Killed {
        private Killed() {}

        public static void main(String[] arguments) throws IOException {
            PageCache open = PageCache.open(CacheConfig.of(arguments[0], 64L * PAGE));
            PagedFile file = open.map(Path.of(arguments[1]), MapOptions.DEFAULT);
            touchAll(file);
            file.write(5 * PAGE, MemorySegment.ofArray(new byte[3 * PAGE]));
            WritePin pin = file.pinForWrite(9);
            pin.dirty(0, 10);
            pin.segment().fill((byte) 1);
            Runtime.getRuntime().halt(137);
        }
    }

    @Test
    void verifyFindsAFlippedByteOfAFrame() throws Exception {
        fill();
        byte[] content = Files.readAllBytes(store);
        byte[] inMemory = Files.readAllBytes(memory);
        int flipped = 0;
        try (FileChannel channel = FileChannel.open(memory, StandardOpenOption.WRITE)) {
            for (int at = 0; at < inMemory.length; at += PAGE) {
                for (int page = 0; page < PAGES; page++) {
                    // Found by its random bytes, wherever the format puts it.
                    if (Arrays.equals(inMemory, at, at + 64, content, page * PAGE, page * PAGE + 64)) {
                        channel.write(ByteBuffer.wrap(new byte[] {(byte) ~inMemory[at + 17]}), at + 17);
                        flipped++;
                    }
                }
            }
        }
        assertEquals(PAGES, flipped);
        assertEquals(1, run("verify", "--json", cache()), complained);
        assertEquals(PAGES, json().get("badChecksums").asInt());
        assertEquals(PAGES, json().get("findings").size());
        assertEquals(1, run("audit", cache()), complained);
        assertTrue(printed.contains("NOT SOUND"), printed);
    }

    /** Caches of an xen-simd: seen, verified and dropped through it. */
    @SuppressWarnings("restricted")
    @Test
    void cachesOfAnXenSimdAreSeenThroughIt() throws Exception {
        Path socket = dir.resolve("s");
        Process daemon = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "--enable-native-access=ALL-UNNAMED",
                        "-cp",
                        System.getProperty("java.class.path"),
                        XenSimd.class.getName(),
                        "--socket",
                        socket.toString(),
                        "--memory",
                        "16m",
                        "--disks",
                        dir.toString())
                .redirectErrorStream(true)
                .start();
        try {
            String said = daemon.inputReader().readLine();
            assertTrue(said != null && said.startsWith("READY"), said);
            String xen = socket.toString();
            assertEquals(0, run("status", "--xen", xen), complained);
            assertTrue(printed.startsWith("no cache in " + xen), printed);
            assertEquals(3, run("status", "--xen", xen, "guest"), complained);
            CacheConfig guest = CacheConfig.of("guest", 64L * PAGE)
                    .withBackend("xen")
                    .withOptions(Map.of("xen.socket", xen));
            try (PageCache open = PageCache.open(guest);
                    PagedFile file = open.map(store, MapOptions.DEFAULT.withPolicy(WritePolicy.WRITE_BACK))) {
                touchAll(file);
                assertEquals(0, run("status", "--json", "--xen", xen), complained);
                JsonNode status = json().get(0);
                assertEquals("guest", status.get("cache").asString());
                assertEquals(ProcessHandle.current().pid(), status.get("holder").asLong());
                assertEquals(64, status.get("frames").asInt());
                assertTrue(status.get("files").get(0).get("path").asString().endsWith("/store"), printed);
                assertEquals(PAGES, status.get("files").get(0).get("resident").asInt(), printed);
                try (WritePin pin = file.pinForWrite(5)) {
                    pin.dirty(0, 1);
                    pin.segment().set(ValueLayout.JAVA_BYTE, 0, (byte) 1);
                }
                assertEquals(0, run("status", "--xen", xen, "guest"), complained);
                assertTrue(printed.contains("store: 40 pages, 1 of them dirty"), printed);
                assertEquals(0, run("verify", "--json", "--xen", xen, "guest"), printed + complained);
                assertEquals(PAGES, json().get("used").asInt());
                assertEquals(1, json().get("inFlight").asInt());
                assertEquals(4, run("drop", "--wait", "0", "--xen", xen, "guest"), printed + complained);
                // A store that goes round the cache is damage, and no command's to mend.
                try (ReadPin pin = file.pin(7)) {
                    MemorySegment bytes = MemorySegment.ofAddress(pin.segment().address()).reinterpret(PAGE);
                    bytes.set(ValueLayout.JAVA_BYTE, 9, (byte) ~bytes.get(ValueLayout.JAVA_BYTE, 9));
                }
                assertEquals(1, run("verify", "--xen", xen, "guest"), printed + complained);
                assertTrue(printed.contains("NOT SOUND"), printed);
                assertTrue(printed.contains("wrong checksums              1"), printed);
            }
            assertEquals(3, run("audit", "--xen", xen, "guest"), printed);
            assertTrue(complained.contains("cannot be audited from outside"), complained);
            assertEquals(0, run("drop", "--xen", xen, "guest"), printed + complained);
            assertEquals(1, run("drop", "--xen", xen, "guest"), printed + complained);
        } finally {
            daemon.destroyForcibly();
            daemon.waitFor();
        }
    }

    private void changeStore() throws IOException {
        try (FileChannel channel = FileChannel.open(store, StandardOpenOption.WRITE)) {
            channel.write(ByteBuffer.wrap(new byte[] {1, 2, 3, 4, 5, 6, 7, 8}), 7L * PAGE);
        }
    }

    @Test
    void foreignChangeOfTheFileMakesFramesStaleAndNothingWrong() throws Exception {
        fill();
        changeStore();
        assertEquals(0, run("audit", "--json", cache()), printed + complained);
        assertEquals(1, json().get("stale").asInt());
        assertTrue(json().get("files").get(0).get("store").asString().startsWith("CHANGED"), printed);
    }

    @Test
    void foreignChangeUnderACacheInUseIsFound() throws Exception {
        try (PageCache open = PageCache.open(config);
                PagedFile file = open.map(store, MapOptions.DEFAULT)) {
            touchAll(file);
            assertEquals(0, run("audit", cache()), printed + complained);
            changeStore();
            assertEquals(1, run("audit", "--json", cache()), printed + complained);
            assertEquals(1, json().get("differing").asInt());
            assertEquals(7, json().get("findings").get(0).get("page").asInt());
        }
    }

    /** Writers and evictions all the time: a reading that mixes two moments would tell of wrong frames. */
    @Test
    void auditOfACacheUnderLoadFindsNothingWrong() throws Exception {
        for (WritePolicy policy : WritePolicy.values()) {
            try (PageCache open = PageCache.open(config.withOptions(Map.of()));
                    PagedFile file = open.map(store, MapOptions.DEFAULT.withPolicy(policy))) {
                touchAll(file);
                AtomicBoolean stop = new AtomicBoolean();
                Thread writer = Thread.ofPlatform().daemon().start(() -> load(file, stop));
                try {
                    for (int i = 0; i < 12; i++) {
                        assertEquals(0, run("audit", cache()), printed + complained);
                    }
                } finally {
                    stop.set(true);
                    writer.join();
                }
                assertTrue(open.health().healthy(), () -> "" + open.health());
            }
        }
    }

    private static void load(PagedFile file, AtomicBoolean stop) {
        Random random = new Random(2);
        byte[] bytes = new byte[2 * PAGE];
        try {
            while (!stop.get()) {
                random.nextBytes(bytes);
                file.write(random.nextInt(PAGES * PAGE * 2), MemorySegment.ofArray(bytes));
                if (random.nextInt(50) == 0) {
                    file.truncate(PAGES * PAGE - 100);
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Test
    void dropRefusesACacheInUseAndRemovesAnother() throws Exception {
        try (PageCache open = PageCache.open(config)) {
            assertEquals(4, run("drop", "--wait", "0", cache()), printed + complained);
            assertTrue(complained.contains("in use"), complained);
            assertTrue(open.health().healthy());
        }
        assertEquals(0, run("drop", cache()), complained);
        assertFalse(Files.exists(memory));
        assertEquals(1, run("drop", "--json", cache()), complained);
        assertFalse(json().get("removed").asBoolean());
    }

    @Test
    void wrongArgumentsAndMissingCachesHaveTheirExitCodes() {
        assertEquals(2, run("audit"));
        assertEquals(2, run("audit", "--nonsense", cache()));
        assertEquals(2, run("nonsense"));
        assertEquals(2, run("drop", "--wait", "soon", cache()));
        assertEquals(2, run("drop", "--wait", "9223372036854775808", cache()));
        assertEquals(2, run("drop", cache(), "--wait"));
        assertEquals(2, run("audit", "--xen"));
        assertEquals(2, run("verify", cache(), cache()));
        assertEquals(2, run("image"));
        assertEquals(3, run("audit", cache()));
        assertTrue(complained.startsWith("warmcache: "), complained);
        assertEquals(0, run("--help"));
        assertTrue(printed.contains("Exit codes:"), printed);
        for (String command : new String[] {"status", "verify", "audit", "drop", "image"}) {
            assertEquals(0, run(command, "--help"));
            assertTrue(printed.contains("Exit codes:"), printed);
        }
    }

    @Test
    void progressIsDrawnOverItselfAndWiped() {
        assertEquals(
                "audit [####################....................]  50 %",
                new ProgressBar("audit", null).line(5, 10));
        ByteArrayOutputStream screen = new ByteArrayOutputStream();
        try (ProgressBar bar = new ProgressBar("audit", new PrintStream(screen, true, StandardCharsets.UTF_8))) {
            long deadline = System.nanoTime() + 60_000_000_000L;
            while (screen.size() == 0 && System.nanoTime() < deadline) {
                bar.at(1, 2);
                Thread.onSpinWait();
            }
        }
        String drawn = screen.toString(StandardCharsets.UTF_8);
        assertTrue(drawn.startsWith("\raudit ["), drawn);
        assertTrue(drawn.endsWith(" \r"), drawn);
    }
}
