/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.CacheConfig;
import io.warmcache.CacheException;
import io.warmcache.IoMode;
import io.warmcache.MapOptions;
import io.warmcache.PageCache;
import io.warmcache.PagedFile;
import io.warmcache.ReadPin;
import io.warmcache.WarmUpOptions;
import io.warmcache.WritePolicy;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a cache leaves in memory when it is told to leave nothing, looked at by a descriptor opened before. */
class WipeTest {
    private static final int PAGES = 64;
    private static final byte[] SECRET = "PLAINTEXT-PLAINTEXT-PLAINTEXT-32".getBytes(StandardCharsets.US_ASCII);

    @TempDir
    private Path directory;

    private CacheConfig config;
    private Path segment;

    @BeforeEach
    void name() {
        String name = "warmcache-wipe-test-" + ProcessHandle.current().pid();
        config = CacheConfig.of(name, 4096L * PAGES * 2);
        segment = Path.of("/dev/shm/warmcache." + name);
    }

    @AfterEach
    void remove() throws Exception {
        PageCache.drop(config);
    }

    private static byte[] secrets(int pages) {
        byte[] bytes = new byte[pages * 4096];
        for (int at = 0; at < bytes.length; at += SECRET.length) {
            System.arraycopy(SECRET, 0, bytes, at, SECRET.length);
        }
        return bytes;
    }

    private static byte[] bytes(FileChannel file) throws IOException {
        ByteBuffer all = ByteBuffer.allocate((int) file.size());
        while (all.hasRemaining()) {
            assertTrue(file.read(all, all.position()) > 0);
        }
        return all.array();
    }

    private static int found(byte[] bytes) {
        int found = 0;
        for (int at = 0; at + SECRET.length <= bytes.length; at++) {
            if (bytes[at] == SECRET[0]
                    && java.util.Arrays.equals(bytes, at, at + SECRET.length, SECRET, 0, SECRET.length)) {
                found++;
            }
        }
        return found;
    }

    /** Frames that are read, dirty, and free again after their pages were cut off. */
    private void fill(PageCache cache) throws Exception {
        MapOptions options = MapOptions.DEFAULT.withIoMode(IoMode.BUFFERED).withPolicy(WritePolicy.WRITE_BACK);
        PagedFile read = cache.map(Files.write(directory.resolve("read"), secrets(PAGES / 2)), options);
        assertEquals(PAGES / 2 * 4096, read.read(0, MemorySegment.ofArray(new byte[PAGES / 2 * 4096])));
        PagedFile written = cache.map(directory.resolve("written"), options.withCreate(true));
        written.write(0, MemorySegment.ofArray(secrets(PAGES / 2)));
        PagedFile cut = cache.map(directory.resolve("cut"), options.withCreate(true));
        cut.write(0, MemorySegment.ofArray(secrets(PAGES / 2)));
        cut.truncate(0);
    }

    private void assertWiped(FileChannel evidence) throws IOException {
        byte[] left = bytes(evidence);
        assertEquals(0, found(left));
        assertArrayEquals(new byte[left.length], left, "nor anything else");
        assertFalse(Files.exists(segment));
    }

    private interface End {
        void of(PageCache cache) throws Exception;
    }

    private void wipedBy(CacheConfig of, End end) throws Exception {
        try (PageCache cache = PageCache.open(of);
                FileChannel evidence = FileChannel.open(segment, StandardOpenOption.READ)) {
            fill(cache);
            int perPage = 4096 / SECRET.length;
            assertTrue(
                    found(bytes(evidence)) >= 3 * PAGES / 2 * perPage,
                    "what was read, what was written, and what is free again is all there");
            end.of(cache);
            assertWiped(evidence);
        }
        assertArrayEquals(secrets(PAGES / 2), Files.readAllBytes(directory.resolve("written")), "the store has it");
        try (PageCache next = PageCache.open(config)) {
            assertEquals("there was no segment", next.recovery().coldReason());
        }
    }

    @Test
    void aDroppedCacheLeavesNoPlaintext() throws Exception {
        wipedBy(config, PageCache::drop);
    }

    @Test
    void aCacheClosedWithWipeOnCloseLeavesNoPlaintext() throws Exception {
        wipedBy(config.withWipeOnClose(true), PageCache::close);
    }

    @Test
    void aClosedCacheLeavesNoPlaintextOnceDropped() throws Exception {
        wipedBy(config, cache -> {
            cache.close();
            assertTrue(PageCache.drop(config));
        });
    }

    /** The close that a leaked pin put off wipes when the pin is gone, and not under it. */
    @Test
    void aPinHeldAcrossTheCloseIsReadableUntilItIsLetGoAndThenAllIsWiped() throws Exception {
        try (FileChannel evidence = open(config.withWipeOnClose(true))) {
            Bench.awaitThat("the memory is removed", () -> !Files.exists(segment));
            assertWiped(evidence);
        }
    }

    private FileChannel open(CacheConfig of) throws Exception {
        PageCache cache = PageCache.open(of);
        FileChannel evidence = FileChannel.open(segment, StandardOpenOption.READ);
        fill(cache);
        PagedFile file = cache.map(directory.resolve("read"), MapOptions.DEFAULT);
        ReadPin pin = file.pin(3);
        assertThrows(CacheException.class, () -> cache.close(Duration.ZERO));
        assertEquals(SECRET[0], pin.segment().get(java.lang.foreign.ValueLayout.JAVA_BYTE, 0));
        assertTrue(found(bytes(evidence)) > 0);
        pin.close();
        return evidence;
    }

    /** Without the option memory stays warm; with it a warm start comes from an image alone, if one was asked for. */
    @Test
    void anImageAtCloseIsWrittenBesideTheWipeAndIsItsOwnersAlone() throws Exception {
        Path images = directory.resolve("images");
        CacheConfig both = config.withWipeOnClose(true)
                .withWarmUp(WarmUpOptions.in(images).withImageAtClose(true));
        try (PageCache cache = PageCache.open(both)) {
            fill(cache);
        }
        assertFalse(Files.exists(segment));
        Set<String> modes = new java.util.TreeSet<>();
        try (Stream<Path> files = Files.walk(images)) {
            for (Path file : files.toList()) {
                modes.add(PosixFilePermissions.toString(Files.getPosixFilePermissions(file)));
            }
        }
        assertEquals(Set.of("rw-------", "rwx------"), modes);
        try (PageCache next = PageCache.open(both)) {
            next.map(directory.resolve("read"), MapOptions.DEFAULT);
            assertTrue(next.warmUp().await(Duration.ofSeconds(60)));
            assertEquals(PAGES / 2, next.recovery().images().getFirst().restored());
        }
    }
}
