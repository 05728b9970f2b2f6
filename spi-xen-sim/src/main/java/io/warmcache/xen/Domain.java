/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

import io.warmcache.spi.FrameState;
import io.warmcache.xen.HypercallException.Reason;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.BitSet;
import java.util.HashMap;
import java.util.Map;
import java.util.Random;
import org.jspecify.annotations.Nullable;

/**
 * One domain: its P2M table, its page table, and what the VMM keeps of its cache. The methods named after hypercalls
 * are the guest's; the others are the control domain's. Safe for use by many threads.
 *
 * <p>The page table has an entry for each pfn, which follows the record kept of the frame, and as many again for
 * further mappings that the guest makes with {@link #mmuUpdate}.
 */
public final class Domain {
    /** What a domain is doing. */
    public enum State {
        /** Its guest runs. */
        RUNNING,
        /** Its guest has died; its memory is kept. */
        CRASHED,
        /** Its guest has ended in order; its memory is kept. */
        SHUTDOWN,
        /** It is gone, and its memory with it. */
        DESTROYED
    }

    private final Machine machine;
    private final int id;
    private final String name;
    private int pages;
    /** Pages from 0 on that are to have memory, unless ballooned out; what lies above is room to grow. */
    private int reservation;

    private int[] p2m;
    private int[] entryMfn;
    private Access[] entryAccess;
    private final MappingTable table;
    private final Map<Long, Device> devices = new HashMap<>();
    private final long incarnation;

    private State state = State.RUNNING;
    private String crashReason = "";
    private volatile int boot = 1;
    private volatile boolean dead;
    private int inFlight;
    private @Nullable BitSet logDirty;
    private @Nullable MemorySegment window;
    private @Nullable GuestBackend guest;
    /** Where machine memory is shared with guests of other processes: what this one is granted. */
    private @Nullable DomainMemory memory;
    /** The connection of a guest in another process; an attach waits for its end. */
    @Nullable Object session;
    /** Why the records must not be used again; empty if they may. */
    String distrusted = "";

    // What the back end's attaches left, as a header would hold it.
    boolean used;
    boolean cleanStop;
    int unfinished;
    int pageSize;
    int maxFiles;
    /** Frames of its cache, whose memory is the reservation. */
    volatile int frames;

    int algorithm;
    long nextDevice = 1;
    long opens;
    int[] hints = new int[0];
    long[] policyWords = new long[0];

    Domain(Machine machine, int id, String name, int pages, int reservation, long incarnation) {
        this.machine = machine;
        this.id = id;
        this.name = name;
        this.pages = pages;
        this.reservation = reservation;
        this.incarnation = incarnation == 0 ? 1 : incarnation;
        p2m = new int[pages];
        Arrays.fill(p2m, -1);
        entryMfn = new int[2 * pages];
        Arrays.fill(entryMfn, -1);
        entryAccess = new Access[2 * pages];
        Arrays.fill(entryAccess, Access.NONE);
        table = new MappingTable(machine.frames());
    }

    // ---- what it is

    /** The machine it is on. */
    public Machine machine() {
        return machine;
    }

    /** Its number, positive, never used again. */
    public int id() {
        return id;
    }

    /** Its name. */
    public String name() {
        return name;
    }

    /** 4 KiB pages that its physical memory has room for, with or without memory behind them. */
    public int pages() {
        synchronized (machine) {
            return pages;
        }
    }

    /** What it is doing. */
    public State state() {
        synchronized (machine) {
            return state;
        }
    }

    /** How often it was booted. */
    public int boot() {
        return boot;
    }

    /** The machine frame behind a pfn, or -1 if it was given up. */
    public int p2m(int pfn) {
        synchronized (machine) {
            return p2m[pfn];
        }
    }

    /** Pages whose memory was given up; those that it never had, or gave up with frames of its cache, do not count. */
    public int holes() {
        synchronized (machine) {
            int holes = 0;
            for (int pfn = 0; pfn < reservation; pfn++) {
                holes += p2m[pfn] < 0 ? 1 : 0;
            }
            return holes;
        }
    }

    /** Pages from 0 on that are to have memory. */
    int reservation() {
        return reservation;
    }

    long incarnation() {
        return incarnation;
    }

    @Nullable DomainMemory memory() {
        return memory;
    }

    MappingTable table() {
        return table;
    }

    Map<Long, Device> devices() {
        return devices;
    }

    @Nullable GuestBackend guest() {
        return guest;
    }

    void guest(@Nullable GuestBackend value) {
        guest = value;
    }

    // ---- life

    void build() throws IOException {
        if (machine.isShared()) {
            memory = new DomainMemory(this, pages);
        }
        for (int pfn = 0; pfn < reservation; ) {
            int order = order(pfn, reservation);
            populate(pfn, order);
            pfn += 1 << order;
        }
    }

    /**
     * Of the extent to take from {@code pfn} on: small ones where the kernel has mappings enough for them, so that
     * memory is scattered as finely as it can.
     */
    int order(int pfn, int end) {
        boolean large = machine.isShared() || pages > 32_768;
        return large && end - pfn >= 1 << Machine.LARGE_ORDER ? Machine.LARGE_ORDER : 0;
    }

    /**
     * With the machine's lock held and nobody attached: changes how many pages there is room for. Further mappings that
     * an earlier guest made are gone.
     *
     * @param count at least the reservation
     */
    void room(int count) throws IOException {
        if (count < reservation) {
            throw new IllegalArgumentException(count + " pages, of which " + reservation + " have memory");
        }
        trim();
        for (int va = pages; va < 2 * pages; va++) {
            map(va, -1, Access.NONE);
        }
        DomainMemory granted = memory;
        if (granted != null) {
            granted.room(count);
        }
        int before = Math.min(pages, count);
        p2m = Arrays.copyOf(p2m, count);
        Arrays.fill(p2m, before, count, -1);
        entryMfn = Arrays.copyOf(Arrays.copyOf(entryMfn, before), 2 * count);
        Arrays.fill(entryMfn, before, 2 * count, -1);
        entryAccess = Arrays.copyOf(Arrays.copyOf(entryAccess, before), 2 * count);
        Arrays.fill(entryAccess, before, 2 * count, Access.NONE);
        pages = count;
    }

    /**
     * With the machine's lock held: takes the memory of what lies above the reservation, as it is left by a guest that
     * died while that changed.
     */
    private void trim() {
        for (int pfn = pages - 1; pfn >= reservation; pfn--) {
            if (p2m[pfn] >= 0 && (!machine.isShared() || pfn % DomainMemory.EXTENT_PAGES == 0)) {
                giveUp(pfn, machine.isShared() ? Machine.LARGE_ORDER : 0);
            }
        }
    }

    /**
     * Kills the guest: it is refused everything from now on, its stores go nowhere, and requests under way are drained.
     * Memory and records stay. No effect unless it runs.
     */
    public void crash(String reason) {
        end(State.CRASHED, reason);
    }

    /** As {@link #crash}, for a guest that ended in order. */
    public void shutdown() {
        end(State.SHUTDOWN, "shut down");
    }

    private void end(State to, String reason) {
        synchronized (machine) {
            if (state != State.RUNNING) {
                return;
            }
            state = to;
            crashReason = reason;
            dead = true;
            guest = null;
            unmapWindow();
            machine.notifyAll();
        }
    }

    /** Zeros take its place for whoever still holds it, until nobody does; under the machine's lock. */
    void unmapWindow() {
        MemorySegment mapped = window;
        window = null;
        if (mapped != null) {
            try {
                Libc.unmapFrom(mapped, 0, mapped.byteSize());
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }

    /**
     * Boots the guest again: the same machine frames at the same pfns. Waits until requests of the dead guest are
     * drained. What was written and not forced is no longer reusable; frames that are not kept for reuse are used by
     * the booting guest, so that their old bytes are gone; memory that was given up is given back.
     *
     * @throws HypercallException {@code EBUSY} if it runs, {@code ESRCH} if it was destroyed, {@code ENOMEM} if the
     *     machine cannot give back what had been given up
     */
    public void reboot() throws IOException {
        synchronized (machine) {
            if (state == State.RUNNING) {
                throw new HypercallException(Reason.EBUSY, this + " runs: crash it or shut it down first");
            }
            requireExists();
            drain();
            disconnect();
            for (int va = pages; va < 2 * pages; va++) {
                map(va, -1, Access.NONE);
            }
            trim();
            if (holes() > machine.freeFrames()) {
                throw machine.noMemory(holes());
            }
            Random scribble = new Random(machine.randomWord());
            for (int pfn = 0; pfn < reservation; pfn++) {
                int mfn = p2m[pfn];
                if (mfn < 0) {
                    populate(pfn, machine.isShared() ? Machine.LARGE_ORDER : 0);
                    continue;
                }
                if (table.state(mfn) == FrameState.WRITTEN && !machine.breaks(Mutation.UNFORCED_KEPT_AFTER_REBOOT)) {
                    table.reuse.clear(mfn);
                    table.lost.set(mfn);
                }
                boolean kept = (table.isKept(mfn) && !machine.breaks(Mutation.KEPT_FRAMES_NOT_RESERVED))
                        || machine.breaks(Mutation.UNFORCED_KEPT_AFTER_REBOOT)
                        || machine.breaks(Mutation.DIRTY_KEPT_AFTER_REBOOT)
                        || machine.breaks(Mutation.FILLING_KEPT_AFTER_REBOOT);
                if (!kept) {
                    long word = scribble.nextLong();
                    MemorySegment bytes = frame(mfn);
                    for (long at = 0; at < Machine.FRAME_SIZE; at += 8) {
                        bytes.set(ValueLayout.JAVA_LONG, at, word + at);
                    }
                }
                map(pfn, mfn, table.reuse.get(mfn) ? Access.READ : Access.WRITE);
            }
            logDirty = null;
            boot++;
            dead = false;
            state = State.RUNNING;
        }
    }

    /**
     * With the guest off, lets two pfns have each other's machine frames, as a control domain does that moves memory.
     * The records stay with the machine frames. No effect where memory was given up.
     */
    void exchange(int pfn, int other) {
        synchronized (machine) {
            if (state == State.RUNNING) {
                throw new HypercallException(Reason.EBUSY, this + " runs: its memory cannot be moved");
            }
            int one = p2m[pfn];
            int two = p2m[other];
            if (one < 0 || two < 0 || one == two) {
                return;
            }
            Access accessOne = entryAccess[pfn];
            Access accessTwo = entryAccess[other];
            p2m[pfn] = two;
            p2m[other] = one;
            machine.m2p[one] = other;
            machine.m2p[two] = pfn;
            map(pfn, two, accessTwo);
            map(other, one, accessOne);
        }
    }

    /**
     * Closes the plain files that the dead guest left open, since a file is locked while it is. Stores of other kinds
     * are whoever made them's.
     */
    private void disconnect() {
        for (Device device : devices.values()) {
            if (device.store instanceof FileDisk file) {
                file.close();
            }
            device.store = null;
            device.open = false;
        }
    }

    /** Waits for the requests of a guest that is dead; with the machine's lock held. */
    void drain() {
        boolean interrupted = false;
        while (inFlight > 0) {
            try {
                machine.wait();
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    /** Ends the domain, and frees its memory once its requests are drained. No effect if that was done before. */
    public void destroy() {
        synchronized (machine) {
            if (state == State.DESTROYED) {
                return;
            }
            crash("destroyed");
            drain();
            disconnect();
            state = State.DESTROYED;
            for (int va = 0; va < 2 * pages; va++) {
                map(va, -1, Access.NONE);
            }
            for (int pfn = 0; pfn < pages; pfn++) {
                int mfn = p2m[pfn];
                if (mfn >= 0) {
                    p2m[pfn] = -1;
                    table.state(mfn, FrameState.FREE);
                    DomainMemory from = memory;
                    if (from != null && pfn % DomainMemory.EXTENT_PAGES == 0) {
                        from.forget(mfn);
                    }
                    machine.free(mfn);
                }
            }
            DomainMemory granted = memory;
            memory = null;
            if (granted != null) {
                granted.close();
            }
            machine.forget(this);
            machine.notifyAll();
        }
    }

    // ---- the guest's calls

    /** A step of the guest of a certain boot, before anything is done for it. */
    void step(int asked, String what) {
        requireAlive(asked);
        machine.step(this, what);
        requireAlive(asked);
    }

    /** A step of a request under way, which is drained when the guest dies meanwhile. */
    void stepWithin(String what) {
        machine.step(this, what);
    }

    void requireAlive(int asked) {
        if (dead || boot != asked) {
            throw new GuestCrash(this + " is dead to this guest" + (crashReason.isEmpty() ? "" : ": " + crashReason));
        }
    }

    /** Begins a request; {@link #exit} must follow. */
    void enter(int asked, String what) {
        step(asked, what);
        synchronized (machine) {
            requireAlive(asked);
            inFlight++;
        }
    }

    void exit() {
        synchronized (machine) {
            inFlight--;
            machine.notifyAll();
        }
    }

    private void hypercall(String what) {
        requireRunning();
        machine.step(this, what);
    }

    private void requireRunning() {
        if (dead) {
            synchronized (machine) {
                requireExists();
                throw new HypercallException(Reason.ESRCH, this + " does not run: " + crashReason);
            }
        }
    }

    private void requireExists() {
        if (state == State.DESTROYED) {
            throw new HypercallException(Reason.ESRCH, this + " was destroyed");
        }
    }

    private void requirePfns(int pfn, int order) {
        if (order == 0 && machine.isShared()) {
            throw new HypercallException(
                    Reason.EINVAL, "memory that other processes map is granted in extents of order 9 alone");
        }
        if (order != 0 && order != Machine.LARGE_ORDER) {
            throw new HypercallException(Reason.EINVAL, "extents have order 0 or " + Machine.LARGE_ORDER);
        }
        if (pfn < 0 || pfn > pages - (1 << order)) {
            throw new HypercallException(Reason.EINVAL, "pfn " + pfn + " of order " + order + " is not in " + this);
        }
    }

    /**
     * {@code XENMEM_populate_physmap}: memory for one extent of pfns that has none.
     *
     * @param order 0 for one frame, 9 for 512 that lie together
     * @throws HypercallException {@code EINVAL}, {@code EBUSY} if there is memory, {@code ENOMEM}, {@code ESRCH}
     */
    public void populatePhysmap(int pfn, int order) {
        hypercall("populate_physmap");
        synchronized (machine) {
            requireRunning();
            requirePfns(pfn, order);
            for (int i = pfn; i < pfn + (1 << order); i++) {
                if (p2m[i] >= 0) {
                    throw new HypercallException(Reason.EBUSY, "pfn " + i + " of " + this + " has memory");
                }
            }
            try {
                populate(pfn, order);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }

    private void populate(int pfn, int order) throws IOException {
        int first = machine.allocate(order);
        int count = 1 << order;
        DomainMemory granted = memory;
        boolean done = false;
        try {
            if (granted != null) {
                granted.grant(pfn, first, count);
            }
            done = true;
        } finally {
            for (int i = 0; !done && i < count; i++) {
                machine.free(first + i);
            }
        }
        for (int i = 0; i < count; i++) {
            machine.owner[first + i] = id;
            machine.m2p[first + i] = pfn + i;
            p2m[pfn + i] = first + i;
            table.state(first + i, FrameState.FREE);
            map(pfn + i, first + i, Access.WRITE);
            mark(pfn + i);
        }
        MemorySegment mapped = window;
        if (mapped != null) {
            mapRun(mapped, pfn, first, count);
        }
    }

    /**
     * {@code XENMEM_decrease_reservation}: gives one extent's memory back to the machine.
     *
     * @throws HypercallException {@code EINVAL}, {@code EBUSY} if a frame is dirty, being filled or mapped a second
     * time,
     *     {@code ESRCH}
     */
    public void decreaseReservation(int pfn, int order) {
        hypercall("decrease_reservation");
        synchronized (machine) {
            requireRunning();
            requirePfns(pfn, order);
            for (int i = pfn; i < pfn + (1 << order); i++) {
                int mfn = p2m[i];
                if (mfn < 0) {
                    throw new HypercallException(Reason.EINVAL, "pfn " + i + " of " + this + " has no memory");
                }
                FrameState record = table.state(mfn);
                if (record == FrameState.DIRTY || record == FrameState.FILLING) {
                    throw new HypercallException(Reason.EBUSY, "pfn " + i + " of " + this + " is " + record);
                }
                if (machine.readOnly[mfn] + machine.writable[mfn] > 1) {
                    throw new HypercallException(Reason.EBUSY, "pfn " + i + " of " + this + " is mapped elsewhere");
                }
            }
            giveUp(pfn, order);
        }
    }

    /** With the machine's lock held: an extent that has memory, and that nobody uses. */
    private void giveUp(int pfn, int order) {
        // Nobody may see the frames any more before they can be another domain's.
        DomainMemory from = memory;
        if (from != null) {
            from.revoke(pfn, p2m[pfn]);
        }
        MemorySegment mapped = window;
        if (mapped != null) {
            try {
                Libc.unmapFrom(mapped, (long) pfn * Machine.FRAME_SIZE, (long) Machine.FRAME_SIZE << order);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
        for (int i = pfn; i < pfn + (1 << order); i++) {
            int mfn = p2m[i];
            map(i, -1, Access.NONE);
            table.state(mfn, FrameState.FREE);
            p2m[i] = -1;
            machine.free(mfn);
        }
    }

    // ---- the number of frames of its cache, changed by the guest of a certain boot

    /**
     * Takes memory for more frames (R1, R2). What is not finished is undone here, or by the reboot of a guest that
     * died.
     *
     * @param step runs before each change
     * @throws IOException if the machine has not enough; nothing is changed then
     */
    void grow(int asked, int count, Runnable step) throws IOException {
        int to = XenProvider.pages(machine, count, pageSize);
        int from;
        synchronized (machine) {
            requireAlive(asked);
            from = reservation;
            if (to - from > machine.freeFrames()) {
                throw new IOException(machine.noMemory(to - from).getMessage());
            }
        }
        boolean done = false;
        try {
            for (int pfn = from; pfn < to; ) {
                step.run();
                synchronized (machine) {
                    requireAlive(asked);
                    pfn += populateSome(pfn, to);
                }
            }
            step.run();
            synchronized (machine) {
                requireAlive(asked);
                reservation = to;
                frames = count;
            }
            done = true;
        } catch (HypercallException e) {
            throw new IOException(e.getMessage(), e);
        } finally {
            synchronized (machine) {
                if (!done && !dead && boot == asked) {
                    trim();
                }
            }
        }
    }

    /** With the machine's lock held: memory for some pages, where there is none yet; returns how many. */
    private int populateSome(int pfn, int to) throws IOException {
        int order = order(pfn, to);
        if (order > 0 && isHole(pfn, 1 << order)) {
            try {
                populate(pfn, order);
                return 1 << order;
            } catch (HypercallException e) {
                if (machine.isShared()) {
                    throw e;
                }
                // Enough are free, but not together.
            }
        }
        if (machine.isShared()) {
            return 1 << order; // what an earlier shrink could not give back is there still
        }
        if (p2m[pfn] < 0) {
            populate(pfn, 0);
        }
        return 1;
    }

    private boolean isHole(int pfn, int count) {
        for (int i = pfn; i < pfn + count; i++) {
            if (p2m[i] >= 0) {
                return false;
            }
        }
        return true;
    }

    /** With the machine's lock held: from now on the cache has fewer frames, which {@link #giveBack} follows (R3). */
    void cut(int count) {
        frames = count;
        reservation = XenProvider.pages(machine, count, pageSize);
    }

    /** R4: gives the machine what lies above the reservation. What cannot be taken away stays until the next boot. */
    void giveBack(int asked, Runnable step) {
        int unit = machine.isShared() ? Machine.LARGE_ORDER : 0;
        for (int pfn = pages - (1 << unit); pfn >= 0; pfn -= 1 << unit) {
            synchronized (machine) {
                if (pfn < reservation) {
                    return;
                }
                if (p2m[pfn] < 0) {
                    continue;
                }
            }
            step.run();
            synchronized (machine) {
                requireAlive(asked);
                if (pfn < reservation || p2m[pfn] < 0) {
                    continue;
                }
                try {
                    giveUp(pfn, unit);
                } catch (UncheckedIOException e) {
                    System.getLogger("io.warmcache")
                            .log(System.Logger.Level.WARNING, "memory of " + this + " stays until its next boot", e);
                    return;
                }
            }
        }
    }

    /**
     * {@code mmu_update}: sets an entry of the page table.
     *
     * @param va the entry, from {@link #pages()} to twice that; those below follow the P2M
     * @param mfn a frame of this domain; ignored for {@link Access#NONE}
     * @throws HypercallException {@code EINVAL}, {@code EPERM} if the frame is not this domain's, {@code EBUSY} if it
     * is
     *     to be mapped writable while a request fills it, {@code ESRCH}
     */
    public void mmuUpdate(int va, int mfn, Access access) {
        hypercall("mmu_update");
        synchronized (machine) {
            requireRunning();
            if (va < pages || va >= 2 * pages || mfn >= machine.frames() || (mfn < 0 && access != Access.NONE)) {
                throw new HypercallException(Reason.EINVAL, "entry " + va + " or frame " + mfn + " is out of range");
            }
            if (access == Access.NONE) {
                map(va, -1, Access.NONE);
                return;
            }
            if (machine.owner[mfn] != id) {
                throw new HypercallException(Reason.EPERM, "frame " + mfn + " is not of " + this);
            }
            if (access == Access.WRITE) {
                if (table.state(mfn) == FrameState.FILLING) {
                    throw new HypercallException(Reason.EBUSY, "frame " + mfn + " is being filled");
                }
                if (table.reuse.get(mfn)) {
                    // Stores through this entry would not fault, so the fault is taken now.
                    dirtied(mfn);
                }
                mark(machine.m2p[mfn]);
            }
            map(va, mfn, access);
        }
    }

    // ---- log-dirty mode, the control domain's calls

    /** Begins to log which pages are written; the log starts empty but for what is mapped writable. */
    public void logDirtyEnable() {
        synchronized (machine) {
            requireExists();
            logDirty = new BitSet(pages);
            markWritable();
        }
    }

    /** Ends logging. */
    public void logDirtyDisable() {
        synchronized (machine) {
            logDirty = null;
        }
    }

    /**
     * The pfns written, or mapped writable, since the log was last cleaned.
     *
     * @throws HypercallException {@code EINVAL} if nothing is logged
     */
    public BitSet logDirtyPeek() {
        synchronized (machine) {
            return (BitSet) log().clone();
        }
    }

    /**
     * As {@link #logDirtyPeek}, and begins a new round. Pages that stay mapped writable are in that one too: nothing
     * faults when they are written again.
     */
    public BitSet logDirtyClean() {
        synchronized (machine) {
            BitSet log = log();
            BitSet copy = (BitSet) log.clone();
            log.clear();
            markWritable();
            return copy;
        }
    }

    private BitSet log() {
        BitSet log = logDirty;
        if (log == null) {
            throw new HypercallException(Reason.EINVAL, this + " is not in log-dirty mode");
        }
        return log;
    }

    private void markWritable() {
        for (int pfn = 0; pfn < pages; pfn++) {
            if (p2m[pfn] >= 0 && machine.writable[p2m[pfn]] > 0) {
                mark(pfn);
            }
        }
    }

    // ---- the VMM's own, with the machine's lock held

    void mark(int pfn) {
        BitSet log = logDirty;
        if (log != null) {
            log.set(pfn);
        }
    }

    private void map(int va, int mfn, Access access) {
        int old = entryMfn[va];
        if (entryAccess[va] == Access.READ) {
            machine.readOnly[old]--;
        } else if (entryAccess[va] == Access.WRITE) {
            machine.writable[old]--;
        }
        entryMfn[va] = mfn;
        entryAccess[va] = access;
        if (access == Access.READ) {
            machine.readOnly[mfn]++;
        } else if (access == Access.WRITE) {
            machine.writable[mfn]++;
        }
    }

    /** The frame's record and the entries that map it, after the guest wrote or may write to it. */
    void dirtied(int mfn) {
        table.state(mfn, FrameState.DIRTY);
        writable(mfn);
    }

    /** Lets the guest write to a frame through its own entry. */
    void writable(int mfn) {
        int pfn = machine.m2p[mfn];
        map(pfn, mfn, Access.WRITE);
        mark(pfn);
    }

    /** Takes every writable entry of a frame away, so that the next store faults. */
    void protect(int mfn) {
        map(machine.m2p[mfn], mfn, Access.READ);
        if (machine.writable[mfn] > 0) {
            for (int va = pages; va < 2 * pages; va++) {
                if (entryMfn[va] == mfn && entryAccess[va] == Access.WRITE) {
                    map(va, mfn, Access.READ);
                }
            }
        }
    }

    MemorySegment frame(int mfn) {
        return machine.memory().asSlice((long) mfn * Machine.FRAME_SIZE, Machine.FRAME_SIZE);
    }

    void recount(int[] owners, int[] reads, int[] writes) {
        for (int pfn = 0; pfn < pages; pfn++) {
            int mfn = p2m[pfn];
            if (mfn >= 0) {
                if (owners[mfn] >= 0) {
                    throw new IllegalStateException(
                            "frame " + mfn + " is of domain " + owners[mfn] + " and of domain " + id);
                }
                if (machine.m2p[mfn] != pfn) {
                    throw new IllegalStateException("frame " + mfn + " is pfn " + pfn + " of " + this + ", M2P says "
                            + machine.m2p[mfn]);
                }
                owners[mfn] = id;
            }
        }
        for (int va = 0; va < 2 * pages; va++) {
            if (entryAccess[va] != Access.NONE && machine.owner[entryMfn[va]] != id) {
                throw new IllegalStateException("entry " + va + " of " + this + " maps frame " + entryMfn[va]
                        + ", which is not its own");
            }
            if (entryAccess[va] == Access.READ) {
                reads[entryMfn[va]]++;
            } else if (entryAccess[va] == Access.WRITE) {
                writes[entryMfn[va]]++;
            }
        }
    }

    // ---- the guest's view of its memory

    /** The first {@code bytes} of the guest's physical memory, contiguous as the guest sees it. */
    @SuppressWarnings("MustBeClosedChecker") // unmapped when nothing refers to it any more
    MemorySegment mapWindow(long bytes) throws IOException {
        synchronized (machine) {
            MemorySegment mapped = Libc.reserve(bytes, Arena.ofAuto());
            int count = (int) (bytes / Machine.FRAME_SIZE);
            for (int pfn = 0; pfn < count; ) {
                int run = 1;
                while (pfn + run < count && p2m[pfn] >= 0 && p2m[pfn + run] == p2m[pfn] + run) {
                    run++;
                }
                if (p2m[pfn] >= 0) {
                    mapRun(mapped, pfn, p2m[pfn], run);
                }
                pfn += run;
            }
            window = mapped;
            return mapped;
        }
    }

    private void mapRun(MemorySegment mapped, int pfn, int mfn, int count) throws IOException {
        long at = (long) pfn * Machine.FRAME_SIZE;
        long bytes = Math.min((long) count * Machine.FRAME_SIZE, mapped.byteSize() - at);
        if (bytes > 0) {
            Libc.mapInto(mapped, at, bytes, machine.fd(), (long) mfn * Machine.FRAME_SIZE);
        }
    }

    @Override
    public String toString() {
        return "domain " + id + " \"" + name + "\"";
    }
}
