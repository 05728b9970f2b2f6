/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import io.warmcache.CacheClosedException;
import io.warmcache.PageCursor;
import io.warmcache.PageExplanation;
import io.warmcache.PageReader;
import io.warmcache.PagedFile;
import io.warmcache.ReadPin;
import io.warmcache.WritePin;
import io.warmcache.WritePolicy;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.VarHandle;

/** One mapping of a {@link CachedFile}: what a user holds and closes. */
final class MappedFile implements PagedFile {
    private static final int OPTIMISTIC_TRIES = 64;

    private final CachedFile file;
    private final MemorySegment memory;

    volatile boolean closed;

    MappedFile(CachedFile file) {
        this.file = file;
        memory = file.cache.memory.asReadOnly();
    }

    CachedFile file() {
        if (closed) {
            throw new CacheClosedException(file.name + " is closed");
        }
        return file;
    }

    @Override
    public int pageSize() {
        return file.pageSize;
    }

    @Override
    public long size() {
        return file().size;
    }

    @Override
    public WritePolicy policy() {
        return file.options.policy();
    }

    @Override
    public PageCursor cursor() {
        return new Cursor(this, file());
    }

    @Override
    public long tryStamp(long page) {
        long[] leaf = file().index.leaf(page);
        if (leaf == null) {
            return 0;
        }
        int slot = RadixIndex.slot(page);
        long epoch = file.epoch.get();
        long word = TranslationWord.acquire(leaf, slot);
        if (!TranslationWord.isResident(word)) {
            return 0;
        }
        CachedFile.touch(leaf, slot, word);
        return TranslationWord.stamp(word, epoch);
    }

    @Override
    public long stamp(long page) {
        long stamp = tryStamp(page);
        return stamp != 0 ? stamp : file.faultStamp(page);
    }

    @Override
    public boolean valid(long page, long stamp) {
        VarHandle.acquireFence();
        long[] leaf = file.index.leaf(page);
        if (leaf == null) {
            if (page < 0) {
                throw new IndexOutOfBoundsException("page " + page + " of " + file.name);
            }
            return false;
        }
        long word = TranslationWord.acquire(leaf, RadixIndex.slot(page));
        return TranslationWord.isResident(word) && TranslationWord.stamp(word, file.epoch.get()) == stamp;
    }

    @Override
    public long offset(long stamp) {
        return (long) TranslationWord.frame(stamp) << file.pageShift;
    }

    @Override
    public MemorySegment memory() {
        return memory;
    }

    @Override
    public long read(long page, PageReader reader) {
        for (int tries = 0; tries < OPTIMISTIC_TRIES; tries++) {
            long stamp = stamp(page);
            long result;
            try {
                result = reader.read(memory, offset(stamp));
            } catch (Throwable t) {
                // Good bytes make a good exception; one from garbage means nothing.
                if (valid(page, stamp) || Mutation.GARBAGE_EXCEPTION_RETHROWN.isOn()) {
                    throw t;
                }
                continue;
            }
            if (valid(page, stamp)) {
                return result;
            }
        }
        try (SharedPin pin = file().pin(page)) {
            return reader.read(memory, pin.base());
        }
    }

    @Override
    public ReadPin pin(long page) {
        return file().pin(page);
    }

    @Override
    public WritePin pinForWrite(long page) {
        return file().pinForWrite(page, CachedFile.Latch.READ);
    }

    @Override
    public WritePin pinForOverwrite(long page) {
        return file().pinForWrite(page, CachedFile.Latch.BLANK);
    }

    @Override
    public int read(long position, MemorySegment target) throws IOException {
        return read(position, target, false);
    }

    @Override
    public int readOnce(long position, MemorySegment target) throws IOException {
        return read(position, target, true);
    }

    private int read(long position, MemorySegment target, boolean once) throws IOException {
        try {
            return file().bulkIo.read(position, target, once);
        } catch (UncheckedIOException e) {
            throw checked(e);
        }
    }

    @Override
    public void write(long position, MemorySegment source) throws IOException {
        try {
            file().bulkIo.write(position, source);
        } catch (UncheckedIOException e) {
            throw checked(e);
        }
    }

    /** Single pages are loaded by what cursors and pins use, too, which cannot throw an IOException. */
    private static IOException checked(UncheckedIOException e) {
        return new IOException(e.getMessage(), e.getCause());
    }

    @Override
    public void prefetch(long first, int count) {
        if (first < 0 || count < 0) {
            throw new IllegalArgumentException(
                    "first is " + first + " and count " + count + ": both must be 0 or more");
        }
        file().cache.prefetch(file, first, count);
    }

    @Override
    public PageExplanation explain(long page) {
        return Explanation.of(file(), page);
    }

    @Override
    public void flush() throws IOException {
        file().writeBack.flush();
    }

    @Override
    public void force() throws IOException {
        file().writeBack.force();
    }

    @Override
    public void truncate(long size) throws IOException {
        file().truncation.truncate(size);
    }

    @Override
    public void close() throws IOException {
        file.cache.unmap(this, file);
    }
}
