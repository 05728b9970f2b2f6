/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.warmcache.CacheConfig;
import io.warmcache.DropReason;
import io.warmcache.MapOptions;
import io.warmcache.PageCache;
import io.warmcache.PagedFile;
import io.warmcache.StoreId;
import io.warmcache.StoreVersion;
import io.warmcache.WritePin;
import io.warmcache.WritePolicy;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.zip.GZIPInputStream;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * A segment of every format there has been, with its store, is opened warm: what an owner of that format left when it
 * died, one page dirty, and 8 frames of its room not existing. {@code -Dwarmcache.golden=DIRECTORY} writes the
 * present format's there.
 */
class GoldenSegmentTest {
    private static final int PAGE = 8192;
    private static final int FRAMES = 24;
    private static final int ROOM = 32;

    /** Pages of the store; the last is a partial one. */
    private static final int PAGES = 30;

    private static final int SIZE = PAGES * PAGE - 1000;

    /** Pages in memory, one of them dirty. */
    private static final int CACHED = 20;

    private static final StoreId ID = new StoreId(0x676f_6c64L, 0x656eL);
    private static final StoreVersion VERSION = StoreVersion.exact(5, 55);

    private static CacheConfig config(Path segment, int frames, int room) {
        return CacheConfig.of(segment.toString(), (long) frames * PAGE)
                .withPageSize(PAGE)
                .withMaxCapacity((long) room * PAGE)
                .withMaxFiles(3)
                .withOptions(Map.of("shm.domain", "os-reboot", "shm.cgroupCheck", "off", "core.maintenance", "off"));
    }

    private static MemoryStore store(byte[] bytes) {
        MemoryStore store = new MemoryStore(ID, bytes);
        store.version = VERSION;
        return store;
    }

    /** Few different bytes, so that it packs well. */
    private static byte[] content() {
        byte[] bytes = new byte[SIZE];
        for (int at = 0; at < SIZE; at++) {
            bytes[at] = (byte) (at / PAGE * 7 + at / 512 % 8);
        }
        return bytes;
    }

    private static String name(long version, String what) {
        return "format-" + version + "." + what + ".gz";
    }

    private static byte[] unpack(long version, String what) throws IOException {
        try (InputStream in = GoldenSegmentTest.class.getResourceAsStream(name(version, what))) {
            assertNotNull(in, "no golden " + name(version, what) + ": each format keeps one for good");
            return new GZIPInputStream(in).readAllBytes();
        }
    }

    private static Path directory() throws IOException {
        return Files.createTempDirectory(Path.of("/dev/shm"), "warmcache-golden");
    }

    private static void delete(Path directory) throws IOException {
        Files.deleteIfExists(directory.resolve("segment"));
        Files.deleteIfExists(directory);
    }

    private static long version(byte[] segment) {
        return ByteBuffer.wrap(segment).order(ByteOrder.LITTLE_ENDIAN).getLong(8);
    }

    /** What a cache of the present format leaves when it dies. */
    private static byte[] segment() throws IOException {
        Path directory = directory();
        try {
            Path segment = directory.resolve("segment");
            PageCache cache = PageCache.open(config(segment, FRAMES, ROOM));
            PagedFile file = cache.map(store(content()), MapOptions.DEFAULT.withPolicy(WritePolicy.WRITE_BACK));
            byte[] page = new byte[PAGE];
            for (int i = PAGES - CACHED; i < PAGES; i++) {
                file.read((long) i * PAGE, MemorySegment.ofArray(page));
            }
            try (WritePin pin = file.pinForWrite(PAGES - CACHED)) {
                pin.dirty(0, 1);
                pin.segment().set(ValueLayout.JAVA_BYTE, 0, (byte) 99);
            }
            byte[] left = Files.readAllBytes(segment);
            cache.drop();
            return left;
        } finally {
            delete(directory);
        }
    }

    @Test
    void everyFormatUpToThePresentOneHasAGoldenSegment() throws Exception {
        byte[] now = segment();
        String write = System.getProperty("warmcache.golden");
        if (write != null) {
            write(Path.of(write, name(version(now), "segment")), now);
            write(Path.of(write, name(version(now), "store")), content());
        }
        assumeTrue(write == null, "written, not read");
        for (long version = 1; version <= version(now); version++) {
            assertEquals(version, version(unpack(version, "segment")));
        }
        // The same steps leave a file of the same length: the layout has not moved unannounced.
        assertEquals(now.length, unpack(version(now), "segment").length);
        assertArrayEquals(content(), unpack(version(now), "store"));
    }

    private static void write(Path file, byte[] bytes) throws IOException {
        try (OutputStream out = new GZIPOutputStream(Files.newOutputStream(file))) {
            out.write(bytes);
        }
    }

    @ParameterizedTest
    @CsvSource({"1, 24, 32", "1, 24, 24", "1, 40, 40", "1, 8, 8"})
    void aGoldenSegmentIsOpenedWarmAndServesItsStore(long version, int frames, int room) throws Exception {
        byte[] bytes = unpack(version, "store");
        Path directory = directory();
        try {
            Path segment = Files.createFile(
                    directory.resolve("segment"),
                    PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
            Files.write(segment, unpack(version, "segment"));
            PageCache cache = PageCache.open(config(segment, frames, room));
            assertTrue(cache.recovery().warm(), cache.recovery().coldReason());
            assertEquals(CACHED, cache.recovery().found());
            int kept = Math.min(CACHED - 1, frames);
            MemoryStore store = store(bytes);
            AtomicInteger read = new AtomicInteger();
            store.hook = (operation, position, length) -> {
                if (operation.equals("read")) {
                    read.addAndGet((int) (length / PAGE));
                }
            };
            PagedFile file = cache.map(store, MapOptions.DEFAULT);
            assertEquals(kept, cache.recovery().kept(), cache.recovery().toString());
            assertEquals(1, cache.recovery().dropped().get(DropReason.DIRTY));
            byte[] served = new byte[PAGE];
            for (int page = PAGES - 1; page > PAGES - CACHED && frames >= CACHED; page--) {
                int length = (int) Math.min(PAGE, SIZE - (long) page * PAGE);
                assertEquals(length, file.read((long) page * PAGE, MemorySegment.ofArray(served)));
                for (int i = 0; i < length; i++) {
                    assertEquals(bytes[page * PAGE + i], served[i]);
                }
            }
            assertEquals(0, read.get(), "pages read from the store");
            byte[] all = new byte[SIZE];
            assertEquals(SIZE, file.read(0, MemorySegment.ofArray(all)));
            assertArrayEquals(bytes, all);
            assertEquals(0, cache.stats().validationFailures());
            assertEquals(Set.of(), ((Cache) cache).problems());
            cache.drop();
        } finally {
            delete(directory);
        }
    }
}
