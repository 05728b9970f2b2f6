/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import io.warmcache.CacheConfig;
import io.warmcache.spi.FrameState;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Looks at a segment without owning it: for tools, and for a parent that counts what a dead child left. Reads by
 * system call and changes nothing; of a segment in use the counts are of no one moment. Safe for use by many threads.
 */
public final class ShmInspector {
    private ShmInspector() {}

    /**
     * What a segment holds.
     *
     * @param path where it is
     * @param pageSize bytes of a frame
     * @param frames frames
     * @param incarnation the random id of its formatting
     * @param cleanStop whether its last owner detached in order
     * @param lastOwner the pid of its last owner, in that process's pid namespace
     * @param unfinishedAttaches attaches in a row that died before their recovery ended
     * @param whole frames by state; {@code CLEAN} and {@code WRITTEN} ones only if their record's self-check matches
     * @param damaged records of no valid state or with a self-check that does not match
     * @param files those that the segment knows, mapped or not, by their number
     */
    public record Contents(
            String path,
            int pageSize,
            int frames,
            long incarnation,
            boolean cleanStop,
            long lastOwner,
            long unfinishedAttaches,
            Map<FrameState, Integer> whole,
            int damaged,
            List<FileContents> files) {
        public Contents {
            whole = Map.copyOf(whole);
            files = List.copyOf(files);
        }

        /** Frames of a state. */
        public int count(FrameState state) {
            return whole.getOrDefault(state, 0);
        }
    }

    /**
     * What a segment holds of a file.
     *
     * @param id its number in the segment, never used again
     * @param name its path when it was first mapped, or what an engine calls its store
     * @param resident frames that hold a page of it as it is in the file ({@code CLEAN} or {@code WRITTEN})
     * @param dirty frames that hold a page of it with changes not written yet
     */
    public record FileContents(long id, String name, int resident, int dirty) {}

    /**
     * Reads the segment that {@code config} names; of {@code config} only the name is used.
     *
     * @throws IOException if there is none, it cannot be read, or it has no whole header
     * @throws io.warmcache.CacheException if native access is denied
     */
    public static Contents inspect(CacheConfig config) throws IOException {
        NativeAccess.require();
        String path = SegmentFile.path(config);
        int fd = Libc.open(path, Libc.O_RDONLY | Libc.O_NOFOLLOW, 0);
        try {
            Header.Reading reading = SegmentFile.readHeader(fd, path, Libc.fstat(fd, path).size(), Format.CURRENT);
            Header header = reading.header();
            if (header == null) {
                throw new IOException(path + " cannot be inspected: " + reading.problem());
            }
            return count(fd, path, header);
        } finally {
            Libc.close(fd);
        }
    }

    private static Contents count(int fd, String path, Header header) throws IOException {
        Geometry g = header.geometry;
        Map<FrameState, Integer> whole = new EnumMap<>(FrameState.class);
        int damaged = 0;
        Map<Long, int[]> byFile = new HashMap<>();
        List<FileContents> files = new ArrayList<>();
        int batch = Math.max(1, (1 << 20) / g.recordSize());
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment records = arena.allocate((long) batch * g.recordSize(), 64);
            for (int from = 0; from < header.capacity; from += batch) {
                int n = Math.min(batch, header.capacity - from);
                MemorySegment part = records.asSlice(0, (long) n * g.recordSize());
                part.fill((byte) 0);
                readFully(fd, path, part, g.record(from));
                for (int i = 0; i < n; i++) {
                    long base = (long) i * g.recordSize();
                    FrameState state = Ledger.stateOf(part.get(Layout.LONG, base));
                    boolean checked = state == FrameState.CLEAN || state == FrameState.WRITTEN;
                    if (state == null
                            || (checked && !Ledger.isWhole(part, base, from + i, g.blocks(), header.incarnation))) {
                        damaged++;
                    } else {
                        whole.merge(state, 1, Integer::sum);
                        if (checked || state == FrameState.DIRTY) {
                            int[] counts = byFile.computeIfAbsent(
                                    part.get(Layout.LONG, base + Ledger.FILE_ID), id -> new int[2]);
                            counts[checked ? 0 : 1]++;
                        }
                    }
                }
            }
            MemorySegment slot = arena.allocate(StoreJournal.SLOT_SIZE, 64);
            for (int i = 0; i < g.maxFiles(); i++) {
                slot.fill((byte) 0);
                readFully(fd, path, slot, g.slot(i));
                if (StoreJournal.isUsed(slot, 0, header.incarnation)) {
                    long id = StoreJournal.fileId(slot, 0);
                    int[] counts = byFile.getOrDefault(id, new int[2]);
                    files.add(new FileContents(id, StoreJournal.name(slot, 0), counts[0], counts[1]));
                }
            }
        }
        files.sort(Comparator.comparingLong(FileContents::id));
        return new Contents(
                path,
                g.pageSize(),
                header.capacity,
                header.incarnation,
                header.clean,
                header.pid,
                header.unfinished,
                whole,
                damaged,
                files);
    }

    private static void readFully(int fd, String path, MemorySegment target, long position) throws IOException {
        long done = 0;
        while (done < target.byteSize()) {
            int n = Libc.read(fd, target.asSlice(done), position + done, path);
            if (n == 0) {
                return;
            }
            done += n;
        }
    }
}
