/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.h2;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.warmcache.CacheConfig;
import io.warmcache.IoMode;
import io.warmcache.MapOptions;
import io.warmcache.WritePolicy;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.h2.store.fs.FilePath;
import org.h2.store.fs.FileUtils;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A channel against a model of a plain file: a byte array and a position. */
final class WarmChannelModelTest {
    private static final int OPERATIONS = 6_000;
    private static final int MAX_FILE = 400_000;

    @TempDir
    Path dir;

    private Warm warm;

    @AfterEach
    void close() throws IOException {
        if (warm != null) {
            warm.close();
        }
    }

    @ParameterizedTest
    @CsvSource({
        "4096, 2048, WRITE_THROUGH, AUTO",
        "4096, 16, WRITE_THROUGH, AUTO",
        "4096, 16, WRITE_THROUGH, BUFFERED",
        "65536, 8, WRITE_THROUGH, AUTO",
        "16384, 12, WRITE_BACK, AUTO",
    })
    void behavesAsAPlainFileUnderRandomOperations(int pageSize, int frames, WritePolicy policy, IoMode ioMode)
            throws IOException {
        long seed = System.nanoTime();
        System.out.println("seed " + seed + " for pages of " + pageSize + ", " + frames + " frames, " + policy + ", "
                + ioMode);
        CacheConfig config = Warm.config((long) pageSize * frames).withPageSize(pageSize);
        warm = Warm.of(config, MapOptions.DEFAULT.withPolicy(policy).withIoMode(ioMode));
        new Walk(new Random(seed), pageSize, seed).run();
    }

    /** One random walk over one file through several channels opened by several names. */
    private final class Walk {
        private final Random random;
        private final int pageSize;
        private final long seed;
        private final Path file = dir.resolve("file");
        private final List<String> names = new ArrayList<>();
        private final List<Opened> channels = new ArrayList<>();
        private byte[] model = new byte[0];
        private int step;

        Walk(Random random, int pageSize, long seed) {
            this.random = random;
            this.pageSize = pageSize;
            this.seed = seed;
        }

        void run() throws IOException {
            Files.createFile(file);
            names.add(Warm.path(file));
            names.add(Warm.path(Files.createLink(dir.resolve("hard"), file)));
            names.add(Warm.path(Files.createSymbolicLink(dir.resolve("soft"), file)));
            names.add(Warm.path(Path.of("").toAbsolutePath().relativize(file.toAbsolutePath())));
            for (int i = 0; i < 4; i++) {
                channels.add(new Opened());
            }
            for (step = 0; step < OPERATIONS; step++) {
                if (step % 1_000 == 999) {
                    restart();
                }
                operate(channels.get(random.nextInt(channels.size())));
            }
            compareAll();
            for (Opened opened : channels) {
                opened.channel.force(true);
            }
            assertArrayEquals(model, Files.readAllBytes(file), this::at);
            for (Opened opened : channels) {
                opened.channel.close();
            }
            assertArrayEquals(model, Files.readAllBytes(file), this::at);
            warm.restart();
            try (FileChannel channel = FileUtils.open(names.getFirst(), "r")) {
                assertArrayEquals(model, readAll(channel), this::at);
            }
        }

        /** From here on the contents come from memory that an earlier cache left, or from the disk. */
        private void restart() throws IOException {
            for (Opened opened : channels) {
                opened.channel.close();
            }
            channels.clear();
            warm.restart();
            for (int i = 0; i < 4; i++) {
                channels.add(new Opened());
            }
        }

        private void operate(Opened opened) throws IOException {
            FileChannel channel = opened.channel;
            switch (random.nextInt(20)) {
                case 0, 1, 2, 3, 4 -> {
                    int position = position();
                    ByteBuffer buffer = buffer(length());
                    int expected = expectedCount(position, buffer.remaining());
                    byte[] before = bytes(buffer.duplicate());
                    int start = buffer.position();
                    assertEquals(expected, channel.read(buffer, position), this::at);
                    assertEquals(start + Math.max(0, expected), buffer.position(), this::at);
                    checkRead(buffer, start, expected, position, before);
                }
                case 5, 6, 7, 8, 9 -> {
                    int position = position();
                    ByteBuffer buffer = filled(length());
                    put(position, bytes(buffer.duplicate()));
                    int count = buffer.remaining();
                    assertEquals(count, channel.write(buffer, position), this::at);
                    assertEquals(0, buffer.remaining(), this::at);
                }
                case 10 -> {
                    ByteBuffer buffer = buffer(length());
                    int expected = expectedCount(opened.position, buffer.remaining());
                    byte[] before = bytes(buffer.duplicate());
                    int start = buffer.position();
                    assertEquals(expected, channel.read(buffer), this::at);
                    checkRead(buffer, start, expected, opened.position, before);
                    opened.position += Math.max(0, expected);
                }
                case 11 -> {
                    ByteBuffer buffer = filled(length());
                    byte[] bytes = bytes(buffer.duplicate());
                    if (opened.position + bytes.length > MAX_FILE) {
                        return;
                    }
                    put(opened.position, bytes);
                    assertEquals(bytes.length, channel.write(buffer), this::at);
                    opened.position += bytes.length;
                }
                case 12 -> {
                    opened.position = position();
                    channel.position(opened.position);
                }
                case 13 -> {
                    int size = random.nextBoolean() ? position() : random.nextInt(model.length + 1);
                    channel.truncate(size);
                    model = Arrays.copyOf(model, Math.min(size, model.length));
                    opened.position = Math.min(opened.position, size);
                }
                case 14 -> {
                    byte[] bytes = bytes(filled(length()));
                    if (model.length + bytes.length > MAX_FILE) {
                        return;
                    }
                    put(model.length, bytes);
                    try (OutputStream out = FilePath.get(name()).newOutputStream(true)) {
                        out.write(bytes);
                    }
                }
                case 15 -> {
                    if (random.nextInt(8) == 0) {
                        channel.force(random.nextBoolean());
                    }
                }
                case 16 -> {
                    channel.close();
                    channels.remove(opened);
                    channels.add(new Opened());
                    return;
                }
                case 17 -> {
                    if (random.nextInt(20) == 0) {
                        compareAll();
                    }
                }
                case 18 -> {
                    if (random.nextInt(60) == 0) {
                        try (OutputStream out = FilePath.get(name()).newOutputStream(false)) {
                            model = bytes(filled(length()));
                            out.write(model);
                        }
                    }
                }
                default -> assertEquals(model.length, random.nextBoolean() ? channel.size()
                        : FileUtils.size(name()), this::at);
            }
            assertEquals(opened.position, opened.channel.position(), this::at);
        }

        private void compareAll() throws IOException {
            for (Opened opened : channels) {
                assertEquals(model.length, opened.channel.size(), this::at);
                assertArrayEquals(model, readAll(opened.channel), this::at);
            }
        }

        private String name() {
            return names.get(random.nextInt(names.size()));
        }

        private String at() {
            return "seed " + seed + ", step " + step;
        }

        private int expectedCount(int position, int wanted) {
            return wanted == 0 ? 0 : position >= model.length ? -1 : Math.min(wanted, model.length - position);
        }

        private void checkRead(ByteBuffer buffer, int start, int count, int position, byte[] before) {
            byte[] expected = before.clone();
            if (count > 0) {
                System.arraycopy(model, position, expected, 0, count);
            }
            assertArrayEquals(expected, bytes(buffer.duplicate().position(start)), this::at);
        }

        private void put(int position, byte[] bytes) {
            if (bytes.length > 0 && position + bytes.length > model.length) {
                model = Arrays.copyOf(model, position + bytes.length);
            }
            System.arraycopy(bytes, 0, model, bytes.length == 0 ? 0 : position, bytes.length);
        }

        /** Lengths at which block and page arithmetic goes wrong. */
        private int length() {
            int near = switch (random.nextInt(7)) {
                case 0 -> 0;
                case 1 -> 512;
                case 2 -> 4096;
                case 3 -> 2 * 4096;
                case 4 -> pageSize;
                case 5 -> Math.min(2 * pageSize, MAX_FILE / 4);
                default -> random.nextInt(10_000);
            };
            return Math.max(0, near + random.nextInt(3) - 1);
        }

        private int position() {
            int limit = MAX_FILE - 3 * pageSize;
            int near = switch (random.nextInt(4)) {
                case 0 -> random.nextInt(MAX_FILE / 4096) * 4096;
                case 1 -> model.length;
                case 2 -> random.nextInt(1 + MAX_FILE / pageSize) * pageSize;
                default -> random.nextInt(model.length + 5_000);
            };
            return Math.clamp(near + random.nextInt(3) - 1, 0, limit);
        }

        private ByteBuffer filled(int length) {
            byte[] bytes = new byte[length];
            random.nextBytes(bytes);
            ByteBuffer buffer = buffer(length);
            buffer.duplicate().put(bytes);
            return random.nextInt(4) == 0 ? buffer.asReadOnlyBuffer() : buffer;
        }

        /** A buffer of any kind with {@code length} bytes remaining. */
        private ByteBuffer buffer(int length) {
            int before = random.nextInt(3) * random.nextInt(100);
            int capacity = before + length + random.nextInt(10);
            ByteBuffer buffer = random.nextBoolean() ? ByteBuffer.allocate(capacity)
                    : ByteBuffer.allocateDirect(capacity);
            buffer.position(before).limit(before + length);
            return random.nextInt(3) == 0 ? buffer.slice() : buffer;
        }

        private final class Opened {
            private final FileChannel channel;
            private int position;

            Opened() throws IOException {
                channel = FileUtils.open(name(), random.nextInt(20) == 0 ? "rwd" : "rw");
            }
        }
    }

    @Test
    void keepsWritesOfManyThreadsApart() throws Exception {
        long seed = System.nanoTime();
        System.out.println("seed " + seed);
        warm = Warm.of(48 * 4096L);
        Path file = dir.resolve("file");
        // A region ends within a block that the next one begins in: its two writers change one block at a time.
        int region = 61_111;
        int threads = 4;
        byte[] model = new byte[threads * region];
        new Random(seed).nextBytes(model);
        Files.write(file, model);
        List<byte[]> appended = new ArrayList<>();
        try (FileChannel first = FileUtils.open(Warm.path(file), "rw");
                FileChannel second = FileUtils.open(Warm.path(file), "rw");
                ExecutorService pool = Executors.newFixedThreadPool(threads + 2)) {
            List<Callable<Void>> work = new ArrayList<>();
            for (int t = 0; t < threads; t++) {
                int id = t;
                work.add(() -> {
                    Random random = new Random(seed + id);
                    int start = id * region;
                    for (int i = 0; i < 1_500; i++) {
                        FileChannel channel = random.nextBoolean() ? first : second;
                        int from = start + random.nextInt(region);
                        int length = Math.min(1 + random.nextInt(9_000), start + region - from);
                        byte[] bytes = new byte[length];
                        if (random.nextBoolean()) {
                            random.nextBytes(bytes);
                            channel.write(ByteBuffer.wrap(bytes), from);
                            System.arraycopy(bytes, 0, model, from, length);
                        } else {
                            int count = channel.read(ByteBuffer.wrap(bytes), from);
                            assertEquals(length, count);
                            assertArrayEquals(Arrays.copyOfRange(model, from, from + length), bytes,
                                    () -> "seed " + seed + ", read of " + length + " at " + from);
                        }
                    }
                    return null;
                });
            }
            for (int t = 0; t < 2; t++) {
                int id = t;
                work.add(() -> {
                    Random random = new Random(seed - 1 - id);
                    try (OutputStream out = FilePath.get(Warm.path(file)).newOutputStream(true)) {
                        for (int i = 0; i < 300; i++) {
                            byte[] record = new byte[1 + random.nextInt(3_000)];
                            Arrays.fill(record, (byte) (100 + id));
                            out.write(record);
                            synchronized (appended) {
                                appended.add(record);
                            }
                        }
                    }
                    return null;
                });
            }
            for (Future<Void> done : pool.invokeAll(work)) {
                done.get();
            }
            byte[] all = readAll(first);
            assertArrayEquals(model, Arrays.copyOf(all, model.length), () -> "seed " + seed);
            assertArrayEquals(all, Files.readAllBytes(file), () -> "seed " + seed);
            for (byte id : new byte[] {100, 101}) {
                int expected = appended.stream().filter(r -> r[0] == id).mapToInt(r -> r.length).sum();
                int found = 0;
                for (int i = model.length; i < all.length; i++) {
                    found += all[i] == id ? 1 : 0;
                }
                assertEquals(expected, found, () -> "seed " + seed + ": every append went to an end of its own");
            }
            assertEquals(model.length + appended.stream().mapToInt(r -> r.length).sum(), all.length);
        }
    }

    static byte[] readAll(FileChannel channel) throws IOException {
        ByteBuffer all = ByteBuffer.allocate((int) channel.size());
        int count = 0;
        while (all.hasRemaining() && count >= 0) {
            count = channel.read(all, all.position());
        }
        assertEquals(0, all.remaining());
        return all.array();
    }

    private static byte[] bytes(ByteBuffer buffer) {
        byte[] bytes = new byte[buffer.remaining()];
        buffer.get(bytes);
        return bytes;
    }
}
