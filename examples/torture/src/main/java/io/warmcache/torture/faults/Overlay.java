/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture.faults;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** An overlay file system of our own, which needs the right to mount. */
final class Overlay implements AutoCloseable {
    private final Path root;

    Overlay() throws IOException {
        root = Files.createTempDirectory("warmcache-overlay");
        for (String name : List.of("lower", "upper", "work", "merged")) {
            Files.createDirectory(root.resolve(name));
        }
        boolean mounted = false;
        try {
            mount();
            mounted = true;
        } finally {
            if (!mounted) {
                Lab.delete(root);
            }
        }
    }

    /** Where the files are used. */
    Path merged() {
        return root.resolve("merged");
    }

    /** Where those that were written are kept. */
    Path upper() {
        return root.resolve("upper");
    }

    void mount() throws IOException {
        run(
                "mount", "-t", "overlay", "warmcache-faults", "-o",
                "lowerdir=" + root.resolve("lower") + ",upperdir=" + upper() + ",workdir=" + root.resolve("work"),
                merged().toString());
    }

    void unmount() throws IOException {
        run("umount", merged().toString());
    }

    private static void run(String... command) throws IOException {
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
        // It has said all that it will, so it is about to end.
        if (process.onExit().join().exitValue() != 0) {
            throw new IOException(command[0] + ": " + said);
        }
    }

    @Override
    public void close() throws IOException {
        unmount();
        Lab.delete(root);
    }
}
