/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.warmcache.BackingStore;
import io.warmcache.CacheConfig;
import io.warmcache.MapOptions;
import io.warmcache.PageCache;
import io.warmcache.PageCursor;
import io.warmcache.PagedFile;
import io.warmcache.ReadPin;
import io.warmcache.StoreId;
import io.warmcache.StoreVersion;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What an index holds grows with the resident pages, not with the file nor with what was touched. */
class IndexTest {
    private static final int PAGE = 4096;
    private static final int FRAMES = 64;
    private static final long TIB = 1L << 40;

    /** A store of any length whose pages say their own number in every 8 bytes, and that cannot be written. */
    private record NumberedStore(long size) implements BackingStore {
        @Override
        public StoreId id() {
            return new StoreId(0x1dec, size);
        }

        @Override
        public StoreVersion version() {
            return StoreVersion.exact(1, 1);
        }

        @Override
        public int read(long position, MemorySegment target) {
            for (long at = 0; at < target.byteSize(); at += Long.BYTES) {
                target.set(ValueLayout.JAVA_LONG_UNALIGNED, at, (position + at) / PAGE);
            }
            return (int) target.byteSize();
        }

        @Override
        public int write(long position, MemorySegment source) throws IOException {
            throw new IOException("not written here");
        }

        @Override
        public void force() {}

        @Override
        public void truncate(long newSize) throws IOException {
            throw new IOException("not cut here");
        }

        @Override
        public String name() {
            return "numbered store";
        }

        @Override
        public void close() {}
    }

    private static PageCache open() throws IOException {
        return PageCache.open(CacheConfig.of("index", (long) FRAMES * PAGE).withBackend("volatile"));
    }

    private static void assertSound(PageCache cache, PagedFile file) {
        synchronized (((MappedFile) file).file().sweep) { // which holds words for a moment
            assertEquals(Set.of(), ((Cache) cache).problems());
        }
    }

    private static RadixIndex index(PagedFile file) {
        return ((MappedFile) file).file().index;
    }

    @Test
    void aSparseFileOf16TiB(@TempDir Path directory) throws Exception {
        sparse(directory);
    }

    @Test
    void aSparseFileOf16TiBInMemory() throws Exception {
        Path memory = Path.of("/dev/shm");
        assumeTrue(Files.isDirectory(memory) && Files.isWritable(memory), "no tmpfs here");
        Path directory = Files.createTempDirectory(memory, "warmcache-index-test");
        try {
            sparse(directory);
        } finally {
            Files.deleteIfExists(directory);
        }
    }

    private static void sparse(Path directory) throws Exception {
        Path path = directory.resolve("sparse");
        try (RandomAccessFile plain = new RandomAccessFile(path.toFile(), "rw")) {
            long size = create(plain);
            long last = size / PAGE - 1;
            List<Long> pages = List.of(0L, 65_535L, 65_536L, last / 3, last / 2, last - 1, last);
            try (PageCache cache = open();
                    PagedFile file = cache.map(path, MapOptions.DEFAULT)) {
                assertEquals(size, file.size());
                for (long page : pages) {
                    byte[] bytes = new byte[PAGE];
                    Arrays.fill(bytes, (byte) (page % 251 + 1));
                    file.write(page * PAGE, MemorySegment.ofArray(bytes));
                }
                file.force();
                for (long page : pages) {
                    assertEquals((byte) (page % 251 + 1), first(file, page));
                    plain.seek(page * PAGE);
                    assertEquals((byte) (page % 251 + 1), plain.readByte());
                }
                assertEquals(0, first(file, last / 4), "a hole");
                assertTrue(index(file).leaves() <= pages.size() + 1, "leaves: " + index(file).leaves());
                assertSound(cache, file);
                file.truncate(PAGE);
                assertEquals(1, index(file).leaves());
                assertEquals(PAGE, plain.length());
                file.truncate(size);
                assertEquals(0, first(file, last));
            }
        } finally {
            Files.deleteIfExists(path);
        }
    }

    /** 16 TiB, or the page less that ext4 allows; skipped where the file system takes neither. */
    private static long create(RandomAccessFile plain) {
        for (long size : new long[] {16 * TIB, 16 * TIB - PAGE}) {
            try {
                plain.setLength(size);
                return size;
            } catch (IOException e) {
                // too long for this file system
            }
        }
        assumeTrue(false, "no files of 16 TiB here");
        return 0;
    }

    private static byte first(PagedFile file, long page) {
        try (PageCursor cursor = file.cursor()) {
            cursor.seek(page);
            byte value;
            do {
                value = cursor.getByte(0);
            } while (cursor.shouldRetry());
            return value;
        }
    }

    @Test
    void runsOfPagesShareLeaves() throws Exception {
        for (int run : new int[] {1, 16, 64}) {
            try (PageCache cache = open();
                    PagedFile file = cache.map(new NumberedStore(TIB), MapOptions.DEFAULT)) {
                for (int page = 0; page < FRAMES; page++) {
                    file.stamp((long) (page / run) * 1_000_064 + page % run);
                }
                assertEquals(FRAMES / run, index(file).leaves(), "runs of " + run);
            }
        }
    }

    @Test
    void whatLeftTheMemoryLeavesTheIndex() throws Exception {
        try (PageCache cache = open();
                PagedFile file = cache.map(new NumberedStore(TIB), MapOptions.DEFAULT)) {
            for (long leaf = 0; leaf < 5000; leaf++) {
                file.stamp(leaf << RadixIndex.LEAF_BITS);
            }
            long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
            int most = 2 * FRAMES + Maintenance.LEAVES_SLACK;
            while (index(file).leaves() > most && System.nanoTime() < deadline) {
                Thread.onSpinWait(); // for the background thread
            }
            assertTrue(index(file).leaves() <= most, "leaves: " + index(file).leaves());
            ((MappedFile) file).file().sweep.run();
            assertTrue(index(file).leaves() <= FRAMES, "leaves: " + index(file).leaves());
            for (long leaf = 0; leaf < 5000; leaf++) {
                assertEquals(leaf << RadixIndex.LEAF_BITS, number(file, leaf << RadixIndex.LEAF_BITS));
            }
            assertSound(cache, file);
        }
    }

    private static long number(PagedFile file, long page) {
        return file.read(page, (memory, offset) -> memory.get(ValueLayout.JAVA_LONG_UNALIGNED, offset));
    }

    /** Every access runs into leaves that are being taken out, and finds its page all the same, once. */
    @Test
    void sweepsUnderLoadLoseNothing() throws Exception {
        long seed = System.nanoTime();
        System.out.println("seed " + seed);
        AtomicBoolean ended = new AtomicBoolean();
        try (PageCache cache = open();
                PagedFile file = cache.map(new NumberedStore(TIB), MapOptions.DEFAULT);
                ExecutorService threads = Executors.newCachedThreadPool()) {
            IndexSweep sweep = ((MappedFile) file).file().sweep;
            Future<?> sweeper = threads.submit(() -> {
                while (!ended.get()) {
                    sweep.run();
                }
            });
            List<Callable<Long>> readers = new ArrayList<>();
            for (int i = 0; i < 3; i++) {
                Random random = new Random(seed + i);
                readers.add(() -> {
                    long wrong = 0;
                    try (PageCursor cursor = file.cursor()) {
                        for (int n = 0; n < 20_000; n++) {
                            // Far fewer leaves than pages are read, so that each is taken out and made again often.
                            long page = (long) random.nextInt(200) << 20 | random.nextInt(4);
                            wrong += read(file, cursor, page, n % 3) == page ? 0 : 1;
                        }
                    }
                    return wrong;
                });
            }
            for (Future<Long> reader : threads.invokeAll(readers)) {
                assertEquals(0, reader.get());
            }
            ended.set(true);
            sweeper.get();
            assertSound(cache, file);
        }
    }

    private static long read(PagedFile file, PageCursor cursor, long page, int form) {
        if (form == 0) {
            return number(file, page);
        }
        if (form == 1) {
            try (ReadPin pin = file.pin(page)) {
                return pin.segment().get(ValueLayout.JAVA_LONG_UNALIGNED, 8);
            }
        }
        cursor.seek(page);
        long value;
        do {
            value = cursor.getLong(16);
        } while (cursor.shouldRetry());
        return value;
    }
}
