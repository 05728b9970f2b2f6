/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.CacheConfig;
import io.warmcache.Checkpoint;
import io.warmcache.MapOptions;
import io.warmcache.PageCache;
import io.warmcache.PagedFile;
import io.warmcache.RecoveryReport;
import io.warmcache.WarmUpOptions;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Images and hot lists with plain files and shared memory, which is wiped in place of a loss of power. */
class ImageFilesTest {
    private static final int PAGES = 300;

    @TempDir
    private Path directory;

    private Path data;
    private Path images;
    private CacheConfig config;
    private final byte[] bytes = new byte[PAGES * 4096];

    @BeforeEach
    void fill() throws Exception {
        new Random(5).nextBytes(bytes);
        data = Files.write(directory.resolve("data"), bytes);
        images = directory.resolve("images");
        config = CacheConfig.of("warmcache-image-test-" + ProcessHandle.current().pid(), 4096L * (PAGES + 8))
                .withWarmUp(WarmUpOptions.in(images));
    }

    @AfterEach
    void wipe() throws Exception {
        PageCache.drop(config);
    }

    private void readAll(PagedFile file) throws Exception {
        byte[] read = new byte[bytes.length];
        file.read(0, MemorySegment.ofArray(read));
        assertArrayEquals(Files.readAllBytes(data), read);
    }

    private Path image() throws Exception {
        try (Stream<Path> files = Files.list(images)) {
            return files.filter(file -> file.toString().endsWith(".wcimg")).findFirst().orElseThrow();
        }
    }

    /** Takes an image while the cache is open and its file was just written. */
    private void checkpoint() throws Exception {
        try (PageCache cache = PageCache.open(config)) {
            PagedFile file = cache.map(data, MapOptions.DEFAULT);
            readAll(file);
            file.write(4096 * 7, MemorySegment.ofArray(new byte[] {1, 2, 3}));
            Checkpoint.Report report = cache.checkpoint(images).await();
            assertEquals("sealed", report.images().getFirst().outcome());
            assertEquals(PAGES, report.pages());
            assertEquals("rw-------", PosixFilePermissions.toString(Files.getPosixFilePermissions(image())));
        }
    }

    @Test
    void anImageIsRestoredWhenTheMemoryIsGone() throws Exception {
        checkpoint();
        PageCache.drop(config);
        try (PageCache cache = PageCache.open(config)) {
            PagedFile file = cache.map(data, MapOptions.DEFAULT);
            assertTrue(cache.warmUp().await(Duration.ofSeconds(60)));
            RecoveryReport.ImageRecovery restored = cache.recovery().images().getFirst();
            assertEquals("", restored.verdict());
            assertEquals(PAGES, restored.restored());
            readAll(file);
            assertEquals(0, cache.stats().misses());
            Thread.currentThread().interrupt();
            file.write(0, MemorySegment.ofArray(new byte[] {9}));
            assertTrue(Thread.interrupted(), "the interrupt is kept");
            assertFalse(Files.exists(restored.image()));
        }
        try (PageCache cache = PageCache.open(config)) {
            readAll(cache.map(data, MapOptions.DEFAULT));
            assertEquals(0, cache.recovery().images().size());
        }
    }

    @Test
    void aFileChangedByAnotherProgramIsNotRestored() throws Exception {
        checkpoint();
        PageCache.drop(config);
        try (FileChannel channel = FileChannel.open(data, StandardOpenOption.WRITE)) {
            channel.write(java.nio.ByteBuffer.wrap(new byte[] {77}), 4096 * 9);
        }
        try (PageCache cache = PageCache.open(config)) {
            PagedFile file = cache.map(data, MapOptions.DEFAULT);
            assertTrue(cache.warmUp().await(Duration.ofSeconds(60)));
            RecoveryReport.ImageRecovery refused = cache.recovery().images().getFirst();
            assertFalse(refused.accepted());
            assertTrue(refused.verdict().contains("the store was changed"), refused.verdict());
            readAll(file);
        }
    }

    @Test
    void aCopyOfTheFileOnAnotherHostIsWarmedByTheHotList() throws Exception {
        checkpoint();
        PageCache.drop(config);
        Path moved = directory.resolve("moved");
        Files.copy(data, moved);
        Files.move(moved, data, java.nio.file.StandardCopyOption.REPLACE_EXISTING);
        try (PageCache cache = PageCache.open(config)) {
            PagedFile file = cache.map(data, MapOptions.DEFAULT);
            assertTrue(cache.warmUp().await(Duration.ofSeconds(60)));
            assertEquals(0, cache.recovery().images().size(), "the copy is another store");
            assertEquals(PAGES, cache.warmUp().status().reread());
            readAll(file);
        }
    }

    /**
     * Links stand where images and the hot list are about to be written, as whoever may write the directory could have
     * put them: they are replaced, and what they name is not touched.
     */
    @Test
    void whatBecomesAnImageOrAHotListIsItsOwnersAloneAndFollowsNoLink() throws Exception {
        checkpoint();
        Path image = image();
        String name = image.getFileName().toString();
        Path victim = Files.writeString(directory.resolve("victim"), "somebody's");
        config = config.withWarmUp(WarmUpOptions.in(images).withImageAtClose(true));
        Set<String> modes = new TreeSet<>();
        try (PageCache cache = PageCache.open(config)) {
            PagedFile file = cache.map(data, MapOptions.DEFAULT);
            readAll(file);
            file.write(0, MemorySegment.ofArray(new byte[] {9})); // which deletes the image
            Path unfinished = image.resolveSibling(name + ".tmp");
            for (String end : List.of("", ".tmp", ".close.tmp")) {
                Files.createSymbolicLink(image.resolveSibling(name + end), victim);
            }
            Files.deleteIfExists(images.resolve(config.name() + ".wchot"));
            for (String end : List.of(".wchot", ".wchot.tmp")) {
                Files.createSymbolicLink(images.resolve(config.name() + end), victim);
            }
            Checkpoint.Report report = cache.checkpoint(images, progress -> {
                        try {
                            if (Files.exists(unfinished, LinkOption.NOFOLLOW_LINKS)) {
                                modes.add(mode(unfinished));
                            }
                        } catch (IOException e) {
                            modes.add(e.toString());
                        }
                    })
                    .await();
            assertEquals("sealed", report.images().getFirst().outcome());
        }
        assertEquals(Set.of("rw-------"), modes, "while it was taken");
        try (Stream<Path> files = Files.list(images)) {
            for (Path file : files.toList()) {
                assertEquals("rw-------", mode(file), file.toString());
            }
        }
        assertTrue(Files.isRegularFile(images.resolve(config.name() + ".wchot"), LinkOption.NOFOLLOW_LINKS));
        assertTrue(Files.isRegularFile(image, LinkOption.NOFOLLOW_LINKS));
        assertEquals("somebody's", Files.readString(victim));
    }

    /** Of the file itself; a link has the mode of none. */
    private static String mode(Path file) throws IOException {
        return PosixFilePermissions.toString(Files.getPosixFilePermissions(file, LinkOption.NOFOLLOW_LINKS));
    }

    @Test
    void aLinkInAnImagesPlaceIsNotRead() throws Exception {
        checkpoint();
        Path image = image();
        Path elsewhere = directory.resolve("elsewhere");
        Files.move(image, elsewhere);
        Files.createSymbolicLink(image, elsewhere);
        PageCache.drop(config);
        byte[] taken = Files.readAllBytes(elsewhere);
        try (PageCache cache = PageCache.open(config)) {
            PagedFile file = cache.map(data, MapOptions.DEFAULT);
            assertTrue(cache.warmUp().await(Duration.ofSeconds(60)));
            RecoveryReport.ImageRecovery refused = cache.recovery().images().getFirst();
            assertFalse(refused.accepted());
            assertTrue(refused.verdict().contains("no regular file"), refused.verdict());
            file.write(0, MemorySegment.ofArray(new byte[] {9}));
        }
        assertFalse(Files.exists(image, LinkOption.NOFOLLOW_LINKS), "gone before the first write");
        assertArrayEquals(taken, Files.readAllBytes(elsewhere));
    }
}
