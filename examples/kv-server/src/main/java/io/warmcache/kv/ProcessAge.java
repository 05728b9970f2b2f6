/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;

/** How long this process has been running. */
final class ProcessAge {
    /** Linux counts process times to user space in hundredths of a second on every architecture that runs Java. */
    private static final long MILLIS_PER_TICK = 10;
    /** The position of {@code starttime} behind the command's name, which may itself hold spaces. */
    private static final int START_TIME_FIELD = 19;

    private ProcessAge() {}

    /**
     * Milliseconds since the process was started, to within a tick of the kernel's clock. (What {@link ProcessHandle}
     * tells is up to a second off, since it adds to a boot time in whole seconds.)
     */
    static long millis() {
        try {
            String stat = Files.readString(Path.of("/proc/self/stat"));
            String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ", -1);
            String uptime = Files.readString(Path.of("/proc/uptime"));
            double upSeconds = Double.parseDouble(uptime.substring(0, uptime.indexOf(' ')));
            return Math.round(upSeconds * 1000) - Long.parseLong(fields[START_TIME_FIELD]) * MILLIS_PER_TICK;
        } catch (IOException | RuntimeException e) {
            // not a Linux, or one without /proc
            Instant start = ProcessHandle.current().info().startInstant().orElse(Instant.now());
            return Duration.between(start, Instant.now()).toMillis();
        }
    }
}
