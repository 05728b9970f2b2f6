/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.h2;

import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;

/** A {@code warm:} file system for each test, and the path of a file that is not there yet. */
abstract class WarmFixture {
    @TempDir
    Path dir;

    Warm warm;
    Path file;
    String name;

    private final long capacity;

    /** @param capacity of the cache, in bytes */
    WarmFixture(long capacity) {
        this.capacity = capacity;
    }

    @BeforeEach
    void open() throws IOException {
        warm = Warm.of(capacity);
        file = dir.resolve("file");
        name = Warm.path(file);
    }

    @AfterEach
    void close() throws IOException {
        warm.close();
    }
}
