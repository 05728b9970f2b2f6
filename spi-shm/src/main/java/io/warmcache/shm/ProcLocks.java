/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Who holds a {@code flock}, as far as {@code /proc/locks} tells; for messages, never for decisions about ownership.
 */
final class ProcLocks {
    private static final Pattern LINE =
            Pattern.compile("\\d+: FLOCK +\\S+ +WRITE +(-?\\d+) +([0-9a-f]+):([0-9a-f]+):(\\d+) .*");

    private ProcLocks() {}

    /** The pid of the holder, or 0 if it cannot be told: none, or in another pid namespace. */
    static long holder(FileStat file) {
        try {
            return holder(Files.readAllLines(Path.of("/proc/locks"), StandardCharsets.US_ASCII), file);
        } catch (IOException e) {
            return 0;
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

    static String describe(long pid) {
        if (pid == 0) {
            return "another process";
        }
        return pid == ProcessHandle.current().pid() ? "this process (pid " + pid + ")" : "process " + pid;
    }
}
