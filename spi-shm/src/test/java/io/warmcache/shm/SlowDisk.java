/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import static org.junit.jupiter.api.Assumptions.abort;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.concurrent.TimeUnit;

/**
 * A disk whose reads can be made to take seconds: ext4 on a loop device, throttled by the block device controller of
 * control groups, version 1. Needs to be made by root; where it cannot be, the test is skipped and says why.
 */
final class SlowDisk implements AutoCloseable {
    private static final Path CONTROLLER = Path.of("/sys/fs/cgroup/blkio/blkio.throttle.read_bps_device");

    /** Where files are made. */
    final Path directory;

    private final String number;
    private final Deque<String[]> undo = new ArrayDeque<>();

    SlowDisk(Path place) throws IOException, InterruptedException {
        Path image = place.resolve("slow.image");
        directory = Files.createDirectory(place.resolve("slow"));
        if (!Files.isWritable(CONTROLLER)) {
            abort("no disk can be slowed: " + CONTROLLER + " cannot be written");
        }
        boolean done = false;
        try {
            run("truncate", "-s", "32M", image.toString());
            run("mkfs.ext4", "-q", "-F", image.toString());
            String device = run("losetup", "--find", "--show", image.toString());
            undo.push(new String[] {"losetup", "--detach", device});
            run("mount", "-t", "ext4", device, directory.toString());
            undo.push(new String[] {"umount", directory.toString()});
            number = Files.readString(Path.of("/sys/class/block", Path.of(device).getFileName().toString(), "dev"))
                    .strip();
            done = true;
        } finally {
            if (!done) {
                close();
            }
        }
    }

    private static String run(String... command) throws InterruptedException {
        try {
            Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
            String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
            if (process.waitFor() != 0) {
                abort("no disk can be slowed: " + String.join(" ", command) + ": " + said);
            }
            return said;
        } catch (IOException e) {
            return abort("no disk can be slowed: " + e.getMessage());
        }
    }

    /** Lets so many bytes a second be read, or any with 0. */
    void throttle(long bytes) throws IOException {
        Files.writeString(CONTROLLER, number + " " + bytes);
    }

    @Override
    public void close() throws IOException, InterruptedException {
        if (number != null) {
            throttle(0);
        }
        for (String[] command : undo) {
            Process process = new ProcessBuilder(command).inheritIO().start();
            if (!process.waitFor(60, TimeUnit.SECONDS) || process.exitValue() != 0) {
                System.out.println("left behind: " + String.join(" ", command));
            }
        }
        undo.clear();
    }
}
