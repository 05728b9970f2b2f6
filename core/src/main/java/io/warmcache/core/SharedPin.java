/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import io.warmcache.CacheClosedException;
import io.warmcache.ReadPin;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.atomic.AtomicBoolean;
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
    private final AtomicBoolean closed = new AtomicBoolean();
    private final @Nullable Arena debugArena;
    private final MemorySegment bytes;

    @SuppressWarnings("MustBeClosedChecker") // the arena ends with the pin
    SharedPin(CachedFile file, long[] leaf, int slot, long page, int frame) {
        this.file = file;
        this.leaf = leaf;
        this.slot = slot;
        this.page = page;
        this.frame = frame;
        MemorySegment inFrame = file.frames.slice(frame).asReadOnly();
        if (file.cache.config.debug()) {
            debugArena = Arena.ofShared();
            bytes = debugArena.allocate(file.pageSize, 8).copyFrom(inFrame).asReadOnly();
        } else {
            debugArena = null;
            bytes = inFrame;
        }
    }

    @Override
    public long page() {
        return page;
    }

    @Override
    public MemorySegment segment() {
        checkOpen();
        return bytes;
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
        if (closed.get()) {
            throw new CacheClosedException("the read pin of page " + page + " of " + file.name + " is closed");
        }
    }

    @Override
    public void close() {
        if (closed.compareAndSet(false, true)) {
            try {
                if (debugArena != null) {
                    debugArena.close(); // throws while another thread's I/O uses the segment
                }
            } finally {
                file.cache.pinGone(this);
                file.unpin(leaf, slot, frame, page);
            }
        }
    }
}
