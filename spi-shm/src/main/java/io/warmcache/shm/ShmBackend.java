/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

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
import io.warmcache.spi.FileVerdict;
import io.warmcache.spi.FrameBackend;
import io.warmcache.spi.FrameRecord;
import io.warmcache.spi.FrameState;
import io.warmcache.spi.SurvivorVisitor;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.util.BitSet;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import org.jspecify.annotations.Nullable;

/** An attached segment. */
final class ShmBackend implements FrameBackend {
    static final String OPTION_CGROUP_CHECK = "shm.cgroupCheck";
    static final String OPTION_DOMAIN = "shm.domain";
    static final String OPTION_LEAST_PERCENT = "shm.leastPercent";
    static final String OPTION_HUGE_PAGES = "shm.hugePages";

    private static final System.Logger LOG = System.getLogger("io.warmcache.shm");

    private final SegmentFile segment;
    private final Arena arena;
    private final MemorySegment memory;
    private final MemorySegment frames;
    private final Header header;
    private final Geometry geometry;
    private final BlockChecksum checksum;
    private final FailureDomain domain;
    private final UUID boot;
    /** Whether what was not forced may be gone: the operating system went down since a recovery last ended. */
    private final boolean unforcedLost;

    private final AttachReport report;
    private final Ledger ledger;
    private final @Nullable StepHook hook;
    private final Limits limits;
    private final Rings rings;

    /** Frames that exist; as the header says. */
    private volatile int capacity;

    /** Frames that memory limits left room for when the segment was found. */
    private int affordable = Integer.MAX_VALUE;

    private final Object table = new Object();
    private final Map<StoreId, Integer> slotByStore = new HashMap<>();
    private final Map<Long, Integer> slotByFile = new HashMap<>();
    /** Slots that hold a store, or are about to. */
    private final BitSet usedSlots = new BitSet();
    /** Slots that are open or being forgotten. */
    private final BitSet busySlots = new BitSet();

    private final Set<StoreId> openStores = new HashSet<>();

    private long opens;
    private boolean closed;

    private ShmBackend(
            SegmentFile segment,
            Arena arena,
            MemorySegment memory,
            Header header,
            BlockChecksum checksum,
            FailureDomain domain,
            UUID boot,
            AttachReport report,
            Limits limits,
            Rings rings,
            @Nullable StepHook hook) {
        this.segment = segment;
        this.arena = arena;
        this.memory = memory;
        this.header = header;
        this.geometry = header.geometry;
        this.frames = memory.asSlice(geometry.framesOffset(), (long) geometry.frames() * geometry.pageSize());
        this.checksum = checksum;
        this.domain = domain;
        this.boot = boot;
        this.unforcedLost = !header.boot.equals(boot);
        this.report = report;
        this.limits = limits;
        this.rings = rings;
        this.capacity = header.capacity;
        this.ledger = new Ledger(memory, geometry, header.incarnation, hook);
        this.hook = hook;
    }

    /**
     * What memory the segment may take.
     *
     * @param budget what the process may take, or null if that is not to be looked at
     * @param unit bytes in which the file system gives storage
     * @param leastPercent what share of the configured frames is worth opening with
     */
    private record Limits(@Nullable MemoryBudget budget, FsStat fs, long unit, int leastPercent) {
        /** Huge pages are reserved for a mapping as a whole, so there is no room that takes no memory. */
        boolean isSparse() {
            return fs.type() != FsStat.HUGETLBFS;
        }

        void requireWithin(SegmentFile segment, Geometry geometry, int capacity) throws IOException {
            if (budget != null) {
                // For a warm segment too: heap that no longer fits beside it ends in a loop of kills and restarts.
                budget.requireWithinLimits(
                        segment.path(),
                        geometry.backed(capacity, unit),
                        segment.stat().allocated(),
                        fs.type() == FsStat.HUGETLBFS);
            }
        }

        /**
         * How many frames to open with: those wanted, or as many as memory limits leave room for.
         *
         * @throws IOException if that is too few; says what {@link #requireWithin} says of those wanted
         */
        int affordable(SegmentFile segment, Geometry geometry, int wanted) throws IOException {
            try {
                requireWithin(segment, geometry, wanted);
                return wanted;
            } catch (IOException tooLarge) {
                if (budget == null || !isSparse()) {
                    throw tooLarge;
                }
                long excess = geometry.backed(wanted, unit) - budget.room(segment.stat().allocated());
                long fits = wanted - (excess + unit + geometry.pageSize() - 1) / geometry.pageSize();
                if (fits < Math.max(8, (long) wanted * leastPercent / 100)) {
                    throw tooLarge;
                }
                requireWithin(segment, geometry, (int) fits);
                LOG.log(
                        System.Logger.Level.WARNING,
                        () -> segment.path() + " is opened with " + fits + " instead of " + wanted + " frames: "
                                + tooLarge.getMessage());
                return (int) fits;
            }
        }

        void requireSpace(SegmentFile segment, Geometry geometry, int capacity) throws IOException {
            MemoryBudget.requireSpace(
                    segment.path(),
                    segment.fileSystem(),
                    geometry.backed(capacity, unit),
                    segment.stat().allocated());
        }
    }

    static ShmBackend attach(BackendConfig config, MemoryBudget budget, @Nullable StepHook hook) throws IOException {
        return attach(config, budget, Format.CURRENT, hook);
    }

    /** As a library of another format would attach, for tests. */
    static ShmBackend attach(
            BackendConfig config, MemoryBudget budget, Format format, @Nullable StepHook hook) throws IOException {
        return attach(config, budget, format, Libc.pageSize(), hook);
    }

    /** As on a kernel with pages of that many bytes, for tests. */
    static ShmBackend attach(
            BackendConfig config, MemoryBudget budget, Format format, long kernelPage, @Nullable StepHook hook)
            throws IOException {
        return attach(config, budget, format, kernelPage, new RingCalls.Kernel(), hook);
    }

    /** As on a kernel whose io_uring does this, for tests. */
    @SuppressWarnings("MustBeClosedChecker") // closed with the backend
    static ShmBackend attach(
            BackendConfig config,
            MemoryBudget budget,
            Format format,
            long kernelPage,
            RingCalls ringCalls,
            @Nullable StepHook hook)
            throws IOException {
        CacheConfig cache = config.cache();
        FailureDomain domain = domain(cache);
        boolean checkLimits = checkLimits(cache);
        boolean collapses = collapses(cache);
        int mostRings = Rings.most(cache);
        UUID boot = BootId.current();
        SegmentFile segment = SegmentFile.acquire(cache, true);
        if (segment == null) {
            throw new IllegalStateException("a segment that may be created is never missing");
        }
        Arena arena = Arena.ofShared();
        boolean done = false;
        try {
            Rings rings = new Rings(mostRings, Rings.filter(cache), ringCalls, segment.descriptor(), hook);
            FsStat fs = segment.fileSystem();
            long unit = fs.type() == FsStat.HUGETLBFS ? fs.blockSize() : Math.max(4096, kernelPage);
            Limits limits = new Limits(checkLimits ? budget : null, fs, unit, leastPercent(cache));
            int most = limits.isSparse() ? cache.maxFrames() : cache.frames();
            Geometry wanted = Geometry.of(cache.pageSize(), most, cache.maxFiles());
            Header.Reading reading = segment.readHeader(format);
            String coldReason = coldReason(segment, reading, config, wanted, limits, domain, boot, format);
            Header header = reading.header();
            if (coldReason.isEmpty() && header != null) {
                ShmBackend backend = attachWarm(
                        segment, arena, header, wanted, reading.whole(), config, domain, boot, limits, rings, hook);
                done = true;
                return backend;
            }
            int capacity = limits.affordable(segment, wanted, cache.frames());
            if (!segment.isNew()) {
                segment.requireOverwritable();
            }
            limits.requireSpace(segment, wanted, capacity);
            segment.format(wanted, capacity, unit, fs);
            MemorySegment memory = map(segment, wanted, capacity, unit, arena, collapses);
            Header fresh =
                    new Header(format, wanted, capacity, config.checksum().algorithmId(), randomIncarnation(), boot);
            new Ledger(memory, wanted, fresh.incarnation, null).format(0);
            fresh.compatible = format.compatible();
            fresh.unfinished = 1;
            publish(fresh, memory);
            AttachReport report =
                    new AttachReport(false, coldReason, false, segment.waitedNanos(), unfinished(header));
            ShmBackend backend = new ShmBackend(
                    segment, arena, memory, fresh, config.checksum(), domain, boot, report, limits, rings, hook);
            done = true;
            return backend;
        } finally {
            if (!done) {
                arena.close();
                try {
                    if (segment.isNew()) {
                        segment.unlink();
                    }
                } finally {
                    segment.release();
                }
            }
        }
    }

    /** Maps the whole file, and zeros in place of the frames that do not exist. */
    private static MemorySegment map(
            SegmentFile segment, Geometry geometry, int capacity, long unit, Arena arena, boolean wanted)
            throws IOException {
        boolean collapses = wanted && segment.fileSystem().type() != FsStat.HUGETLBFS; // which has nothing else
        MemorySegment memory = segment.map(geometry.fileLength(unit), arena, collapses);
        long from = geometry.holeStart(capacity, unit);
        long to = geometry.holeEnd(unit);
        segment.mapZeros(memory, from, to);
        if (collapses) {
            collapse(segment, memory, from);
        }
        return memory;
    }

    /** Into huge pages, if the kernel can and will: nothing depends on it but speed. */
    private static void collapse(SegmentFile segment, MemorySegment memory, long end) throws IOException {
        long start = System.nanoTime();
        try {
            segment.collapse(memory, end);
            LOG.log(
                    System.Logger.Level.INFO,
                    "{0} of {1} moved to huge pages in {2} ms",
                    MemoryBudget.size(end),
                    segment.path(),
                    (System.nanoTime() - start) / 1_000_000);
        } catch (ErrnoException e) {
            LOG.log(
                    System.Logger.Level.WARNING,
                    "not all of " + segment.path() + " could be moved to huge pages, as the option " + OPTION_HUGE_PAGES
                            + "=collapse asks for: free memory in pieces of 2 MiB, or turn the option off",
                    e);
        }
    }

    private static boolean collapses(CacheConfig cache) {
        String value = cache.options().getOrDefault(OPTION_HUGE_PAGES, "off");
        return switch (value) {
            case "off" -> false;
            case "collapse" -> true;
            default -> throw new IllegalArgumentException(
                    "option " + OPTION_HUGE_PAGES + " is \"" + value + "\": it must be off or collapse");
        };
    }

    private static ShmBackend attachWarm(
            SegmentFile segment,
            Arena arena,
            Header header,
            Geometry wanted,
            int wholeCopies,
            BackendConfig config,
            FailureDomain domain,
            UUID boot,
            Limits limits,
            Rings rings,
            @Nullable StepHook hook)
            throws IOException {
        BlockChecksum checksum = algorithm(config, header.algorithm);
        if (checksum == null) {
            throw new IllegalStateException("the algorithm was known when the header was judged");
        }
        Geometry room = header.geometry.withRoom(header.geometry.roomFor(wanted.frames(), header.capacity));
        if (!room.isApartFrom(header.geometry)) {
            room = header.geometry;
        }
        int asked = limits.affordable(segment, room, Math.min(config.cache().frames(), room.frames()));
        // Fewer frames than there are is for the cache to see to: it knows which pages to keep.
        int capacity = Math.max(header.capacity, asked);
        limits.requireSpace(segment, room, capacity);
        if (room.frames() != header.geometry.frames()) {
            changeRoom(segment, header, room, limits.unit, hook);
        }
        if (capacity > header.capacity) {
            allocateFrames(segment, room, header.capacity, capacity, limits);
            step(hook, "grow.allocated");
        }
        MemorySegment memory = map(segment, room, capacity, limits.unit, arena, collapses(config.cache()));
        if (capacity > header.capacity) {
            new Ledger(memory, room, header.incarnation, null).format(header.capacity);
            header.capacity = capacity;
        }
        header.otherRoom = 0;
        startFeatures(header, memory);
        AttachReport report = new AttachReport(
                true, "", header.clean && wholeCopies == 2, segment.waitedNanos(), unfinished(header));
        header.unfinished++;
        header.clean = false;
        publish(header, memory);
        step(hook, "attach.published");
        ShmBackend backend =
                new ShmBackend(segment, arena, memory, header, checksum, domain, boot, report, limits, rings, hook);
        backend.affordable = asked;
        backend.loadTable();
        return backend;
    }

    /** What an owner who did not know a feature has left of it is not used. */
    private static void startFeatures(Header header, MemorySegment memory) {
        long fresh = header.format.compatible() & ~header.compatible;
        if ((fresh & Format.POLICY_WORDS) != 0) {
            Geometry g = header.geometry;
            memory.asSlice(g.policyOffset(), 8L * g.policyWords()).fill((byte) 0);
        }
        header.compatible |= fresh;
    }

    private static void step(@Nullable StepHook hook, String name) {
        if (hook != null) {
            hook.at(name);
        }
    }

    /** Storage for frames {@code from} to {@code to} - 1. */
    private static void allocateFrames(SegmentFile segment, Geometry geometry, int from, int to, Limits limits)
            throws IOException {
        long start = geometry.holeStart(from, limits.unit);
        long end = Math.min(geometry.holeStart(to, limits.unit), geometry.holeEnd(limits.unit));
        if (start < end) {
            try {
                segment.allocate(start, end);
            } catch (ErrnoException e) {
                throw new IOException(
                        "no memory for " + MemoryBudget.size(end - start) + " more in " + segment.path()
                                + ": free some, or configure a smaller capacity",
                        e);
            }
        }
    }

    /** L1 to L5 of {@code docs/internals.md}, section 9. The segment is owned and mapped by nobody. */
    private static void changeRoom(
            SegmentFile segment, Header header, Geometry next, long unit, @Nullable StepHook hook)
            throws IOException {
        Geometry old = header.geometry;
        boolean grows = next.length() > old.length();
        try (Arena arena = Arena.ofConfined()) {
            // Behind the end of the file nothing is touched before it is lengthened.
            MemorySegment memory = segment.map(Math.max(old.fileLength(unit), next.fileLength(unit)), arena, false);
            step(hook, "room");
            header.otherRoom = next.frames();
            header.write(memory);
            step(hook, "room.intended");
            if (grows) {
                segment.setLength(next.fileLength(unit));
                step(hook, "room.longer");
            }
            segment.allocate(next.ledgerOffset(), next.length());
            step(hook, "room.allocated");
            long records = (long) header.capacity * old.recordSize();
            MemorySegment.copy(memory, old.ledgerOffset(), memory, next.ledgerOffset(), records);
            new Ledger(memory, next, header.incarnation, null).format(header.capacity);
            // What was learned is good for any room; where a ghost is depends on the room.
            memory.set(Layout.LONG, next.policyWord(0), memory.get(Layout.LONG, old.policyWord(0)));
            step(hook, "room.copied");
            header.geometry = next;
            header.otherRoom = old.frames();
            header.write(memory);
            step(hook, "room.switched");
            if (grows) {
                segment.punch(next.holeStart(header.capacity, unit), next.holeEnd(unit));
                step(hook, "room.punched");
            }
        }
        if (!grows) {
            segment.setLength(next.fileLength(unit));
            step(hook, "room.cut");
        }
    }

    private static void publish(Header header, MemorySegment memory) {
        header.epoch++;
        header.pid = ProcessHandle.current().pid();
        header.pidNamespace = PidNamespace.current();
        header.startMillis = System.currentTimeMillis();
        header.write(memory);
    }

    private static FailureDomain domain(CacheConfig cache) {
        String value = cache.options().getOrDefault(OPTION_DOMAIN, "process");
        return switch (value) {
            case "process" -> FailureDomain.PROCESS;
            case "os-reboot" -> FailureDomain.OS_REBOOT;
            default -> throw new IllegalArgumentException(
                    "option " + OPTION_DOMAIN + " is \"" + value + "\": it must be process or os-reboot");
        };
    }

    private static boolean checkLimits(CacheConfig cache) {
        String value = cache.options().getOrDefault(OPTION_CGROUP_CHECK, "on");
        return switch (value) {
            case "on" -> true;
            case "off" -> false;
            default -> throw new IllegalArgumentException(
                    "option " + OPTION_CGROUP_CHECK + " is \"" + value + "\": it must be on or off");
        };
    }

    private static int leastPercent(CacheConfig cache) {
        String value = cache.options().getOrDefault(OPTION_LEAST_PERCENT, "50");
        int percent = value.matches("\\d{1,3}") ? Integer.parseInt(value) : 0;
        if (percent < 1 || percent > 100) {
            throw new IllegalArgumentException(
                    "option " + OPTION_LEAST_PERCENT + " is \"" + value + "\": it must be from 1 to 100");
        }
        return percent;
    }

    private static @Nullable BlockChecksum algorithm(BackendConfig config, long id) {
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

    private static int unfinished(@Nullable Header header) {
        return header == null ? 0 : Math.clamp(header.unfinished, 0, Integer.MAX_VALUE);
    }

    private static long randomIncarnation() {
        SecureRandom random = new SecureRandom();
        while (true) {
            long value = random.nextLong();
            if (value != 0) {
                return value;
            }
        }
    }

    /** Why what is there cannot be taken over, in one sentence; empty if it can. */
    private static String coldReason(
            SegmentFile segment,
            Header.Reading reading,
            BackendConfig config,
            Geometry wanted,
            Limits limits,
            FailureDomain domain,
            UUID boot,
            Format format)
            throws IOException {
        FileStat stat = segment.stat();
        if (stat.size() == 0) {
            return "there was no segment";
        }
        Header header = reading.header();
        if (header == null) {
            return reading.problem();
        }
        long unknown = header.incompatible & ~format.incompatible();
        if (unknown != 0) {
            return "the segment uses features 0x" + Long.toHexString(unknown) + " that this library does not know";
        }
        Geometry g = header.geometry;
        long length = g.fileLength(limits.unit);
        long otherLength = header.otherRoom == 0 ? length : g.withRoom(header.otherRoom).fileLength(limits.unit);
        // A death amid a change of room leaves the longer of both lengths.
        if (stat.size() != length && stat.size() != Math.max(length, otherLength)) {
            return "the segment was " + (stat.size() < length ? "truncated" : "grown") + ": it has "
                    + stat.size() + " bytes, its header says " + length;
        }
        if (g.pageSize() != wanted.pageSize()) {
            return "the segment has pages of " + g.pageSize() + " bytes, the configuration says " + wanted.pageSize();
        }
        if (g.frames() != wanted.frames() && !limits.isSparse()) {
            return "the segment has " + g.frames() + " frames, the configured capacity has " + wanted.frames()
                    + ", and huge pages cannot be resized";
        }
        if (g.maxFiles() != wanted.maxFiles()) {
            return "the segment knows up to " + g.maxFiles() + " files, the configuration says " + wanted.maxFiles();
        }
        if (algorithm(config, header.algorithm) == null) {
            return "the segment's checksum algorithm " + header.algorithm + " is not known";
        }
        if (domain == FailureDomain.PROCESS && !header.boot.equals(boot)) {
            return "the operating system was restarted, which the memory is not known to outlive (option "
                    + OPTION_DOMAIN + ")";
        }
        int most = config.cache().maxUnfinishedAttaches();
        if (most > 0 && header.unfinished >= most) {
            return "the last " + header.unfinished + " attaches died before their recovery ended";
        }
        if (stat.size() > length) {
            segment.setLength(length);
        }
        if (!segment.fillHoles(g, header.capacity, limits.unit)) {
            return "the segment had holes, and no memory could be had for them";
        }
        return "";
    }

    private void loadTable() {
        for (int i = 0; i < geometry.maxFiles(); i++) {
            long base = geometry.slot(i);
            if (StoreJournal.isUsed(memory, base, header.incarnation)) {
                long fileId = StoreJournal.fileId(memory, base);
                StoreId id = StoreJournal.storeId(memory, base);
                if (slotByStore.containsKey(id) || slotByFile.containsKey(fileId)) {
                    StoreJournal.clear(memory, base);
                    continue;
                }
                slotByStore.put(id, i);
                slotByFile.put(fileId, i);
                usedSlots.set(i);
                header.nextFileId = Math.max(header.nextFileId, fileId + 1);
            }
        }
    }

    Ledger ledger() {
        return ledger;
    }

    Rings rings() {
        return rings;
    }

    Geometry geometry() {
        return geometry;
    }

    /** The whole segment. */
    MemorySegment segment() {
        return memory;
    }

    @Nullable StepHook hook() {
        return hook;
    }

    @Override
    public FailureDomain domain() {
        return domain;
    }

    @Override
    public AttachReport attachReport() {
        return report;
    }

    @Override
    public int frames() {
        return capacity;
    }

    @Override
    public int maxFrames() {
        return geometry.frames();
    }

    @Override
    public int affordableFrames() {
        return affordable;
    }

    @Override
    public boolean move(int from, int to) {
        return ledger.move(from, to, frames);
    }

    @Override
    public void resize(int count) throws IOException {
        if (count < 1 || count > geometry.frames()) {
            throw new IllegalArgumentException(
                    "the segment has room for 1 to " + geometry.frames() + " frames, not for " + count);
        }
        synchronized (table) {
            requireOpen();
            if (!limits.isSparse()) {
                throw new IOException(segment.path() + " lies in huge pages, which cannot be resized: close the cache,"
                        + " and open it with another capacity");
            }
            if (count < capacity) {
                shrink(count);
            } else if (count > capacity) {
                grow(count);
            }
        }
    }

    private long holeStart(int count) {
        return Math.min(geometry.holeStart(count, limits.unit), geometry.holeEnd(limits.unit));
    }

    /** S1 to S3. */
    private void shrink(int count) throws IOException {
        int before = capacity;
        for (int frame = count; frame < before; frame++) {
            FrameState state = Ledger.stateOf(ledger.stateWord(frame));
            if (state != null && state != FrameState.FREE) { // what is no state was overwritten, and says nothing
                throw new IllegalStateException("frame " + frame + " is " + state + ", not FREE");
            }
        }
        long from = holeStart(count);
        long to = holeStart(before);
        step(hook, "shrink");
        segment.mapZeros(memory, from, to);
        step(hook, "shrink.zeros");
        setCapacity(count);
        step(hook, "shrink.header");
        try {
            segment.punch(from, to);
        } catch (IOException e) {
            // As after a death here: the next attach gives the memory back.
            LOG.log(
                    System.Logger.Level.WARNING,
                    () -> MemoryBudget.size(to - from) + " of " + segment.path() + " could not be given back: that"
                            + " will be tried again when the cache is opened next",
                    e);
        }
        step(hook, "shrink.punched");
    }

    /** G1 to G4. */
    private void grow(int count) throws IOException {
        int before = capacity;
        limits.requireWithin(segment, geometry, count);
        limits.requireSpace(segment, geometry, count);
        long from = holeStart(before);
        long to = holeStart(count);
        step(hook, "grow");
        allocateFrames(segment, geometry, before, count, limits);
        step(hook, "grow.allocated");
        try {
            segment.mapAgain(memory, from, to);
        } catch (IOException e) {
            try {
                segment.punch(from, to);
            } catch (IOException kept) {
                e.addSuppressed(kept); // the next attach gives it back
            }
            throw e;
        }
        step(hook, "grow.mapped");
        ledger.format(before);
        step(hook, "grow.free");
        setCapacity(count);
        step(hook, "grow.header");
    }

    private void setCapacity(int count) {
        header.capacity = count;
        header.write(memory);
        capacity = count;
    }

    @Override
    public int pageSize() {
        return geometry.pageSize();
    }

    @Override
    public long incarnation() {
        return header.incarnation;
    }

    @Override
    public BlockChecksum checksum() {
        return checksum;
    }

    @Override
    public MemorySegment memory() {
        return frames;
    }

    @Override
    public void survivors(int from, int to, SurvivorVisitor visitor) {
        for (int frame = from; frame < to; frame++) {
            long word = ledger.stateWord(frame);
            if (word == Ledger.FREE) {
                continue;
            }
            FrameState state = Ledger.stateOf(word);
            long fileId = ledger.fileId(frame);
            long page = ledger.page(frame);
            if (state == null) {
                visitor.dropped(frame, DropReason.RECORD_DAMAGED, 0, -1);
            } else if (state == FrameState.FILLING || state == FrameState.DIRTY) {
                // Their self-check need not match: checksums are written while a record is in these states.
                boolean sane = fileId > 0 && page >= 0;
                visitor.dropped(
                        frame,
                        state == FrameState.DIRTY ? DropReason.DIRTY : DropReason.FILLING,
                        sane ? fileId : 0,
                        sane ? page : -1);
            } else if (fileId <= 0 || page < 0 || !ledger.isWhole(frame)) {
                visitor.dropped(frame, DropReason.RECORD_DAMAGED, 0, -1);
            } else if (state == FrameState.WRITTEN && unforcedLost) {
                visitor.dropped(frame, DropReason.UNFORCED, fileId, page);
            } else {
                visitor.survivor(frame, fileId, page, state, ledger.hint(frame));
            }
        }
    }

    @Override
    public boolean knowsFile(long fileId) {
        synchronized (table) {
            return slotByFile.containsKey(fileId);
        }
    }

    @Override
    public StoreId identify(Path file, MapOptions options) throws IOException {
        return FileStore.identify(file, options);
    }

    @Override
    public BackingStore openStore(Path file, MapOptions options) throws IOException {
        return FileStore.open(file, options);
    }

    @Override
    public BackendFile openFile(BackingStore store, FileEvictor evictor) throws IOException {
        StoreId id = store.id();
        StoreVersion version = store.version();
        long offset = Libc.clockOffset();
        synchronized (table) {
            requireOpen();
            if (!openStores.add(id)) {
                throw new IllegalStateException(store.name() + " is open already");
            }
            Integer known = slotByStore.get(id);
            if (known != null) {
                // Being forgotten for another store's sake, it is not open: wait for nothing, and let the caller try
                // again.
                if (busySlots.get(known)) {
                    openStores.remove(id);
                    throw new IOException(store.name() + " is just being forgotten: map it again");
                }
                busySlots.set(known);
                return open(store, known, version, offset, false);
            }
        }
        int slot;
        boolean found = false;
        try {
            slot = freeSlot(store, evictor);
            found = true;
        } finally {
            if (!found) {
                synchronized (table) {
                    openStores.remove(id);
                }
            }
        }
        synchronized (table) {
            long fileId = header.nextFileId++;
            header.write(memory);
            boolean file = store instanceof FileStore;
            StoreJournal.create(
                    memory,
                    geometry.slot(slot),
                    header.incarnation,
                    fileId,
                    id,
                    file ? StoreJournal.KIND_FILE : StoreJournal.KIND_ENGINE,
                    generation(store),
                    store.name());
            slotByStore.put(id, slot);
            slotByFile.put(fileId, slot);
            return open(store, slot, version, offset, true);
        }
    }

    private static int generation(BackingStore store) {
        return store instanceof FileStore f ? f.generation() : 0;
    }

    private ShmFile open(BackingStore store, int slot, StoreVersion version, long clockOffset, boolean isNew) {
        long base = geometry.slot(slot);
        StoreJournal journal = new StoreJournal(memory, base, header.incarnation, hook);
        FileVerdict verdict =
                isNew
                        ? new FileVerdict(FileVerdict.Kind.NEW, "not known")
                        : judge(store, journal, version, clockOffset);
        long opened = header.epoch << 32 | ++opens;
        return new ShmFile(
                this, slot, StoreJournal.fileId(memory, base), store, journal, version, verdict, boot, opened);
    }

    private FileVerdict judge(BackingStore store, StoreJournal journal, StoreVersion version, long clockOffset) {
        if (!journal.isWritten()) {
            return new FileVerdict(FileVerdict.Kind.CHANGED, "no version of it was recorded");
        }
        boolean file = store instanceof FileStore;
        if (journal.kind() != (file ? StoreJournal.KIND_FILE : StoreJournal.KIND_ENGINE)
                || journal.inodeGeneration() != generation(store)) {
            return new FileVerdict(FileVerdict.Kind.CHANGED, "it is another store of the same identity");
        }
        StoreJournal.Snapshot snapshot = journal.snapshot(!journal.boot().equals(boot));
        return file ? StoreGate.ofFile(snapshot, version, clockOffset, boot) : StoreGate.ofEngine(snapshot, version);
    }

    /** Takes a slot for a new store, marked busy; forgets the least recently opened store if need be. */
    private int freeSlot(BackingStore store, FileEvictor evictor) throws IOException {
        int slot;
        long forgotten = 0;
        synchronized (table) {
            slot = usedSlots.nextClearBit(0);
            if (slot >= geometry.maxFiles()) {
                slot = leastRecentlyOpened();
                if (slot < 0) {
                    throw new IOException("the cache knows " + geometry.maxFiles()
                            + " files and all of them are mapped, so " + store.name()
                            + " cannot be: raise maxFiles, or close some");
                }
                forgotten = StoreJournal.fileId(memory, geometry.slot(slot));
            }
            usedSlots.set(slot);
            busySlots.set(slot);
        }
        if (forgotten == 0) {
            return slot;
        }
        boolean done = false;
        try {
            evictor.evict(forgotten);
            done = true;
        } finally {
            synchronized (table) {
                if (done) {
                    slotByStore.remove(StoreJournal.storeId(memory, geometry.slot(slot)));
                    slotByFile.remove(forgotten);
                    StoreJournal.clear(memory, geometry.slot(slot));
                } else {
                    busySlots.clear(slot);
                }
            }
        }
        return slot;
    }

    private int leastRecentlyOpened() {
        int best = -1;
        long least = Long.MAX_VALUE;
        for (int slot : slotByStore.values()) {
            if (!busySlots.get(slot)) {
                long opened =
                        new StoreJournal(memory, geometry.slot(slot), header.incarnation, null).opened();
                if (opened < least) {
                    least = opened;
                    best = slot;
                }
            }
        }
        return best;
    }

    void fileClosed(ShmFile file) {
        synchronized (table) {
            busySlots.clear(file.slot());
            openStores.remove(file.storeId());
        }
    }

    @Override
    public boolean readRecord(int frame, FrameRecord into) {
        return ledger.read(frame, into);
    }

    @Override
    public void markDirty(int frame) {
        ledger.dirty(frame);
    }

    @Override
    public void release(int frame) {
        ledger.free(frame);
    }

    @Override
    public void forced(int frame) {
        ledger.forced(frame);
    }

    @Override
    public void hint(int frame, int hint) {
        ledger.hint(frame, hint);
    }

    @Override
    public int hint(int frame) {
        return ledger.hint(frame);
    }

    @Override
    public int policyWords() {
        return geometry.policyWords();
    }

    @Override
    public void policyWord(int index, long word) {
        Layout.LONG_VAR.setOpaque(memory, geometry.policyWord(index), word);
    }

    @Override
    public long policyWord(int index) {
        return (long) Layout.LONG_VAR.getOpaque(memory, geometry.policyWord(index));
    }

    @Override
    public void recoveryFinished() {
        synchronized (table) {
            requireOpen();
            header.unfinished = 0;
            // Only now: until then the records of what was not forced are still in the ledger.
            header.boot = boot;
            header.write(memory);
        }
    }

    private void requireOpen() {
        if (closed) {
            throw new IllegalStateException(segment.path() + " is closed");
        }
    }

    private boolean closing() {
        synchronized (table) {
            if (closed) {
                return false;
            }
            if (!openStores.isEmpty()) {
                throw new IllegalStateException(openStores.size() + " files of " + segment.path() + " are still open");
            }
            closed = true;
            return true;
        }
    }

    @Override
    public void close() throws IOException {
        if (!closing()) {
            return;
        }
        rings.close();
        try {
            header.clean = true;
            // An orderly end is no sign that recovery kills; only the boot id waits for one that finishes.
            header.unfinished = 0;
            header.write(memory);
        } finally {
            giveUpMemory();
        }
    }

    @Override
    public void abandon() {
        synchronized (table) {
            closed = true;
        }
        rings.close(); // before the memory and the lock that its reads need
        giveUpMemory();
    }

    /** Where the memory cannot be unmapped somebody reads or writes it still: then the lock stays, too. */
    private void giveUpMemory() {
        arena.close();
        segment.release();
    }

    @Override
    public void drop() throws IOException {
        if (!closing()) {
            return;
        }
        rings.close();
        try {
            try {
                step(hook, "wipe");
                Header.invalidate(memory);
                step(hook, "wipe.invalid");
                segment.wipe(hook);
            } finally {
                arena.close();
            }
            // Not before: a reader who saw the file open may be copying from a frame still.
            segment.giveBackStorage(hook);
            segment.unlink();
        } finally {
            segment.release();
        }
    }
}
