/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

import io.warmcache.xen.HypercallException.Reason;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;

/**
 * A simulated machine under a VMM: its memory in frames of 4 KiB, the free ones among them, and its domains. The memory
 * outlives every simulated guest, not this process.
 *
 * <p>Which frames a domain gets is drawn from the seed, so that a domain's memory is scattered; with one thread the
 * whole simulation follows from seed and calls. Time is virtual: one microsecond a step. Safe for use by many threads.
 */
public final class Machine implements AutoCloseable {
    /** Bytes of a machine frame, and of a block. */
    public static final int FRAME_SIZE = 4096;

    /** The order of the largest extent: 512 frames, 2 MiB. */
    public static final int LARGE_ORDER = 9;

    private static final Map<String, Machine> MACHINES = new ConcurrentHashMap<>();

    private final String name;
    private final int frames;
    private final boolean shared;
    private final int fd;
    private final MemorySegment memory;
    private final Random random;
    private final int[] free;
    /** Where a frame stands in {@link #free}, or -1. */
    private final int[] freeAt;

    private int freeCount;

    final int[] owner;
    final int[] m2p;
    final int[] readOnly;
    final int[] writable;
    private final Map<Integer, Domain> domains = new LinkedHashMap<>();
    private int nextDomain = 1;
    private long steps;
    private boolean closed;
    private volatile @Nullable StepHook hook;
    private volatile Set<Mutation> mutations = Set.of();

    @SuppressWarnings("MustBeClosedChecker") // unmapped when nothing refers to the memory any more
    private Machine(String name, int frames, long seed, boolean shared) throws IOException {
        this.name = name;
        if (frames < 1 || frames > MOST_FRAMES) {
            throw new IllegalArgumentException(
                    "a machine of " + frames + " frames: it must have 1 to " + MOST_FRAMES + " of " + FRAME_SIZE);
        }
        this.frames = frames;
        random = new Random(seed);
        long bytes = (long) frames * FRAME_SIZE;
        this.shared = shared;
        if (shared) {
            fd = -1;
            memory = Libc.reserve(bytes, Arena.ofAuto());
        } else {
            fd = Libc.memory("warmcache-xen-" + name, bytes);
            boolean done = false;
            try {
                memory = Libc.map(fd, bytes, Arena.ofAuto());
                done = true;
            } finally {
                if (!done) {
                    Libc.close(fd);
                }
            }
        }
        free = new int[frames];
        freeAt = new int[frames];
        for (int i = 0; i < frames; i++) {
            free[i] = i;
            freeAt[i] = i;
        }
        freeCount = frames;
        owner = new int[frames];
        m2p = new int[frames];
        readOnly = new int[frames];
        writable = new int[frames];
        Arrays.fill(owner, -1);
        Arrays.fill(m2p, -1);
    }

    /** 1 TiB of them, whose tables are within what a VMM's heap can be. */
    static final int MOST_FRAMES = 1 << 28;

    /**
     * Powers a machine on. The back end {@code "xen"} finds it by the option {@code xen.machine}.
     *
     * @param frames machine frames of {@link #FRAME_SIZE} bytes
     * @param seed decides which frames are given out
     * @throws IllegalArgumentException if that is none, or more than 1 TiB
     * @throws IllegalStateException if a machine of that name is on
     */
    public static Machine create(String name, int frames, long seed) throws IOException {
        NativeAccess.require();
        synchronized (MACHINES) {
            if (MACHINES.containsKey(name)) {
                throw new IllegalStateException("a machine named \"" + name + "\" is on: close it first");
            }
            Machine machine = new Machine(name, frames, seed, false);
            MACHINES.put(name, machine);
            return machine;
        }
    }

    /**
     * A machine whose domains' memory other processes can map: each domain's is a file of its own, granted in extents
     * of 2 MiB. It has no place among the named ones.
     */
    static Machine createShared(String name, int frames, long seed) throws IOException {
        NativeAccess.require();
        return new Machine(name, frames >> LARGE_ORDER << LARGE_ORDER, seed, true);
    }

    /** Whether guests are other processes. */
    boolean isShared() {
        return shared;
    }

    /** The machine of that name, if it is on. */
    public static @Nullable Machine named(String name) {
        return MACHINES.get(name);
    }

    static Machine namedOrCreate(String name, int frames) throws IOException {
        synchronized (MACHINES) {
            Machine machine = MACHINES.get(name);
            return machine != null ? machine : create(name, frames, name.hashCode());
        }
    }

    /** The name. */
    public String name() {
        return name;
    }

    /** All machine frames, in the order of their numbers: the VMM's own view. */
    MemorySegment memory() {
        return memory;
    }

    int fd() {
        return fd;
    }

    /** How many machine frames there are. */
    public int frames() {
        return frames;
    }

    /** How many machine frames no domain owns. */
    public synchronized int freeFrames() {
        return freeCount;
    }

    /** Microseconds of the virtual clock. */
    public synchronized long clock() {
        return steps;
    }

    /** Sets or removes what is told of every step. */
    public void onStep(@Nullable StepHook value) {
        hook = value;
    }

    void step(Domain domain, String step) {
        synchronized (this) {
            steps++;
        }
        StepHook told = hook;
        if (told != null) {
            told.before(domain, step);
        }
    }

    /** Breaks rules; for tests. */
    void mutate(Mutation... broken) {
        mutations = broken.length == 0 ? Set.of() : EnumSet.copyOf(Arrays.asList(broken));
    }

    boolean breaks(Mutation rule) {
        return mutations.contains(rule);
    }

    // ---- domains

    /**
     * Creates a domain with all of its memory and lets it run.
     *
     * @param pages 4 KiB pages of its physical memory
     * @throws HypercallException {@code EINVAL} if that is none, {@code ENOMEM} if the machine has not that many free
     *     frames
     */
    public Domain createDomain(String domainName, int pages) throws IOException {
        return createDomain(domainName, pages, pages);
    }

    /** The same with room for {@code room} pages, of which the first {@code pages} have memory. */
    Domain createDomain(String domainName, int room, int pages) throws IOException {
        synchronized (this) {
            requireOn();
            if (domain(domainName) != null) {
                throw new HypercallException(Reason.EBUSY, "there is a domain named \"" + domainName + "\"");
            }
            if (pages < 1 || room < pages) {
                throw new HypercallException(Reason.EINVAL, "a domain of " + pages + " pages, with room for " + room);
            }
            if (pages > freeCount) {
                throw noMemory(pages);
            }
            Domain domain = new Domain(this, nextDomain++, domainName, room, pages, random.nextLong());
            domains.put(domain.id(), domain);
            boolean done = false;
            try {
                domain.build();
                done = true;
            } finally {
                if (!done) {
                    domain.destroy();
                }
            }
            return domain;
        }
    }

    /** The domain of that name, in whatever state, or null. */
    public synchronized @Nullable Domain domain(String domainName) {
        for (Domain domain : domains.values()) {
            if (domain.name().equals(domainName)) {
                return domain;
            }
        }
        return null;
    }

    /** The names of all domains, in order. */
    synchronized List<String> names() {
        return domains.values().stream().map(Domain::name).sorted().toList();
    }

    synchronized void forget(Domain domain) {
        domains.remove(domain.id());
    }

    private void requireOn() {
        if (closed) {
            throw new IllegalStateException("machine \"" + name + "\" is off");
        }
    }

    HypercallException noMemory(int wanted) {
        return new HypercallException(
                Reason.ENOMEM,
                "machine \"" + name + "\" has " + freeCount + " free frames of " + FRAME_SIZE + " bytes, " + wanted
                        + " are needed: "
                        + (shared
                                ? "start xen-simd with a larger --memory, or drop a cache that is not needed"
                                : "balloon another domain down or destroy it"));
    }

    // ---- frames, with the lock held

    private void take(int mfn) {
        int at = freeAt[mfn];
        int last = free[--freeCount];
        free[at] = last;
        freeAt[last] = at;
        freeAt[mfn] = -1;
    }

    /** A free frame, or the first of an aligned run of them. */
    int allocate(int order) {
        int count = 1 << order;
        if (freeCount < count) {
            throw noMemory(count);
        }
        if (order == 0) {
            int mfn = free[random.nextInt(freeCount)];
            take(mfn);
            return mfn;
        }
        int extents = frames >> order;
        int start = random.nextInt(extents);
        for (int i = 0; i < extents; i++) {
            int first = (start + i) % extents << order;
            boolean whole = true;
            for (int mfn = first; mfn < first + count && whole; mfn++) {
                whole = freeAt[mfn] >= 0;
            }
            if (whole) {
                for (int mfn = first; mfn < first + count; mfn++) {
                    take(mfn);
                }
                return first;
            }
        }
        throw new HypercallException(Reason.ENOMEM, "no " + count + " free frames lie together");
    }

    /** Gives a frame back, scrubbed: the next owner must not read the last one's bytes. */
    void free(int mfn) {
        if (!shared) {
            memory.asSlice((long) mfn * FRAME_SIZE, FRAME_SIZE).fill((byte) 0);
        }
        owner[mfn] = -1;
        m2p[mfn] = -1;
        freeAt[mfn] = freeCount;
        free[freeCount++] = mfn;
    }

    long randomWord() {
        return random.nextLong();
    }

    /** What the VMM knows of a frame. */
    public synchronized PageInfo pageInfo(int mfn) {
        Domain domain = domains.get(owner[mfn]);
        return new PageInfo(
                mfn,
                owner[mfn],
                m2p[mfn],
                readOnly[mfn],
                writable[mfn],
                domain != null && domain.table().reuse.get(mfn));
    }

    /**
     * Recounts ownership, P2M, M2P and page tables.
     *
     * @throws IllegalStateException naming the first frame with two owners, or count that is wrong
     */
    public synchronized void check() {
        int[] owners = new int[frames];
        int[] reads = new int[frames];
        int[] writes = new int[frames];
        Arrays.fill(owners, -1);
        for (Domain domain : domains.values()) {
            domain.recount(owners, reads, writes);
        }
        int unowned = 0;
        for (int mfn = 0; mfn < frames; mfn++) {
            boolean isFree = freeAt[mfn] >= 0;
            unowned += isFree ? 1 : 0;
            if (isFree != (owner[mfn] < 0) || (isFree && free[freeAt[mfn]] != mfn)) {
                throw new IllegalStateException("frame " + mfn + " is free and owned by domain " + owner[mfn]);
            }
            if (owners[mfn] != owner[mfn]) {
                throw new IllegalStateException("frame " + mfn + " is recorded for domain " + owner[mfn]
                        + " and in the P2M of " + owners[mfn]);
            }
            if (reads[mfn] != readOnly[mfn] || writes[mfn] != writable[mfn]) {
                throw new IllegalStateException("frame " + mfn + " counts " + readOnly[mfn] + " read-only and "
                        + writable[mfn] + " writable mappings, " + reads[mfn] + " and " + writes[mfn] + " exist");
            }
            Domain domain = domains.get(owner[mfn]);
            if (domain != null && domain.table().reuse.get(mfn) && writable[mfn] > 0) {
                throw new IllegalStateException("frame " + mfn + " is reusable and mapped writable");
            }
        }
        if (unowned != freeCount) {
            throw new IllegalStateException(unowned + " frames are free, " + freeCount + " are counted");
        }
    }

    /** Destroys every domain and powers the machine off. Closing again has no effect. */
    @Override
    public void close() {
        synchronized (MACHINES) {
            synchronized (this) {
                if (closed) {
                    return;
                }
                hook = null;
                for (Domain domain : List.copyOf(domains.values())) {
                    domain.destroy();
                }
                closed = true;
                if (!shared) {
                    MACHINES.remove(name);
                    Libc.close(fd);
                }
            }
        }
    }
}
