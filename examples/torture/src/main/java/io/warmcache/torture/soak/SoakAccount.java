/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture.soak;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/**
 * What outlives the child beside its files, in a file that both processes map: what the child tells the parent, and of
 * each page how many writes were begun and how many acknowledged.
 */
final class SoakAccount {
    /** 1 once this life has compared everything and is under load. */
    static final int READY = 0;
    /** 1 to ask for an orderly end. */
    static final int STOP = 1;

    static final int OPERATIONS = 2;
    /** Wrong values, of all lives. */
    static final int WRONG = 3;

    static final int RESIDENT = 4;
    /** Frames that this life took over. */
    static final int KEPT = 5;
    /** Pages compared with their files after restarts, of all lives. */
    static final int COMPARED = 6;
    /** Of these, served without a read of the file. */
    static final int WARM = 7;

    private static final int WORDS = 16;
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG;
    private static final VarHandle WORD = LONG.varHandle();

    private final MemorySegment memory;
    private final long pages;

    private SoakAccount(MemorySegment memory, long pages) {
        this.memory = memory;
        this.pages = pages;
    }

    static SoakAccount map(Path file, long pages, Arena arena) throws IOException {
        try (FileChannel channel = FileChannel.open(
                file, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            return new SoakAccount(
                    channel.map(FileChannel.MapMode.READ_WRITE, 0, 8L * WORDS + 16 * pages, arena), pages);
        }
    }

    long get(int word) {
        return (long) WORD.getVolatile(memory, 8L * word);
    }

    void set(int word, long value) {
        WORD.setVolatile(memory, 8L * word, value);
    }

    void add(int word, long value) {
        var _ = (long) WORD.getAndAdd(memory, 8L * word, value);
    }

    private long at(long page) {
        if (page < 0 || page >= pages) {
            throw new IndexOutOfBoundsException("page " + page + " of " + pages);
        }
        return 8L * WORDS + 16 * page;
    }

    long begun(long page) {
        return (long) WORD.getVolatile(memory, at(page));
    }

    /** Before a write of which any byte may be seen. */
    void begin(long page, long count) {
        WORD.setVolatile(memory, at(page), count);
    }

    long acknowledged(long page) {
        return (long) WORD.getVolatile(memory, at(page) + 8);
    }

    void acknowledge(long page, long count) {
        WORD.setVolatile(memory, at(page) + 8, count);
    }
}
