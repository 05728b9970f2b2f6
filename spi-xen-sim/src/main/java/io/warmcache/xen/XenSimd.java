/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

import io.warmcache.CacheException;
import io.warmcache.spi.BlockChecksum;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.ServiceLoader;
import java.util.concurrent.CountDownLatch;

/**
 * {@code xen-simd}: a simulated machine and its VMM as a process of its own. Its guests are caches of other processes,
 * opened with the back end {@code "xen"} and the option {@code xen.socket}.
 */
public final class XenSimd {
    private static final String HELP =
            """
            Usage: xen-simd [--socket PATH] [--memory SIZE] [--disks DIR]

            Owns the memory of a simulated machine and the records kept of it, and does the disk I/O of its guests:
            caches of other processes, opened with the back end "xen" and the option xen.socket=PATH.
            What it holds outlives each guest, however that ends, and ends with it.

              --socket PATH   where it listens (default: xen-simd.sock)
              --memory SIZE   machine memory for all guests together, in bytes or with k, m or g (default: 1g);
                              taken from the system as guests are made
              --disks DIR     guests may have files below this directory as disks, no others (default: .)
              -h, --help      this text

            Prints one line that starts with READY once guests are served. SIGTERM ends it in order.
            Exit codes: 0 stopped, 1 could not start, 2 wrong options.
            """;

    private XenSimd() {}

    /** Runs until it is told to end. */
    public static void main(String[] arguments) {
        Path socket = Path.of("xen-simd.sock");
        Path disks = Path.of("");
        long memory = 1L << 30;
        try {
            for (int i = 0; i < arguments.length; i++) {
                switch (arguments[i]) {
                    case "-h", "--help" -> {
                        System.out.print(HELP);
                        return;
                    }
                    case "--socket" -> socket = Path.of(value(arguments, ++i));
                    case "--disks" -> disks = Path.of(value(arguments, ++i));
                    case "--memory" -> memory = size(value(arguments, ++i));
                    default -> throw new IllegalArgumentException("there is no option " + arguments[i]);
                }
            }
        } catch (IllegalArgumentException e) {
            System.err.println("xen-simd: " + e.getMessage() + " (--help lists the options)");
            System.exit(2);
            return;
        }
        try {
            run(socket.toAbsolutePath().normalize(), memory, disks.toAbsolutePath().normalize());
        } catch (IOException | CacheException e) {
            System.err.println("xen-simd: " + e.getMessage());
            System.exit(1);
        }
    }

    private static String value(String[] arguments, int at) {
        if (at >= arguments.length) {
            throw new IllegalArgumentException(arguments[at - 1] + " needs a value");
        }
        return arguments[at];
    }

    private static long size(String text) {
        String lower = text.toLowerCase(Locale.ROOT);
        int shift = lower.endsWith("g") ? 30 : lower.endsWith("m") ? 20 : lower.endsWith("k") ? 10 : 0;
        String digits = shift == 0 ? lower : lower.substring(0, lower.length() - 1);
        if (!digits.matches("[0-9]{1,12}")) {
            throw new IllegalArgumentException("\"" + text + "\" is no size: a number of bytes, or with k, m or g");
        }
        long bytes = Long.parseLong(digits) << shift;
        if (bytes < DomainMemory.EXTENT || bytes > 1L << 42) {
            throw new IllegalArgumentException("--memory is " + text + ": it must be from 2m to 4096g");
        }
        return bytes;
    }

    private static void run(Path socket, long memory, Path disks) throws IOException {
        requireAvailable(memory);
        List<BlockChecksum> checksums = ServiceLoader.load(BlockChecksum.class, XenSimd.class.getClassLoader()).stream()
                .map(ServiceLoader.Provider::get)
                .toList();
        if (checksums.isEmpty()) {
            throw new IOException("no checksum algorithm found: add io.warmcache:warmcache-core to the class path");
        }
        if (!Files.isDirectory(disks)) {
            throw new IOException(disks + " is no directory: make it, or choose another --disks");
        }
        SimdServer server = SimdServer.start(socket, memory, disks, checksums);
        CountDownLatch stopped = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(Thread.ofPlatform().name("xen-simd-stop").unstarted(() -> {
            server.close();
            stopped.countDown();
        }));
        System.out.println("READY xen-simd pid=" + ProcessHandle.current().pid() + " socket=" + socket + " memory="
                + server.machine().frames() / 256 + "m disks=" + disks);
        try {
            stopped.await();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private static void requireAvailable(long memory) throws IOException {
        for (String line : Files.readAllLines(Path.of("/proc/meminfo"))) {
            if (line.startsWith("MemAvailable:")) {
                long available = Long.parseLong(line.replaceAll("[^0-9]", "")) << 10;
                if (available < memory) {
                    throw new IOException("the machine's memory is to be " + (memory >> 20)
                            + " MiB, and this system has "
                            + (available >> 20) + " MiB to give: choose a smaller --memory");
                }
            }
        }
    }
}
