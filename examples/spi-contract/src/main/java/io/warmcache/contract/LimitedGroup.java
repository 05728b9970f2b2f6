/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.contract;

import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.abort;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/** A control group with a memory limit, where one can be made: version 1, as root. For tests that start processes. */
public final class LimitedGroup implements AutoCloseable {
    private static final Path ROOT = Path.of("/sys/fs/cgroup/memory");

    private final Path directory;

    private LimitedGroup(Path directory) {
        this.directory = directory;
    }

    /**
     * Makes one; aborts the test, with the reason, where that is impossible.
     *
     * @param limit bytes
     */
    public static LimitedGroup make(long limit) throws IOException {
        assumeTrue(
                Files.isWritable(ROOT),
                "making a control group takes root and the memory controller of version 1");
        Path directory = ROOT.resolve("warmcache-test-" + UUID.randomUUID());
        try {
            Files.createDirectory(directory);
        } catch (IOException e) {
            return abort("no control group can be made here: " + e);
        }
        LimitedGroup group = new LimitedGroup(directory);
        group.limit(limit);
        return group;
    }

    /** Its directory. */
    public Path directory() {
        return directory;
    }

    /** Sets another limit, in bytes. */
    public void limit(long bytes) throws IOException {
        Files.writeString(directory.resolve("memory.limit_in_bytes"), String.valueOf(bytes));
    }

    /** What to write before a command so that it runs in the group. */
    public List<String> enter() {
        return List.of("sh", "-c", "echo $$ > " + directory + "/cgroup.procs; exec \"$@\"", "sh");
    }

    /** Processes of it that the kernel has killed for want of memory. */
    public long kills() throws IOException {
        for (String line : Files.readAllLines(directory.resolve("memory.oom_control"))) {
            if (line.startsWith("oom_kill ")) {
                return Long.parseLong(line.substring("oom_kill ".length()));
            }
        }
        throw new IOException("memory.oom_control counts no kills");
    }

    private boolean isEmpty() {
        try {
            return Files.readString(directory.resolve("cgroup.procs"), StandardCharsets.US_ASCII).isEmpty();
        } catch (IOException e) {
            return true;
        }
    }

    /** Removes it when its last process has ended. */
    @Override
    public void close() throws IOException {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
        while (!isEmpty()) {
            assertTrue(System.nanoTime() < end, "the control group to empty");
            LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(5));
        }
        Files.delete(directory);
    }
}
