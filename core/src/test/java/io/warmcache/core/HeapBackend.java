/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import io.warmcache.AttachProgress;
import io.warmcache.BackingStore;
import io.warmcache.CacheConfig;
import io.warmcache.DropReason;
import io.warmcache.MapOptions;
import io.warmcache.StoreId;
import io.warmcache.StoreVersion;
import io.warmcache.core.checksum.Checksums;
import io.warmcache.core.image.FileDisk;
import io.warmcache.core.image.ImageDisk;
import io.warmcache.spi.AttachReport;
import io.warmcache.spi.BackendConfig;
import io.warmcache.spi.BackendFile;
import io.warmcache.spi.BlockChecksum;
import io.warmcache.spi.FailureDomain;
import io.warmcache.spi.FileVerdict;
import io.warmcache.spi.FrameBackend;
import io.warmcache.spi.FrameBackendProvider;
import io.warmcache.spi.FrameRecord;
import io.warmcache.spi.FrameState;
import io.warmcache.spi.SurvivorVisitor;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;

/**
 * The SPI's contract in the plainest form, for tests of the core alone: a "segment" is an object, and a cache that is
 * abandoned instead of closed has died. Checks on every verb that the record is in a state the contract allows.
 */
final class HeapBackend implements FrameBackend {
    /** What outlives a cache. */
    static final class Segment {
        /** Frames there is room for. */
        final int room;

        final int pageSize;
        final MemorySegment memory;
        final FrameRecord[] records;
        final int[] hints;
        final long[] policyWords;
        final Map<StoreId, Long> fileIds = new HashMap<>();
        final Map<Long, StoreVersion> versions = new HashMap<>();
        volatile boolean used;
        boolean clean;

        /** Whether what is known of a store's version leaves doubt, so that a canary has to decide. */
        volatile boolean doubt;

        /** Frames that exist. */
        volatile int frames;
        volatile int affordable = Integer.MAX_VALUE;

        /** What the cache gave to have a file's frames released. */
        volatile @Nullable FileEvictor evictor;

        /** How often a cache has given the memory back. */
        volatile int closes;

        /** Runs wherever a death would leave another state of records and frames than a moment before. */
        volatile Runnable step = () -> {};

        /** Runs before a file's version is settled. */
        volatile Runnable settling = () -> {};

        /** Runs before a record is looked at. */
        volatile Runnable look = () -> {};

        /** No file's version can be noted. */
        volatile boolean refusesAccept;

        /** Runs before such a refusal. */
        volatile Runnable refusing = () -> {};

        /** How many runs of pages are filled together, by its own word. */
        volatile int runsAtOnce = 1;

        /** Of each such call so many runs are not told, and it throws. */
        volatile int runsLeftOut;

        /** Each such call leaves all runs out, as if others had all there is for it. */
        volatile boolean leavesAllOut;

        /** Such calls. */
        final AtomicInteger calls = new AtomicInteger();

        /** Records are reported from the last one on, against the contract. */
        boolean backwards;

        /** Its number of frames cannot be changed. */
        boolean fixed;

        long nextFileId = 1;

        Segment(CacheConfig config) {
            frames = config.frames();
            room = config.maxFrames();
            pageSize = config.pageSize();
            memory = Arena.ofAuto().allocate((long) room * pageSize, 4096);
            records = new FrameRecord[room];
            hints = new int[room];
            policyWords = new long[room + room / 2 + 8];
            for (int i = 0; i < room; i++) {
                records[i] = new FrameRecord();
            }
        }

        /** What a death at this moment would leave behind. */
        Segment copy(CacheConfig config) {
            Segment copy = new Segment(config);
            copy.frames = frames;
            copy.memory.copyFrom(memory);
            for (int i = 0; i < room; i++) {
                copyRecord(records[i], copy.records[i]);
            }
            System.arraycopy(hints, 0, copy.hints, 0, room);
            System.arraycopy(policyWords, 0, copy.policyWords, 0, policyWords.length);
            copy.fileIds.putAll(fileIds);
            copy.versions.putAll(versions);
            copy.used = used;
            copy.nextFileId = nextFileId;
            return copy;
        }

        /** A cache on this segment; the one before, if there is one, has died. */
        Cache attach(CacheConfig config, int versionBits) throws IOException {
            return attach(config, versionBits, FileDisk.INSTANCE);
        }

        Cache attach(CacheConfig config, int versionBits, ImageDisk disk) throws IOException {
            return attach(config, versionBits, disk, AttachScan.Plan.usual(), (frames, of) -> {});
        }

        /** As if {@code share} frames were enough for a thread of the attach. */
        Cache attach(CacheConfig config, int share, AttachProgress progress) throws IOException {
            return attach(config, AttachScan.Plan.of(share), progress);
        }

        Cache attach(CacheConfig config, AttachScan.Plan plan, AttachProgress progress) throws IOException {
            return attach(config, Cache.VERSION_BITS, FileDisk.INSTANCE, plan, progress);
        }

        private Cache attach(
                CacheConfig config,
                int versionBits,
                ImageDisk disk,
                AttachScan.Plan plan,
                AttachProgress progress)
                throws IOException {
            FrameBackendProvider provider = new FrameBackendProvider() {
                @Override
                public String name() {
                    return "heap";
                }

                @Override
                public FrameBackend attach(BackendConfig asked) {
                    frames = Math.max(frames, Math.min(room, asked.cache().frames()));
                    return new HeapBackend(Segment.this, asked.checksum());
                }

                @Override
                public boolean drop(BackendConfig asked) {
                    return false;
                }
            };
            BlockChecksum checksum = Checksums.byName(config.checksum()).orElseThrow();
            BackendConfig backendConfig = new BackendConfig(config, checksum, Checksums.ALL);
            return Cache.open(config, provider, backendConfig, versionBits, disk, plan, progress);
        }

        Cache attach(CacheConfig config) throws IOException {
            return attach(config, Cache.VERSION_BITS);
        }
    }

    static final long INCARNATION = 0x1234_5678_9abc_def1L;

    private final Segment segment;
    private final BlockChecksum checksum;
    private final AttachReport report;
    volatile boolean recoveryFinished;

    HeapBackend(Segment segment, BlockChecksum checksum) {
        this.segment = segment;
        this.checksum = checksum;
        report = new AttachReport(segment.used, segment.used ? "" : "the segment is new", segment.clean, 0, 0);
        segment.used = true;
        segment.clean = false;
    }

    @Override
    public FailureDomain domain() {
        return FailureDomain.PROCESS;
    }

    @Override
    public AttachReport attachReport() {
        return report;
    }

    @Override
    public int frames() {
        return segment.frames;
    }

    @Override
    public int affordableFrames() {
        return segment.affordable;
    }

    @Override
    public int maxFrames() {
        return segment.room;
    }

    @Override
    public void resize(int frames) throws IOException {
        if (segment.fixed) {
            FrameBackend.super.resize(frames);
        }
        for (int frame = frames; frame < segment.room; frame++) {
            if (segment.records[frame].state != FrameState.FREE) {
                throw new AssertionError("frame " + frame + " is " + segment.records[frame].state);
            }
        }
        segment.step.run();
        segment.frames = frames;
        for (int frame = frames; frame < segment.room; frame++) {
            slice(frame).fill((byte) 0);
        }
        segment.step.run();
    }

    @Override
    public boolean move(int from, int to) {
        segment.step.run();
        FrameRecord record = new FrameRecord();
        copyRecord(segment.records[from], record);
        if (record.state != FrameState.CLEAN && record.state != FrameState.WRITTEN) {
            throw new IllegalStateException("frame " + from + " is " + record.state + " and cannot be moved");
        }
        FrameState state = record.state;
        record.state = FrameState.FILLING;
        FrameRecord target = segment.records[to];
        synchronized (target) {
            if (target.state != FrameState.FREE) {
                throw new AssertionError("frame " + to + " is " + target.state + " and cannot be moved to");
            }
            copyRecord(record, target);
        }
        segment.step.run();
        slice(to).copyFrom(slice(from));
        segment.hints[to] = segment.hints[from];
        move(from, FrameState.FREE, state);
        move(to, state, FrameState.FILLING);
        return true;
    }

    @Override
    public int pageSize() {
        return segment.pageSize;
    }

    @Override
    public long incarnation() {
        return INCARNATION;
    }

    @Override
    public BlockChecksum checksum() {
        return checksum;
    }

    @Override
    public MemorySegment memory() {
        return segment.memory;
    }

    @Override
    public void survivors(int from, int to, SurvivorVisitor visitor) {
        for (int i = from; i < to; i++) {
            int frame = segment.backwards ? from + to - 1 - i : i;
            FrameRecord r = segment.records[frame];
            synchronized (r) {
                switch (r.state) {
                    case FREE -> {}
                    case FILLING -> visitor.dropped(frame, DropReason.FILLING, r.fileId, r.page);
                    case DIRTY -> visitor.dropped(frame, DropReason.DIRTY, r.fileId, r.page);
                    case CLEAN, WRITTEN -> visitor.survivor(frame, r.fileId, r.page, r.state, segment.hints[frame]);
                }
            }
        }
    }

    @Override
    public boolean knowsFile(long fileId) {
        return segment.fileIds.containsValue(fileId);
    }

    @Override
    public StoreId identify(Path file, MapOptions options) throws IOException {
        throw new IOException("the heap back end has no plain files");
    }

    @Override
    public BackingStore openStore(Path file, MapOptions options) throws IOException {
        throw new IOException("the heap back end has no plain files");
    }

    @Override
    public BackendFile openFile(BackingStore store, FileEvictor evictor) {
        segment.evictor = evictor;
        Long known = segment.fileIds.get(store.id());
        long fileId = known != null ? known : segment.nextFileId++;
        segment.fileIds.put(store.id(), fileId);
        return new File(store, fileId, known != null);
    }

    @Override
    public boolean readRecord(int frame, FrameRecord into) {
        segment.look.run();
        copyRecord(segment.records[frame], into);
        return true;
    }

    private static void copyRecord(FrameRecord r, FrameRecord into) {
        synchronized (r) {
            into.state = r.state;
            into.fileId = r.fileId;
            into.page = r.page;
            into.generation = r.generation;
            System.arraycopy(r.checksums, 0, into.checksums, 0, r.checksums.length);
        }
    }

    private void move(int frame, FrameState to, FrameState... allowed) {
        segment.step.run();
        FrameRecord r = segment.records[frame];
        synchronized (r) {
            for (FrameState state : allowed) {
                if (r.state == state) {
                    r.state = to;
                    return;
                }
            }
            throw new AssertionError("frame " + frame + " is " + r.state + ": cannot become " + to);
        }
    }

    @Override
    public void markDirty(int frame) {
        move(frame, FrameState.DIRTY, FrameState.CLEAN, FrameState.WRITTEN, FrameState.DIRTY);
    }

    @Override
    public void release(int frame) {
        move(frame, FrameState.FREE, FrameState.values());
    }

    @Override
    public void forced(int frame) {
        segment.step.run();
        FrameRecord r = segment.records[frame];
        synchronized (r) {
            if (r.state == FrameState.WRITTEN) {
                r.state = FrameState.CLEAN;
            }
        }
    }

    @Override
    public void hint(int frame, int hint) {
        segment.hints[frame] = hint;
    }

    @Override
    public int hint(int frame) {
        return segment.hints[frame];
    }

    @Override
    public int policyWords() {
        return segment.policyWords.length;
    }

    @Override
    public void policyWord(int index, long word) {
        segment.policyWords[index] = word;
    }

    @Override
    public long policyWord(int index) {
        return segment.policyWords[index];
    }

    @Override
    public void recoveryFinished() {
        recoveryFinished = true;
    }

    @Override
    @SuppressWarnings("NonAtomicVolatileUpdate") // by the one owner
    public void close() {
        segment.clean = true;
        segment.closes++;
    }

    @Override
    public void drop() {
        segment.used = false;
    }

    private MemorySegment slice(int frame) {
        return segment.memory.asSlice((long) frame * segment.pageSize, segment.pageSize);
    }

    private void sum(FrameRecord r, int frame, int blocks) {
        for (int b = 0; b < segment.pageSize / 4096; b++) {
            if ((blocks & (1 << b)) != 0) {
                r.checksums[b] = checksum.block(
                        segment.memory,
                        (long) frame * segment.pageSize + b * 4096L,
                        INCARNATION,
                        r.fileId,
                        r.page,
                        b,
                        r.generation);
            }
        }
    }

    private final class File implements BackendFile {
        private final BackingStore store;
        private final long fileId;
        private final FileVerdict verdict;
        private volatile boolean closed;

        File(BackingStore store, long fileId, boolean known) {
            this.store = store;
            this.fileId = fileId;
            try {
                StoreVersion then = segment.versions.get(fileId);
                verdict = !known
                        ? new FileVerdict(FileVerdict.Kind.NEW, "")
                        : then != null && store.version().provesUnchanged(then)
                                ? segment.doubt
                                        ? new FileVerdict(FileVerdict.Kind.PROBE, "", new long[0], new long[0])
                                        : new FileVerdict(FileVerdict.Kind.SAME, "")
                                : new FileVerdict(FileVerdict.Kind.CHANGED, "another version");
            } catch (IOException e) {
                throw new AssertionError(e);
            }
        }

        @Override
        public long fileId() {
            return fileId;
        }

        @Override
        public BackingStore store() {
            return store;
        }

        @Override
        public FileVerdict verdict() {
            return verdict;
        }

        private void requireOpen() {
            if (closed) {
                throw new IllegalStateException(store.name() + " is closed");
            }
        }

        @Override
        public void accept() throws IOException {
            requireOpen();
            if (segment.refusesAccept) {
                segment.refusing.run();
                throw new IOException("injected at accept");
            }
            segment.versions.put(fileId, store.version());
        }

        private void start(long page, int frame) {
            requireOpen();
            segment.step.run();
            FrameRecord r = segment.records[frame];
            synchronized (r) {
                if (r.state != FrameState.FREE) {
                    throw new AssertionError("frame " + frame + " is " + r.state + " and cannot be filled");
                }
                r.fileId = fileId;
                r.page = page;
                r.generation++;
                r.state = FrameState.FILLING;
            }
        }

        private void read(long position, MemorySegment target, long size) throws IOException {
            long wanted = Math.max(0, Math.min(target.byteSize(), size - position));
            long done = 0;
            while (done < wanted) {
                int n = store.read(position + done, target.asSlice(done, wanted - done));
                if (n < 0) {
                    break;
                }
                done += n;
            }
            target.asSlice(done).fill((byte) 0);
        }

        @Override
        public void fill(long firstPage, int[] frames, int count, long size, long writtenMask) throws IOException {
            for (int i = 0; i < count; i++) {
                start(firstPage + i, frames[i]);
            }
            readInto(firstPage, frames, count, size, writtenMask);
        }

        private void readInto(long firstPage, int[] frames, int count, long size, long writtenMask)
                throws IOException {
            for (int i = 0; i < count; i++) {
                read((firstPage + i) * segment.pageSize, slice(frames[i]), size);
                segment.step.run();
                FrameRecord r = segment.records[frames[i]];
                synchronized (r) {
                    sum(r, frames[i], -1);
                    r.state = (writtenMask & (1L << i)) != 0 ? FrameState.WRITTEN : FrameState.CLEAN;
                }
            }
        }

        @Override
        public int runsAtOnce() {
            return segment.runsAtOnce;
        }

        @Override
        public void fillRuns(
                int runs,
                long[] firstPages,
                int[][] frames,
                int[] counts,
                long[] writtenMasks,
                long size,
                RunFilled told)
                throws IOException {
            segment.calls.incrementAndGet();
            for (int run = 0; run < runs; run++) {
                for (int i = 0; i < counts[run]; i++) {
                    start(firstPages[run] + i, frames[run][i]);
                }
            }
            if (segment.leavesAllOut) {
                return;
            }
            int least = runs - segment.runsAtOnce; // these are begun at once, in whatever order they end
            for (int run = runs - 1;
                    run >= segment.runsLeftOut && (run >= least || told.goesOn());
                    run--) {
                Throwable failure = null;
                try {
                    readInto(firstPages[run], frames[run], counts[run], size, writtenMasks[run]);
                } catch (IOException | RuntimeException e) {
                    failure = e;
                }
                told.ended(run, failure);
            }
            if (segment.runsLeftOut > 0) {
                throw new IOException("the rest of the runs fails, says the test");
            }
        }

        @Override
        public void refill(long page, int frame, int blockMask, long size) throws IOException {
            requireOpen();
            FrameRecord r = segment.records[frame];
            boolean inUse = r.state == FrameState.DIRTY || r.state == FrameState.FILLING;
            if (!inUse || r.page != page || r.fileId != fileId) {
                throw new IllegalStateException("frame " + frame + " is " + r.state + " of page " + r.page);
            }
            for (int b = 0; b < segment.pageSize / 4096; b++) {
                if ((blockMask & (1 << b)) != 0) {
                    read(page * segment.pageSize + b * 4096L, slice(frame).asSlice(b * 4096L, 4096), size);
                }
            }
        }

        @Override
        public void blank(long page, int frame) {
            start(page, frame);
            slice(frame).fill((byte) 0);
            move(frame, FrameState.DIRTY, FrameState.FILLING);
        }

        @Override
        public void writeBack(long firstPage, int[] frames, int[] blockMasks, int count, long size)
                throws IOException {
            requireOpen();
            for (int i = 0; i < count; i++) {
                FrameRecord r = segment.records[frames[i]];
                if (r.state != FrameState.DIRTY || r.fileId != fileId || r.page != firstPage + i) {
                    throw new IllegalStateException("frame " + frames[i] + " is " + r.state + " of page " + r.page);
                }
            }
            for (int i = 0; i < count; i++) {
                long pageStart = (firstPage + i) * segment.pageSize;
                for (int b = 0; b < segment.pageSize / 4096; b++) {
                    long start = pageStart + b * 4096L;
                    long end = Math.min(start + 4096, size);
                    if ((blockMasks[i] & (1 << b)) == 0) {
                        continue;
                    }
                    for (long at = start; at < end; ) {
                        at += store.write(at, slice(frames[i]).asSlice(at - pageStart, end - at));
                    }
                }
            }
            for (int i = 0; i < count; i++) {
                seal(firstPage + i, frames[i], blockMasks[i]);
            }
        }

        @Override
        public void writeBackVerified(
                long firstPage, int[] frames, int[] blockMasks, int count, long size, long[] sums)
                throws IOException {
            int blocks = segment.pageSize / 4096;
            for (int k = 0; k < count * blocks; k++) {
                int frame = frames[k / blocks];
                int block = k % blocks;
                if ((blockMasks[k / blocks] & (1 << block)) != 0
                        && sums[k]
                                != checksum().block(
                                        memory(),
                                        (long) frame * segment.pageSize + block * 4096L,
                                        INCARNATION,
                                        fileId,
                                        firstPage + k / blocks,
                                        block,
                                        segment.records[frame].generation)) {
                    throw new IOException("a block is not what was to be written");
                }
            }
            writeBack(firstPage, frames, blockMasks, count, size);
        }

        @Override
        public void seal(long page, int frame, int blockMask) {
            requireOpen();
            segment.step.run();
            FrameRecord r = segment.records[frame];
            synchronized (r) {
                if (r.state != FrameState.DIRTY || r.page != page || r.fileId != fileId) {
                    throw new IllegalStateException("frame " + frame + " is " + r.state + " of page " + r.page);
                }
                sum(r, frame, blockMask);
                r.state = FrameState.WRITTEN;
            }
        }

        @Override
        public void force() throws IOException {
            requireOpen();
            store.force();
        }

        @Override
        public void truncate(long size) throws IOException {
            requireOpen();
            store.truncate(size);
        }

        @Override
        public void settle() {
            segment.settling.run();
            requireOpen();
        }

        @Override
        public void close() throws IOException {
            closed = true;
            store.close();
        }
    }
}
