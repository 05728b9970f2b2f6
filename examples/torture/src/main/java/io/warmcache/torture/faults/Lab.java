/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture.faults;

import io.warmcache.BusyException;
import io.warmcache.CacheConfig;
import io.warmcache.PageCache;
import io.warmcache.xen.BreakableSimd;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** A cache of one back end, its files, and its lives one after the other. */
final class Lab implements AutoCloseable {
    /** Frames beside those for the files' pages. */
    private static final int SPARE = 16;

    final Dataset data;
    final int frames;
    private final Path directory;
    private final @Nullable Path segments;
    private final @Nullable BreakableSimd simd;
    private final String name;

    /**
     * Makes the files.
     *
     * @param data where the files are to be, or null for a directory beside the rest
     */
    Lab(boolean xen, int files, int pages, int pageSize, @Nullable Path data) throws IOException {
        directory = Files.createTempDirectory("warmcache-faults");
        frames = files * pages + SPARE;
        this.data = new Dataset(directory, data == null ? directory.resolve("data") : data, files, pages, pageSize);
        this.data.create();
        if (xen) {
            segments = null;
            name = "faults";
            long memory = 4L * frames * pageSize;
            simd = BreakableSimd.start(
                    directory.resolve("s"), Math.max(16L << 20, memory), data == null ? directory : data);
        } else {
            Path shared = Files.createTempDirectory(Path.of("/dev/shm"), "warmcache-faults");
            segments = shared;
            name = shared.resolve("segment").toString();
            simd = null;
        }
    }

    boolean isXen() {
        return simd != null;
    }

    private String socket() {
        return simd == null ? "" : directory.resolve("s").toString();
    }

    CacheConfig config() {
        return FaultLife.config(name, socket(), data.pageSize(), frames, "off");
    }

    Child start(long seed, Map<String, String> more, boolean breakable) throws IOException {
        Map<String, String> options = new HashMap<>(Map.of(
                "cache", name,
                "socket", socket(),
                "dir", data.directory().toString(),
                "data", data.data().toString(),
                "files", "" + data.files(),
                "pages", "" + data.pages(),
                "pageSize", "" + data.pageSize(),
                "frames", "" + frames));
        options.putAll(Map.of(
                "seed", "" + seed, "churn", "200", "end", "idle", "policy", "WRITE_THROUGH", "paranoid", "off"));
        options.putAll(more);
        return new Child(options, breakable ? List.of("-Dwarmcache.core.breakable=true") : List.of());
    }

    /** After a kill: when the VMM, if there is one, has noticed, too. */
    void awaitOff() {
        BreakableSimd on = simd;
        if (on != null) {
            long deadline = System.nanoTime() + TimeUnit.MINUTES.toNanos(2);
            while (!on.isOff(name)) {
                if (System.nanoTime() > deadline) {
                    throw new IllegalStateException("the VMM does not notice the death of its guest");
                }
                LockSupport.parkNanos(1_000_000);
            }
        }
    }

    Remains remains() throws IOException {
        return simd == null
                ? new ShmRemains(Path.of(name))
                : new XenRemains(simd, name, frames, data.pageSize());
    }

    /** The segment's file. */
    Path segment() {
        return Path.of(name);
    }

    @Override
    public void close() throws IOException {
        try {
            PageCache.drop(config());
        } catch (BusyException e) {
            System.err.println("left behind: " + e.getMessage());
        } finally {
            if (simd != null) {
                simd.close();
            }
            delete(directory);
            if (segments != null) {
                delete(segments);
            }
        }
    }

    static void delete(Path root) throws IOException {
        try (Stream<Path> files = Files.walk(root)) {
            for (Path p : files.sorted(Comparator.reverseOrder()).toList()) {
                Files.deleteIfExists(p);
            }
        }
    }
}
