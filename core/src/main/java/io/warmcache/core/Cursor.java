/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import io.warmcache.CacheClosedException;
import io.warmcache.PageCursor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** Optimistic reads with everything a retry needs kept in fields, so that a hit allocates nothing. */
final class Cursor extends CursorState implements PageCursor {
    private static final ValueLayout.OfShort SHORT =
            ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private static final int OPTIMISTIC_TRIES = 64;
    private static final int HITS_BATCH = 1024;

    private final MappedFile mapping;
    private final CachedFile file;
    private final WrapEpoch epochs;
    private final MemorySegment memory;
    private final int pageSize;
    private final int pageShift;

    /**
     * The mapping's, or {@link PageLookup#NONE} while the cursor is closed or has its page pinned: one check for all
     * that is out of the ordinary. No leaf is kept from one look at a page's word to the next, since storing a
     * reference costs the collector's barrier, on some collectors with a fence in it; the leaf is in the cache by then.
     */
    private PageLookup lookup;

    private boolean closed;
    private @Nullable SharedPin pin;

    // Two cache lines of nothing behind the state, as before it.

    @SuppressWarnings({"unused", "UnusedVariable"})
    private long behind0;

    @SuppressWarnings({"unused", "UnusedVariable"})
    private long behind1;

    @SuppressWarnings({"unused", "UnusedVariable"})
    private long behind2;

    @SuppressWarnings({"unused", "UnusedVariable"})
    private long behind3;

    @SuppressWarnings({"unused", "UnusedVariable"})
    private long behind4;

    @SuppressWarnings({"unused", "UnusedVariable"})
    private long behind5;

    @SuppressWarnings({"unused", "UnusedVariable"})
    private long behind6;

    @SuppressWarnings({"unused", "UnusedVariable"})
    private long behind7;

    @SuppressWarnings({"unused", "UnusedVariable"})
    private long behind8;

    @SuppressWarnings({"unused", "UnusedVariable"})
    private long behind9;

    @SuppressWarnings({"unused", "UnusedVariable"})
    private long behind10;

    @SuppressWarnings({"unused", "UnusedVariable"})
    private long behind11;

    @SuppressWarnings({"unused", "UnusedVariable"})
    private long behind12;

    @SuppressWarnings({"unused", "UnusedVariable"})
    private long behind13;

    @SuppressWarnings({"unused", "UnusedVariable"})
    private long behind14;

    @SuppressWarnings({"unused", "UnusedVariable"})
    private long behind15;

    Cursor(MappedFile mapping, CachedFile file) {
        this.mapping = mapping;
        this.file = file;
        lookup = mapping;
        epochs = file.epoch;
        memory = file.frames.readOnly;
        pageSize = file.pageSize;
        pageShift = file.pageShift;
    }

    /** R1 and R2 of a page that is resident and used often; {@link #seekSlowly} for all others. */
    @Override
    public void seek(long target) {
        long[] leaf = lookup.leaf(target);
        if (leaf != null) {
            long now = epochs.get();
            long found = TranslationWord.acquire(leaf, RadixIndex.slot(target));
            if (TranslationWord.isHot(found)) {
                place(target, found, now);
                tries = 0;
                countHit();
                return;
            }
        }
        seekSlowly(target);
    }

    private void seekSlowly(long target) {
        checkOpen();
        unpin();
        tries = 0;
        if (find(target, true)) {
            countHit();
        } else {
            fault(target);
        }
    }

    private void countHit() {
        if (++hits == HITS_BATCH) {
            addHits();
        }
    }

    private void place(long target, long at, long epochThen) {
        page = target;
        word = at;
        epoch = epochThen;
        base = (long) TranslationWord.frame(at) << pageShift;
    }

    private void unplace() {
        page = -1;
        base = UNPLACED;
    }

    private boolean find(long target, boolean use) {
        long[] leaf = lookup.leaf(target);
        if (leaf == null) {
            return false;
        }
        int slot = RadixIndex.slot(target);
        long now = epochs.get();
        long found = TranslationWord.acquire(leaf, slot);
        if (!TranslationWord.isResident(found)) {
            return false;
        }
        if (use) {
            file.touch(leaf, slot, target, found);
        }
        place(target, found, now);
        return true;
    }

    private void fault(long target) {
        unplace(); // should this throw, nothing may be read before the next seek
        do {
            checkOpen(); // a lookup that ends finds nothing
            file.faultStamp(target);
            // The access that brought a page in is no use of it, by which the policy would know a page worth keeping.
        } while (!find(target, false));
    }

    @Override
    public long page() {
        return page;
    }

    private long at(int offset, int length) {
        if (offset < 0 || offset > pageSize - length) {
            throw outside(offset, length);
        }
        return base + offset;
    }

    private RuntimeException outside(int offset, int length) {
        return page < 0
                ? unplaced()
                : new IndexOutOfBoundsException(
                        length + " bytes at offset " + offset + " of a page of " + pageSize + " bytes");
    }

    private RuntimeException unplaced() {
        return closed ? closed() : new IllegalStateException("seek a page first");
    }

    @Override
    public byte getByte(int offset) {
        try {
            return memory.get(ValueLayout.JAVA_BYTE, at(offset, 1));
        } catch (IllegalStateException | IndexOutOfBoundsException e) {
            throw failed(e);
        }
    }

    @Override
    public short getShort(int offset) {
        try {
            return memory.get(SHORT, at(offset, 2));
        } catch (IllegalStateException | IndexOutOfBoundsException e) {
            throw failed(e);
        }
    }

    @Override
    public int getInt(int offset) {
        try {
            return memory.get(INT, at(offset, 4));
        } catch (IllegalStateException | IndexOutOfBoundsException e) {
            throw failed(e);
        }
    }

    @Override
    public long getLong(int offset) {
        try {
            return memory.get(LONG, at(offset, 8));
        } catch (IllegalStateException | IndexOutOfBoundsException e) {
            throw failed(e);
        }
    }

    @Override
    public void copyTo(int offset, MemorySegment target, long targetOffset, int length) {
        try {
            MemorySegment.copy(memory, range(offset, length), target, targetOffset, length);
        } catch (IllegalStateException | IndexOutOfBoundsException e) {
            throw failed(e);
        }
    }

    @Override
    public void copyTo(int offset, byte[] target, int targetIndex, int length) {
        try {
            MemorySegment.copy(memory, ValueLayout.JAVA_BYTE, range(offset, length), target, targetIndex, length);
        } catch (IllegalStateException | IndexOutOfBoundsException e) {
            throw failed(e);
        }
    }

    private long range(int offset, int length) {
        Objects.checkFromIndexSize(offset, length, pageSize);
        return base + offset;
    }

    /** What an access means that could not be made: the frames' memory ends with the cache. */
    private RuntimeException failed(RuntimeException e) {
        return page < 0 ? unplaced() : e instanceof IllegalStateException && file.cache.closing ? closed() : e;
    }

    /** R4 to R6. */
    @Override
    public boolean shouldRetry() {
        VarHandle.acquireFence();
        long target = page;
        long[] leaf = lookup.leaf(target);
        if (leaf != null) {
            long now = TranslationWord.acquire(leaf, RadixIndex.slot(target));
            if (((word ^ now) & TranslationWord.STAMP_MASK) == 0 && CachedFile.isSame(epoch, epochs.get())) {
                return false;
            }
        }
        return retry();
    }

    private boolean retry() {
        if (page < 0) {
            throw unplaced();
        }
        SharedPin held = pin;
        if (held != null) {
            // Nobody knows of this pin: held any longer it would keep writers, this thread among them, from the page.
            epoch = epochs.get();
            word = TranslationWord.acquire(held.leaf(), RadixIndex.slot(page));
            unpin();
            tries = 0;
            return false;
        }
        checkOpen();
        long target = page;
        if (++tries >= OPTIMISTIC_TRIES) {
            unplace();
            held = file.pin(target);
            pin = held;
            lookup = PageLookup.NONE;
            page = target;
            base = held.base();
        } else if (!find(target, false)) {
            fault(target);
        }
        return true;
    }

    private void unpin() {
        SharedPin held = pin;
        pin = null;
        if (held != null) {
            lookup = mapping;
            held.close();
        }
    }

    private void checkOpen() {
        if (closed || mapping.closed) {
            throw closed();
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
            unplace();
            unpin();
            lookup = PageLookup.NONE;
            addHits();
        }
    }
}
