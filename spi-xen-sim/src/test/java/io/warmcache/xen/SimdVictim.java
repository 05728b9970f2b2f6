/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

import io.warmcache.CacheConfig;
import io.warmcache.CacheException;
import io.warmcache.MapOptions;
import io.warmcache.PageCache;
import io.warmcache.PagedFile;
import io.warmcache.WritePin;
import io.warmcache.WritePolicy;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.Map;
import java.util.Random;

/**
 * A guest that {@link XenSimdTest} kills: several threads write and read pages without end, and keep an account beside
 * the file, in a mapping that outlives them, of writes begun and acknowledged.
 */
final class SimdVictim {
    static final int PAGES = 1500;
    static final int FRAMES = 500;
    static final int THREADS = 3;

    private SimdVictim() {}

    static CacheConfig config(Path socket, String name, int pageSize) {
        return CacheConfig.of(name, (long) FRAMES * pageSize)
                .withBackend("xen")
                .withPageSize(pageSize)
                .withOwnerWait(Duration.ofSeconds(60))
                .withMaxUnfinishedAttaches(0)
                .withOptions(Map.of("xen.socket", socket.toString()));
    }

    static long wordOf(long page, long count) {
        return (page + 1) << 40 | count;
    }

    static MemorySegment account(Path file) throws Exception {
        try (FileChannel channel = FileChannel.open(
                file, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            return channel.map(FileChannel.MapMode.READ_WRITE, 0, PAGES * 16L, Arena.ofAuto());
        }
    }

    /** Arguments: socket, cache, file, page size, policy, seed. */
    public static void main(String[] args) throws Exception {
        int pageSize = Integer.parseInt(args[3]);
        MemorySegment account = account(Path.of(args[2] + ".account"));
        PageCache cache = PageCache.open(
                config(Path.of(args[0]), args[1], pageSize).withMaxCapacity(2L * FRAMES * pageSize));
        PagedFile file = cache.map(
                Path.of(args[2]), MapOptions.DEFAULT.withPolicy(WritePolicy.valueOf(args[4])));
        System.out.println("READY kept=" + cache.recovery().kept());
        for (int t = 0; t < THREADS; t++) {
            int number = t;
            Thread.ofPlatform().start(() -> work(file, account, number, Long.parseLong(args[5])));
        }
        Thread.ofPlatform().start(() -> resize(cache, pageSize, new Random(Long.parseLong(args[5]))));
    }

    /** Memory comes and goes while it is killed. */
    private static void resize(PageCache cache, int pageSize, Random random) {
        try {
            while (true) {
                try {
                    cache.resize((FRAMES / 4 + random.nextInt(7 * FRAMES / 4)) * (long) pageSize);
                } catch (CacheException e) {
                    System.out.println("not resized: " + e.getMessage()); // pages in the way stay dirty
                }
            }
        } catch (Throwable t) {
            t.printStackTrace();
            Runtime.getRuntime().halt(3);
        }
    }

    private static void work(PagedFile file, MemorySegment account, int number, long seed) {
        Random random = new Random(seed * THREADS + number);
        try {
            while (true) {
                // Each thread has pages of its own, so that a page's account has one writer.
                long page = random.nextInt(random.nextBoolean() ? 100 : PAGES / THREADS) * (long) THREADS + number;
                switch (random.nextInt(40)) {
                    case 0 -> file.flush();
                    case 1 -> file.force();
                    case 2, 3, 4, 5, 6, 7, 8, 9 -> write(file, account, page);
                    default -> check(file, account, page);
                }
            }
        } catch (Throwable t) {
            t.printStackTrace();
            Runtime.getRuntime().halt(1);
        }
    }

    private static void write(PagedFile file, MemorySegment account, long page) throws Exception {
        long count = account.get(ValueLayout.JAVA_LONG, page * 16) + 1;
        account.set(ValueLayout.JAVA_LONG, page * 16, count);
        VarHandle.fullFence(); // the account is not to be reordered with the write
        try (WritePin pin = file.pinForWrite(page)) {
            pin.dirty(0, file.pageSize());
            MemorySegment bytes = pin.segment();
            for (long at = 0; at < bytes.byteSize(); at += 8) {
                bytes.set(ValueLayout.JAVA_LONG, at, wordOf(page, count));
            }
        }
        VarHandle.fullFence(); // as above
        account.set(ValueLayout.JAVA_LONG, page * 16 + 8, count);
    }

    /** A page this thread alone writes holds what it wrote last. */
    private static void check(PagedFile file, MemorySegment account, long page) throws Exception {
        long count = account.get(ValueLayout.JAVA_LONG, page * 16 + 8);
        if (count == 0 || account.get(ValueLayout.JAVA_LONG, page * 16) != count) {
            return;
        }
        byte[] bytes = new byte[file.pageSize()];
        var _ = file.read(page * bytes.length, MemorySegment.ofArray(bytes));
        long word = MemorySegment.ofArray(bytes).get(ValueLayout.JAVA_LONG_UNALIGNED, bytes.length - 8L);
        if (word != wordOf(page, count)) {
            throw new AssertionError("page " + page + " holds " + Long.toHexString(word) + ", written was "
                    + Long.toHexString(wordOf(page, count)));
        }
    }
}
