/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import io.warmcache.CacheClosedException;
import io.warmcache.ReadPin;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/**
 * A counted pin. With debugging on, its segment is a copy that ends with the pin, so that any use after unpin throws.
 */
final class SharedPin implements ReadPin {
    private final CachedFile file;
    private final long[] leaf;
    private final int slot;
    private final long page;
    private final int frame;
    private final @Nullable DebugCopy copy;

    /**
     * Written under the pin's monitor, which unlike a CAS costs nothing where the compiler sees that no other code gets
     * hold of the pin, nor then needs the pin an object. Read without it: whoever uses a pin that another thread closes
     * at that moment was late.
     */
    private boolean closed;

    /** What is lent in place of the frame. */
    private static final class DebugCopy {
        final Arena arena;
        final MemorySegment bytes;

        @SuppressWarnings("MustBeClosedChecker") // the arena ends with the pin
        DebugCopy(MemorySegment page) {
            arena = Arena.ofShared();
            bytes = arena.allocate(page.byteSize(), 8).copyFrom(page).asReadOnly();
        }
    }

    SharedPin(CachedFile file, long[] leaf, int slot, long page, int frame) {
        this.file = file;
        this.leaf = leaf;
        this.slot = slot;
        this.page = page;
        this.frame = frame;
        copy = file.cache.debug ? new DebugCopy(file.frames.readOnly(frame)) : null;
    }

    @Override
    public long page() {
        return page;
    }

    @Override
    public MemorySegment segment() {
        checkOpen();
        return copy != null ? copy.bytes : file.frames.readOnly(frame);
    }

    @Override
    public ReadPin retain() {
        checkOpen();
        return file.pinAgain(leaf, slot, page, frame);
    }

    /** Where the page starts in the memory of all frames. */
    long base() {
        return (long) frame << file.pageShift;
    }

    long[] leaf() {
        return leaf;
    }

    private void checkOpen() {
        if (closed) {
            throw new CacheClosedException("the read pin of page " + page + " of " + file.name + " is closed");
        }
    }

    /** Whether the caller is the first to close the pin. */
    private synchronized boolean end() {
        boolean first = !closed;
        closed = true;
        return first;
    }

    @Override
    public void close() {
        if (end()) {
            try {
                if (copy != null) {
                    copy.arena.close(); // throws while another thread's I/O uses the segment
                }
            } finally {
                file.cache.pinGone(this);
                file.unpin(leaf, slot, frame, page);
            }
        }
    }
}
