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
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.Random;
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
}
