/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.util.Arrays;

/**
 * The memory file of one domain of a shared machine, which its guest maps: first the words that guest and VMM share,
 * then one range for each extent ever granted. A range is never granted twice, so that what a guest may still have
 * mapped of memory that it gave up is nobody's. Guarded by the machine's lock.
 */
final class DomainMemory implements AutoCloseable {
    /** Pages of an extent. */
    static final int EXTENT_PAGES = 1 << Machine.LARGE_ORDER;

    /** Bytes of an extent. */
    static final long EXTENT = (long) EXTENT_PAGES * Machine.FRAME_SIZE;

    private final Machine machine;
    private final String name;
    private final int fd;
    /** Of the VMM's mapping of the words: one left to the collector would keep the whole file's memory until then. */
    private final Arena arena = Arena.ofShared();

    private final SharedInfo info;
    /** Where each extent of pfns lies in the file, or -1. */
    private final long[] offsets;

    private long end;

    DomainMemory(Domain domain) throws IOException {
        machine = domain.machine();
        name = "memory of " + domain;
        fd = Libc.sealedMemory("warmcache-xend-" + domain.id());
        boolean done = false;
        try {
            long bytes = (SharedInfo.bytes(domain.pages()) + EXTENT - 1) / EXTENT * EXTENT;
            Libc.grow(fd, 0, bytes, name);
            end = bytes;
            info = SharedInfo.map(fd, domain.pages(), arena);
            done = true;
        } finally {
            if (!done) {
                arena.close();
                Libc.close(fd);
            }
        }
        offsets = new long[domain.pages() / EXTENT_PAGES];
        Arrays.fill(offsets, -1);
    }

    int fd() {
        return fd;
    }

    SharedInfo info() {
        return info;
    }

    long[] offsets() {
        return offsets.clone();
    }

    /** Puts memory behind machine frames that lie together, and into the guest's file. */
    void grant(int pfn, int mfn, int count) throws IOException {
        if (count != EXTENT_PAGES || pfn % EXTENT_PAGES != 0) {
            throw new IllegalStateException("memory that other processes map is granted in whole extents");
        }
        Libc.grow(fd, end, EXTENT, name);
        Libc.mapInto(machine.memory(), (long) mfn * Machine.FRAME_SIZE, EXTENT, fd, end);
        offsets[pfn / EXTENT_PAGES] = end;
        end += EXTENT;
    }

    /** Takes an extent away. A guest that keeps it mapped keeps a range that holds nothing any more. */
    void revoke(int pfn, int mfn) {
        try {
            Libc.unmapFrom(machine.memory(), (long) mfn * Machine.FRAME_SIZE, EXTENT);
            Libc.punch(fd, offsets[pfn / EXTENT_PAGES], EXTENT, name);
            offsets[pfn / EXTENT_PAGES] = -1;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /**
     * Unmaps an extent from machine memory, of a domain that goes as a whole. Nothing is punched out: its guest may
     * live on with all of it mapped, and would take the zeros for what it had read. The last mapping frees the memory.
     */
    void forget(int mfn) {
        try {
            Libc.unmapFrom(machine.memory(), (long) mfn * Machine.FRAME_SIZE, EXTENT);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Gives the VMM's own hold of the file up, after all extents. */
    @Override
    public void close() {
        arena.close();
        Libc.close(fd);
    }
}
