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
    private Arena arena = Arena.ofShared();

    private SharedInfo info;
    /** Where the words lie in the file. */
    private long infoAt;

    private long infoBytes;
    /** Where each extent of pfns lies in the file, or -1. */
    private long[] offsets;

    private long end;

    DomainMemory(Domain domain, int pages) throws IOException {
        machine = domain.machine();
        name = "memory of " + domain;
        fd = Libc.sealedMemory("warmcache-xend-" + domain.id());
        boolean done = false;
        try {
            infoBytes = wholeExtents(pages);
            Libc.grow(fd, 0, infoBytes, name);
            end = infoBytes;
            info = SharedInfo.map(fd, 0, pages, arena);
            done = true;
        } finally {
            if (!done) {
                arena.close();
                Libc.close(fd);
            }
        }
        offsets = new long[pages / EXTENT_PAGES];
        Arrays.fill(offsets, -1);
    }

    private static long wholeExtents(int pages) {
        return (SharedInfo.bytes(pages) + EXTENT - 1) / EXTENT * EXTENT;
    }

    /** Makes room for another number of pages, while nobody has it mapped: the words move, with what they say. */
    @SuppressWarnings("MustBeClosedChecker") // closed with the memory, or when the words move again
    void room(int pages) throws IOException {
        long bytes = wholeExtents(pages);
        Libc.grow(fd, end, bytes, name);
        long at = end;
        end += bytes;
        Arena mapped = Arena.ofShared();
        boolean done = false;
        try {
            SharedInfo next = SharedInfo.map(fd, at, pages, mapped);
            next.takeOver(info);
            info = next;
            done = true;
        } finally {
            if (!done) {
                mapped.close();
                punch(at, bytes);
            }
        }
        arena.close();
        arena = mapped;
        punch(infoAt, infoBytes);
        infoAt = at;
        infoBytes = bytes;
        int before = offsets.length;
        offsets = Arrays.copyOf(offsets, pages / EXTENT_PAGES);
        if (offsets.length > before) {
            Arrays.fill(offsets, before, offsets.length, -1);
        }
    }

    /** Of a range that is never used again: where its memory cannot be given back it stays until the file goes. */
    private void punch(long at, long bytes) {
        try {
            Libc.punch(fd, at, bytes, name);
        } catch (IOException e) {
            System.err.println("xen-simd: memory stays in use until the domain is dropped: " + e.getMessage());
        }
    }

    int fd() {
        return fd;
    }

    SharedInfo info() {
        return info;
    }

    /** Where the words lie in the file. */
    long infoAt() {
        return infoAt;
    }

    /** Of the extents of pfns {@code from} to {@code to} - 1, from the first, that begins there. */
    long[] offsets(int from, int to) {
        return Arrays.copyOfRange(offsets, from / EXTENT_PAGES, to / EXTENT_PAGES);
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
        forget(mfn);
        punch(offsets[pfn / EXTENT_PAGES], EXTENT);
        offsets[pfn / EXTENT_PAGES] = -1;
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
