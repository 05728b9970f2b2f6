/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import io.warmcache.BackingStore;
import io.warmcache.CacheConfig;
import io.warmcache.DropReason;
import io.warmcache.IoMode;
import io.warmcache.MapOptions;
import io.warmcache.spi.BackendConfig;
import io.warmcache.spi.BackendFile;
import io.warmcache.spi.FrameState;
import io.warmcache.spi.SurvivorVisitor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * A directory for data, a directory in shared memory for segments, and what opens caches there; deletes both at the
 * end.
 */
final class Env implements AutoCloseable {
    static final int PAGE = 8192;
    static final int FRAMES = 24;
    static final MapOptions BUFFERED = MapOptions.DEFAULT.withIoMode(IoMode.BUFFERED);

    final Path data;
    final Path segments;
    /** Bytes of the pages of the kernel that attaches are to assume. */
    long kernelPage = Libc.pageSize();

    private final List<ShmBackend> open = new ArrayList<>();

    Env() throws IOException {
        NativeAccess.require();
        data = Files.createTempDirectory("warmcache-test");
        segments = Files.createTempDirectory(Path.of("/dev/shm"), "warmcache-test");
    }

    /** Where the segment of {@link #config()} lies. */
    Path segment() {
        return segments.resolve("segment");
    }

    CacheConfig config() {
        return config(segment());
    }

    static CacheConfig config(Path segment) {
        return CacheConfig.of(segment.toString(), (long) FRAMES * PAGE)
                .withPageSize(PAGE)
                .withMaxFiles(6)
                .withMaxUnfinishedAttaches(0)
                .withOwnerWait(Duration.ofMillis(200));
    }

    static BackendConfig backendConfig(CacheConfig config) {
        return new BackendConfig(config, TestChecksum.INSTANCE, List.of(TestChecksum.INSTANCE));
    }

    ShmBackend attach() throws IOException {
        return attach(config(), null);
    }

    ShmBackend attach(CacheConfig config) throws IOException {
        return attach(config, null);
    }

    ShmBackend attach(CacheConfig config, @Nullable StepHook hook) throws IOException {
        return attach(backendConfig(config), hook);
    }

    ShmBackend attach(BackendConfig config) throws IOException {
        return attach(config, null);
    }

    private ShmBackend attach(BackendConfig config, @Nullable StepHook hook) throws IOException {
        return attach(config, new RingCalls.Kernel(), hook);
    }

    /** As on a kernel whose io_uring does this. */
    ShmBackend attach(CacheConfig config, RingCalls calls, @Nullable StepHook hook) throws IOException {
        return attach(backendConfig(config), calls, hook);
    }

    private ShmBackend attach(BackendConfig config, RingCalls calls, @Nullable StepHook hook) throws IOException {
        ShmBackend backend =
                ShmBackend.attach(config, MemoryBudget.ofThisProcess(), Format.CURRENT, kernelPage, calls, hook);
        open.add(backend);
        return backend;
    }

    /** Has a backend closed at the end if the test does not. */
    void closeLater(ShmBackend backend) {
        open.add(backend);
    }

    /** Lets go of a backend as a death would: nothing is written, the lock is given up. */
    static void kill(ShmBackend backend, BackendFile... files) throws IOException {
        for (BackendFile f : files) {
            f.store().close();
        }
        backend.abandon();
    }

    Path file(String name, byte[] content) throws IOException {
        return Files.write(data.resolve(name), content);
    }

    /** Opens a plain file and accepts it whatever the verdict. */
    static ShmFile map(ShmBackend backend, Path file, MapOptions options) throws IOException {
        ShmFile f = open(backend, file, options);
        f.force();
        f.accept();
        return f;
    }

    static ShmFile open(ShmBackend backend, Path file, MapOptions options) throws IOException {
        return open(backend, backend.openStore(file, options));
    }

    static ShmFile open(ShmBackend backend, BackingStore store) throws IOException {
        BackendFile f = backend.openFile(store, id -> {
            throw new AssertionError("no file need be forgotten");
        });
        return (ShmFile) f;
    }

    static int[] ints(int... values) {
        return values;
    }

    static byte[] random(long seed, int length) {
        byte[] bytes = new byte[length];
        new java.util.Random(seed).nextBytes(bytes);
        return bytes;
    }

    /** What {@link ShmBackend#survivors} said of a frame. */
    record Found(@Nullable FrameState state, @Nullable DropReason dropped, long fileId, long page, int hint) {}

    static Map<Integer, Found> survivors(ShmBackend backend) {
        Map<Integer, Found> found = new TreeMap<>();
        backend.survivors(0, backend.frames(), new SurvivorVisitor() {
            @Override
            public void survivor(int frame, long fileId, long page, FrameState state, int hint) {
                found.put(frame, new Found(state, null, fileId, page, hint));
            }

            @Override
            public void dropped(int frame, DropReason reason, long fileId, long page) {
                found.put(frame, new Found(null, reason, fileId, page, 0));
            }
        });
        return found;
    }

    static void await(String what, BooleanSupplier condition) {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
        while (!condition.getAsBoolean()) {
            if (System.nanoTime() > deadline) {
                throw new AssertionError("waited 30 s for " + what);
            }
            LockSupport.parkNanos(1_000_000);
        }
    }

    /** Until the clock has moved on by this much: what file time stamps need to tell one instant from another. */
    static void pass(long nanos) {
        long start = System.nanoTime();
        await("the clock", () -> System.nanoTime() - start > nanos);
    }

    @Override
    public void close() throws Exception {
        for (ShmBackend backend : open) {
            try {
                backend.close();
            } catch (IllegalStateException e) {
                // The test failed before it closed its files; what matters here is that nothing stays behind.
                backend.abandon();
            }
        }
        for (Path root : List.of(data, segments)) {
            try (Stream<Path> files = Files.walk(root)) {
                for (Path p : files.sorted(java.util.Comparator.reverseOrder()).toList()) {
                    Files.deleteIfExists(p);
                }
            }
        }
    }
}
