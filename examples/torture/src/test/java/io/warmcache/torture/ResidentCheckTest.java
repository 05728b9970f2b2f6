/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.PageCache;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.UUID;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ResidentCheckTest {
    @TempDir
    Path directory;

    @Test
    void aPageInMemoryThatDiffersFromTheStoreByOneByteIsFound() throws Exception {
        Files.createDirectory(directory.resolve("data"));
        LifePlan plan = new LifePlan()
                .with("cache", "torture-test-" + UUID.randomUUID())
                .with("backend", "shm")
                .with("directory", directory)
                .with("salt", 1)
                .with("pageSize", 4096)
                .with("capacity", 1 << 20)
                .with("checksum", "xxh64")
                .with("validation", "LAZY");
        PageCache cache = PageCache.open(plan.config());
        try {
            Slot slot = new Slot(0, cache, Journal.create(directory.resolve("journal")), plan);
            slot.map();
            slot.file().write(0, MemorySegment.ofArray(new byte[10 * 4096]));
            String found = new ResidentCheck(cache, List.of(slot), plan).run();
            assertTrue(found.contains("\tpages=10\tbytes=40960\t"), found);
            assertFalse(found.contains("leak"), found);
            try (FileChannel channel = FileChannel.open(slot.path, StandardOpenOption.WRITE)) {
                int _ = channel.write(ByteBuffer.wrap(new byte[] {1}), 7 * 4096 + 99);
            }
            WrongException e = assertThrows(
                    WrongException.class, () -> new ResidentCheck(cache, List.of(slot), plan).run());
            assertTrue(
                    e.getMessage().startsWith("page 7 of through differs from the store at byte 99"), e.getMessage());
        } finally {
            cache.drop();
        }
    }
}
