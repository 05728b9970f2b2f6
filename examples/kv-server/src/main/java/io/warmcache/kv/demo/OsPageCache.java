/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv.demo;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;

/** Puts a file into the page cache of the operating system, or out of it. */
final class OsPageCache {
    private OsPageCache() {}

    /** Reads the file once. */
    static void heat(Path file) throws IOException {
        ByteBuffer buffer = ByteBuffer.allocateDirect(1 << 20);
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
            while (channel.read(buffer.clear()) >= 0) {
                // only for its side effect
            }
        }
    }

    /** Writes back what is dirty of the file, and drops all of it. Needs no privilege. */
    static void drop(Path file) throws IOException, InterruptedException {
        Process dd = new ProcessBuilder(List.of(
                        "dd",
                        "of=" + file,
                        "oflag=nocache",
                        "conv=notrunc,fdatasync",
                        "count=0",
                        "status=none"))
                .redirectErrorStream(true)
                .start();
        String output = new String(dd.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        if (dd.waitFor() != 0) {
            throw new IOException("the file could not be dropped from the page cache: dd said " + output.strip());
        }
    }
}
