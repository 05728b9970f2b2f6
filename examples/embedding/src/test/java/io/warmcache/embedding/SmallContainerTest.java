/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.embedding;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.CacheConfig;
import io.warmcache.IoMode;
import io.warmcache.MapOptions;
import io.warmcache.PageCache;
import io.warmcache.PagedFile;
import io.warmcache.ReadPin;
import io.warmcache.contract.LimitedGroup;
import java.io.BufferedReader;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * A whole cache in a control group of its own, killed and started again where the segment that it left nearly fills the
 * group, as in a container whose limit was lowered.
 */
class SmallContainerTest {
    private static final int PAGE = 16_384;
    private static final int PAGES = 10_000;
    private static final int HOT = 4_500;
    private static final long CAPACITY = (long) PAGES * PAGE;

    @TempDir
    Path directory;

    private Path segment;
    private final List<Process> children = new ArrayList<>();

    @BeforeEach
    void name() throws IOException {
        segment = Files.createTempFile(Path.of("/dev/shm"), "warmcache-small-container", "");
        Files.delete(segment);
    }

    @AfterEach
    void cleanUp() throws Exception {
        for (Process child : children) {
            child.destroyForcibly();
            assertTrue(child.waitFor(60, TimeUnit.SECONDS), "a killed process ends");
        }
        Files.deleteIfExists(segment);
    }

    private static CacheConfig config(String segment) {
        return CacheConfig.of(segment, CAPACITY).withPageSize(PAGE).withMaxUnfinishedAttaches(0);
    }

    /** One life of the engine: opens the cache, says what it found, reads, and waits to be killed. */
    static final class Engine {
        private Engine() {}

        public static void main(String[] arguments) throws Exception {
            PageCache cache = PageCache.open(config(arguments[0]));
            PagedFile file = cache.map(Path.of(arguments[1]), MapOptions.DEFAULT.withIoMode(IoMode.DIRECT));
            long found = cache.recovery().found();
            read(file, HOT);
            System.out.printf(
                    "ENGINE %b %d %d %d%n",
                    cache.recovery().warm(), cache.capacity() / PAGE, found, cache.stats().misses());
            read(file, PAGES);
            for (int round = 0; round < 3; round++) {
                read(file, HOT);
            }
            ByteBuffer direct = ByteBuffer.allocateDirect(8 << 20);
            for (int at = 0; at < direct.capacity(); at += 4096) {
                direct.put(at, (byte) 1);
            }
            if (!cache.recovery().warm()) {
                file.close();
                cache.close(); // so that it is known when what was learned of use is in the segment
            }
            System.out.println("FULL " + direct.capacity());
            var _ = System.in.read();
        }

        private static void read(PagedFile file, int pages) {
            for (int page = 0; page < pages; page++) {
                try (ReadPin pin = file.pin(page)) {
                    long got = pin.segment().get(ValueLayout.JAVA_LONG, 0);
                    if (got != page * 31L + 7) {
                        throw new IllegalStateException("page " + page + " begins with " + got);
                    }
                }
            }
        }
    }

    /** Of one life: whether warm, frames, pages found, misses of the hot pages, and what was logged. */
    private record Life(boolean warm, int frames, int found, int misses, String log) {}

    private Life live(LimitedGroup group, Path store) throws Exception {
        List<String> command = new ArrayList<>(group.enter());
        command.addAll(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx48m",
                "-XX:MaxDirectMemorySize=16m",
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "--enable-native-access=ALL-UNNAMED",
                "--illegal-native-access=deny",
                "-cp",
                System.getProperty("java.class.path"),
                Engine.class.getName(),
                segment.toString(),
                store.toString()));
        Process child = new ProcessBuilder(command).redirectErrorStream(true).start();
        children.add(child);
        StringBuilder log = new StringBuilder();
        BufferedReader reader = child.inputReader();
        String[] said = null;
        for (String line = reader.readLine(); line != null && !line.startsWith("FULL"); line = reader.readLine()) {
            if (line.startsWith("ENGINE ")) {
                said = line.split(" ", -1);
            }
            log.append(line).append('\n');
        }
        child.destroyForcibly();
        assertEquals(128 + 9, child.waitFor(), log::toString);
        if (said == null) {
            throw new AssertionError(log.toString());
        }
        return new Life(
                Boolean.parseBoolean(said[1]),
                Integer.parseInt(said[2]),
                Integer.parseInt(said[3]),
                Integer.parseInt(said[4]),
                log.toString());
    }

    private long allocated() throws Exception {
        Process stat = new ProcessBuilder("stat", "-c", "%b %B", segment.toString()).start();
        String[] blocks = String.valueOf(stat.inputReader().readLine()).split(" ", -1);
        return Long.parseLong(blocks[0]) * Long.parseLong(blocks[1]);
    }

    @Test
    void restartsBesideALeftOverSegmentGiveColdFramesBackAndAreNotKilled() throws Exception {
        Path store = directory.resolve("store");
        try (FileChannel channel =
                FileChannel.open(store, StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
            ByteBuffer bytes = ByteBuffer.allocate(PAGES * PAGE).order(ByteOrder.nativeOrder());
            for (int page = 0; page < PAGES; page++) {
                bytes.putLong(page * PAGE, page * 31L + 7);
            }
            channel.write(bytes);
        }
        try (LimitedGroup group = LimitedGroup.make(400 << 20)) {
            Life first = live(group, store);
            assertEquals(PAGES, first.frames, first.log);
            assertTrue(allocated() >= CAPACITY, () -> first.log);
            long limit = 210 << 20;
            group.limit(limit);
            System.out.printf(
                    "a segment of %d MiB is left in a group of %d MiB%n", CAPACITY >> 20, limit >> 20);
            for (int restart = 1; restart <= 5; restart++) {
                Life life = live(group, store);
                System.out.printf(
                        "restart %d: %d of %d frames, %d pages found, %d of %d hot pages missed, %d MiB allocated%n",
                        restart, life.frames, PAGES, life.found, life.misses, HOT, allocated() >> 20);
                assertTrue(life.warm, life.log);
                assertTrue(life.frames >= PAGES / 2 && life.frames < PAGES, life.log);
                assertTrue(life.misses <= HOT / 100, life.log);
                assertTrue(life.log.contains("is opened with " + life.frames + " instead of " + PAGES + " frames: the"
                        + " memory limit in " + group.directory()), life.log);
                assertTrue(life.log.contains(" is 210 MiB, the cache needs "), life.log);
                assertTrue(allocated() < (long) life.frames * PAGE + (8 << 20), life.log);
                assertEquals(0, group.kills(), life.log);
            }
        }
    }
}
