/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

import io.warmcache.BackingStore;
import io.warmcache.CacheConfig;
import io.warmcache.CacheException;
import io.warmcache.DropReason;
import io.warmcache.IoMode;
import io.warmcache.MapOptions;
import io.warmcache.StoreId;
import io.warmcache.spi.AttachReport;
import io.warmcache.spi.BackendConfig;
import io.warmcache.spi.BackendFile;
import io.warmcache.spi.BlockChecksum;
import io.warmcache.spi.FailureDomain;
import io.warmcache.spi.FileVerdict;
import io.warmcache.spi.FrameBackend;
import io.warmcache.spi.FrameRecord;
import io.warmcache.spi.FrameState;
import io.warmcache.spi.SurvivorVisitor;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * A guest of a machine in another process: its frames are mapped here, everything that is recorded of them is there.
 * What this keeps of the records is a copy, as of the attach and of each answer since, so that the cache can compare
 * checksums without a call; only the VMM's own outlive this process.
 */
final class RemoteBackend implements FrameBackend {
    private static final System.Logger LOG = System.getLogger("io.warmcache");
    private static final FrameState[] STATES = FrameState.values();
    /** Of the call under way on this thread. */
    private static final ThreadLocal<FileEvictor> EVICTOR = new ThreadLocal<>();

    private final RemoteLink link;
    /** Frames that there is room for, of which the first {@link #frames} exist. */
    private final int room;

    private volatile int frames;
    private final int pageSize;
    private final int blocks;
    private final Map<Integer, BackingStore> stores = new ConcurrentHashMap<>();
    private final AtomicInteger nextStore = new AtomicInteger(1);
    private final Set<RemoteFile> files = ConcurrentHashMap.newKeySet();
    private final Object logging = new Object();
    private final Object resizing = new Object();
    private final Arena arena = Arena.ofShared();
    private final MemorySegment memory;
    private final SharedInfo info;
    private final BlockChecksum checksum;
    private final AttachReport report;
    private final long incarnation;
    private boolean closed;

    // The copy of the records, by frame; those of a frame are used by whoever has the page latched.
    private final FrameState[] states;
    private final byte[] flags;
    private final int[] generations;
    private final long[] fileIds;
    private final long[] pages;
    private final long[] sums;

    /** Extents that lie together in the memory file. */
    private record Run(int extents, long offset) {}

    /** What the VMM answers to an attach. */
    private record Attached(
            long incarnation,
            int algorithm,
            AttachReport report,
            int pages,
            int frames,
            int room,
            long infoAt,
            List<Run> runs) {}

    static RemoteBackend attach(Path socket, BackendConfig config) throws IOException {
        return new RemoteBackend(socket, config);
    }

    /** Asks of a cache by name what takes no attach. */
    static <T> T hello(Path socket, int op, String name, RemoteLink.Answer<T> answer) throws IOException {
        try (RemoteLink link = new RemoteLink(socket, wire -> { })) {
            return link.hello(op, out -> Wire.put(out, name), answer);
        }
    }

    /** Removes the memory of a cache that nobody has open. */
    static boolean drop(Path socket, String name) throws IOException {
        return hello(socket, Op.DROP_DOMAIN, name, in -> in.get() != 0);
    }

    /** Frames by state of a domain that nobody is attached to. */
    static Map<FrameState, Integer> inspect(Path socket, String name) throws IOException {
        return hello(socket, Op.INSPECT, name, in -> {
            Map<FrameState, Integer> counts = new EnumMap<>(FrameState.class);
            for (FrameState state : STATES) {
                counts.put(state, in.getInt());
            }
            return counts;
        });
    }

    private RemoteBackend(Path socket, BackendConfig config) throws IOException {
        CacheConfig cache = config.cache();
        pageSize = cache.pageSize();
        blocks = pageSize / Machine.FRAME_SIZE;
        link = new RemoteLink(socket, this::serve);
        boolean done = false;
        try {
            Attached attached = hello(config);
            report = attached.report;
            incarnation = attached.incarnation;
            checksum = algorithm(config, attached.algorithm);
            frames = attached.frames;
            room = attached.room;
            states = new FrameState[room];
            Arrays.fill(states, FrameState.FREE);
            flags = new byte[room];
            generations = new int[room];
            fileIds = new long[room];
            pages = new long[room];
            sums = new long[room * blocks];
            int fd = link.grant();
            try {
                memory = Libc.reserve((long) room * pageSize, arena);
                info = SharedInfo.map(fd, attached.infoAt, attached.pages, arena);
                mapRuns(memory, 0, attached.runs, fd);
            } finally {
                Libc.close(fd);
            }
            if (report.warm()) {
                readRecords();
            }
            done = true;
        } finally {
            if (!done) {
                arena.close();
                link.close();
            }
        }
    }

    private Attached hello(BackendConfig config) throws IOException {
        CacheConfig cache = config.cache();
        return link.hello(
                Op.ATTACH,
                out -> {
                    Wire.put(out, cache.name());
                    out.putLong(cache.capacity())
                            .putLong(cache.maxCapacity())
                            .putInt(pageSize)
                            .putInt(config.checksum().algorithmId())
                            .putInt(cache.maxFiles())
                            .putInt(cache.maxUnfinishedAttaches())
                            .putLong(TimeUnit.NANOSECONDS.convert(cache.ownerWait()));
                },
                in -> {
                    long high = in.getLong();
                    long low = in.getLong();
                    long number = in.getLong();
                    int algorithm = in.getInt();
                    boolean warm = in.get() != 0;
                    boolean clean = in.get() != 0;
                    String cold = Wire.string(in);
                    AttachReport found = new AttachReport(warm, cold, clean, in.getLong(), in.getInt());
                    int mapped = in.getInt();
                    link.joined(high, low, in.getInt());
                    int existing = in.getInt();
                    int most = in.getInt();
                    long infoAt = in.getLong();
                    return new Attached(number, algorithm, found, mapped, existing, most, infoAt, runs(in));
                });
    }

    private static List<Run> runs(ByteBuffer in) {
        int extents = in.getInt();
        List<Run> runs = new ArrayList<>();
        for (int n = 0; n < extents; ) {
            Run run = new Run(in.getInt(), in.getLong());
            runs.add(run);
            n += run.extents;
        }
        return runs;
    }

    /** Maps extents, from a byte of the memory on. */
    private static void mapRuns(MemorySegment memory, long from, List<Run> runs, int fd) throws IOException {
        long at = from;
        for (Run run : runs) {
            long bytes = Math.min(run.extents * DomainMemory.EXTENT, memory.byteSize() - at);
            if (bytes > 0) {
                Libc.mapInto(memory, at, bytes, fd, run.offset);
                at += bytes;
            }
        }
    }

    /** Bytes of the extents that frames 0 to {@code count} - 1 lie in. */
    private long extentBytes(int count) {
        long bytes = (long) count * pageSize;
        return (bytes + DomainMemory.EXTENT - 1) / DomainMemory.EXTENT * DomainMemory.EXTENT;
    }

    @Override
    public int maxFrames() {
        return room;
    }

    /** R1 to R6: whole extents go to the VMM, or come from it. */
    @Override
    public void resize(int count) throws IOException {
        if (count < 1 || count > room) {
            throw new IllegalArgumentException("the domain has room for 1 to " + room + " frames, not for " + count);
        }
        synchronized (resizing) {
            int before = frames;
            for (int frame = count; frame < before; frame++) {
                require(frame, FrameState.FREE, FrameState.FREE);
            }
            if (count < before) {
                var _ = link.call(Op.RESIZE, out -> out.putInt(count), RemoteBackend::runs);
                frames = count;
                unmap(extentBytes(count), extentBytes(before));
            } else if (count > before) {
                List<Run> runs = link.call(Op.RESIZE, out -> out.putInt(count), RemoteBackend::runs);
                mapGrown(before, runs);
                frames = count;
            } else {
                link.call(Op.SYNC, out -> { }); // whether there is still a VMM to ask
            }
        }
    }

    /** Where that fails the range stays mapped, which reads as zeros, and which nothing is put into. */
    private void unmap(long from, long to) {
        long end = Math.min(to, memory.byteSize());
        try {
            if (end > from) {
                Libc.unmapFrom(memory, from, end - from);
            }
        } catch (IOException e) {
            LOG.log(System.Logger.Level.DEBUG, "memory that was given back stays mapped", e);
        }
    }

    private void mapGrown(int before, List<Run> runs) throws IOException {
        boolean done = false;
        try {
            int fd = runs.isEmpty() ? -1 : link.grant();
            try {
                mapRuns(memory, extentBytes(before), runs, fd);
            } finally {
                if (fd >= 0) {
                    Libc.close(fd);
                }
            }
            done = true;
        } finally {
            if (!done) {
                var _ = link.call(Op.RESIZE, out -> out.putInt(before), RemoteBackend::runs);
                unmap(extentBytes(before), memory.byteSize());
            }
        }
    }

    @Override
    public boolean move(int from, int to) {
        boolean moved = unchecked(Op.MOVE, out -> out.putInt(from).putInt(to), in -> in.get() != 0);
        if (moved) {
            generations[to] = generations[from];
            fileIds[to] = fileIds[from];
            pages[to] = pages[from];
            System.arraycopy(sums, from * blocks, sums, to * blocks, blocks);
            info.hint(to, info.hint(from));
            FrameState state = states[from];
            state(from, FrameState.FREE);
            state(to, state);
        }
        return moved;
    }

    private static BlockChecksum algorithm(BackendConfig config, int id) throws IOException {
        if (config.checksum().algorithmId() == id) {
            return config.checksum();
        }
        for (BlockChecksum each : config.checksums()) {
            if (each.algorithmId() == id) {
                return each;
            }
        }
        throw new IOException("the checksum algorithm " + id + " of the domain's cache is not known here");
    }

    private void readRecords() throws IOException {
        int most = Math.min(SimdServer.RECORDS, (Wire.MAX_MESSAGE - 16) / (22 + 8 * blocks));
        for (int from = 0; from < frames; from += most) {
            int first = from;
            int count = Math.min(most, frames - from);
            var _ = link.call(Op.RECORDS, out -> out.putInt(first).putInt(count), in -> {
                for (int frame = first; frame < first + count; frame++) {
                    var _ = record(frame, in);
                }
                return true;
            });
        }
    }

    /**
     * After the VMM has refused what the copy allows: one of its records was damaged, and the copy is not what counts.
     * What it cannot be asked stays as it is.
     */
    void recordsAgain(int[] of, int count, Exception refusal) {
        for (int i = 0; i < count && link.lost() == null; i++) {
            int frame = of[i];
            try {
                var _ = link.call(Op.RECORDS, out -> out.putInt(frame).putInt(1), in -> record(frame, in));
            } catch (IOException e) {
                refusal.addSuppressed(e);
            }
        }
    }

    private boolean record(int frame, ByteBuffer in) throws IOException {
        states[frame] = Wire.value(STATES, in.get());
        flags[frame] = in.get();
        generations[frame] = in.getInt();
        fileIds[frame] = in.getLong();
        pages[frame] = in.getLong();
        for (int b = 0; b < blocks; b++) {
            sums[frame * blocks + b] = in.getLong();
        }
        return true;
    }

    RemoteLink link() {
        return link;
    }

    // ---- what the VMM asks in the midst of a request

    private void serve(Wire wire) throws IOException {
        ByteBuffer in = wire.in();
        int kind = in.get();
        int handle = in.getInt();
        long one = in.getLong();
        long two = in.getLong();
        ByteBuffer out = wire.begin(Op.OK);
        try {
            if (kind == Op.CALL_EVICT) {
                EVICTOR.get().evict(one);
            } else {
                BackingStore store = stores.get(handle);
                if (store == null) {
                    throw new IOException("there is no store " + handle);
                }
                serve(kind, store, one, two, in, out);
            }
        } catch (IOException | RuntimeException e) {
            Wire.put(wire.begin(Op.IO_FAILED), String.valueOf(e.getMessage()));
        }
        wire.send();
    }

    private static void serve(int kind, BackingStore store, long one, long two, ByteBuffer in, ByteBuffer out)
            throws IOException {
        switch (kind) {
            case Op.CALL_VERSION -> Wire.put(out, store.version());
            case Op.CALL_SIZE -> out.putLong(store.size());
            case Op.CALL_READ -> {
                try (Arena scratch = Arena.ofConfined()) {
                    MemorySegment bytes = scratch.allocate(two, Machine.FRAME_SIZE);
                    int n = store.read(one, bytes);
                    out.putInt(n);
                    if (n > 0) {
                        out.put(bytes.asSlice(0, n).asByteBuffer());
                    }
                }
            }
            case Op.CALL_WRITE -> {
                try (Arena scratch = Arena.ofConfined()) {
                    MemorySegment bytes = scratch.allocate(two, Machine.FRAME_SIZE);
                    bytes.copyFrom(MemorySegment.ofBuffer(in.slice().limit((int) two)));
                    out.putInt(store.write(one, bytes));
                }
            }
            case Op.CALL_FORCE -> store.force();
            case Op.CALL_TRUNCATE -> store.truncate(one);
            case Op.CALL_CLOSE -> store.close();
            default -> throw new IOException("the VMM asked for " + kind);
        }
    }

    // ---- what it is

    @Override
    public FailureDomain domain() {
        return FailureDomain.OS_REBOOT;
    }

    @Override
    public AttachReport attachReport() {
        return report;
    }

    @Override
    public int frames() {
        return frames;
    }

    @Override
    public int pageSize() {
        return pageSize;
    }

    @Override
    public long incarnation() {
        return incarnation;
    }

    @Override
    public BlockChecksum checksum() {
        return checksum;
    }

    @Override
    public MemorySegment memory() {
        return memory;
    }

    /** The words shared with the VMM, for a test. */
    SharedInfo info() {
        return info;
    }

    // ---- records

    private FrameState state(int frame) {
        return states[frame];
    }

    void state(int frame, FrameState state) {
        states[frame] = state;
        flags[frame] = 1;
    }

    void require(int frame, FrameState one, FrameState other) {
        FrameState state = state(frame);
        if (state != one && state != other) {
            throw new IllegalStateException(
                    "frame " + frame + " is " + state + ", not " + one + (one == other ? "" : " or " + other));
        }
    }

    /** Takes what the VMM recorded of a frame into the copy. */
    void copy(int frame, long fileId, long page, FrameState state, ByteBuffer in) {
        generations[frame] = in.getInt();
        for (int b = 0; b < blocks; b++) {
            sums[frame * blocks + b] = in.getLong();
        }
        fileIds[frame] = fileId;
        pages[frame] = page;
        state(frame, state);
    }

    @Override
    public void survivors(int from, int to, SurvivorVisitor visitor) {
        for (int frame = from; frame < to; frame++) {
            FrameState state = state(frame);
            boolean whole = (flags[frame] & 1) != 0;
            switch (state) {
                case FREE -> { }
                case FILLING -> visitor.dropped(frame, DropReason.FILLING, fileIds[frame], pages[frame]);
                case DIRTY -> visitor.dropped(frame, DropReason.DIRTY, fileIds[frame], pages[frame]);
                case CLEAN, WRITTEN -> {
                    if (!whole || fileIds[frame] <= 0 || pages[frame] < 0) {
                        visitor.dropped(frame, DropReason.RECORD_DAMAGED, 0, -1);
                    } else if ((flags[frame] & 2) != 0) {
                        visitor.dropped(frame, DropReason.UNFORCED, fileIds[frame], pages[frame]);
                    } else {
                        visitor.survivor(frame, fileIds[frame], pages[frame], state, hint(frame));
                    }
                }
            }
        }
    }

    @Override
    public boolean readRecord(int frame, FrameRecord into) {
        into.state = state(frame);
        into.generation = generations[frame];
        if (into.state == FrameState.FREE) {
            into.fileId = 0;
            into.page = -1;
            return true;
        }
        into.fileId = fileIds[frame];
        into.page = pages[frame];
        System.arraycopy(sums, frame * blocks, into.checksums, 0, blocks);
        return (flags[frame] & 1) != 0 || !report.warm();
    }

    /** Tells the VMM of an event before anything that comes after it. */
    private void log(int kind, int frame) {
        synchronized (logging) {
            if (link.lost() != null) {
                return; // nobody reads it any more
            }
            if (!info.hasRoom()) {
                try {
                    link.call(Op.SYNC, out -> { });
                } catch (IOException e) {
                    return; // there is no VMM any more that could be told
                }
            }
            info.log(kind, frame);
        }
    }

    @Override
    public void markDirty(int frame) {
        FrameState state = state(frame);
        if (state == FrameState.FREE || state == FrameState.FILLING) {
            throw new IllegalStateException("frame " + frame + " is " + state + " and cannot become DIRTY");
        }
        if (state != FrameState.DIRTY) {
            log(SharedInfo.DIRTY, frame);
            states[frame] = FrameState.DIRTY;
        }
    }

    @Override
    public void release(int frame) {
        if (state(frame) != FrameState.FREE) {
            log(SharedInfo.RELEASE, frame);
            state(frame, FrameState.FREE);
        }
    }

    /** The VMM looks itself whether the disk was forced since; until a restart nothing depends on it here. */
    @Override
    public void forced(int frame) {
        if (state(frame) == FrameState.WRITTEN) {
            log(SharedInfo.FORCED, frame);
            state(frame, FrameState.CLEAN);
        }
    }

    @Override
    public void hint(int frame, int hint) {
        info.hint(frame, hint);
    }

    @Override
    public int hint(int frame) {
        return info.hint(frame);
    }

    @Override
    public int policyWords() {
        return info.policyWords();
    }

    @Override
    public void policyWord(int index, long word) {
        info.policyWord(index, word);
    }

    @Override
    public long policyWord(int index) {
        return info.policyWord(index);
    }

    private <T> T unchecked(int op, RemoteLink.Fields fields, RemoteLink.Answer<T> answer) {
        try {
            return link.call(op, fields, answer);
        } catch (IOException e) {
            throw new CacheException(String.valueOf(e.getMessage()), e);
        }
    }

    @Override
    public void recoveryFinished() {
        // Without a VMM there is no count of attaches either.
        if (link.lost() == null) {
            var _ = unchecked(Op.RECOVERED, out -> { }, in -> true);
        }
    }

    @Override
    public boolean knowsFile(long fileId) {
        return unchecked(Op.KNOWS, out -> out.putLong(fileId), in -> in.get() != 0);
    }

    // ---- files

    private static void put(ByteBuffer out, Path file, MapOptions options) {
        Wire.put(out, file.toAbsolutePath().toString());
        out.put((byte) (options.create() ? 1 : 0))
                .put((byte) (options.readOnly() ? 1 : 0))
                .put(Wire.code(IoMode.values(), options.ioMode()));
    }

    @Override
    public StoreId identify(Path file, MapOptions options) throws IOException {
        return link.call(
                Op.IDENTIFY, out -> put(out, file, options), in -> new StoreId(in.getLong(), in.getLong()));
    }

    @Override
    public BackingStore openStore(Path file, MapOptions options) throws IOException {
        return link.call(Op.OPEN_DISK, out -> put(out, file, options), in -> {
            int handle = in.getInt();
            return new RemoteDisk(link, handle, new StoreId(in.getLong(), in.getLong()), file.toString());
        });
    }

    @Override
    public BackendFile openFile(BackingStore store, FileEvictor fileEvictor) throws IOException {
        boolean hosted = store instanceof RemoteDisk disk && disk.link() == link;
        int handle = store instanceof RemoteDisk disk && hosted ? disk.handle() : nextStore.getAndIncrement();
        if (!hosted) {
            stores.put(handle, store);
        }
        EVICTOR.set(fileEvictor);
        boolean done = false;
        try {
            RemoteFile file = link.call(
                    Op.CONNECT,
                    out -> {
                        out.putInt(handle).put((byte) (hosted ? 0 : 1));
                        if (!hosted) {
                            out.putLong(store.id().high()).putLong(store.id().low());
                            Wire.put(out, store.name());
                        }
                    },
                    in -> {
                        int device = in.getInt();
                        long fileId = in.getLong();
                        FileVerdict.Kind kind = Wire.value(FileVerdict.Kind.values(), in.get());
                        String detail = Wire.string(in);
                        int count = in.getInt();
                        long[] canary = new long[count];
                        long[] canarySums = new long[count];
                        for (int i = 0; i < count; i++) {
                            canary[i] = in.getLong();
                            canarySums[i] = in.getLong();
                        }
                        FileVerdict verdict = new FileVerdict(kind, detail, canary, canarySums);
                        return new RemoteFile(this, store, device, fileId, verdict);
                    });
            files.add(file);
            done = true;
            return file;
        } finally {
            EVICTOR.remove();
            if (!done && !hosted) {
                stores.remove(handle);
            }
        }
    }

    void disconnected(RemoteFile file, BackingStore store) {
        files.remove(file);
        if (store instanceof RemoteDisk disk) {
            disk.disconnected();
        } else {
            stores.values().remove(store);
        }
    }

    // ---- end

    @Override
    public void close() throws IOException {
        end(Op.DETACH);
    }

    @Override
    public void drop() throws IOException {
        if (!closed && files.isEmpty()) {
            // A death in the middle leaves frames that their checksums show to be no page's.
            // What lies behind them is room that nothing was put into, and that takes memory once it is written.
            memory.asSlice(0, Math.min(extentBytes(frames), memory.byteSize())).fill((byte) 0);
        }
        end(Op.DROP);
    }

    private void end(int op) throws IOException {
        if (closed) {
            return;
        }
        if (!files.isEmpty()) {
            throw new IllegalStateException(files.size() + " files are open: close them first");
        }
        closed = true;
        try {
            // With the VMM gone there is nothing left that a detach could keep; whoever wrote was told.
            if (link.lost() == null) {
                link.call(op, out -> { });
            }
        } finally {
            // In this order: once the first connection has ended the memory may be a successor's.
            try {
                arena.close();
            } finally {
                link.close();
            }
        }
    }

    /** Nothing is said to the VMM, which sees the connection end. */
    @Override
    public void abandon() {
        closed = true;
        link.close();
    }
}
