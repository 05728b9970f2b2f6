/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Where a pid means something: each container has a pid 1 of its own. A namespace is told apart by its inode number,
 * which is 0 here where it cannot be told.
 */
final class PidNamespace {
    private static final Pattern LINK = Pattern.compile("pid:\\[(\\d+)]");
    private static final Path PROC = Path.of("/proc");

    private PidNamespace() {}

    /** The namespace of this process. */
    static long current() {
        return of("self");
    }

    /** The namespace of a process that {@code /proc} shows; 0 also for one of another user's. */
    static long of(String process) {
        try {
            Matcher link = LINK.matcher(
                    Files.readSymbolicLink(PROC.resolve(process).resolve("ns/pid")).toString());
            return link.matches() ? Long.parseLong(link.group(1)) : 0;
        } catch (IOException e) {
            return 0;
        }
    }

    /** This process's pid as {@code /proc} has it, which may have been mounted in another namespace. */
    static long selfInProc() {
        try {
            return Long.parseLong(Files.readSymbolicLink(PROC.resolve("self")).toString());
        } catch (IOException | NumberFormatException e) {
            return ProcessHandle.current().pid();
        }
    }

    /** The pid that a process which {@code /proc} shows has within its own namespace; 0 if it cannot be told. */
    static long innerPid(String process) {
        try {
            for (String line :
                    Files.readAllLines(PROC.resolve(process).resolve("status"), StandardCharsets.ISO_8859_1)) {
                if (line.startsWith("NSpid:")) {
                    return Long.parseLong(line.substring(line.lastIndexOf('\t') + 1).strip());
                }
            }
        } catch (IOException | NumberFormatException e) {
            return 0;
        }
        return 0;
    }
}
