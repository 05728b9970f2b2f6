/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture.soak;

import io.warmcache.CacheConfig;
import io.warmcache.MapOptions;
import io.warmcache.PageCache;
import io.warmcache.PagedFile;
import io.warmcache.WritePolicy;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/**
 * One life of the cache: compares every page with its file, then reads and writes until it is killed or told to stop.
 * Every word of a page holds the page's number and how often it was written.
 */
final class SoakChild {
    static final int PAGE = 4096;
    static final int FILES = 3;
    private static final int THREADS = 3;
    private static final int SHOWN = 10;
    private static final long COUNT = (1L << 40) - 1;

    private final SoakAccount account;
    private final Path directory;
    private final long seed;
    private final int pages;
    private final long pauseNanos;
    private final PageCache cache;
    private final List<PagedFile> files = new ArrayList<>();
    private volatile boolean stopping;

    private SoakChild(SoakAccount account, Path directory, PageCache cache, int pages, long seed, int rate) {
        this.account = account;
        this.directory = directory;
        this.cache = cache;
        this.pages = pages;
        this.seed = seed;
        pauseNanos = rate == 0 ? 0 : TimeUnit.SECONDS.toNanos(1) * THREADS / rate;
    }

    static CacheConfig config(String name, String socket, int pages) {
        // Two thirds of the pages fit.
        CacheConfig config = CacheConfig.of(name, (long) pages * FILES * 2 / 3 * PAGE)
                .withPageSize(PAGE)
                .withMaxFiles(32)
                .withMaxUnfinishedAttaches(0)
                .withOwnerWait(Duration.ofSeconds(60));
        return socket.isEmpty() ? config : config.withBackend("xen").withOptions(Map.of("xen.socket", socket));
    }

    static Path data(Path directory, int file) {
        return directory.resolve("data-" + file);
    }

    static Path account(Path directory) {
        return directory.resolve("account");
    }

    /** Arguments: cache, socket or nothing, directory, pages of a file, seed, rate. */
    public static void main(String[] args) throws Exception {
        Path directory = Path.of(args[2]);
        int pages = Integer.parseInt(args[3]);
        SoakAccount account = SoakAccount.map(account(directory), (long) FILES * pages, Arena.global());
        PageCache cache = PageCache.open(config(args[0], args[1], pages));
        new SoakChild(account, directory, cache, pages, Long.parseLong(args[4]), Integer.parseInt(args[5])).live();
    }

    private static MapOptions options(int file) {
        return MapOptions.DEFAULT.withPolicy(file == 0 ? WritePolicy.WRITE_BACK : WritePolicy.WRITE_THROUGH);
    }

    private void live() throws Exception {
        for (int f = 0; f < FILES; f++) {
            files.add(cache.map(data(directory, f), options(f)));
        }
        account.set(SoakAccount.KEPT, cache.recovery().kept());
        for (int f = 0; f < FILES; f++) {
            compare(f);
        }
        account.set(SoakAccount.READY, 1);
        List<Thread> threads = new ArrayList<>();
        for (int t = 0; t < THREADS; t++) {
            int number = t;
            threads.add(start("worker-" + t, () -> work(number)));
        }
        threads.add(start("churn", this::churn));
        while (account.get(SoakAccount.STOP) == 0) {
            account.set(SoakAccount.RESIDENT, cache.stats().residentFrames());
            LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(50));
        }
        stopping = true;
        for (Thread thread : threads) {
            thread.join();
        }
        for (PagedFile file : files) {
            file.close();
        }
        cache.close();
    }

    /** What a thread does; any failure of it ends the process, which the parent reports. */
    private interface Task {
        void run() throws IOException;
    }

    private static Thread start(String name, Task task) {
        return Thread.ofPlatform().name(name).start(() -> {
            try {
                task.run();
            } catch (Throwable t) {
                t.printStackTrace();
                Runtime.getRuntime().halt(1);
            }
        });
    }

    private long number(int file, long page) {
        return (long) file * pages + page;
    }

    private static long word(MemorySegment bytes, long at) {
        return bytes.get(ValueLayout.JAVA_LONG_UNALIGNED, at);
    }

    /** Every page, as the cache serves it, against the file, read past the cache; and against the account. */
    private void compare(int f) throws IOException {
        byte[] served = new byte[PAGE];
        byte[] stored = new byte[PAGE];
        MemorySegment view = MemorySegment.ofArray(served);
        try (FileChannel file = FileChannel.open(data(directory, f), StandardOpenOption.READ)) {
            for (long page = 0; page < pages; page++) {
                long misses = cache.stats().misses();
                int n = files.get(f).readOnce(page * PAGE, view);
                account.add(SoakAccount.WARM, misses == cache.stats().misses() ? 1 : 0);
                account.add(SoakAccount.COMPARED, 1);
                ByteBuffer into = ByteBuffer.wrap(stored);
                while (into.hasRemaining() && file.read(into, page * PAGE + into.position()) > 0) {
                    // a short read: the rest
                    Thread.onSpinWait();
                }
                if (n != PAGE || into.hasRemaining() || MemorySegment.ofArray(stored).mismatch(view) >= 0) {
                    wrong(f, page, "the cache and the file differ after the restart");
                }
                long id = number(f, page);
                // What was written back only is not lost by a rule, but may be.
                boolean mayGoBack = options(f).policy() == WritePolicy.WRITE_BACK;
                check(f, page, view, mayGoBack ? 0 : account.acknowledged(id), account.begun(id));
                account.acknowledge(id, word(view, 0) & COUNT);
            }
        }
    }

    private void check(int file, long page, MemorySegment bytes, long least, long most) {
        long first = word(bytes, 0);
        long count = first & COUNT;
        if (first != 0 && first >>> 40 != number(file, page) + 1) {
            wrong(file, page, "it holds page " + ((first >>> 40) - 1));
        } else if (count < least || count > most) {
            wrong(file, page, "it holds write " + count + ", which must be from " + least + " to " + most);
        }
        for (long at = 8; at < PAGE; at += 8) {
            if (word(bytes, at) != first) {
                wrong(file, page, "it is torn at byte " + at);
                return;
            }
        }
    }

    private void wrong(int file, long page, String what) {
        account.add(SoakAccount.WRONG, 1);
        if (account.get(SoakAccount.WRONG) <= SHOWN) {
            System.err.println("WRONG: page " + page + " of file " + file + ": " + what);
        }
    }

    /** Each thread writes pages of its own, so that a page's account has one writer; all read all. */
    private void work(int me) throws IOException {
        Random random = new Random(seed * THREADS + me);
        MemorySegment bytes = MemorySegment.ofArray(new byte[PAGE]);
        long next = System.nanoTime();
        while (!stopping) {
            int f = random.nextInt(FILES);
            // Half of all goes to a tenth of the pages.
            long page = random.nextInt(random.nextBoolean() ? pages / 10 : pages);
            switch (random.nextInt(1000)) {
                case 0 -> files.get(f).force();
                case 1 -> files.get(f).flush();
                case 2 -> files.get(f).prefetch(page, 16);
                default -> {
                    if (random.nextInt(5) == 0) {
                        write(f, page / THREADS * THREADS + me, bytes);
                    } else {
                        read(f, page, bytes);
                    }
                }
            }
            account.add(SoakAccount.OPERATIONS, 1);
            if (pauseNanos > 0) {
                next += pauseNanos;
                long left = next - System.nanoTime();
                if (left > TimeUnit.MILLISECONDS.toNanos(1)) {
                    LockSupport.parkNanos(left);
                }
            }
        }
    }

    private void read(int f, long page, MemorySegment bytes) throws IOException {
        long id = number(f, page);
        long least = account.acknowledged(id);
        if (files.get(f).read(page * PAGE, bytes) != PAGE) {
            wrong(f, page, "it is past the end");
        }
        check(f, page, bytes, least, account.begun(id));
    }

    private void write(int f, long page, MemorySegment bytes) throws IOException {
        if (page >= pages) {
            return;
        }
        long id = number(f, page);
        long count = account.begun(id) + 1;
        long word = (id + 1) << 40 | count;
        for (long at = 0; at < PAGE; at += 8) {
            bytes.set(ValueLayout.JAVA_LONG_UNALIGNED, at, word);
        }
        account.begin(id, count);
        files.get(f).write(page * PAGE, bytes);
        account.acknowledge(id, count);
    }

    /** Files that come and go: mappings, slots of the file table and frames of what is deleted must not pile up. */
    private void churn() throws IOException {
        Random random = new Random(-seed);
        byte[] bytes = new byte[8 * PAGE];
        byte[] read = new byte[bytes.length];
        while (!stopping) {
            Path path = directory.resolve("churn-" + random.nextInt(100));
            random.nextBytes(bytes);
            try (PagedFile file = cache.map(path, options(random.nextInt(FILES)).withCreate(true))) {
                file.write(0, MemorySegment.ofArray(bytes));
                file.force();
                int n = file.read(0, MemorySegment.ofArray(read));
                if (n != read.length || !java.util.Arrays.equals(bytes, read)) {
                    wrong(-1, 0, path + " does not hold what was written to it");
                }
                file.truncate(random.nextInt(bytes.length));
            }
            Files.delete(path);
            for (int i = 0; i < 4 && !stopping; i++) {
                LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(50));
            }
        }
    }
}
