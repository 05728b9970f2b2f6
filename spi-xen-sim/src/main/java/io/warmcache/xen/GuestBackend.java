/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

import io.warmcache.BackingStore;
import io.warmcache.CacheConfig;
import io.warmcache.DropReason;
import io.warmcache.MapOptions;
import io.warmcache.StoreId;
import io.warmcache.StoreVersion;
import io.warmcache.spi.AttachReport;
import io.warmcache.spi.BackendConfig;
import io.warmcache.spi.BackendFile;
import io.warmcache.spi.BlockChecksum;
import io.warmcache.spi.FailureDomain;
import io.warmcache.spi.FrameBackend;
import io.warmcache.spi.FrameRecord;
import io.warmcache.spi.FrameState;
import io.warmcache.spi.SurvivorVisitor;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.BitSet;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * The guest's side: the frames as the guest sees them, and calls into the VMM. One object serves one life of the guest;
 * when that ends, every call throws {@link GuestCrash}.
 */
final class GuestBackend implements FrameBackend {
    final Domain domain;
    final Machine machine;
    final int boot;
    final int pageSize;
    final int blocks;
    private final int room;
    private final MemorySegment window;
    private final BlockChecksum checksum;
    private final AttachReport report;
    private final int maxFiles;
    /** Frames whose write fault was elided, for {@link Mutation#DIRTY_AFTER_THE_BYTES}. */
    private final BitSet elided = new BitSet();

    /** Held by the one change of the number of frames under way; before the machine's lock. */
    final Object resizing = new Object();

    /** Frames with a request under way; where guests are other processes. */
    final BitSet busy = new BitSet();

    private boolean closed;

    private GuestBackend(Domain domain, CacheConfig cache, BlockChecksum checksum, AttachReport report)
            throws IOException {
        this.domain = domain;
        machine = domain.machine();
        boot = domain.boot();
        pageSize = cache.pageSize();
        blocks = pageSize / Machine.FRAME_SIZE;
        // Where memory is granted in whole extents there is more than was asked for.
        room = Math.max(domain.frames, Math.min(cache.maxFrames(), domain.pages() / blocks));
        maxFiles = cache.maxFiles();
        this.checksum =
                machine.breaks(Mutation.KEY_LEFT_OUT_OF_CHECKSUM) ? new KeylessChecksum(checksum) : checksum;
        this.report = report;
        window = machine.isShared() ? MemorySegment.NULL : domain.mapWindow((long) room * pageSize);
    }

    /** Why the domain's records cannot be taken over; empty if they can. */
    static String coldReason(Domain domain, BackendConfig config) {
        CacheConfig cache = config.cache();
        if (!domain.used) {
            return "";
        }
        if (!domain.distrusted.isEmpty()) {
            return domain.distrusted;
        }
        if (domain.pageSize != cache.pageSize()) {
            return "the domain's cache has pages of " + domain.pageSize + " bytes, the configuration says "
                    + cache.pageSize();
        }
        if (domain.maxFiles != cache.maxFiles()) {
            return "the domain's cache knows up to " + domain.maxFiles + " files, the configuration says "
                    + cache.maxFiles();
        }
        if (algorithm(config, domain.algorithm) == null) {
            return "the checksum algorithm " + domain.algorithm + " of the domain's cache is not known";
        }
        int most = cache.maxUnfinishedAttaches();
        if (most > 0 && domain.unfinished >= most) {
            return "the last " + domain.unfinished + " attaches died before their recovery ended";
        }
        return "";
    }

    private static @Nullable BlockChecksum algorithm(BackendConfig config, int id) {
        if (config.checksum().algorithmId() == id) {
            return config.checksum();
        }
        for (BlockChecksum c : config.checksums()) {
            if (c.algorithmId() == id) {
                return c;
            }
        }
        return null;
    }

    /** With the machine's lock held. */
    static GuestBackend attach(
            Domain domain, BackendConfig config, String coldReason, long waited, int unfinished) throws IOException {
        CacheConfig cache = config.cache();
        BlockChecksum checksum = config.checksum();
        boolean warm = domain.used;
        if (warm) {
            BlockChecksum recorded = algorithm(config, domain.algorithm);
            checksum = recorded == null ? checksum : recorded;
        } else {
            domain.used = true;
            domain.pageSize = cache.pageSize();
            domain.maxFiles = cache.maxFiles();
            domain.algorithm = checksum.algorithmId();
            domain.frames = cache.frames();
            domain.hints = new int[0];
            domain.policyWords = new long[0];
        }
        int room = domain.pages() / (cache.pageSize() / Machine.FRAME_SIZE);
        domain.hints = Arrays.copyOf(domain.hints, room);
        domain.policyWords = Arrays.copyOf(domain.policyWords, room + room / 2 + 8);
        String reason = warm ? "" : coldReason.isEmpty() ? "no cache had been in the domain" : coldReason;
        AttachReport report = new AttachReport(warm, reason, warm && domain.cleanStop, waited, unfinished);
        GuestBackend guest = new GuestBackend(domain, cache, checksum, report);
        domain.cleanStop = false;
        domain.unfinished++;
        for (Device device : domain.devices().values()) {
            device.open = false;
            device.writesInFlight = 0;
        }
        domain.guest(guest);
        return guest;
    }

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
        return domain.frames;
    }

    @Override
    public int maxFrames() {
        return room;
    }

    /** By ballooning: memory of frames that go is the machine's, frames that come have memory of the machine. */
    @Override
    public void resize(int count) throws IOException {
        domain.step(boot, "resize");
        if (count < 1 || count > room) {
            throw new IllegalArgumentException(
                    "the domain has room for 1 to " + room + " frames, not for " + count);
        }
        synchronized (resizing) {
            int before = domain.frames;
            if (count < before) {
                synchronized (machine) {
                    domain.requireAlive(boot);
                    for (int frame = count; frame < before; frame++) {
                        requireUnused(frame);
                    }
                    domain.cut(count);
                }
                domain.giveBack(boot, () -> domain.step(boot, "decrease_reservation"));
            } else if (count > before) {
                domain.grow(boot, count, () -> domain.step(boot, "populate_physmap"));
            }
        }
    }

    private void requireUnused(int frame) {
        FrameState state = hasMemory(frame) ? worst(frame) : FrameState.FREE;
        if (busy.get(frame) || state != FrameState.FREE || !hasMemory(frame)) {
            throw new IllegalStateException("frame " + frame + " is " + state + ", "
                    + (busy.get(frame) ? "in a request" : hasMemory(frame) ? "not FREE" : "ballooned out"));
        }
        for (int b = 0; b < blocks; b++) {
            int mfn = mfn(frame, b);
            if (machine.readOnly[mfn] + machine.writable[mfn] > 1) {
                throw new IllegalStateException("frame " + frame + " is mapped a second time");
            }
        }
    }

    /** As an exchange of machine frames would, bytes and records in one step; a guest's death is before it or after. */
    @Override
    public boolean move(int from, int to) {
        domain.step(boot, "move");
        synchronized (machine) {
            domain.requireAlive(boot);
            requireFrame(from);
            requireFrame(to);
            FrameState state = worst(from);
            if ((state != FrameState.CLEAN && state != FrameState.WRITTEN)
                    || worst(to) != FrameState.FREE
                    || busy.get(from)
                    || busy.get(to)) {
                throw new IllegalStateException("frame " + from + " is " + state + " and frame " + to + " " + worst(to)
                        + ": only a CLEAN or WRITTEN one can be moved, to a FREE one, and neither amid a request");
            }
            if (!agree(from)) {
                return false;
            }
            MappingTable table = domain.table();
            for (int b = 0; b < blocks; b++) {
                int source = mfn(from, b);
                int target = mfn(to, b);
                domain.frame(target).copyFrom(domain.frame(source));
                table.move(source, target);
                domain.protect(target);
                domain.mark(to * blocks + b);
            }
            int first = mfn(to, 0);
            Device device = domain.devices().get(table.device[first]);
            if (device != null) {
                device.frameOf.replace(table.block[first] / blocks, from, to);
            }
            for (int b = 0; b < blocks; b++) {
                domain.writable(mfn(from, b));
            }
            domain.hints[to] = domain.hints[from];
            return true;
        }
    }

    @Override
    public int pageSize() {
        return pageSize;
    }

    @Override
    public long incarnation() {
        return domain.incarnation();
    }

    @Override
    public BlockChecksum checksum() {
        return checksum;
    }

    @Override
    public MemorySegment memory() {
        return window;
    }

    // ---- records; those of a frame's blocks are one record to the guest

    /**
     * The machine frame behind block {@code b} of a cache frame.
     *
     * @throws IllegalStateException if the frame was ballooned out
     */
    int mfn(int frame, int b) {
        int mfn = domain.p2m(frame * blocks + b);
        if (mfn < 0) {
            throw new IllegalStateException("frame " + frame + " has no memory: it was given to the machine");
        }
        return mfn;
    }

    private boolean hasMemory(int frame) {
        for (int b = 0; b < blocks; b++) {
            if (domain.p2m(frame * blocks + b) < 0) {
                return false;
            }
        }
        return true;
    }

    FrameState state(int frame) {
        return domain.table().state(mfn(frame, 0));
    }

    void state(int frame, FrameState state) {
        for (int b = 0; b < blocks; b++) {
            domain.table().state(mfn(frame, b), state);
        }
    }

    /** Whether all blocks of a frame are recorded as one page in one state. */
    private boolean agree(int frame) {
        return agree(domain, frame, blocks);
    }

    static boolean agree(Domain domain, int frame, int blocks) {
        MappingTable table = domain.table();
        int first = domain.p2m(frame * blocks);
        if (first < 0 || table.block[first] % blocks != 0) {
            return false;
        }
        for (int b = 1; b < blocks; b++) {
            int mfn = domain.p2m(frame * blocks + b);
            if (mfn < 0) {
                return false;
            }
            if (table.state(mfn) != table.state(first)
                    || table.lost.get(mfn) != table.lost.get(first)
                    || table.device[mfn] != table.device[first]
                    || table.block[mfn] != table.block[first] + b
                    || table.generation[mfn] != table.generation[first]) {
                return false;
            }
        }
        return true;
    }

    /** The state furthest from reuse among a frame's blocks. */
    private FrameState worst(int frame) {
        FrameState worst = FrameState.FREE;
        for (int b = 0; b < blocks; b++) {
            FrameState state = domain.table().state(mfn(frame, b));
            if (state == FrameState.FILLING || worst == FrameState.FREE) {
                worst = state;
            } else if (state == FrameState.DIRTY && worst != FrameState.FILLING) {
                worst = state;
            }
        }
        return worst;
    }

    @Override
    public void survivors(int from, int to, SurvivorVisitor visitor) {
        domain.step(boot, "query_cache_mappings");
        MappingTable table = domain.table();
        for (int frame = from; frame < to; frame++) {
            FrameState state;
            boolean agree;
            boolean lost;
            long device;
            long page;
            synchronized (machine) {
                if (!hasMemory(frame)) {
                    continue;
                }
                int first = mfn(frame, 0);
                state = worst(frame);
                agree = agree(frame);
                lost = table.lost.get(first);
                device = table.device[first];
                page = table.block[first] / blocks;
            }
            if ((state == FrameState.FILLING && machine.breaks(Mutation.FILLING_KEPT_AFTER_REBOOT))
                    || (state == FrameState.DIRTY && machine.breaks(Mutation.DIRTY_KEPT_AFTER_REBOOT))) {
                state(frame, FrameState.CLEAN);
                visitor.survivor(frame, device, page, FrameState.CLEAN, hint(frame));
                continue;
            }
            switch (state) {
                case FREE -> {}
                case FILLING -> visitor.dropped(frame, DropReason.FILLING, device, page);
                case DIRTY -> visitor.dropped(frame, DropReason.DIRTY, device, page);
                case CLEAN, WRITTEN -> {
                    if (!agree || device <= 0 || page < 0) {
                        visitor.dropped(frame, DropReason.RECORD_DAMAGED, 0, -1);
                    } else if (lost) {
                        visitor.dropped(frame, DropReason.UNFORCED, device, page);
                    } else {
                        visitor.survivor(frame, device, page, state, hint(frame));
                    }
                }
            }
        }
    }

    @Override
    public boolean readRecord(int frame, FrameRecord into) {
        domain.requireAlive(boot);
        MappingTable table = domain.table();
        synchronized (machine) {
            if (!hasMemory(frame)) {
                return false;
            }
            int first = mfn(frame, 0);
            into.state = table.state(first);
            into.generation = table.generation[first];
            if (into.state == FrameState.FREE) {
                into.fileId = 0;
                into.page = -1;
                return true;
            }
            into.fileId = table.device[first];
            into.page = table.block[first] / blocks;
            for (int b = 0; b < blocks; b++) {
                int mfn = mfn(frame, b);
                into.checksums[b] = machine.breaks(Mutation.CHECKSUM_NOT_COMPARED)
                        ? sum(mfn, into.fileId, into.page, b, into.generation)
                        : table.checksum[mfn];
            }
            return agree(frame);
        }
    }

    /** The checksum of a machine frame as the VMM sees it. */
    long sum(int mfn, long fileId, long page, int block, int generation) {
        return checksum.block(
                machine.memory(),
                (long) mfn * Machine.FRAME_SIZE,
                domain.incarnation(),
                fileId,
                page,
                block,
                generation);
    }

    @Override
    public void markDirty(int frame) {
        domain.step(boot, "write_fault");
        synchronized (machine) {
            FrameState state = state(frame);
            if (state == FrameState.FREE || state == FrameState.FILLING) {
                throw new IllegalStateException("frame " + frame + " is " + state + " and cannot become DIRTY");
            }
            if (machine.breaks(Mutation.DIRTY_AFTER_THE_BYTES) && state != FrameState.DIRTY) {
                elided.set(frame);
                return;
            }
            fault(frame);
        }
    }

    private void fault(int frame) {
        for (int b = 0; b < blocks; b++) {
            domain.dirtied(mfn(frame, b));
        }
    }

    /** A fault that a mutation put off reaches the VMM with the next request for the frame. */
    void settleFault(int frame) {
        if (elided.get(frame)) {
            elided.clear(frame);
            fault(frame);
        }
    }

    @Override
    public void release(int frame) {
        domain.step(boot, "release");
        synchronized (machine) {
            elided.clear(frame);
            if (!hasMemory(frame)) {
                return;
            }
            boolean kept = machine.breaks(Mutation.NO_FREE_ON_EVICT)
                    && (state(frame) == FrameState.CLEAN || state(frame) == FrameState.WRITTEN);
            if (!kept) {
                state(frame, FrameState.FREE);
            }
            for (int b = 0; b < blocks && !kept; b++) {
                domain.writable(mfn(frame, b));
            }
        }
    }

    // ---- where guests are other processes

    /** What a guest logged; with the machine's lock held. A frame of a request under way is that request's. */
    void take(int kind, int frame) {
        if (frame >= domain.frames || busy.get(frame) || !hasMemory(frame)) {
            return;
        }
        FrameState state = worst(frame);
        boolean equal = state == FrameState.CLEAN || state == FrameState.WRITTEN;
        if (kind == SharedInfo.DIRTY && equal) {
            fault(frame);
        } else if (kind == SharedInfo.RELEASE) {
            free(frame);
        } else if (kind == SharedInfo.FORCED && equal) {
            settleForced(frame);
        }
    }

    /** With the machine's lock held: any state to FREE. */
    void free(int frame) {
        MappingTable table = domain.table();
        int first = mfn(frame, 0);
        Device device = domain.devices().get(table.device[first]);
        if (device != null) {
            device.frameOf.remove(table.block[first] / blocks, frame);
        }
        state(frame, FrameState.FREE);
        for (int b = 0; b < blocks; b++) {
            domain.writable(mfn(frame, b));
        }
    }

    /**
     * With the machine's lock held: frees the frame that {@link Device#frameOf} has for a page. One whose record was
     * damaged when it was given up is still there, and holds another page by now, or none.
     */
    void free(Device device, long page, int frame) {
        MappingTable table = domain.table();
        int first = hasMemory(frame) ? mfn(frame, 0) : -1;
        if (first >= 0 && table.device[first] == device.id && table.block[first] == page * blocks) {
            free(frame);
        } else {
            device.frameOf.remove(page, frame);
        }
    }

    /** Whether a frame was written, not forced, and its guest has died since. */
    boolean isLost(int frame) {
        synchronized (machine) {
            return domain.table().lost.get(mfn(frame, 0));
        }
    }

    /** Refuses frames that there are not: a guest may ask for anything. */
    void requireFrame(int frame) {
        if (frame < 0 || frame >= domain.frames) {
            throw new IllegalArgumentException("frame " + frame + " of " + domain.frames);
        }
    }

    /**
     * {@code WRITTEN} to {@code CLEAN} if the disk was forced after the write: the VMM saw both, and does not take the
     * guest's word for it.
     */
    @Override
    public void forced(int frame) {
        domain.step(boot, "forced");
        synchronized (machine) {
            settleForced(frame);
        }
    }

    private void settleForced(int frame) {
        if (!hasMemory(frame) || worst(frame) != FrameState.WRITTEN || !agree(frame)) {
            return;
        }
        MappingTable table = domain.table();
        int first = mfn(frame, 0);
        Device device = domain.devices().get(table.device[first]);
        if (device != null && table.writtenAt[first] <= device.forced && !table.lost.get(first)) {
            state(frame, FrameState.CLEAN);
        }
    }

    @Override
    public void hint(int frame, int hint) {
        domain.requireAlive(boot);
        domain.hints[frame] = hint;
    }

    @Override
    public int hint(int frame) {
        return domain.hints[frame];
    }

    @Override
    public int policyWords() {
        return domain.policyWords.length;
    }

    @Override
    public void policyWord(int index, long word) {
        domain.requireAlive(boot);
        domain.policyWords[index] = word;
    }

    @Override
    public long policyWord(int index) {
        return domain.policyWords[index];
    }

    @Override
    public void recoveryFinished() {
        domain.requireAlive(boot);
        synchronized (machine) {
            domain.unfinished = 0;
        }
    }

    // ---- files

    @Override
    public boolean knowsFile(long fileId) {
        synchronized (machine) {
            return domain.devices().containsKey(fileId);
        }
    }

    @Override
    public StoreId identify(Path file, MapOptions options) throws IOException {
        return FileDisk.identify(file, options);
    }

    @Override
    public BackingStore openStore(Path file, MapOptions options) throws IOException {
        return FileDisk.open(file, options);
    }

    @Override
    public BackendFile openFile(BackingStore store, FileEvictor evictor) throws IOException {
        domain.step(boot, "connect_device");
        StoreVersion version = store.version();
        StoreId id = store.id();
        Device known = null;
        Device victim = null;
        synchronized (machine) {
            for (Device device : domain.devices().values()) {
                if (device.storeId.equals(id)) {
                    known = device;
                }
            }
            if (known != null && known.open) {
                throw new IllegalStateException(store.name() + " is open already");
            }
            if (known == null && domain.devices().size() >= maxFiles) {
                Optional<Device> oldest = domain.devices().values().stream()
                        .filter(d -> !d.open)
                        .min(Comparator.comparingLong(d -> d.lastOpened));
                victim = oldest.orElseThrow(() -> new IOException("cannot open " + store.name() + ": all " + maxFiles
                        + " files that the cache may know are open; close one or raise maxFiles"));
                victim.open = true;
            }
        }
        if (victim != null) {
            boolean evicted = false;
            try {
                evictor.evict(victim.id);
                evicted = true;
            } finally {
                if (!evicted) {
                    synchronized (machine) {
                        victim.open = false;
                    }
                }
            }
        }
        synchronized (machine) {
            if (victim != null) {
                for (Map.Entry<Long, Integer> each : List.copyOf(victim.frameOf.entrySet())) {
                    free(victim, each.getKey(), each.getValue());
                }
                domain.devices().remove(victim.id);
            }
            boolean fresh = known == null;
            Device device = known != null ? known : new Device(domain.nextDevice++, id);
            domain.devices().put(device.id, device);
            device.open = true;
            device.store = store;
            device.name = store.name();
            device.lastOpened = ++domain.opens;
            return machine.isShared()
                    ? new HostedFile(this, device, store, version, fresh)
                    : new GuestFile(this, device, store, version, fresh);
        }
    }

    // ---- end

    @Override
    public void close() throws IOException {
        domain.step(boot, "detach");
        synchronized (machine) {
            if (closed) {
                return;
            }
            List<Device> open = domain.devices().values().stream().filter(d -> d.open).toList();
            if (!open.isEmpty()) {
                throw new IllegalStateException(open.size() + " files are open: close them first");
            }
            closed = true;
            domain.cleanStop = true;
            domain.unfinished = 0;
            // The domain lives on: what was written and not forced is as good for the next attach as for this one.
            domain.guest(null);
            // What a page of this attach is still read or written through reaches no frame of the next one.
            domain.unmapWindow();
            machine.notifyAll();
        }
    }

    @Override
    public void drop() throws IOException {
        close();
        domain.destroy();
    }

    /** For {@link Mutation#KEY_LEFT_OUT_OF_CHECKSUM}. */
    private record KeylessChecksum(BlockChecksum whole) implements BlockChecksum {
        @Override
        public String algorithm() {
            return whole.algorithm();
        }

        @Override
        public int algorithmId() {
            return whole.algorithmId();
        }

        @Override
        public long block(
                MemorySegment memory,
                long offset,
                long incarnation,
                long fileId,
                long page,
                int block,
                int generation) {
            return whole.block(memory, offset, incarnation, 0, 0, 0, generation);
        }

        @Override
        public long bytes(MemorySegment memory, long offset, long length, long seed) {
            return whole.bytes(memory, offset, length, seed);
        }
    }
}
