/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture.faults;

import io.warmcache.torture.faults.Strike.Target;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/** Changes files behind a cache's back. */
final class StoreFaults {
    private final Dataset data;
    private final Random random;

    StoreFaults(Dataset data, Random random) {
        this.data = data;
        this.random = random;
    }

    Strike strike(int file, String what) {
        List<Target> targets = new ArrayList<>();
        for (int p = 0; p < data.pages(); p++) {
            targets.add(new Target(file, p));
        }
        return new Strike(what, List.copyOf(targets), "");
    }

    /** Changes some of the files, each in one of the ways that need nothing but the file. */
    List<Strike> change(int count) throws IOException {
        List<Strike> strikes = new ArrayList<>();
        for (int f : Draw.distinct(random, count, data.files())) {
            Path file = data.file(f);
            strikes.add(switch (random.nextInt(4)) {
                case 0 -> {
                    overwrite(file, true);
                    yield strike(f, "changed in place, mtime put back");
                }
                case 1 -> {
                    Files.delete(file);
                    Files.write(file, other());
                    yield strike(f, "replaced by one of the same size");
                }
                case 2 -> {
                    Path fresh = file.resolveSibling("fresh");
                    Files.write(fresh, other());
                    Files.move(fresh, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
                    yield strike(f, "another renamed over it");
                }
                default -> {
                    FileTime time = Files.getLastModifiedTime(file);
                    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
                        long size = channel.size();
                        channel.truncate(random.nextLong(size));
                        var _ = channel.write(ByteBuffer.wrap(new byte[1]), size - 1);
                    }
                    if (random.nextBoolean()) {
                        Files.setLastModifiedTime(file, time);
                    }
                    yield strike(f, "truncated and extended again");
                }
            });
        }
        return strikes;
    }

    private byte[] other() {
        byte[] bytes = new byte[data.pages() * data.pageSize()];
        random.nextBytes(bytes);
        return bytes;
    }

    /** One block, in place. */
    void overwrite(Path file, boolean putBack) throws IOException {
        FileTime time = Files.getLastModifiedTime(file);
        byte[] block = new byte[Dataset.BLOCK];
        random.nextBytes(block);
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
            var _ = channel.write(
                    ByteBuffer.wrap(block), Dataset.BLOCK * random.nextLong(channel.size() / Dataset.BLOCK));
        }
        if (putBack) {
            Files.setLastModifiedTime(file, time);
        }
    }

    /** A copy of each file, as a backup would have it. */
    List<byte[]> copies() throws IOException {
        List<byte[]> copies = new ArrayList<>();
        for (int f = 0; f < data.files(); f++) {
            copies.add(Files.readAllBytes(data.file(f)));
        }
        return copies;
    }

    /** Puts a copy back in place, over the file or as {@code cp} does, from nothing. */
    Strike restore(int file, byte[] copy) throws IOException {
        boolean truncate = random.nextBoolean();
        try (FileChannel channel = truncate
                ? FileChannel.open(data.file(file), StandardOpenOption.WRITE, StandardOpenOption.TRUNCATE_EXISTING)
                : FileChannel.open(data.file(file), StandardOpenOption.WRITE)) {
            for (int at = 0; at < copy.length; ) {
                at += channel.write(ByteBuffer.wrap(copy, at, copy.length - at), at);
            }
        }
        return strike(file, "restored from a copy at the kill");
    }
}
