/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * Who holds a {@code flock}, as far as {@code /proc/locks} tells; for messages, never for decisions about ownership.
 */
final class ProcLocks {
    private static final Pattern LINE =
            Pattern.compile("\\d+: FLOCK +\\S+ +WRITE +(-?\\d+) +([0-9a-f]+):([0-9a-f]+):(\\d+) .*");

    private ProcLocks() {}

    /** The holder's pid as {@code /proc} has it, or 0 if it shows none: nobody, or somebody in another namespace. */
    static long holder(FileStat file) {
        try {
            return holder(Files.readAllLines(Path.of("/proc/locks"), StandardCharsets.US_ASCII), file);
        } catch (IOException e) {
            return 0;
        }
    }

    /**
     * Whether a holder has died, be it that the kernel is not done with its files yet, or cannot be seen, as is one of
     * another namespace and, in a namespace, one that has died.
     *
     * @param pid what {@link #holder(FileStat)} gave
     */
    static boolean isGone(long pid) {
        if (pid == 0) {
            return true;
        }
        try {
            // Its memory is the first that a dying process gives up.
            return Files.readAllLines(Path.of("/proc/" + pid + "/status"), StandardCharsets.ISO_8859_1).stream()
                    .noneMatch(line -> line.startsWith("VmSize:"));
        } catch (IOException e) {
            return true;
        }
    }

    static long holder(List<String> lines, FileStat file) {
        long byInode = 0;
        for (String line : lines) {
            Matcher m = LINE.matcher(line);
            if (m.matches() && Long.parseUnsignedLong(m.group(4)) == file.inode()) {
                long pid = Math.max(0, Long.parseLong(m.group(1)));
                if (Integer.parseInt(m.group(2), 16) == file.devMajor()
                        && Integer.parseInt(m.group(3), 16) == file.devMinor()) {
                    return pid;
                }
                // Some file systems show another device number to stat than to locks.
                byInode = pid;
            }
        }
        return byInode;
    }

    /**
     * The holder in words.
     *
     * @param pid what {@link #holder(FileStat)} gave
     * @param header what the locked segment says of its last owner; null if there is none
     */
    static String describe(long pid, @Nullable Header header) {
        if (pid != 0) {
            return pid == PidNamespace.selfInProc()
                    ? "this process (pid " + ProcessHandle.current().pid() + ")"
                    : visible(pid, PidNamespace.of(Long.toString(pid)), PidNamespace.current());
        }
        // The kernel leaves out of /proc/locks whom it cannot name there.
        return header == null || header.pid == 0
                ? "a process that /proc/locks does not show: one in another pid namespace, as in another container or"
                        + " outside of this one"
                : recorded(header, PidNamespace.current());
    }

    private static String visible(long pid, long its, long ours) {
        if (its == 0 || ours == 0 || its == ours) {
            return "process " + pid;
        }
        long inner = PidNamespace.innerPid(Long.toString(pid));
        return "process " + pid + ", which runs in another pid namespace (" + its + ", this is " + ours
                + "), as in a container, " + (inner == 0 ? "under another pid" : "as pid " + inner);
    }

    static String recorded(Header header, long ours) {
        String since = ", attached since " + Instant.ofEpochMilli(header.startMillis).truncatedTo(ChronoUnit.SECONDS);
        if (header.pidNamespace == 0 || ours == 0) {
            return "a process that called itself pid " + header.pid
                    + ", perhaps in another pid namespace, as in another container" + since;
        }
        return header.pidNamespace == ours
                ? "process " + header.pid + since
                : "pid " + header.pid + " of another pid namespace (" + header.pidNamespace + ", this is " + ours
                        + "), as in another container" + since;
    }
}
