/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.fuzz;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.random.RandomGenerator;

/** Checkpoint images: changed blindly, or in a part whose check is made to match again. */
final class ImageTarget extends WarmUpTarget {
    private static final int HEADER = 96;
    private static final int CHUNK_HEADER = 32;
    private static final int ENTRY = 24;
    private static final int END = 16;

    private final byte[] image;
    private final Path file;
    private final long number;
    private final int chunks;

    ImageTarget(Path out) throws IOException, InterruptedException {
        super(out, false);
        Path kept = out.resolve("base-image.bin");
        byte[] made = make(".wcimg");
        if (Files.exists(kept)) {
            // Of another number, which is random, but of the same store and content.
            image = Files.readAllBytes(kept);
        } else {
            image = made;
            Files.write(kept, image);
        }
        try (var all = Files.list(directory())) {
            file = all.filter(each -> each.toString().endsWith(".wcimg")).findFirst().orElseThrow();
        }
        number = over(image).getLong(16);
        chunks = over(image).getInt(image.length - END - (int) over(image).getLong(image.length - END) + 20);
    }

    @Override
    void put(RandomGenerator random) throws IOException {
        byte[] bytes = image.clone();
        int changes = 1 + random.nextInt(3);
        for (int i = 0; i < changes; i++) {
            switch (random.nextInt(8)) {
                case 0 -> Mutation.any(bytes, 0, bytes.length, random);
                case 1 -> Mutation.any(bytes, 0, HEADER, random);
                case 2 -> {
                    // The page size, the algorithm and the identity of the store are other fields of its check.
                    Mutation.any(bytes, 8, HEADER - 8, random);
                    seal(bytes, 0, HEADER - 8, over(bytes).getLong(16));
                }
                case 3 -> {
                    int from = footer();
                    Mutation.any(bytes, from, bytes.length, random);
                }
                case 4 -> {
                    int from = footer();
                    Mutation.any(bytes, from + 4, bytes.length - END - 8, random);
                    seal(bytes, from, bytes.length - END - 8, number);
                }
                case 5 -> table(bytes, random);
                case 6 -> stored(bytes, random);
                default -> {
                    if (i == changes - 1) {
                        bytes = Mutation.resized(bytes, random);
                    }
                }
            }
            if (bytes.length != image.length) {
                break;
            }
        }
        Files.write(file, bytes);
    }

    private int footer() {
        return image.length - END - (int) over(image).getLong(image.length - END);
    }

    private static void seal(byte[] bytes, int from, int at, long seed) {
        over(bytes).putLong(at, check(bytes, from, at - from, seed));
    }

    private int chunk(RandomGenerator random) {
        return Math.toIntExact(over(image).getLong(footer() + 64 + 8 * random.nextInt(chunks)));
    }

    /** The table of a chunk: other pages, generations, checksums, number of pages, length. */
    private void table(byte[] bytes, RandomGenerator random) {
        int chunk = chunk(random);
        int end = chunk + CHUNK_HEADER + over(image).getInt(chunk + 8) * ENTRY;
        ByteBuffer words = over(bytes);
        if (random.nextBoolean()) {
            int entry = chunk + CHUNK_HEADER + random.nextInt(over(image).getInt(chunk + 8)) * ENTRY;
            words.putInt(entry, (int) (random.nextBoolean() ? random.nextInt(64) : Mutation.word(random)));
        } else {
            Mutation.any(bytes, chunk + 8, end, random);
        }
        sealTable(bytes, chunk, end);
    }

    private void sealTable(byte[] bytes, int chunk, int end) {
        ByteBuffer words = over(bytes);
        words.putLong(chunk + 24, 0);
        words.putLong(chunk + 24, check(bytes, chunk, end - chunk, number));
    }

    /** What LZ4 is to make pages of, with a check that lets it. */
    private void stored(byte[] bytes, RandomGenerator random) {
        int chunk = chunk(random);
        int end = chunk + CHUNK_HEADER + over(image).getInt(chunk + 8) * ENTRY;
        int length = over(image).getInt(chunk + 12);
        if (random.nextInt(4) == 0) {
            length = 1 + random.nextInt(length);
            over(bytes).putInt(chunk + 12, length);
        }
        Mutation.any(bytes, end, end + length, random);
        over(bytes).putLong(chunk + 16, check(bytes, end, length, number));
        sealTable(bytes, chunk, end);
    }
}
