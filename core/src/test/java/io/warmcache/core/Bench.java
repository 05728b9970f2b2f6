/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.warmcache.CacheConfig;
import io.warmcache.MapOptions;
import io.warmcache.PagedFile;
import io.warmcache.WritePolicy;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.Arrays;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;

/** One cache with one store on the heap, and what a test needs to put two threads into an order. */
final class Bench {
    /** Longer than anything here takes; only a failing test waits for it. */
    private static final long PATIENCE_SECONDS = 20;

    final CacheConfig config;
    final HeapBackend.Segment segment;
    final MemoryStore store;
    Cache cache;
    PagedFile file;

    private final MapOptions options;

    Bench(CacheConfig config, WritePolicy policy, byte[] bytes) throws IOException {
        this(config, policy, bytes, Cache.VERSION_BITS);
    }

    Bench(CacheConfig config, WritePolicy policy, byte[] bytes, int versionBits) throws IOException {
        this.config = config;
        options = MapOptions.DEFAULT.withPolicy(policy);
        segment = new HeapBackend.Segment(config);
        store = new MemoryStore(bytes);
        cache = segment.attach(config, versionBits);
        file = cache.map(store, options);
    }

    /** Frames of 4 KiB, latches that are given up soon. */
    static CacheConfig small(int frames) {
        return CacheConfig.of("bench", frames * 4096L).withLatchTimeout(Duration.ofMillis(300));
    }

    /** As {@link #small}, for tests in which no latch may time out. */
    static CacheConfig patient(int frames) {
        return small(frames).withLatchTimeout(Duration.ofSeconds(PATIENCE_SECONDS));
    }

    /** Pages of which each is filled with its own number plus {@code first}. */
    static byte[] pages(int first, int count) {
        byte[] bytes = new byte[count * 4096];
        for (int i = 0; i < count; i++) {
            Arrays.fill(bytes, i * 4096, (i + 1) * 4096, (byte) (first + i));
        }
        return bytes;
    }

    static byte[] filled(int value, int length) {
        byte[] bytes = new byte[length];
        Arrays.fill(bytes, (byte) value);
        return bytes;
    }

    /** The inside of {@link #file}. */
    CachedFile inside() {
        return ((MappedFile) file).file();
    }

    void write(long position, byte[] bytes) throws IOException {
        file.write(position, MemorySegment.ofArray(bytes));
    }

    byte[] read(long position, int length) throws IOException {
        byte[] bytes = new byte[length];
        int n = file.read(position, MemorySegment.ofArray(bytes));
        return Arrays.copyOf(bytes, Math.max(0, n));
    }

    /** The first byte of a page, read through the cache. */
    int first(long page) throws IOException {
        return read(page << 12, 1)[0];
    }

    /** Maps the store again after its last mapping was closed. */
    void map() throws IOException {
        file = cache.map(store, options);
    }

    /** Leaves the cache as a death of the process would, and opens its successor. */
    void die() throws IOException {
        cache.maintenance.stop();
        cache = segment.attach(config);
        map();
    }

    /** The translation word of a page. */
    long word(long page) {
        long[] leaf = inside().index.leaf(page);
        return leaf == null ? 0 : TranslationWord.get(leaf, RadixIndex.slot(page));
    }

    long state(long page) {
        return TranslationWord.state(word(page));
    }

    /**
     * Fails if anything of the cache contradicts itself, and goes on doing so: the background thread may be at work
     * for a moment.
     */
    void assertSound() {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(10);
        while (true) {
            try {
                checkSound();
                return;
            } catch (AssertionError e) {
                if (System.nanoTime() - deadline > 0) {
                    throw e;
                }
                Thread.onSpinWait();
            }
        }
    }

    private void checkSound() {
        assertEquals(Set.of(), cache.problems());
        for (CachedFile each : cache.files()) {
            assertEquals(1, each.extension.availablePermits(), "extension permits of " + each.name);
            assertEquals(Long.MAX_VALUE, each.truncatingFrom, "truncate under way of " + each.name);
            assertEquals(0, each.usage.getReadLockCount(), "usage of " + each.name);
        }
    }

    // ---- threads ---------------------------------------------------------------------------------------------------

    /** Something done by a thread of its own. */
    static final class Task<T> {
        final Thread thread;
        private final FutureTask<T> future;

        private Task(Callable<T> work) {
            future = new FutureTask<>(work);
            thread = new Thread(future, "bench-task");
            thread.setDaemon(true);
            thread.start();
        }

        boolean isDone() {
            return future.isDone();
        }

        /** The result; fails if there is none after a while. */
        T get() throws Exception {
            try {
                return future.get(PATIENCE_SECONDS, TimeUnit.SECONDS);
            } catch (TimeoutException e) {
                AssertionError stuck = new AssertionError("stuck in " + Arrays.toString(thread.getStackTrace()));
                stuck.addSuppressed(e);
                throw stuck;
            }
        }

        /** Waits until the thread is parked, which is taken to mean that it waits for what the test holds. */
        Task<T> awaitParked() {
            awaitThat(
                    "parked",
                    () -> thread.getState() == Thread.State.WAITING || thread.getState() == Thread.State.TIMED_WAITING);
            return this;
        }
    }

    static <T> Task<T> async(Callable<T> work) {
        return new Task<>(work);
    }

    /** What a test throws away. */
    interface Action {
        void run() throws Exception;
    }

    static Task<Void> run(Action work) {
        return new Task<>(() -> {
            work.run();
            return null;
        });
    }

    static void awaitThat(String what, BooleanSupplier condition) {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_SECONDS);
        while (!condition.getAsBoolean()) {
            if (System.nanoTime() - deadline > 0) {
                throw new AssertionError("waited in vain for: " + what);
            }
            LockSupport.parkNanos(100_000);
        }
    }

    /** Holds the first operation of a kind on a store until it is let go. */
    final class Gate {
        private final CountDownLatch reached = new CountDownLatch(1);
        private final CountDownLatch opened = new CountDownLatch(1);

        Gate(String operation) {
            store.hook = (name, position, length) -> {
                if (name.equals(operation) && reached.getCount() > 0) {
                    reached.countDown();
                    pass(opened);
                }
            };
        }

        void awaitReached() {
            pass(reached);
        }

        void open() {
            opened.countDown();
        }
    }

    private static void pass(CountDownLatch latch) {
        boolean interrupted = false;
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_SECONDS);
        try {
            while (true) {
                try {
                    if (!latch.await(deadline - System.nanoTime(), TimeUnit.NANOSECONDS)) {
                        throw new AssertionError("nobody came to the gate, or opened it");
                    }
                    return;
                } catch (InterruptedException e) {
                    interrupted = true;
                }
            }
        } finally {
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    /** Makes one kind of operation of the store fail from now on; an empty name ends it. */
    void fail(String operation) {
        store.hook = (name, position, length) -> {
            if (name.equals(operation)) {
                throw new IOException("injected at " + name + " " + position);
            }
        };
    }
}
