/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import io.warmcache.CacheConfig;
import io.warmcache.spi.FrameState;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.EnumMap;
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
            int damaged) {
        public Contents {
            whole = Map.copyOf(whole);
        }

        /** Frames of a state. */
        public int count(FrameState state) {
            return whole.getOrDefault(state, 0);
        }
    }

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
                    }
                }
            }
        }
        return new Contents(
                path,
                g.pageSize(),
                header.capacity,
                header.incarnation,
                header.clean,
                header.pid,
                header.unfinished,
                whole,
                damaged);
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
