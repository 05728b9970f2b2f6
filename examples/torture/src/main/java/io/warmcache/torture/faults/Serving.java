/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture.faults;

import io.warmcache.CacheClosedException;
import io.warmcache.CacheException;
import io.warmcache.FilePoisonedException;
import io.warmcache.PageCache;
import io.warmcache.PagedFile;
import io.warmcache.ReadPin;
import io.warmcache.WritePin;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Random;

/**
 * Reads and writes pages without end, and counts the hits on each that were wrong, in a mapping that whoever breaks the
 * memory reads. Now and then it does what else callers do: writes of several pages, flush, force, truncate, eviction,
 * resize, close. Whatever else than a documented failure any of it throws ends the life with an error.
 */
final class Serving {
    /** Of each page: wrong hits, hits. */
    static final int WORDS = 2;

    /** Operations of the writer for one that is none of a single page. */
    private static final int RARELY = 2000;

    /** Words behind those of the pages. */
    private static final int POISONED = 0;

    private static final int REFUSED = 1;
    private static final int WORDS_BEHIND = 2;

    /** Maps a file again; -1 is the one that is read to have others evicted. */
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
    private final boolean resizable;

    Serving(
            Dataset data,
            MemorySegment account,
            PageCache cache,
            List<PagedFile> files,
            Mapper mapper,
            boolean resizable,
            long seed)
            throws IOException {
        this.data = data;
        this.account = account;
        this.cache = cache;
        this.files = files;
        this.mapper = mapper;
        this.resizable = resizable;
        this.seed = seed;
        tally = tally(data);
    }

    /** The tally of hits, and behind it how often a file was poisoned, and an operation refused. */
    static MemorySegment tally(Dataset data) throws IOException {
        Path path = data.directory().resolve("tally");
        try (FileChannel channel = FileChannel.open(
                path, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            return channel.map(
                    FileChannel.MapMode.READ_WRITE, 0, end(data) + 8L * WORDS_BEHIND, Arena.ofAuto());
        }
    }

    private static long end(Dataset data) {
        return (long) data.files() * data.pages() * WORDS * 8;
    }

    static long wrong(MemorySegment tally, int page) {
        return (long) ValueLayout.JAVA_LONG.varHandle().getOpaque(tally, 8L * WORDS * page);
    }

    /** How often a file was poisoned, as changes of it were lost. */
    static long poisoned(Dataset data, MemorySegment tally) {
        return tally.get(ValueLayout.JAVA_LONG, end(data) + 8L * POISONED);
    }

    /** How often an operation failed and said so. */
    static long refused(Dataset data, MemorySegment tally) {
        return tally.get(ValueLayout.JAVA_LONG, end(data) + 8L * REFUSED);
    }

    private void count(int what) {
        var _ = (long) ValueLayout.JAVA_LONG.varHandle().getAndAdd(tally, end(data) + 8L * what, 1L);
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
                    if (writes && random.nextInt(RARELY) == 0) {
                        other(file, f, p, random);
                    } else if (writes && random.nextInt(4) == 0) {
                        write(file, f, p, random.nextInt(data.pageSize() / Dataset.BLOCK) * Dataset.BLOCK);
                    } else {
                        read(file, f, p);
                    }
                } catch (FilePoisonedException e) {
                    mapAgain(f, file, true);
                } catch (CacheClosedException e) {
                    // by the other thread, which maps it again
                } catch (IOException | UncheckedIOException | CacheException e) {
                    count(REFUSED);
                }
            }
        } catch (Throwable t) {
            t.printStackTrace(System.out);
            System.out.println("ERROR " + t);
            Runtime.getRuntime().halt(1);
        }
    }

    /** What was lost is told by the poison; the engine's answer is to start that file again from its store. */
    private void mapAgain(int f, PagedFile file, boolean poison) throws IOException {
        synchronized (files) {
            if (files.get(f).equals(file)) {
                try {
                    file.close();
                } catch (IOException | CacheException e) {
                    file.close(); // what could not be written has been told, and poisoned the file
                }
                files.set(f, mapper.map(f));
                if (poison) {
                    count(POISONED);
                }
            }
        }
    }

    private void other(PagedFile file, int f, long p, Random random) throws IOException {
        for (String problem : cache.health().problems()) {
            boolean ofFile = problem.contains("is poisoned") || problem.contains("could not be written");
            if (!ofFile) {
                throw new IllegalStateException("what works in the background failed: " + problem);
            }
        }
        long size = (long) data.pages() * data.pageSize();
        switch (random.nextInt(7)) {
            case 0 -> file.flush();
            case 1 -> file.force();
            case 2 -> {
                // Within the last page, so that zeros are right in its last block.
                file.truncate(size - Dataset.BLOCK);
                file.truncate(size);
            }
            case 3 -> {
                long last = Math.min(data.pages() - 1, p + 2);
                MemorySegment bytes = MemorySegment.ofArray(new byte[(int) (last - p + 1) * data.pageSize()]);
                for (long page = p; page <= last; page++) {
                    long at = (page - p) * data.pageSize();
                    Dataset.fill(bytes.asSlice(at, data.pageSize()), data.word(f, page, begin(f, page)));
                }
                file.write(p * data.pageSize(), bytes);
            }
            case 4 -> {
                MemorySegment page = MemorySegment.ofArray(new byte[data.pageSize()]);
                try (PagedFile scratch = mapper.map(-1)) {
                    for (int i = 0; i < 64; i++) {
                        var _ = scratch.read(random.nextLong(scratch.pages()) * data.pageSize(), page);
                    }
                }
            }
            case 5 -> resize();
            default -> mapAgain(f, file, false);
        }
    }

    private void resize() throws IOException {
        if (resizable) {
            long capacity = cache.capacity();
            cache.resize(capacity - 8L * data.pageSize());
            cache.resize(capacity);
        }
    }

    private long begin(int f, long p) {
        long at = data.number(f, p) * 16L;
        long count = account.get(ValueLayout.JAVA_LONG, at) + 1;
        account.set(ValueLayout.JAVA_LONG, at, count);
        VarHandle.fullFence(); // the account is not to be reordered with the write
        return count;
    }

    private void read(PagedFile file, int f, long p) {
        boolean right = true;
        try (ReadPin pin = file.pin(p)) {
            MemorySegment bytes = pin.segment();
            for (long block = 0; right && block < bytes.byteSize(); block += Dataset.BLOCK) {
                long word = bytes.get(ValueLayout.JAVA_LONG_UNALIGNED, block);
                right = data.mayHold(word, f, p, block);
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
        long count = begin(f, p);
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
