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
final class MappedFile extends PageLookup implements PagedFile {
    private static final int OPTIMISTIC_TRIES = 64;

    private final CachedFile file;
    private final WrapEpoch epochs;
    private final MemorySegment memory;
    private final int pageShift;

    volatile boolean closed;

    MappedFile(CachedFile file) {
        super(file.index);
        this.file = file;
        epochs = file.epoch;
        memory = file.frames.readOnly;
        pageShift = file.pageShift;
    }

    /** In this order: whoever finds nothing asks whether the mapping is closed. */
    void end() {
        closed = true;
        endLookup();
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

    /** R1 and R2, as {@link #stamp}. */
    @Override
    public long tryStamp(long page) {
        long[] leaf = leaf(page);
        if (leaf == null) {
            file(); // says so if the mapping is closed
            return 0;
        }
        int slot = RadixIndex.slot(page);
        long epoch = epochs.get();
        long word = TranslationWord.acquire(leaf, slot);
        if (!TranslationWord.isResident(word)) {
            return 0;
        }
        file.touch(leaf, slot, page, word);
        return TranslationWord.stamp(word, epoch);
    }

    @Override
    public long stamp(long page) {
        long[] leaf = leaf(page);
        if (leaf != null) {
            long epoch = epochs.get();
            long word = TranslationWord.acquire(leaf, RadixIndex.slot(page));
            if (TranslationWord.isHot(word)) {
                return TranslationWord.stamp(word, epoch);
            }
        }
        return stampSlowly(page);
    }

    private long stampSlowly(long page) {
        long stamp = tryStamp(page);
        return stamp != 0 ? stamp : file().faultStamp(page);
    }

    /** R4 to R6. */
    @Override
    public boolean valid(long page, long stamp) {
        VarHandle.acquireFence();
        long[] leaf = leaf(page);
        if (leaf == null) {
            if (page < 0) {
                throw new IndexOutOfBoundsException("page " + page + " of " + file.name);
            }
            return false;
        }
        long word = TranslationWord.acquire(leaf, RadixIndex.slot(page));
        // What equals a stamp is RESIDENT, as every stamp but 0 says that it was.
        return TranslationWord.stamp(word, epochs.get()) == stamp && stamp != 0;
    }

    @Override
    public long offset(long stamp) {
        return (long) TranslationWord.frame(stamp) << pageShift;
    }

    @Override
    public MemorySegment memory() {
        return memory;
    }

    /**
     * Everything that is not a hit is done by methods that are not given the reader, and the reader is called in one
     * place only: a second one, cold, would not be inlined, and a reader that holds something of its own would be
     * allocated on every hit for its sake.
     */
    @Override
    public long read(long page, PageReader reader) {
        for (int tries = 0; ; tries++) {
            long[] leaf = leaf(page);
            long epoch = epochs.get();
            long word = leaf == null ? TranslationWord.EMPTY : TranslationWord.acquire(leaf, RadixIndex.slot(page));
            if (leaf == null || !TranslationWord.isHot(word)) {
                leaf = leafOfReadable(page);
                epoch = epochs.get();
                word = TranslationWord.acquire(leaf, RadixIndex.slot(page));
            }
            SharedPin pin = null;
            if (!TranslationWord.isResident(word) || tries == OPTIMISTIC_TRIES) {
                pin = file().pin(page);
            }
            long result = 0;
            Throwable thrown = null;
            try {
                result = reader.read(
                        memory, pin == null ? (long) TranslationWord.frame(word) << pageShift : pin.base());
            } catch (Throwable t) {
                // Good bytes make a good exception; one from garbage means nothing.
                thrown = t;
            }
            if (pin != null) {
                pin.close();
            } else {
                VarHandle.acquireFence();
                long now = TranslationWord.acquire(leaf, RadixIndex.slot(page));
                boolean changed = ((word ^ now) & TranslationWord.STAMP_MASK) != 0
                        || !CachedFile.isSame(epoch, epochs.get());
                if (changed && (thrown == null || !Mutation.GARBAGE_EXCEPTION_RETHROWN.isOn())) {
                    continue;
                }
            }
            if (thrown != null) {
                throw MappedFile.<RuntimeException>asIs(thrown);
            }
            return result;
        }
    }

    /** The leaf of a page that was readable a moment ago, after counting a use of it or reading it from the store. */
    private long[] leafOfReadable(long page) {
        if (tryStamp(page) == 0) {
            file().faultStamp(page);
        }
        return file.index.leafOrCreate(page);
    }

    /** Rethrows what a reader has thrown, of which it declares nothing: checked exceptions do not get there. */
    @SuppressWarnings({"unchecked", "TypeParameterUnusedInFormals"})
    private static <T extends Throwable> T asIs(Throwable thrown) throws T {
        throw (T) thrown;
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
        Batch.prefetch(file(), first, count);
    }

    @Override
    public void prefetch(long[] pages) {
        Batch.prefetch(file(), pages);
    }

    @Override
    public int load(long[] pages) throws IOException {
        try {
            return Batch.load(file(), pages);
        } catch (UncheckedIOException e) {
            throw checked(e);
        }
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
