/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Locale;
import java.util.concurrent.TimeUnit;

/**
 * What an operating system can do to a victim, where this process may ask it to: small file systems, control groups.
 * Every method that makes something says by an {@link IOException} why it cannot.
 */
final class Surroundings implements AutoCloseable {
    private static final Path MEMORY = Path.of("/sys/fs/cgroup/memory");
    private static final Path BLOCK_IO = Path.of("/sys/fs/cgroup/blkio");

    private final String name;
    private final Deque<Path> mounts = new ArrayDeque<>();
    private final Deque<Path> groups = new ArrayDeque<>();

    /** A name that no other process uses. */
    Surroundings(String name) {
        this.name = name;
    }

    /** Makes a file system of its own, in memory, at a directory. */
    synchronized void mount(Path directory, String size) throws IOException {
        run("mount", "-t", "tmpfs", "-o", "size=" + size, "warmcache-torture", directory.toString());
        mounts.push(directory);
    }

    synchronized void unmount(Path directory) throws IOException {
        if (mounts.remove(directory)) {
            run("umount", directory.toString());
        }
    }

    /** Takes away what an earlier process may have mounted. */
    static void unmountIfMounted(Path directory) {
        try {
            for (String mount : Files.readAllLines(Path.of("/proc/self/mounts"))) {
                if (mount.startsWith("warmcache-torture " + directory + " ")) {
                    run("umount", directory.toString());
                }
            }
        } catch (IOException e) {
            System.err.println("torture: " + directory + " stays mounted: " + e.getMessage());
        }
    }

    /** A group whose processes may take little more memory than they have. */
    Path memoryGroup(long limit) throws IOException {
        Path group = group(MEMORY);
        Files.writeString(group.resolve("memory.limit_in_bytes"), Long.toString(limit));
        return group;
    }

    /** A group that the disk of {@code directory} is slow for. */
    Path slowDiskGroup(Path directory, long bytesPerSecond) throws IOException {
        Path group = group(BLOCK_IO);
        long device = ((Number) Files.getAttribute(directory, "unix:dev")).longValue();
        long major = (device >>> 8 & 0xFFF) | (device >>> 32 & ~0xFFFL);
        long minor = (device & 0xFF) | (device >>> 12 & ~0xFFL);
        String rule = major + ":" + minor + " " + bytesPerSecond;
        Files.writeString(group.resolve("blkio.throttle.write_bps_device"), rule);
        Files.writeString(group.resolve("blkio.throttle.read_bps_device"), rule);
        return group;
    }

    private synchronized Path group(Path controller) throws IOException {
        if (!Files.isWritable(controller)) {
            throw new IOException("needs root and " + controller + ", a control group controller of version 1");
        }
        Path group = controller.resolve(name + "-" + groups.size());
        if (!groups.contains(group)) {
            Files.createDirectory(group);
            groups.push(group);
        }
        return group;
    }

    /** Puts a process into a group, unless it has ended already: whoever waits for its end will see that. */
    static void enter(Path group, long pid) throws IOException {
        try {
            Files.writeString(group.resolve("cgroup.procs"), Long.toString(pid));
        } catch (IOException e) {
            if (!"No such process".equals(e.getMessage())) { // ESRCH, in the words of the C library
                throw e;
            }
        }
    }

    /** How many processes of a group the kernel has killed for want of memory. */
    static long outOfMemoryKills(Path group) throws IOException {
        for (String line : Files.readAllLines(group.resolve("memory.oom_control"))) {
            if (line.startsWith("oom_kill ")) {
                return Long.parseLong(line.substring("oom_kill ".length()));
            }
        }
        return 0;
    }

    private static void run(String... command) throws IOException {
        try {
            Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
            String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            if (!process.waitFor(60, TimeUnit.SECONDS) || process.exitValue() != 0) {
                throw new IOException(command[0] + ": " + said.strip().toLowerCase(Locale.ROOT));
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("interrupted in " + command[0], e);
        }
    }

    /** Takes everything away again. */
    @Override
    public synchronized void close() {
        while (!mounts.isEmpty()) {
            Path mount = mounts.pop();
            try {
                run("umount", mount.toString());
            } catch (IOException e) {
                System.err.println("torture: " + mount + " stays mounted: " + e.getMessage());
            }
        }
        while (!groups.isEmpty()) {
            Path group = groups.pop();
            try {
                Files.delete(group);
            } catch (NoSuchFileException | DirectoryNotEmptyException e) {
                // gone, or still with a process that is just dying
            } catch (IOException e) {
                System.err.println("torture: " + group + " stays: " + e.getMessage());
            }
        }
    }
}
