/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.h2;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.CacheClosedException;
import io.warmcache.CacheFullException;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.AsynchronousCloseException;
import java.nio.channels.Channels;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.FileChannel;
import java.nio.channels.NonWritableChannelException;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicReference;
import org.h2.mvstore.cache.FilePathCache;
import org.h2.store.fs.FilePath;
import org.h2.store.fs.FileUtils;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class WarmChannelTest {
    @TempDir
    Path dir;

    private Warm warm;
    private Path file;

    @BeforeEach
    void open() throws IOException {
        warm = Warm.of(1 << 20);
        file = dir.resolve("file");
    }

    @AfterEach
    void close() throws IOException {
        warm.close();
    }

    @Test
    void servesAWriteThatStraddlesABlockFromThenOn() throws IOException {
        assertArrayEquals(new byte[] {7, 7}, straddlingWriteSeenThrough(Warm.path(file)));
        // What H2's own caching file system answers here is the reason for this test; it is H2's to change.
        FilePathCache.INSTANCE.getScheme();
        byte[] seen = straddlingWriteSeenThrough("cache:" + dir.resolve("other"));
        System.out.println("H2's cache: file system sees " + Arrays.toString(seen) + " for [7, 7]");
    }

    private static byte[] straddlingWriteSeenThrough(String path) throws IOException {
        try (FileChannel channel = FileUtils.open(path, "rw")) {
            channel.write(ByteBuffer.allocate(3 * 4096), 0);
            for (long block = 0; block < 3; block++) {
                channel.read(ByteBuffer.allocate(4096), block * 4096);
            }
            channel.write(ByteBuffer.wrap(new byte[] {7, 7}), 4095);
            byte[] seen = new byte[2];
            channel.read(ByteBuffer.wrap(seen, 0, 1), 4095);
            channel.read(ByteBuffer.wrap(seen, 1, 1), 4096);
            return seen;
        }
    }

    @Test
    void readsZerosWhereAFileWasCutAndGrownAgain() throws IOException {
        try (FileChannel channel = FileUtils.open(Warm.path(file), "rw")) {
            for (int cut : new int[] {0, 1, 4095, 4096, 4097, 10_000}) {
                byte[] full = new byte[20_000];
                Arrays.fill(full, (byte) 9);
                channel.write(ByteBuffer.wrap(full), 0);
                channel.truncate(cut);
                assertEquals(cut, channel.size());
                channel.write(ByteBuffer.wrap(new byte[] {1}), 19_999);
                Arrays.fill(full, cut, 19_999, (byte) 0);
                full[19_999] = 1;
                assertArrayEquals(full, WarmChannelModelTest.readAll(channel), "cut at " + cut);
                assertArrayEquals(full, Files.readAllBytes(file), "cut at " + cut);
            }
        }
    }

    @Test
    void doesNotGrowAFileByTruncatingOrByWritingNothing() throws IOException {
        try (FileChannel channel = FileUtils.open(Warm.path(file), "rw")) {
            channel.write(ByteBuffer.allocate(100), 0);
            channel.position(90);
            channel.truncate(200);
            channel.write(ByteBuffer.allocate(0), 500);
            assertEquals(100, channel.size());
            assertEquals(90, channel.position());
            channel.truncate(50);
            assertEquals(50, channel.position());
            assertEquals(50, Files.size(file));
        }
    }

    @Test
    void knowsTheModesOfH2() throws IOException {
        assertThrows(NoSuchFileException.class, () -> FileUtils.open(Warm.path(file), "r"));
        assertThrows(IllegalArgumentException.class, () -> FileUtils.open(Warm.path(file), "w"));
        assertFalse(Files.exists(file));
        for (String mode : new String[] {"rw", "rws", "rwd"}) {
            try (FileChannel channel = FileUtils.open(Warm.path(file), mode)) {
                assertEquals(3, channel.write(ByteBuffer.wrap(new byte[] {1, 2, 3}), 1));
                assertEquals(4, channel.size());
            }
        }
        try (FileChannel channel = FileUtils.open(Warm.path(file), "r")) {
            assertEquals(4, channel.read(ByteBuffer.allocate(9), 0));
            assertThrows(NonWritableChannelException.class, () -> channel.write(ByteBuffer.allocate(1), 0));
            assertThrows(NonWritableChannelException.class, () -> channel.write(ByteBuffer.allocate(1)));
            assertThrows(NonWritableChannelException.class, () -> channel.truncate(0));
        }
        assertThrows(IOException.class, () -> FileUtils.open(Warm.path(dir), "r"));
        assertThrows(IOException.class, () -> FileUtils.open(Warm.path(dir.resolve("none/file")), "rw"));
    }

    @Test
    void syncModesForceEveryWrite() throws IOException {
        Intercepted cache = warm.intercept();
        AtomicReference<String> calls = new AtomicReference<>("");
        cache.before(method -> calls.updateAndGet(seen -> seen + " " + method));
        try (FileChannel channel = FileUtils.open(Warm.path(file), "rws")) {
            channel.write(ByteBuffer.allocate(10), 0);
            assertTrue(calls.get().endsWith("write force"), calls.get());
            channel.truncate(5);
            assertTrue(calls.get().endsWith("truncate force"), calls.get());
        }
    }

    @Test
    void writesWhileAReaderOpenedTheFileFirst() throws IOException {
        Files.write(file, new byte[] {1, 2, 3});
        try (FileChannel reader = FileUtils.open(Warm.path(file), "r");
                FileChannel writer = FileUtils.open(Warm.path(file), "rw")) {
            writer.write(ByteBuffer.wrap(new byte[] {4}), 1);
            ByteBuffer read = ByteBuffer.allocate(3);
            reader.read(read, 0);
            assertArrayEquals(new byte[] {1, 4, 3}, read.array());
        }
    }

    @Test
    void transfersScattersAndGathers() throws IOException {
        byte[] bytes = new byte[200_000];
        new Random(1).nextBytes(bytes);
        try (FileChannel channel = FileUtils.open(Warm.path(file), "rw")) {
            assertEquals(bytes.length, channel.transferFrom(
                    Channels.newChannel(new ByteArrayInputStream(bytes)), 0, Long.MAX_VALUE));
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            assertEquals(bytes.length - 5, channel.transferTo(5, Long.MAX_VALUE, Channels.newChannel(out)));
            assertArrayEquals(Arrays.copyOfRange(bytes, 5, bytes.length), out.toByteArray());
            assertEquals(0, channel.transferTo(bytes.length, 1, Channels.newChannel(out)));
            ByteBuffer[] parts = {ByteBuffer.allocate(10), ByteBuffer.allocate(0), ByteBuffer.allocate(5_000)};
            assertEquals(5_010, channel.position(100).read(parts));
            assertArrayEquals(Arrays.copyOfRange(bytes, 100, 110), parts[0].array());
            assertArrayEquals(Arrays.copyOfRange(bytes, 110, 5_110), parts[2].array());
            assertEquals(5_110, channel.position());
            channel.position(bytes.length);
            assertEquals(-1, channel.read(new ByteBuffer[] {ByteBuffer.allocate(1)}));
            parts[0].clear();
            parts[2].clear();
            assertEquals(5_010, channel.write(parts));
            assertEquals(bytes.length + 5_010, channel.size());
        }
        ByteArrayOutputStream copy = new ByteArrayOutputStream();
        try (InputStream in = FilePath.get(Warm.path(file)).newInputStream()) {
            in.transferTo(copy);
        }
        assertArrayEquals(Files.readAllBytes(file), copy.toByteArray());
    }

    @Test
    void survivesAnInterrupt() throws IOException {
        try (FileChannel channel = FileUtils.open(Warm.path(file), "rw")) {
            Thread.currentThread().interrupt();
            channel.write(ByteBuffer.allocate(5_000), 0);
            channel.read(ByteBuffer.allocate(5_000), 0);
            channel.force(true);
            channel.truncate(100);
            assertTrue(Thread.interrupted(), "the interrupt is still the caller's to see");
            assertTrue(channel.isOpen());
            assertEquals(100, channel.size());
        }
    }

    @Test
    void tellsThoseWhoUseAChannelWhileItIsClosedSoAndNothingElse() throws Exception {
        Files.write(file, new byte[100_000]);
        try (ExecutorService pool = Executors.newFixedThreadPool(3)) {
            for (int round = 0; round < 60; round++) {
                FileChannel channel = FileUtils.open(Warm.path(file), "rw");
                CountDownLatch running = new CountDownLatch(3);
                List<Future<Integer>> users = new ArrayList<>();
                for (int t = 0; t < 3; t++) {
                    Random random = new Random(t);
                    users.add(pool.submit(() -> {
                        for (int i = 0; ; i++) {
                            try {
                                long at = random.nextInt(100_000);
                                if (random.nextBoolean()) {
                                    channel.read(ByteBuffer.allocate(5_000), at);
                                } else {
                                    channel.write(ByteBuffer.allocate(1), at);
                                }
                            } catch (ClosedChannelException e) {
                                return i;
                            } finally {
                                running.countDown();
                            }
                        }
                    }));
                }
                running.await();
                channel.close();
                for (Future<Integer> user : users) {
                    user.get();
                }
            }
        }
        assertArrayEquals(new byte[100_000], Files.readAllBytes(file));
    }

    @Test
    void refusesEverythingOnceClosed() throws IOException {
        FileChannel channel = FileUtils.open(Warm.path(file), "rw");
        channel.close();
        channel.close();
        assertFalse(channel.isOpen());
        assertThrows(ClosedChannelException.class, () -> channel.read(ByteBuffer.allocate(1), 0));
        assertThrows(ClosedChannelException.class, () -> channel.read(ByteBuffer.allocate(1)));
        assertThrows(ClosedChannelException.class, () -> channel.write(ByteBuffer.allocate(1), 0));
        assertThrows(ClosedChannelException.class, () -> channel.truncate(0));
        assertThrows(ClosedChannelException.class, () -> channel.force(true));
        assertThrows(ClosedChannelException.class, channel::size);
        assertThrows(ClosedChannelException.class, channel::position);
        assertThrows(ClosedChannelException.class, channel::tryLock);
    }

    @Test
    void refusesWhatAFileChannelRefuses() throws IOException {
        try (FileChannel channel = FileUtils.open(Warm.path(file), "rw")) {
            assertThrows(IllegalArgumentException.class, () -> channel.position(-1));
            assertThrows(IllegalArgumentException.class, () -> channel.read(ByteBuffer.allocate(1), -1));
            assertThrows(IllegalArgumentException.class, () -> channel.write(ByteBuffer.allocate(1), -1));
            assertThrows(IllegalArgumentException.class, () -> channel.truncate(-1));
            assertThrows(IllegalArgumentException.class,
                    () -> channel.read(ByteBuffer.allocate(1).asReadOnlyBuffer(), 0));
            assertThrows(UnsupportedOperationException.class,
                    () -> channel.map(FileChannel.MapMode.READ_ONLY, 0, 1));
        }
    }

    @Test
    void mapsAFileOnceHoweverOftenItIsOpened() throws IOException {
        Intercepted cache = warm.intercept();
        Path link = dir.resolve("link");
        FileChannel first = FileUtils.open(Warm.path(file), "rw");
        Files.createSymbolicLink(link, file);
        FileChannel second = FileUtils.open(Warm.path(link), "r");
        assertEquals(1, cache.mapped());
        first.close();
        assertEquals(0, cache.closed());
        second.close();
        assertEquals(1, cache.closed());
        FileUtils.open(Warm.path(link), "rw").close();
        assertEquals(2, cache.mapped());
        assertEquals(2, cache.closed());
    }

    @Test
    void tellsTheCallerOfEveryFailureAndGoesOn() throws IOException {
        Intercepted cache = warm.intercept();
        try (FileChannel channel = FileUtils.open(Warm.path(file), "rw")) {
            channel.write(ByteBuffer.wrap(new byte[] {1, 2, 3}), 0);
            IOException full = new IOException("No space left on device");
            cache.before(method -> {
                if (method.equals("write") || method.equals("force") || method.equals("truncate")) {
                    throw full;
                }
            });
            ByteBuffer buffer = ByteBuffer.wrap(new byte[] {4});
            assertEquals(full, assertThrows(IOException.class, () -> channel.write(buffer, 0)));
            assertEquals(1, buffer.remaining(), "nothing was taken from the buffer");
            assertEquals(full, assertThrows(IOException.class, () -> channel.force(false)));
            assertEquals(full, assertThrows(IOException.class, () -> channel.truncate(1)));
            cache.before(method -> {
                if (method.equals("size")) {
                    throw new UncheckedIOException(full);
                }
            });
            assertEquals(full, assertThrows(IOException.class, channel::size));
            cache.before(method -> {
                if (method.equals("read")) {
                    throw new CacheFullException("no frame could be freed");
                }
            });
            IOException told = assertThrows(IOException.class, () -> channel.read(ByteBuffer.allocate(1), 0));
            assertTrue(told.getMessage().contains(file + ": no frame could be freed"), told.getMessage());
            cache.before(method -> {
                if (method.equals("read")) {
                    channel.close();
                    throw new CacheClosedException("closed meanwhile");
                }
            });
            assertThrows(AsynchronousCloseException.class, () -> channel.read(ByteBuffer.allocate(1), 0));
        }
        cache.before(method -> {});
        try (FileChannel channel = FileUtils.open(Warm.path(file), "r")) {
            assertArrayEquals(new byte[] {1, 2, 3}, WarmChannelModelTest.readAll(channel));
        }
    }

    @Test
    void opensAFileThatCouldNotBeMappedBefore() throws IOException {
        Intercepted cache = warm.intercept();
        cache.before(method -> {
            if (method.equals("map")) {
                throw new IOException("no more");
            }
        });
        assertThrows(IOException.class, () -> FileUtils.open(Warm.path(file), "rw"));
        cache.before(method -> {});
        FileUtils.open(Warm.path(file), "rw").close();
        assertEquals(cache.mapped(), cache.closed());
    }

    @Test
    void readsAReadOnlyFileAndWritesItToNoOne() throws IOException {
        Files.write(file, new byte[] {1, 2, 3});
        assertTrue(FileUtils.setReadOnly(Warm.path(file)));
        try (FileChannel channel = FileUtils.open(Warm.path(file), "r")) {
            assertArrayEquals(new byte[] {1, 2, 3}, WarmChannelModelTest.readAll(channel));
        }
        if (!Files.isWritable(file)) {
            assertThrows(AccessDeniedException.class, () -> FileUtils.open(Warm.path(file), "rw"));
        }
        assertEquals(Files.isWritable(file), FileUtils.canWrite(Warm.path(file)));
    }
}
