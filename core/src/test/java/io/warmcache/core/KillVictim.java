/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import io.warmcache.CacheConfig;
import io.warmcache.IoMode;
import io.warmcache.MapOptions;
import io.warmcache.PageCache;
import io.warmcache.PagedFile;
import io.warmcache.WritePin;
import io.warmcache.WritePolicy;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Random;

/**
 * The process that {@link KillTest} kills: writes pages without end. Beside the file it keeps an account, in a mapped
 * file that outlives it, of the writes it began and those that were acknowledged.
 */
final class KillVictim {
    static final int PAGES = 2000;
    static final int FRAMES = 600;

    private KillVictim() {}

    static CacheConfig config(String name, int pageSize) {
        return CacheConfig.of(name, (long) FRAMES * pageSize)
                .withPageSize(pageSize)
                .withMaxCapacity(2L * FRAMES * pageSize)
                .withMaxUnfinishedAttaches(0);
    }

    static long wordOf(long page, long count) {
        return ((page + 1) << 40) | count;
    }

    /** Arguments: cache, file, account, page size, policy, I/O mode, seed, whether to resize all the time. */
    public static void main(String[] args) throws Exception {
        int pageSize = Integer.parseInt(args[3]);
        WritePolicy policy = WritePolicy.valueOf(args[4]);
        long seed = Long.parseLong(args[6]);
        try (FileChannel channel =
                FileChannel.open(Path.of(args[2]), StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            MemorySegment account = channel.map(FileChannel.MapMode.READ_WRITE, 0, PAGES * 16L, Arena.global());
            PageCache cache = PageCache.open(config(args[0], pageSize));
            PagedFile file = cache.map(
                    Path.of(args[1]),
                    MapOptions.DEFAULT.withPolicy(policy).withIoMode(IoMode.valueOf(args[5])));
            System.out.println("READY " + cache.recovery().kept());
            for (int t = 1; t < 3; t++) {
                int number = t;
                Thread.ofPlatform().start(() -> work(file, account, number, seed));
            }
            if (Boolean.parseBoolean(args[7])) {
                Thread.ofPlatform().start(() -> resize(cache, seed));
            }
            work(file, account, 0, seed);
        }
    }

    private static void resize(PageCache cache, long seed) {
        Random random = new Random(seed);
        int pageSize = cache.config().pageSize();
        try {
            while (true) {
                cache.resize((FRAMES / 2 + random.nextInt(3 * FRAMES / 2 + 1)) * (long) pageSize);
            }
        } catch (Throwable t) {
            t.printStackTrace();
            Runtime.getRuntime().halt(1);
        }
    }

    private static void work(PagedFile file, MemorySegment account, int number, long seed) {
        Random random = new Random(seed * 3 + number);
        byte[] bytes = new byte[file.pageSize()];
        try {
            while (true) {
                // Each thread writes pages of its own, so that a page's account has one writer.
                long page = random.nextInt(random.nextBoolean() ? 150 : PAGES / 3) * 3L + number;
                switch (random.nextInt(50)) {
                    case 0 -> file.flush();
                    case 1 -> file.force();
                    default -> {
                        if (random.nextInt(4) == 0) {
                            write(file, account, page, bytes, random.nextInt(3));
                        } else if (page < file.pages()) {
                            file.read(page * file.pageSize(), MemorySegment.ofArray(bytes));
                        }
                    }
                }
            }
        } catch (Throwable t) {
            t.printStackTrace();
            Runtime.getRuntime().halt(1);
        }
    }

    private static void write(PagedFile file, MemorySegment account, long page, byte[] bytes, int how)
            throws IOException {
        long count = account.get(ValueLayout.JAVA_LONG, page * 16) + 1;
        account.set(ValueLayout.JAVA_LONG, page * 16, count);
        VarHandle.fullFence(); // the account is not to be reordered with the write
        MemorySegment heap = MemorySegment.ofArray(bytes);
        fill(heap, wordOf(page, count));
        if (how == 0 || page >= file.pages()) {
            file.write(page * bytes.length, heap);
        } else {
            try (WritePin pin = how == 1 ? file.pinForOverwrite(page) : file.pinForWrite(page)) {
                pin.dirty(0, bytes.length);
                fill(pin.segment(), wordOf(page, count));
            }
        }
        VarHandle.fullFence(); // the account is not to be reordered with the write
        account.set(ValueLayout.JAVA_LONG, page * 16 + 8, count);
    }

    private static void fill(MemorySegment segment, long word) {
        for (long at = 0; at < segment.byteSize(); at += 8) {
            segment.set(ValueLayout.JAVA_LONG_UNALIGNED, at, word);
        }
    }
}
