/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import io.warmcache.CacheConfig;
import io.warmcache.StoreId;
import io.warmcache.StoreVersion;
import io.warmcache.spi.BlockChecksum;
import io.warmcache.spi.FileVerdict;
import io.warmcache.spi.FrameState;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.VarHandle;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.UUID;

/**
 * Checks a segment, dead or in use, against itself and against the plain files it caches, without owning it: no lock is
 * taken, nothing is written, no time of a file is moved, and every read is a system call of its own.
 *
 * <p>Of a segment in use a frame is judged only by a reading during which its record stood still: record, frame and
 * store are read, then the record again; a record that changed (its hint aside) is read anew, and so is one that stood
 * still and did not match, since a write can come and go between two looks. What changes at each of these looks is
 * counted as unstable and is nothing to worry about. Each call works for itself.
 */
public final class ShmAudit {
    /** Looks at a frame that does not match or does not stand still. */
    private static final int TRIES = 8;

    private static final int MOST_FINDINGS = 100;

    /** Leaves the time of last access alone; of the owner of a file alone. */
    private static final int O_NOATIME = 0x40000;

    private final int fd;
    private final String path;
    private final Header header;
    private final Geometry geometry;
    private final BlockChecksum checksum;
    private final boolean compareStores;
    private final boolean live;
    private final Map<Long, Store> stores = new HashMap<>();
    private final Set<Key> seen = new HashSet<>();
    private final List<Finding> findings = new ArrayList<>();
    private final MemorySegment record;
    private final MemorySegment recordAgain;
    private final MemorySegment frame;
    private final MemorySegment page;
    private int used;
    private int inFlight;
    private int damaged;
    private int duplicates;
    private int badChecksums;
    private int equal;
    private int differing;
    private int stale;
    private int unstable;
    private int notCompared;

    private record Key(long fileId, long page) {}

    /**
     * One thing that is not as it must be.
     *
     * @param frame the frame
     * @param file the store's name, or its number in the ledger where that is all that is known
     * @param page the page, or -1
     * @param problem what is wrong
     */
    public record Finding(int frame, String file, long page, String problem) {}

    /**
     * What was found of one file.
     *
     * @param id the ledger's number of it
     * @param name its name; only the last 200 bytes of a longer one are recorded
     * @param store what the gates would say of its store now, or why it was not compared
     * @param frames frames that name it
     * @param valid of these, clean or written ones whose checksums match
     * @param equal of the valid, how many equal the store
     * @param differing of the valid, how many differ from the store
     */
    public record FileAudit(long id, String name, String store, int frames, int valid, int equal, int differing) {}

    /**
     * The result.
     *
     * @param path where the segment is
     * @param holder the pid of whoever owns it now, as far as {@code /proc/locks} shows; 0 for nobody
     * @param cleanStop whether the last owner closed it
     * @param frames frames in all
     * @param used frames whose record is not free
     * @param inFlight of these, how many are being filled or dirty: dropped by a restart
     * @param damagedRecords records of no valid state, or with a self-check that does not match
     * @param duplicates records of a page that another record names, too
     * @param badChecksums clean or written frames with bytes that do not match their record
     * @param equal frames compared with their store and equal to it
     * @param differing frames that differ from a store that the gates would let pass
     * @param stale frames of a dead segment that differ from a store that the gates would refuse: dropped by a restart
     * @param unstable frames that changed at each look
     * @param notCompared valid frames whose store was not to be compared, or could not be
     * @param files one entry a file of the table
     * @param findings the first 100 of what makes the segment unsound
     */
    public record Report(
            String path,
            long holder,
            boolean cleanStop,
            int frames,
            int used,
            int inFlight,
            int damagedRecords,
            int duplicates,
            int badChecksums,
            int equal,
            int differing,
            int stale,
            int unstable,
            int notCompared,
            List<FileAudit> files,
            List<Finding> findings) {
        public Report {
            files = List.copyOf(files);
            findings = List.copyOf(findings);
        }

        /** Whether nothing was found that must not be. */
        public boolean sound() {
            return damagedRecords == 0 && duplicates == 0 && badChecksums == 0 && differing == 0;
        }
    }

    /** Told now and then how far an audit has come. */
    @FunctionalInterface
    public interface Progress {
        /** {@code done} of {@code all} frames have been looked at. */
        void at(int done, int all);
    }

    /** One file of the table. */
    private static final class Store {
        final long id;
        final String name;
        String said;
        /** -1 if it is not compared. */
        int fd = -1;

        long size;
        boolean refused;
        int frames;
        int valid;
        int equal;
        int differing;

        Store(long id, String name, String said) {
            this.id = id;
            this.name = name;
            this.said = said;
        }
    }

    private ShmAudit(
            int fd,
            String path,
            Header header,
            BlockChecksum checksum,
            boolean compareStores,
            boolean live,
            Arena arena) {
        this.fd = fd;
        this.path = path;
        this.header = header;
        this.geometry = header.geometry;
        this.checksum = checksum;
        this.compareStores = compareStores;
        this.live = live;
        record = arena.allocate(geometry.recordSize(), 64);
        recordAgain = arena.allocate(geometry.recordSize(), 64);
        frame = arena.allocate(geometry.pageSize(), Layout.BLOCK);
        page = arena.allocate(geometry.pageSize(), Layout.BLOCK);
    }

    /**
     * Checks the segment that {@code config} names; of {@code config} only the name is used.
     *
     * @param checksums the algorithms known
     * @param compareStores whether valid frames are compared with their plain files, too
     * @throws IOException if there is none, it cannot be read, or it has no whole header
     * @throws io.warmcache.CacheException if native access is denied
     */
    public static Report audit(
            CacheConfig config, List<BlockChecksum> checksums, boolean compareStores, Progress progress)
            throws IOException {
        NativeAccess.require();
        String path = SegmentFile.path(config);
        int fd = openQuietly(path, Libc.O_NOFOLLOW);
        try (Arena arena = Arena.ofConfined()) {
            FileStat stat = Libc.fstat(fd, path);
            Header.Reading reading = SegmentFile.readHeader(fd, path, stat.size(), Format.CURRENT);
            Header header = reading.header();
            if (header == null) {
                throw new IOException(path + " cannot be audited: " + reading.problem());
            }
            BlockChecksum algorithm = checksums.stream()
                    .filter(known -> known.algorithmId() == header.algorithm)
                    .findFirst()
                    .orElseThrow(() -> new IOException(path + " cannot be audited: its checksum algorithm "
                            + header.algorithm + " is not known"));
            long holder = ProcLocks.holder(stat);
            ShmAudit audit = new ShmAudit(fd, path, header, algorithm, compareStores, holder != 0, arena);
            try {
                audit.readTable(arena);
                audit.run(progress);
                return audit.report(holder);
            } finally {
                audit.closeStores();
            }
        } finally {
            Libc.close(fd);
        }
    }

    /**
     * The pid of whoever owns the segment that {@code config} names, as far as {@code /proc/locks} shows; 0 for nobody.
     *
     * @throws IOException if there is no such segment
     */
    public static long holder(CacheConfig config) throws IOException {
        NativeAccess.require();
        return ProcLocks.holder(Libc.stat(SegmentFile.path(config), false));
    }

    /** Read-only, and without a new time of last access where this user may ask for that. */
    private static int openQuietly(String path, int flags) throws ErrnoException {
        try {
            return Libc.open(path, Libc.O_RDONLY | O_NOATIME | flags, 0);
        } catch (ErrnoException e) {
            if (e.errno() != Libc.EPERM) {
                throw e;
            }
            return Libc.open(path, Libc.O_RDONLY | flags, 0);
        }
    }

    private void closeStores() {
        for (Store store : stores.values()) {
            if (store.fd >= 0) {
                Libc.close(store.fd);
            }
        }
    }

    // ---- files -----------------------------------------------------------------------------------------------------

    private void readTable(Arena arena) throws IOException {
        UUID boot = BootId.current();
        MemorySegment slot = arena.allocate(StoreJournal.SLOT_SIZE, 64);
        for (int i = 0; i < geometry.maxFiles(); i++) {
            read(fd, slot, geometry.slot(i), geometry.length(), path);
            if (!StoreJournal.isUsed(slot, 0, header.incarnation)) {
                continue;
            }
            StoreJournal journal = new StoreJournal(slot, 0, header.incarnation, null);
            long id = StoreJournal.fileId(slot, 0);
            Store store = new Store(id, StoreJournal.name(slot, 0), "not asked for");
            stores.put(id, store);
            if (compareStores) {
                open(store, journal, StoreJournal.storeId(slot, 0), boot);
            }
        }
    }

    private void open(Store store, StoreJournal journal, StoreId id, UUID boot) {
        if (journal.kind() != StoreJournal.KIND_FILE) {
            store.said = "not compared: an engine's own store";
            return;
        }
        try {
            FsStat fs = Libc.statfs(store.name);
            FileStat stat = Libc.stat(store.name, true);
            if (!stat.isRegular() || !FileStore.id(fs, stat).equals(id)) {
                store.said = "not compared: it is another file than was cached, whose frames a restart drops";
                return;
            }
            store.fd = openStore(store.name, stat);
            store.size = stat.size();
            if (live) {
                store.said = "in use";
                return;
            }
            StoreVersion now = fs.keepsTimes(false)
                    ? new StoreVersion(StoreVersion.Strength.HEURISTIC, stat.size(), stat.mtime(), stat.ctime())
                    : StoreVersion.none();
            FileVerdict verdict = journal.isWritten()
                    ? StoreGate.ofFile(
                            journal.snapshot(!journal.boot().equals(boot)), now, Libc.clockOffset(), boot)
                    : new FileVerdict(FileVerdict.Kind.CHANGED, "no version of it was recorded");
            store.refused = verdict.kind() == FileVerdict.Kind.CHANGED;
            store.said = verdict.kind() + ": " + verdict.detail();
        } catch (IOException e) {
            store.said = "not compared: " + e.getMessage();
        }
    }

    /** Past the operating system's page cache where that can be, so as to see what an owner with direct I/O wrote. */
    private static int openStore(String name, FileStat stat) throws ErrnoException {
        if (stat.directAlign() <= Layout.BLOCK) {
            try {
                return openQuietly(name, Libc.O_DIRECT);
            } catch (ErrnoException e) {
                if (e.errno() != Libc.EINVAL) {
                    throw e;
                }
            }
        }
        return openQuietly(name, 0);
    }

    // ---- frames ----------------------------------------------------------------------------------------------------

    private void run(Progress progress) throws IOException {
        int batch = Math.max(1, (1 << 20) / geometry.recordSize());
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment records = arena.allocate((long) batch * geometry.recordSize(), 64);
            for (int from = 0; from < header.capacity; from += batch) {
                int n = Math.min(batch, header.capacity - from);
                MemorySegment part = records.asSlice(0, (long) n * geometry.recordSize());
                read(fd, part, geometry.record(from), geometry.length(), path);
                for (int i = 0; i < n; i++) {
                    // Free ones are most of a young segment: one call for many.
                    if (Ledger.stateOf(part.get(Layout.LONG, (long) i * geometry.recordSize())) != FrameState.FREE) {
                        look(from + i);
                    }
                    if ((from + i & 0xFF) == 0) {
                        progress.at(from + i, header.capacity);
                    }
                }
            }
        }
        progress.at(header.capacity, header.capacity);
    }

    /** What one look at a frame said. */
    private enum Look {
        FREE,
        IN_FLIGHT,
        DAMAGED,
        BAD_CHECKSUM,
        NOT_COMPARED,
        PAST_END,
        DIFFERS,
        EQUAL
    }

    private void look(int number) throws IOException {
        Look last = Look.FREE;
        boolean steady = false;
        for (int tries = 0; tries < TRIES; tries++) {
            read(fd, record, geometry.record(number), geometry.length(), path);
            VarHandle.fullFence();
            Look look = judge(number);
            VarHandle.fullFence();
            read(fd, recordAgain, geometry.record(number), geometry.length(), path);
            steady = sameRecord();
            last = look;
            // A mismatch of a segment in use is believed if it is seen at every look.
            boolean good = look == Look.EQUAL || look == Look.NOT_COMPARED || look == Look.FREE
                    || look == Look.IN_FLIGHT;
            if (steady && (good || !live)) {
                break;
            }
        }
        count(number, steady, last);
    }

    /** Whether both readings are of one record; the hint may move at any time. */
    private boolean sameRecord() {
        long hint = Ledger.HINT;
        long after = hint + 4;
        return record.asSlice(0, hint).mismatch(recordAgain.asSlice(0, hint)) < 0
                && record.asSlice(after).mismatch(recordAgain.asSlice(after)) < 0;
    }

    private Look judge(int number) throws IOException {
        FrameState state = Ledger.stateOf(record.get(Layout.LONG, 0));
        if (state == null) {
            return Look.DAMAGED;
        } else if (state == FrameState.FREE) {
            return Look.FREE;
        } else if (state == FrameState.FILLING || state == FrameState.DIRTY) {
            return Look.IN_FLIGHT;
        }
        if (!Ledger.isWhole(record, 0, number, geometry.blocks(), header.incarnation)) {
            return Look.DAMAGED;
        }
        long fileId = record.get(Layout.LONG, Ledger.FILE_ID);
        long pageNumber = record.get(Layout.LONG, Ledger.PAGE);
        int generation = record.get(Layout.INT, Ledger.GENERATION);
        read(fd, frame, geometry.framesOffset() + (long) number * geometry.pageSize(), geometry.length(), path);
        for (int b = 0; b < geometry.blocks(); b++) {
            long sum = checksum.block(
                    frame, (long) b * Layout.BLOCK, header.incarnation, fileId, pageNumber, b, generation);
            if (sum != record.get(Layout.LONG, Ledger.CHECKSUMS + 8L * b)) {
                return Look.BAD_CHECKSUM;
            }
        }
        Store store = stores.get(fileId);
        if (store == null || store.fd < 0) {
            return Look.NOT_COMPARED;
        }
        long position = pageNumber * geometry.pageSize();
        if (live) {
            store.size = Libc.fstat(store.fd, store.name).size();
        }
        if (position >= store.size) {
            return Look.PAST_END;
        }
        read(store.fd, page, position, store.size, store.name);
        return page.mismatch(frame) < 0 ? Look.EQUAL : Look.DIFFERS;
    }

    private void count(int number, boolean steady, Look look) {
        if (steady && look == Look.FREE) {
            return;
        }
        used++;
        if (!steady) {
            unstable++;
            return;
        }
        if (look == Look.IN_FLIGHT) {
            inFlight++;
            return;
        }
        if (look == Look.DAMAGED) {
            damaged++;
            find(number, "?", -1, "its record is damaged: a restart drops it");
            return;
        }
        long fileId = record.get(Layout.LONG, Ledger.FILE_ID);
        long pageNumber = record.get(Layout.LONG, Ledger.PAGE);
        Store store = stores.computeIfAbsent(fileId, id -> new Store(id, "file " + id, "not in the file table"));
        store.frames++;
        // Of a segment in use a page may be seen where it was and where it went.
        if (!seen.add(new Key(fileId, pageNumber)) && !live) {
            duplicates++;
            find(number, store.name, pageNumber, "another frame has the same page: a restart drops both");
        }
        if (look == Look.BAD_CHECKSUM) {
            badChecksums++;
            find(number, store.name, pageNumber, "its bytes do not match their checksums: they are never served");
            return;
        }
        store.valid++;
        switch (look) {
            case EQUAL -> {
                equal++;
                store.equal++;
            }
            case DIFFERS, PAST_END -> {
                store.differing++;
                if (store.refused) {
                    stale++;
                } else if (look == Look.PAST_END && !live) {
                    stale++; // dropped when the file is mapped, whatever the verdict
                } else {
                    differing++;
                    find(
                            number,
                            store.name,
                            pageNumber,
                            look == Look.DIFFERS ? "differs from the store" : "lies past the end of the store");
                }
            }
            default -> notCompared++;
        }
    }

    private void find(int number, String file, long pageNumber, String problem) {
        if (findings.size() < MOST_FINDINGS) {
            findings.add(new Finding(number, file, pageNumber, problem));
        }
    }

    /** Fills a segment, with zeros past {@code end} or the end of the file. */
    private static void read(int fd, MemorySegment target, long position, long end, String what) throws IOException {
        long done = 0;
        // Not on from an odd end, where direct I/O would be refused.
        while (done < target.byteSize() && position + done < end) {
            int n = Libc.read(fd, target.asSlice(done), position + done, what);
            if (n == 0) {
                break;
            }
            done += n;
        }
        target.asSlice(done).fill((byte) 0);
    }

    private Report report(long holder) {
        List<FileAudit> files = stores.values().stream()
                .sorted(Comparator.comparingLong((Store store) -> store.id))
                .map(store -> new FileAudit(
                        store.id, store.name, store.said, store.frames, store.valid, store.equal, store.differing))
                .toList();
        return new Report(
                path,
                holder,
                header.clean,
                header.capacity,
                used,
                inFlight,
                damaged,
                duplicates,
                badChecksums,
                equal,
                differing,
                stale,
                unstable,
                notCompared,
                files,
                findings);
    }
}
