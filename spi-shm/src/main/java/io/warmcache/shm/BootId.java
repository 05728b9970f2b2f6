/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.UUID;

/** The random id that the kernel draws at each boot. */
final class BootId {
    private static final Path FILE = Path.of("/proc/sys/kernel/random/boot_id");

    private BootId() {}

    static UUID current() throws IOException {
        try {
            return UUID.fromString(Files.readString(FILE, StandardCharsets.US_ASCII).strip());
        } catch (IOException | IllegalArgumentException e) {
            throw new IOException("cannot read " + FILE + ", which tells whether memory is older than the last reboot:"
                    + " mount /proc", e);
        }
    }
}
