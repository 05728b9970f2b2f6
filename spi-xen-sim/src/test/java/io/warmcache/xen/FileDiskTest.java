/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.BusyException;
import io.warmcache.CacheConfig;
import io.warmcache.MapOptions;
import io.warmcache.PageCache;
import io.warmcache.PagedFile;
import io.warmcache.RecoveryReport;
import io.warmcache.StoreVersion;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A plain file as a virtual disk. */
class FileDiskTest {
    private static final MapOptions CREATE = MapOptions.DEFAULT.withCreate(true);

    @TempDir
    Path folder;

    private static byte[] random(long seed, int length) {
        byte[] bytes = new byte[length];
        new Random(seed).nextBytes(bytes);
        return bytes;
    }

    private static byte[] read(FileDisk disk, long position, int length) throws IOException {
        byte[] bytes = new byte[length];
        int n = disk.read(position, MemorySegment.ofArray(bytes));
        return Arrays.copyOf(bytes, Math.max(0, n));
    }

    @Test
    void theIdentityIsTheFilesNotTheNames() throws Exception {
        Path file = folder.resolve("file");
        assertThrows(NoSuchFileException.class, () -> FileDisk.identify(file, MapOptions.DEFAULT.withCreate(false)));
        var id = FileDisk.identify(file, CREATE);
        assertEquals(id, FileDisk.identify(file, CREATE));
        assertEquals(id, FileDisk.identify(Files.createLink(folder.resolve("hard"), file), CREATE));
        assertEquals(id, FileDisk.identify(Files.createSymbolicLink(folder.resolve("soft"), file), CREATE));
        assertNotEquals(id, FileDisk.identify(folder.resolve("other"), CREATE));
        assertThrows(IOException.class, () -> FileDisk.identify(folder, CREATE));
    }

    @Test
    void itReadsWhatItWroteFromAnyMemoryAndEndsAtItsEnd() throws Exception {
        Path file = folder.resolve("file");
        byte[] bytes = random(1, 10_000);
        try (FileDisk disk = FileDisk.open(file, CREATE);
                Arena arena = Arena.ofConfined()) {
            assertEquals(10_000, disk.write(0, MemorySegment.ofArray(bytes)));
            assertArrayEquals(bytes, read(disk, 0, 10_000));
            MemorySegment target = arena.allocate(4096);
            assertEquals(4096, disk.read(4096, target));
            assertArrayEquals(Arrays.copyOfRange(bytes, 4096, 8192), target.toArray(ValueLayout.JAVA_BYTE));
            assertEquals(10_000 - 8192, disk.read(8192, target));
            assertEquals(-1, disk.read(10_000, target));
            disk.truncate(9_000);
            assertEquals(9_000, disk.size());
            disk.truncate(9_500);
            assertArrayEquals(new byte[500], read(disk, 9_000, 600));
            disk.force();
            assertEquals(9_500, Files.size(file));
        }
    }

    @Test
    void oneCacheAtATimeHasIt() throws Exception {
        Path file = folder.resolve("file");
        FileDisk disk = FileDisk.open(file, CREATE);
        assertThrows(BusyException.class, () -> FileDisk.open(file, CREATE));
        disk.close();
        disk.close();
        assertThrows(IOException.class, disk::size);
        assertThrows(IOException.class, disk::version);
        assertThrows(IOException.class, () -> disk.read(0, MemorySegment.ofArray(new byte[1])));
        FileDisk.open(file, CREATE).close();
    }

    @Test
    void anInterruptDoesNotCloseIt() throws Exception {
        try (FileDisk disk = FileDisk.open(folder.resolve("file"), CREATE)) {
            Thread.currentThread().interrupt();
            try {
                disk.write(0, MemorySegment.ofArray(random(2, 100)));
                disk.force();
                assertArrayEquals(random(2, 100), read(disk, 0, 100));
            } finally {
                assertTrue(Thread.interrupted(), "the interrupt is still pending");
            }
        }
    }

    @Test
    void itsVersionIsItsLengthAndTimes() throws Exception {
        Path file = folder.resolve("file");
        try (FileDisk disk = FileDisk.open(file, CREATE)) {
            disk.write(0, MemorySegment.ofArray(random(3, 100)));
            StoreVersion version = disk.version();
            assertEquals(StoreVersion.Strength.HEURISTIC, version.strength());
            assertTrue(version.provesUnchanged(disk.version()));
            disk.truncate(101);
            assertTrue(!version.provesUnchanged(disk.version()));
        }
    }

    @Test
    void aGuestIsWarmAfterItsDeathAndColdWhenTheFileWasChanged() throws Exception {
        Path file = folder.resolve("file");
        byte[] bytes = random(4, 16 * 4096 + 100);
        Files.write(file, bytes);
        try (Machine machine = Machine.create("plain-file", 128, 4)) {
            CacheConfig config = CacheConfig.of("guest", 32 * 4096)
                    .withBackend("xen")
                    .withMaxUnfinishedAttaches(0)
                    .withOptions(Map.of("xen.machine", machine.name(), "core.maintenance", "off"));
            PagedFile mapped = PageCache.open(config).map(file, MapOptions.DEFAULT);
            byte[] change = random(5, 5000);
            System.arraycopy(change, 0, bytes, 3000, change.length);
            mapped.write(3000, MemorySegment.ofArray(change));
            mapped.force();
            assertArrayEquals(bytes, all(mapped));
            machine.domain("guest").crash("test");

            PageCache second = PageCache.open(config);
            RecoveryReport report = reread(second, file, bytes);
            assertTrue(report.warm());
            assertTrue(report.kept() >= 16, report.toString());
            machine.domain("guest").crash("test");

            bytes[9000]++;
            Files.write(file, bytes);
            report = reread(PageCache.open(config), file, bytes);
            assertEquals(0, report.kept(), report.toString());
            assertTrue(report.files().get(0).verdict().startsWith("CHANGED"), report.toString());
        }
    }

    private static RecoveryReport reread(PageCache cache, Path file, byte[] wanted) throws IOException {
        PagedFile mapped = cache.map(file, MapOptions.DEFAULT);
        assertArrayEquals(wanted, all(mapped));
        return cache.recovery();
    }

    private static byte[] all(PagedFile file) throws IOException {
        byte[] bytes = new byte[(int) file.size()];
        assertEquals(bytes.length, file.read(0, MemorySegment.ofArray(bytes)));
        return bytes;
    }
}
