/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.warmcache.BusyException;
import io.warmcache.CacheConfig;
import io.warmcache.CacheException;
import io.warmcache.IoMode;
import io.warmcache.MapOptions;
import io.warmcache.PageCache;
import io.warmcache.PagedFile;
import io.warmcache.StoreVersion;
import io.warmcache.WritePolicy;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** A cache on the back end that runs everywhere, by the name that a user gives, on plain files. */
class VolatileCacheTest {
    private static final int PAGE = 4096;

    @TempDir
    Path directory;

    private Path data;
    private PageCache cache;

    @BeforeEach
    void open() throws Exception {
        data = directory.resolve("data");
        cache = PageCache.open(config());
    }

    @AfterEach
    void close() throws Exception {
        cache.close();
    }

    private static CacheConfig config() {
        return CacheConfig.of("volatile", 32 * PAGE).withBackend("volatile");
    }

    private static byte[] random(long seed, int length) {
        byte[] bytes = new byte[length];
        new Random(seed).nextBytes(bytes);
        return bytes;
    }

    private static byte[] read(PagedFile file, long position, int length) throws IOException {
        byte[] bytes = new byte[length];
        int n = file.read(position, MemorySegment.ofArray(bytes));
        return Arrays.copyOf(bytes, Math.max(0, n));
    }

    private PagedFile map() throws IOException {
        return cache.map(data, MapOptions.DEFAULT);
    }

    private int keptAtLastMapping() {
        return cache.recovery().files().getLast().kept();
    }

    @Test
    void nothingOutlivesTheCacheAndItSaysSo() throws Exception {
        Files.write(data, random(1, 8 * PAGE));
        assertEquals(8 * PAGE, read(map(), 0, 8 * PAGE).length);
        cache.close();
        cache = PageCache.open(config());
        assertFalse(cache.recovery().warm());
        assertTrue(cache.recovery().coldReason().contains("keeps nothing beyond the process"));
        assertEquals(0, cache.recovery().found());
        assertFalse(PageCache.drop(config()));
    }

    @Test
    void aFileMappedAgainInTheSameProcessFindsItsFrames() throws Exception {
        byte[] content = random(2, 8 * PAGE + 100);
        Files.write(data, content);
        PagedFile file = map();
        assertArrayEquals(content, read(file, 0, content.length));
        byte[] change = random(3, 5000);
        file.write(3000, MemorySegment.ofArray(change));
        System.arraycopy(change, 0, content, 3000, change.length);
        file.close();
        long misses = cache.stats().misses();
        file = map();
        String verdict = cache.recovery().files().getLast().verdict();
        assumeTrue(!verdict.contains("nothing could show"), verdict);
        assertEquals(9, keptAtLastMapping());
        assertArrayEquals(content, read(file, 0, content.length));
        assertEquals(misses, cache.stats().misses());
        assertArrayEquals(content, Files.readAllBytes(data));
    }

    @Test
    void aFileChangedMeanwhileIsReadAgainEvenWithItsTimePutBack() throws Exception {
        Files.write(data, random(4, 8 * PAGE));
        PagedFile file = map();
        assertEquals(8 * PAGE, read(file, 0, 8 * PAGE).length);
        file.close();
        FileTime modified = Files.getLastModifiedTime(data);
        byte[] other = random(5, 8 * PAGE);
        Files.write(data, other);
        Files.setLastModifiedTime(data, modified);
        file = map();
        assertEquals(0, keptAtLastMapping());
        assertArrayEquals(other, read(file, 0, other.length));
    }

    @Test
    void oneFileUnderTwoNamesIsOneMapping() throws Exception {
        Files.write(data, random(6, PAGE));
        PagedFile first = map();
        Path link = directory.resolve("link");
        assumeTrue(linked(link), "no hard links here");
        PagedFile second = cache.map(link, MapOptions.DEFAULT);
        first.write(7, MemorySegment.ofArray(new byte[] {42}));
        assertEquals(42, read(second, 7, 1)[0]);
        first.close();
        second.write(8, MemorySegment.ofArray(new byte[] {43}));
        assertEquals(43, Files.readAllBytes(data)[8]);
    }

    private boolean linked(Path link) throws IOException {
        try {
            Files.createLink(link, data);
            return true;
        } catch (UnsupportedOperationException e) {
            return false;
        }
    }

    @Test
    void twoCachesDoNotMapOneFileButMayHaveOneName() throws Exception {
        PagedFile file = map();
        try (PageCache second = PageCache.open(config())) {
            assertThrows(BusyException.class, () -> second.map(data, MapOptions.DEFAULT));
            file.close();
            second.map(data, MapOptions.DEFAULT).write(0, MemorySegment.ofArray(new byte[] {1}));
            assertThrows(BusyException.class, this::map);
        }
        assertEquals(1, read(map(), 0, 1)[0]);
    }

    @Test
    void anEngineThatHasLockedItsFileMayMapIt() throws Exception {
        try (FileChannel engine =
                        FileChannel.open(data, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
                FileLock lock = engine.lock()) {
            PagedFile file = map();
            file.write(0, MemorySegment.ofArray(new byte[] {5}));
            assertTrue(lock.isValid());
        }
    }

    @Test
    void whatItDoesNotOfferIsRefused() throws Exception {
        IOException direct =
                assertThrows(IOException.class, () -> cache.map(data, MapOptions.DEFAULT.withIoMode(IoMode.DIRECT)));
        assertTrue(direct.getMessage().contains("IoMode.AUTO"), direct.getMessage());
        assertThrows(NoSuchFileException.class, () -> cache.map(
                directory.resolve("none"), MapOptions.DEFAULT.withCreate(false)));
        assertThrows(IOException.class, () -> cache.map(directory, MapOptions.DEFAULT));
        Files.write(data, random(7, PAGE));
        PagedFile file = cache.map(data, MapOptions.DEFAULT.withReadOnly(true));
        assertThrows(CacheException.class, () -> file.write(0, MemorySegment.ofArray(new byte[1])));
        assertEquals(PAGE, read(file, 0, 2 * PAGE).length);
        CacheException unknown = assertThrows(CacheException.class, () -> PageCache.open(config().withBackend("no")));
        assertTrue(unknown.getMessage().contains("\"volatile\""), unknown.getMessage());
    }

    @Test
    void anEnginesStoreMappedAgainFindsItsFramesByItsVersion() throws Exception {
        MemoryStore store = new MemoryStore(random(8, 3 * PAGE));
        PagedFile file = cache.map(store, MapOptions.DEFAULT);
        assertEquals(3 * PAGE, read(file, 0, 3 * PAGE).length);
        file.close();
        cache.map(store, MapOptions.DEFAULT).close();
        assertEquals(3, keptAtLastMapping());
        store.version = StoreVersion.exact(7, 8);
        cache.map(store, MapOptions.DEFAULT);
        assertEquals(0, keptAtLastMapping());
    }

    /** Interrupts before and during every operation end none of them, and close nothing. */
    @ParameterizedTest
    @EnumSource(WritePolicy.class)
    void anInterruptedThreadReadsWritesTruncatesForcesAndCloses(WritePolicy policy) throws Exception {
        byte[] model = new byte[0];
        Random random = new Random(9);
        MapOptions options = MapOptions.DEFAULT.withPolicy(policy);
        PagedFile file = cache.map(data, options);
        for (int i = 0; i < 200; i++) {
            Thread.currentThread().interrupt();
            int at = model.length == 0 ? 0 : random.nextInt(Math.min(model.length + 1, 60 * PAGE));
            switch (random.nextInt(8)) {
                case 0 -> {
                    model = Arrays.copyOf(model, at);
                    file.truncate(at);
                }
                case 1 -> file.force();
                case 2 -> {
                    file.close();
                    file = cache.map(data, options);
                }
                case 3, 4 -> {
                    byte[] found = read(file, at, 3 * PAGE);
                    assertArrayEquals(Arrays.copyOfRange(model, at, Math.min(model.length, at + 3 * PAGE)), found);
                }
                default -> {
                    byte[] bytes = random(i, 1 + random.nextInt(3 * PAGE));
                    model = Arrays.copyOf(model, Math.max(model.length, at + bytes.length));
                    System.arraycopy(bytes, 0, model, at, bytes.length);
                    file.write(at, MemorySegment.ofArray(bytes));
                }
            }
            assertTrue(Thread.interrupted(), "the interrupt is still pending");
        }
        assertArrayEquals(model, read(file, 0, model.length));
        file.close();
        assertArrayEquals(model, Files.readAllBytes(data));
        assertTrue(cache.health().healthy(), () -> cache.health().problems().toString());
    }
}
