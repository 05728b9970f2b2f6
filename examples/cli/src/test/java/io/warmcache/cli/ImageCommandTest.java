/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.CacheConfig;
import io.warmcache.MapOptions;
import io.warmcache.PageCache;
import io.warmcache.PagedFile;
import io.warmcache.WarmUpOptions;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** {@code warmcache image} on a directory that a cache wrote, whole, damaged, and left behind by its store. */
class ImageCommandTest {
    private static final int PAGE = 4096;
    /** Two chunks and a part of one. */
    private static final int PAGES = 600;

    @TempDir
    Path dir;

    private Path store;
    private Path images;
    private String printed = "";
    private String complained = "";

    /** Reads every page, and leaves image and hot list at its close. */
    @BeforeEach
    void takeImage() throws IOException {
        byte[] bytes = new byte[PAGES * PAGE];
        new Random(3).nextBytes(bytes);
        store = Files.write(dir.resolve("store"), bytes);
        images = dir.resolve("images");
        CacheConfig config = CacheConfig.of("image-command", (long) (PAGES + 8) * PAGE)
                .withBackend("volatile")
                .withWarmUp(WarmUpOptions.in(images).withImageAtClose(true));
        try (PageCache open = PageCache.open(config);
                PagedFile file = open.map(store, MapOptions.DEFAULT)) {
            for (int page = 0; page < PAGES; page++) {
                var _ = file.read(page, (memory, at) -> memory.get(ValueLayout.JAVA_BYTE, at));
            }
        }
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

    private JsonNode image() {
        JsonNode all = JsonMapper.builder().build().readTree(printed).get("images");
        assertEquals(1, all.size(), printed);
        return all.get(0);
    }

    private Path file(String suffix) throws IOException {
        try (Stream<Path> files = Files.list(images)) {
            return files.filter(file -> file.toString().endsWith(suffix))
                    .findFirst()
                    .orElseThrow();
        }
    }

    private static void flip(Path file, long at) throws IOException {
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            ByteBuffer one = ByteBuffer.allocate(1);
            channel.read(one, at);
            one.put(0, (byte) ~one.get(0)).flip();
            channel.write(one, at);
        }
    }

    @Test
    void wholeDirectoryIsSoundAndIsLeftAsItWas() throws Exception {
        Path file = file(".wcimg");
        byte[] before = Files.readAllBytes(file);
        assertEquals(0, run("image", "--json", images.toString()), printed + complained);
        assertEquals(PAGES, image().get("pages").asInt());
        assertEquals(0, image().get("damagedPages").asInt());
        assertEquals(PAGE, image().get("pageSize").asInt());
        assertEquals((long) PAGES * PAGE, image().get("storeBytes").asLong());
        assertEquals(store.toString(), image().get("storeName").asString());
        assertEquals("UNCHANGED", image().get("storeState").asString(), printed);
        JsonNode hotList = JsonMapper.builder().build().readTree(printed).get("hotLists").get(0);
        assertEquals(PAGES, hotList.get("stores").get(0).get("pages").asInt(), printed);
        assertEquals(0, run("image", images.toString()), printed + complained);
        assertTrue(printed.contains(file + ": sound"), printed);
        assertTrue(printed.contains("a cache restores the image"), printed);
        assertArrayEquals(before, Files.readAllBytes(file));
    }

    @Test
    void imageOfAStoreChangedSinceIsSoundAndSaysSo() throws Exception {
        flip(store, 7);
        assertEquals(0, run("image", "--json", images.toString()), printed + complained);
        assertEquals("CHANGED", image().get("storeState").asString());
        Files.delete(store);
        assertEquals(0, run("image", images.toString()), printed + complained);
        assertTrue(printed.contains("CHANGED SINCE"), printed);
    }

    @Test
    void damagedPagesAreFoundUnlessPagesAreNotRead() throws Exception {
        flip(file(".wcimg"), 300 * PAGE);
        assertEquals(0, run("image", "--quick", images.toString()), printed + complained);
        assertTrue(printed.contains("no page was read"), printed);
        assertEquals(1, run("image", "--json", images.toString()), printed + complained);
        assertEquals(256, image().get("damagedPages").asInt(), "the pages of one chunk");
        assertTrue(image().get("problems").get(0).asString().contains("damaged"), printed);
    }

    @Test
    void damagedEndsOfAnImageAreNamed() throws Exception {
        Path file = file(".wcimg");
        byte[] whole = Files.readAllBytes(file);
        for (long at : new long[] {9, 50, whole.length - 100, whole.length - 3}) {
            Files.write(file, whole);
            flip(file, at);
            assertEquals(1, run("image", "--quick", images.toString()), () -> at + ": " + printed + complained);
            assertTrue(printed.contains(file + ": DAMAGED"), printed);
        }
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
            channel.truncate(whole.length / 2);
        }
        assertEquals(1, run("image", "--json", images.toString()), printed + complained);
        assertTrue(image().get("problems").get(0).asString().contains("truncated"), printed);
    }

    @Test
    void damagedHotListAndStrangeNamesAreNamed() throws Exception {
        Path list = file(".wchot");
        flip(list, Files.size(list) / 2);
        Path renamed = Files.move(file(".wcimg"), images.resolve("other.wcimg"));
        Files.write(images.resolve("x.wcimg.tmp"), new byte[1]);
        assertEquals(1, run("image", images.toString()), printed + complained);
        assertTrue(printed.contains(list + ": DAMAGED"), printed);
        assertTrue(printed.contains(renamed + ": DAMAGED"), printed);
        assertTrue(printed.contains("no cache looks for it under this name"), printed);
        assertTrue(printed.contains("x.wcimg.tmp: being written, or left"), printed);
    }

    @Test
    void emptyAndMissingDirectoriesAreTold() throws Exception {
        assertEquals(0, run("image", Files.createDirectory(dir.resolve("empty")).toString()));
        assertTrue(printed.startsWith("no image and no hot list in"), printed);
        assertEquals(3, run("image", dir.resolve("missing").toString()));
        assertTrue(complained.contains("is no directory"), complained);
        assertEquals(2, run("image"));
    }
}
