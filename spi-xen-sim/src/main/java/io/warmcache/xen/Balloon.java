/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

import io.warmcache.BackingStore;
import io.warmcache.CacheFullException;
import io.warmcache.MapOptions;
import io.warmcache.PageCache;
import io.warmcache.PagedFile;
import io.warmcache.ReadPin;
import io.warmcache.StoreId;
import io.warmcache.StoreVersion;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.Deque;

/**
 * The balloon driver of a guest whose cache runs in a domain. As a driver in an operating system it allocates from
 * its own guest: it pins pages of a store that nobody else uses, so that the cache's replacement gives up the frames
 * it can spare best, writes out dirty ones first, and never touches a pinned one. The frames' memory then goes to the
 * machine.
 *
 * <p>For one thread at a time. Frames whose domain crashes with them ballooned out have their memory again after the
 * reboot.
 */
public final class Balloon implements AutoCloseable {
    private record Page(int frame, ReadPin pin) {}

    private final Domain domain;
    private final PagedFile pages;
    private final int framePages;
    private final Deque<Page> held = new ArrayDeque<>();
    private long next;

    /**
     * A balloon in the cache of a domain, holding nothing yet.
     *
     * @throws IOException if the cache cannot map the balloon's store
     */
    public Balloon(PageCache cache, Domain domain) throws IOException {
        this.domain = domain;
        int pageSize = cache.config().pageSize();
        framePages = pageSize / Machine.FRAME_SIZE;
        pages = cache.map(new Nothing((long) cache.config().frames() * pageSize * 2), MapOptions.DEFAULT);
    }

    /** Frames of the cache whose memory the machine has now. */
    public int frames() {
        return held.size();
    }

    /**
     * Gives up to {@code frames} frames of the cache to the machine.
     *
     * @return how many were given: fewer when the cache can spare no more
     */
    public int inflate(int frames) {
        for (int given = 0; given < frames; given++) {
            ReadPin pin;
            try {
                pin = pages.pin(next);
            } catch (CacheFullException | IndexOutOfBoundsException e) {
                return given;
            }
            boolean done = false;
            try {
                next++;
                int frame = Math.toIntExact(
                        (pin.segment().address() - pages.memory().address()) / pages.pageSize());
                for (int b = 0; b < framePages; b++) {
                    domain.decreaseReservation(frame * framePages + b, 0);
                }
                held.addLast(new Page(frame, pin));
                done = true;
            } finally {
                if (!done) {
                    pin.close();
                }
            }
        }
        return Math.max(0, frames);
    }

    /**
     * Takes up to {@code frames} frames back.
     *
     * @return how many were taken: fewer when no more had been given or the machine has no memory left
     */
    public int deflate(int frames) throws IOException {
        int taken = 0;
        while (taken < frames && !held.isEmpty() && domain.machine().freeFrames() >= framePages) {
            Page page = held.removeLast();
            for (int b = 0; b < framePages; b++) {
                domain.populatePhysmap(page.frame() * framePages + b, 0);
            }
            page.pin().close();
            taken++;
        }
        if (held.isEmpty()) {
            // Its pages are nothing worth keeping.
            long size = pages.size();
            pages.truncate(0);
            pages.truncate(size);
            next = 0;
        }
        return taken;
    }

    /** Takes everything back and lets go of the cache. */
    @Override
    public void close() throws IOException {
        deflate(held.size());
        if (!held.isEmpty()) {
            throw new IOException("the machine has no memory for " + held.size()
                    + " frames of the balloon: balloon another domain down or destroy it");
        }
        pages.close();
    }

    /** A store of zeros that nobody may keep. */
    private static final class Nothing implements BackingStore {
        private long size;

        Nothing(long size) {
            this.size = size;
        }

        @Override
        public StoreId id() {
            return new StoreId(0x62616c6c6f6f6eL, 0);
        }

        @Override
        public StoreVersion version() {
            return StoreVersion.none();
        }

        @Override
        public long size() {
            return size;
        }

        @Override
        public int read(long position, MemorySegment target) {
            if (position >= size) {
                return -1;
            }
            int n = (int) Math.min(target.byteSize(), size - position);
            target.asSlice(0, n).fill((byte) 0);
            return n;
        }

        @Override
        public int write(long position, MemorySegment source) throws IOException {
            throw new IOException("nobody writes to a balloon");
        }

        @Override
        public void force() {}

        @Override
        public void truncate(long value) {
            size = value;
        }

        @Override
        public String name() {
            return "balloon";
        }

        @Override
        public void close() {}
    }
}
