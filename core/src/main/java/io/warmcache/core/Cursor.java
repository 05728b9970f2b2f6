/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import io.warmcache.CacheClosedException;
import io.warmcache.PageCursor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** Optimistic reads with everything a retry needs kept in fields, so that a hit allocates nothing. */
final class Cursor implements PageCursor {
    private static final ValueLayout.OfShort SHORT =
            ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private static final int OPTIMISTIC_TRIES = 64;
    private static final int HITS_BATCH = 1024;
    private static final long[] NO_LEAF = new long[RadixIndex.LEAF_SLOTS];

    private final MappedFile mapping;
    private final CachedFile file;
    private final MemorySegment memory;
    private final int pageSize;
    private final int pageShift;

    private long[] leaf = NO_LEAF;
    private long leafNumber = -1;
    private int slot;
    private long page = -1;
    private long word;
    private long epoch;
    private long base;
    private int tries;
    private int hits;
    private boolean closed;
    private @Nullable SharedPin pin;

    Cursor(MappedFile mapping, CachedFile file) {
        this.mapping = mapping;
        this.file = file;
        memory = file.cache.memory.asReadOnly();
        pageSize = file.pageSize;
        pageShift = file.pageShift;
    }

    @Override
    public void seek(long target) {
        if (closed || mapping.closed) {
            throw closed();
        }
        if (pin != null) {
            unpin();
        }
        tries = 0;
        if (!find(target, true)) {
            fault(target);
        } else if (++hits == HITS_BATCH) {
            addHits();
        }
        page = target;
    }

    /** R1 and R2. */
    private boolean find(long target, boolean use) {
        long number = target >>> RadixIndex.LEAF_BITS;
        if (number != leafNumber) {
            long[] found = file.index.leaf(target);
            if (found == null) {
                return false;
            }
            leaf = found;
            leafNumber = number;
        }
        slot = RadixIndex.slot(target);
        epoch = file.epoch.get();
        long now = TranslationWord.acquire(leaf, slot);
        if (!TranslationWord.isResident(now)) {
            return false;
        }
        if (use) {
            CachedFile.touch(leaf, slot, now);
        }
        word = now;
        base = (long) TranslationWord.frame(now) << pageShift;
        return true;
    }

    private void fault(long target) {
        page = -1; // should this throw, nothing may be read before the next seek
        do {
            file.faultStamp(target);
            leafNumber = -1;
            // The access that brought a page in is no use of it, by which the policy would know a page worth keeping.
        } while (!find(target, false));
    }

    @Override
    public long page() {
        return page;
    }

    private long at(int offset, int length) {
        if (page < 0) {
            throw unplaced();
        }
        Objects.checkFromIndexSize(offset, length, pageSize);
        return base + offset;
    }

    private RuntimeException unplaced() {
        return closed ? closed() : new IllegalStateException("seek a page first");
    }

    @Override
    public byte getByte(int offset) {
        try {
            return memory.get(ValueLayout.JAVA_BYTE, at(offset, 1));
        } catch (IllegalStateException e) {
            throw ended(e);
        }
    }

    @Override
    public short getShort(int offset) {
        try {
            return memory.get(SHORT, at(offset, 2));
        } catch (IllegalStateException e) {
            throw ended(e);
        }
    }

    @Override
    public int getInt(int offset) {
        try {
            return memory.get(INT, at(offset, 4));
        } catch (IllegalStateException e) {
            throw ended(e);
        }
    }

    @Override
    public long getLong(int offset) {
        try {
            return memory.get(LONG, at(offset, 8));
        } catch (IllegalStateException e) {
            throw ended(e);
        }
    }

    @Override
    public void copyTo(int offset, MemorySegment target, long targetOffset, int length) {
        try {
            MemorySegment.copy(memory, at(offset, length), target, targetOffset, length);
        } catch (IllegalStateException e) {
            throw ended(e);
        }
    }

    @Override
    public void copyTo(int offset, byte[] target, int targetIndex, int length) {
        try {
            MemorySegment.copy(memory, ValueLayout.JAVA_BYTE, at(offset, length), target, targetIndex, length);
        } catch (IllegalStateException e) {
            throw ended(e);
        }
    }

    /** The frames' memory ends with the cache. */
    private RuntimeException ended(IllegalStateException e) {
        return file.cache.closing ? closed() : e;
    }

    @Override
    public boolean shouldRetry() {
        if (page < 0) {
            throw unplaced();
        }
        SharedPin held = pin;
        if (held != null) {
            // Nobody knows of this pin: held any longer it would keep writers, this thread among them, from the page.
            leaf = held.leaf();
            leafNumber = page >>> RadixIndex.LEAF_BITS;
            slot = RadixIndex.slot(page);
            epoch = file.epoch.get();
            word = TranslationWord.acquire(leaf, slot);
            unpin();
        } else if (!file.stillValid(leaf, slot, word, epoch)) {
            retry();
            return true;
        }
        tries = 0;
        return false;
    }

    private void retry() {
        if (closed || mapping.closed) {
            throw closed();
        }
        long target = page;
        if (++tries >= OPTIMISTIC_TRIES) {
            page = -1;
            SharedPin held = file.pin(target);
            pin = held;
            base = held.base();
        } else if (!find(target, false)) {
            fault(target);
        }
        page = target;
    }

    private void unpin() {
        SharedPin held = pin;
        pin = null;
        if (held != null) {
            held.close();
        }
    }

    private void addHits() {
        file.counters.hits.add(hits);
        hits = 0;
    }

    private RuntimeException closed() {
        return new CacheClosedException(closed ? "the cursor is closed" : file.name + " is closed");
    }

    @Override
    public void close() {
        if (!closed) {
            closed = true;
            page = -1;
            unpin();
            addHits();
        }
    }
}
