/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture.faults;

import io.warmcache.CacheClosedException;
import io.warmcache.FilePoisonedException;
import io.warmcache.PageCache;
import io.warmcache.PagedFile;
import io.warmcache.ReadPin;
import io.warmcache.WritePin;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Random;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Reads and writes pages without end, and counts the hits on each that were wrong, in a mapping that whoever breaks the
 * memory reads.
 */
final class Serving {
    /** Of each page: wrong hits, hits. */
    static final int WORDS = 2;

    /** Maps a file again. */
    @FunctionalInterface
    interface Mapper {
        PagedFile map(int file) throws IOException;
    }

    private final Dataset data;
    private final MemorySegment account;
    private final PageCache cache;
    private final List<PagedFile> files;
    private final Mapper mapper;
    private final long seed;
    private final MemorySegment tally;
    private final AtomicInteger poisoned = new AtomicInteger();

    Serving(
            Dataset data, MemorySegment account, PageCache cache, List<PagedFile> files, Mapper mapper, long seed)
            throws IOException {
        this.data = data;
        this.account = account;
        this.cache = cache;
        this.files = files;
        this.mapper = mapper;
        this.seed = seed;
        tally = tally(data);
    }

    /** The tally of hits; a word more than it needs for pages: how often a file was poisoned. */
    static MemorySegment tally(Dataset data) throws IOException {
        Path path = data.directory().resolve("tally");
        try (FileChannel channel = FileChannel.open(
                path, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            return channel.map(FileChannel.MapMode.READ_WRITE, 0, end(data) + 8, Arena.ofAuto());
        }
    }

    static long end(Dataset data) {
        return (long) data.files() * data.pages() * WORDS * 8;
    }

    static long wrong(MemorySegment tally, int page) {
        return (long) ValueLayout.JAVA_LONG.varHandle().getOpaque(tally, 8L * WORDS * page);
    }

    /** Never returns. */
    void run() {
        Thread.ofPlatform().start(() -> forever(new Random(seed), true));
        forever(new Random(~seed), false);
    }

    private void forever(Random random, boolean writes) {
        try {
            while (true) {
                int f = random.nextInt(data.files());
                long p = random.nextInt(data.pages());
                PagedFile file;
                synchronized (files) {
                    file = files.get(f);
                }
                try {
                    if (writes && random.nextInt(4) == 0) {
                        write(file, f, p, random.nextInt(data.pageSize() / Dataset.BLOCK) * Dataset.BLOCK);
                    } else {
                        read(file, f, p);
                    }
                } catch (FilePoisonedException | CacheClosedException e) {
                    mapAgain(f, file);
                }
            }
        } catch (Throwable t) {
            t.printStackTrace(System.out);
            System.out.println("ERROR " + t);
            Runtime.getRuntime().halt(1);
        }
    }

    /** What was lost is told by the poison; the engine's answer is to start that file again from its store. */
    private void mapAgain(int f, PagedFile poison) throws IOException {
        synchronized (files) {
            if (files.get(f).equals(poison)) {
                try {
                    poison.close();
                } catch (IOException e) {
                    poison.close(); // what could not be written has been told, and poisoned the file
                }
                files.set(f, mapper.map(f));
                tally.set(ValueLayout.JAVA_LONG, end(data), poisoned.incrementAndGet());
            }
        }
    }

    private void read(PagedFile file, int f, long p) {
        boolean right = true;
        try (ReadPin pin = file.pin(p)) {
            MemorySegment bytes = pin.segment();
            for (long block = 0; right && block < bytes.byteSize(); block += Dataset.BLOCK) {
                long word = bytes.get(ValueLayout.JAVA_LONG_UNALIGNED, block);
                right = Dataset.numberOf(word) == data.number(f, p);
                for (long at = block; right && at < block + Dataset.BLOCK; at += Long.BYTES) {
                    right = bytes.get(ValueLayout.JAVA_LONG_UNALIGNED, at) == word;
                }
            }
        }
        long at = 8L * WORDS * data.number(f, p) + (right ? 8 : 0);
        var _ = (long) ValueLayout.JAVA_LONG.varHandle().getAndAdd(tally, at, 1L);
    }

    /** One block of the page, half of it twice: what it held before is verified. */
    private void write(PagedFile file, int f, long p, int offset) throws IOException {
        long at = data.number(f, p) * 16L;
        long count = account.get(ValueLayout.JAVA_LONG, at) + 1;
        account.set(ValueLayout.JAVA_LONG, at, count);
        VarHandle.fullFence(); // the account is not to be reordered with the write
        try (WritePin pin = file.pinForWrite(p)) {
            pin.dirty(offset, Dataset.BLOCK);
            Dataset.fill(pin.segment().asSlice(offset, Dataset.BLOCK), data.word(f, p, count));
        }
    }

    @Override
    public String toString() {
        return cache.stats().toString();
    }
}
