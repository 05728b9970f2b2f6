/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture.faults;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/**
 * The files of a run and how their content is made: every word of a block names its page and the write that put it
 * there. Beside them lies an account of the writes begun and acknowledged of each page, in a mapping that outlives its
 * writer.
 *
 * @param directory where the account is
 * @param data where the files are
 * @param files how many there are
 * @param pages of each file
 * @param pageSize bytes of a page
 */
record Dataset(Path directory, Path data, int files, int pages, int pageSize) {
    static final int BLOCK = 4096;

    Path file(int file) {
        return data.resolve("f" + file);
    }

    /** A file larger than the cache, read to have pages evicted. */
    Path scratch() {
        return data.resolve("scratch");
    }

    int number(int file, long page) {
        return file * pages + (int) page;
    }

    long word(int file, long page, long count) {
        return (number(file, page) + 1L) << 40 | count;
    }

    static long numberOf(long word) {
        return (word >>> 40) - 1;
    }

    static long countOf(long word) {
        return word & ((1L << 40) - 1);
    }

    static void fill(MemorySegment bytes, long word) {
        for (long at = 0; at < bytes.byteSize(); at += Long.BYTES) {
            bytes.set(ValueLayout.JAVA_LONG_UNALIGNED, at, word);
        }
    }

    /** Makes the files, each page as write 0 leaves it. */
    void create() throws IOException {
        Files.createDirectories(data);
        byte[] content = new byte[pages * pageSize];
        for (int f = 0; f < files; f++) {
            for (int p = 0; p < pages; p++) {
                fill(MemorySegment.ofArray(content).asSlice((long) p * pageSize, pageSize), word(f, p, 0));
            }
            Files.write(file(f), content);
        }
        Files.write(scratch(), new byte[(files * pages + 64) * pageSize]);
        Files.write(directory.resolve("account"), new byte[files * pages * 16]);
    }

    MemorySegment account() throws IOException {
        try (FileChannel channel = FileChannel.open(
                directory.resolve("account"), StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            return channel.map(FileChannel.MapMode.READ_WRITE, 0, 16L * files * pages, Arena.ofAuto());
        }
    }

    /** Whether a block of a page may begin with this word while the cache runs: the last one of a file is cut off. */
    boolean mayHold(long word, int file, long page, long offset) {
        return numberOf(word) == number(file, page)
                || (word == 0 && page == pages - 1 && offset == pageSize - BLOCK);
    }

    /** Whether each block holds a write of this page that was begun, whole, and one of them the last acknowledged. */
    boolean isAsWritten(MemorySegment account, int file, long page, MemorySegment bytes) {
        long at = number(file, page) * 16L;
        long begun = account.get(ValueLayout.JAVA_LONG, at);
        long acknowledged = account.get(ValueLayout.JAVA_LONG, at + 8);
        long newest = 0;
        for (long block = 0; block < bytes.byteSize(); block += BLOCK) {
            long word = bytes.get(ValueLayout.JAVA_LONG_UNALIGNED, block);
            long count = countOf(word);
            if (numberOf(word) != number(file, page) || count > begun) {
                return false;
            }
            newest = Math.max(newest, count);
            for (long i = block; i < block + BLOCK; i += Long.BYTES) {
                // A write that was under way may have reached a part of the block.
                long here = bytes.get(ValueLayout.JAVA_LONG_UNALIGNED, i);
                if (here != word && (begun == acknowledged || numberOf(here) != number(file, page))) {
                    return false;
                }
            }
        }
        return newest >= acknowledged;
    }
}
