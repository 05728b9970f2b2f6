/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv.demo;

import java.io.IOException;
import java.nio.file.FileStore;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;

/** Finds out what would make the demo fail later, and says how to mend it; and describes the machine for the report. */
final class Preflight {
    private static final Path SHM = Path.of("/dev/shm");

    private Preflight() {}

    /** Something the demo needs is missing; the message says what and how to mend it. */
    static final class Failed extends Exception {
        private static final long serialVersionUID = 1;

        Failed(String message) {
            super(message);
        }
    }

    /**
     * @param dataDirectory an existing directory
     * @throws Failed for the first thing that is missing
     */
    static void check(DemoOptions options, Path dataDirectory) throws IOException, Failed {
        if (!System.getProperty("os.name").equals("Linux") || !Files.isReadable(Path.of("/proc/self/io"))) {
            throw new Failed("the demo needs Linux with /proc, where it reads how much a server had the disk read");
        }
        if (options.backend.equals("shm")) {
            OptionalLong free = Files.isDirectory(SHM)
                    ? OptionalLong.of(Files.getFileStore(SHM).getUsableSpace())
                    : OptionalLong.empty();
            requireSharedMemory(options.cache, free);
        }
        FileStore disk = Files.getFileStore(dataDirectory);
        if (disk.type().equals("tmpfs") || disk.type().equals("ramfs")) {
            throw new Failed(dataDirectory + " is on " + disk.type() + ", which is memory: choose a directory on a disk"
                    + " with --data");
        }
        long needed = diskNeeded(options);
        if (disk.getUsableSpace() < needed) {
            throw new Failed("the data needs " + Sizes.format(needed) + " at " + dataDirectory + ", where "
                    + Sizes.format(disk.getUsableSpace()) + " are free: make room, choose another disk with --data, or"
                    + " less data with --size (and --cache, a quarter of it)");
        }
        OptionalLong memory = memoryAvailable();
        // a server, the demo itself, and some air
        long heaps = 1536 * Sizes.MIB;
        if (memory.isPresent() && memory.getAsLong() < options.cache + heaps) {
            throw new Failed("the cache of " + Sizes.format(options.cache) + " and two JVMs need about "
                    + Sizes.format(options.cache + heaps) + " of memory, of which "
                    + Sizes.format(memory.getAsLong()) + " are available: choose a smaller --cache (and --size)");
        }
    }

    /** @param free bytes in {@code /dev/shm}; empty if it is not there */
    static void requireSharedMemory(long cache, OptionalLong free) throws Failed {
        // frames, the ledger of up to 64 bytes a 4 KiB page, and the segment's own tables
        long needed = cache + cache / 32 + 4 * Sizes.MIB;
        if (free.isEmpty()) {
            throw new Failed("there is no /dev/shm, where the cache has to live: mount a tmpfs there"
                    + " (mount -t tmpfs -o size=" + (needed >> 20) + "m tmpfs /dev/shm)");
        }
        if (free.getAsLong() < needed) {
            throw new Failed("a cache of " + Sizes.format(cache) + " needs " + Sizes.format(needed)
                    + " in /dev/shm, where " + Sizes.format(free.getAsLong()) + " are free: start the container with"
                    + " --shm-size=" + (needed >> 20) + "m or more, or enlarge it (mount -o remount,size=..."
                    + " /dev/shm), or choose a smaller --cache (and --size)");
        }
    }

    /** MVStore's file: pages moved by updates leave holes that are reclaimed later. */
    private static long diskNeeded(DemoOptions options) {
        return 5 * options.size / 2 + 256 * Sizes.MIB;
    }

    /** Whether the operating system's page cache can hold a file beside all else; true when that cannot be told. */
    static boolean pageCacheHolds(long fileBytes) throws IOException {
        OptionalLong memory = memoryAvailable();
        return memory.isEmpty() || memory.getAsLong() > fileBytes + 512 * Sizes.MIB;
    }

    private static OptionalLong memoryAvailable() throws IOException {
        return field(Path.of("/proc/meminfo"), "MemAvailable:").map(Preflight::kibibytes).orElse(OptionalLong.empty());
    }

    private static OptionalLong kibibytes(String text) {
        return OptionalLong.of(1024 * Long.parseLong(text.replaceAll("[^0-9]", "")));
    }

    private static Optional<String> field(Path file, String name) throws IOException {
        if (!Files.isReadable(file)) {
            return Optional.empty();
        }
        return Files.readAllLines(file).stream()
                .filter(line -> line.startsWith(name))
                .map(line -> line.substring(line.indexOf(':') + 1).strip())
                .findFirst();
    }

    /** What the figures were measured on. */
    static Map<String, String> machine(Path dataDirectory) throws IOException {
        Map<String, String> machine = new LinkedHashMap<>();
        machine.put("processors", Integer.toString(Runtime.getRuntime().availableProcessors()));
        machine.put("model", field(Path.of("/proc/cpuinfo"), "model name").orElse("unknown"));
        machine.put("memory", field(Path.of("/proc/meminfo"), "MemTotal:")
                .map(text -> Sizes.format(kibibytes(text).getAsLong()))
                .orElse("unknown"));
        machine.put("kernel", System.getProperty("os.name") + " " + System.getProperty("os.version"));
        machine.put("file system of the data", Files.getFileStore(dataDirectory).type());
        machine.put("JDK", System.getProperty("java.vendor.version", "") + " " + Runtime.version());
        machine.put("architecture", System.getProperty("os.arch").toLowerCase(Locale.ROOT));
        return machine;
    }
}
