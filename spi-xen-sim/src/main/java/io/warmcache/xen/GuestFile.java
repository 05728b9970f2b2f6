/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

import io.warmcache.BackingStore;
import io.warmcache.StoreVersion;
import io.warmcache.spi.BackendFile;
import io.warmcache.spi.FileVerdict;
import io.warmcache.spi.FileVerdict.Kind;
import io.warmcache.spi.FrameState;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.Objects;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * A virtual disk connected to a guest: its requests to the block back end, the only way between disk and machine
 * frames. Each request moves the bytes of whole blocks and records in the cache-mapping table what each frame holds
 * afterwards.
 */
class GuestFile implements BackendFile {
    static final int BLOCK = Machine.FRAME_SIZE;

    /** For so long after a write the times of a plain file could not show another one. */
    private static final long STAMP_LAG = TimeUnit.MILLISECONDS.toNanos(20);

    final GuestBackend guest;
    final Domain domain;
    final Machine machine;
    final MappingTable table;
    final Device device;
    final BackingStore store;
    private final StoreVersion versionAtOpen;
    final boolean heuristic;
    private final FileVerdict verdict;
    final int blocks;
    private volatile boolean accepted;
    private volatile boolean closed;

    /** With the machine's lock held. */
    GuestFile(GuestBackend guest, Device device, BackingStore store, StoreVersion version, boolean fresh) {
        this.guest = guest;
        domain = guest.domain;
        machine = guest.machine;
        table = domain.table();
        this.device = device;
        this.store = store;
        versionAtOpen = version;
        heuristic = version.strength() == StoreVersion.Strength.HEURISTIC;
        blocks = guest.blocks;
        verdict = fresh ? new FileVerdict(Kind.NEW, "") : judge();
        if (verdict.kind() == Kind.CHANGED) {
            device.ring.clear();
        }
    }

    private FileVerdict judge() {
        StoreVersion then = device.version;
        if (machine.breaks(Mutation.STORE_VERSION_IGNORED)) {
            return new FileVerdict(Kind.SAME, "the version was not looked at");
        }
        if (versionAtOpen.strength() == StoreVersion.Strength.NONE) {
            return new FileVerdict(Kind.CHANGED, "the store has no version");
        }
        if (then == null) {
            return new FileVerdict(Kind.CHANGED, "the guest died while it was written, and its version is not exact");
        }
        if (!then.provesUnchanged(versionAtOpen)) {
            return new FileVerdict(Kind.CHANGED, "the store's version changed");
        }
        if (!device.unsettled) {
            return new FileVerdict(Kind.SAME, "the store's version is unchanged");
        }
        return new FileVerdict(
                Kind.PROBE,
                "its times are equal, but were taken right after a write",
                device.ring.keySet().stream().mapToLong(Long::longValue).toArray(),
                device.ring.values().stream().mapToLong(Long::longValue).toArray());
    }

    @Override
    public long fileId() {
        return device.id;
    }

    @Override
    public BackingStore store() {
        return store;
    }

    @Override
    public FileVerdict verdict() {
        return verdict;
    }

    // ---- requests

    /** The work of one request. */
    interface Request {
        void run() throws IOException;
    }

    /** The same, without I/O to fail. */
    interface Update {
        void run();
    }

    /**
     * Runs a request, which the VMM drains if the guest dies meanwhile; the dead guest is not told how it ended.
     */
    void request(String name, Request work) throws IOException {
        requireOpen();
        domain.enter(guest.boot, name);
        try {
            work.run();
        } finally {
            domain.exit();
        }
        domain.requireAlive(guest.boot);
    }

    void update(String name, Update work) {
        requireOpen();
        domain.enter(guest.boot, name);
        try {
            work.run();
        } finally {
            domain.exit();
        }
        domain.requireAlive(guest.boot);
    }

    private void requireOpen() {
        domain.requireAlive(guest.boot);
        if (closed) {
            throw new IllegalStateException(store.name() + " is closed");
        }
    }

    void requireAccepted() {
        if (!accepted) {
            throw new IllegalStateException(store.name() + " has not been accepted");
        }
    }

    @Override
    public void accept() throws IOException {
        request("accept", () -> {
            StoreVersion version = store.version();
            synchronized (machine) {
                if (accepted) {
                    throw new IllegalStateException(store.name() + " was accepted before");
                }
                if (!version.equals(versionAtOpen)) {
                    throw new IOException(store.name() + " was changed by another program while it was being mapped");
                }
                long sinceChange = TimeUnit.MILLISECONDS.toNanos(System.currentTimeMillis()) - version.third();
                device.version = version;
                device.unsettled = heuristic && sinceChange <= STAMP_LAG;
                device.lastWriteNanos = System.nanoTime();
                accepted = true;
            }
        });
    }

    @Override
    public void fill(long firstPage, int[] frames, int count, long size, long writtenMask) throws IOException {
        Objects.checkIndex(count, MAX_RUN + 1);
        request("fill", () -> {
            requireAccepted();
            for (int i = 0; i < count; i++) {
                begin(firstPage + i, frames[i]);
            }
            for (int i = 0; i < count; i++) {
                read(firstPage + i, frames[i], -1, size);
            }
            for (int i = 0; i < count; i++) {
                domain.stepWithin("fill.record");
                synchronized (machine) {
                    record(firstPage + i, frames[i], -1);
                    publish(frames[i], (writtenMask >>> i & 1) != 0 ? FrameState.WRITTEN : FrameState.CLEAN);
                }
            }
        });
    }

    @Override
    public void refill(long page, int frame, int blockMask, long size) throws IOException {
        request("refill", () -> {
            synchronized (machine) {
                guest.settleFault(frame);
                require(page, frame, FrameState.DIRTY, FrameState.FILLING);
            }
            read(page, frame, blockMask, size);
        });
    }

    @Override
    public void blank(long page, int frame) {
        update("blank", () -> {
            requireAccepted();
            begin(page, frame);
            synchronized (machine) {
                for (int b = 0; b < blocks; b++) {
                    domain.frame(guest.mfn(frame, b)).fill((byte) 0);
                }
                record(page, frame, -1);
                for (int b = 0; b < blocks; b++) {
                    domain.dirtied(guest.mfn(frame, b));
                }
            }
        });
    }

    /** From FREE to FILLING under a new key and generation; no guest mapping may be written from here on. */
    void begin(long page, int frame) {
        domain.stepWithin("begin");
        synchronized (machine) {
            FrameState state = guest.state(frame);
            if (state != FrameState.FREE && !machine.breaks(Mutation.NO_FREE_ON_EVICT)) {
                throw new IllegalStateException("frame " + frame + " is " + state + ", not FREE");
            }
            // Machine frames come from and go to other places one by one, so their own counts may differ.
            int generation = 0;
            for (int b = 0; b < blocks; b++) {
                generation = Math.max(generation, table.generation[guest.mfn(frame, b)]);
            }
            for (int b = 0; b < blocks; b++) {
                int mfn = guest.mfn(frame, b);
                table.device[mfn] = device.id;
                table.block[mfn] = page * blocks + b;
                table.generation[mfn] = generation + 1;
                table.state(mfn, FrameState.FILLING);
                domain.protect(mfn);
                domain.mark(frame * blocks + b);
            }
        }
    }

    void require(long page, int frame, FrameState one, FrameState other) {
        FrameState state = guest.state(frame);
        if (state != one && state != other) {
            throw new IllegalStateException(
                    "frame " + frame + " is " + state + ", not " + one + (one == other ? "" : " or " + other));
        }
        int mfn = guest.mfn(frame, 0);
        if (table.device[mfn] != device.id || table.block[mfn] != page * blocks) {
            throw new IllegalStateException("frame " + frame + " is recorded for block " + table.block[mfn]
                    + " of device " + table.device[mfn] + ", not for page " + page + " of device " + device.id);
        }
    }

    /** Blocks of the mask from the disk into the frame; zeros past the end. */
    void read(long page, int frame, int mask, long size) throws IOException {
        for (int b = 0; b < blocks; b++) {
            if ((mask >>> b & 1) == 0) {
                continue;
            }
            domain.stepWithin("disk.read");
            MemorySegment target;
            synchronized (machine) {
                target = domain.frame(guest.mfn(frame, b));
            }
            long position = (page * blocks + b) * BLOCK;
            long wanted = Math.clamp(size - position, 0, BLOCK);
            long done = 0;
            while (done < wanted) {
                int n = store.read(position + done, target.asSlice(done, wanted - done));
                if (n < 0) {
                    break;
                }
                done += progress(n, wanted - done, "read");
            }
            target.asSlice(done).fill((byte) 0);
        }
    }

    int progress(int n, long atMost, String call) throws IOException {
        if (n < 1 || n > atMost) {
            throw new IOException(call + " of store " + store.name() + " returned " + n + " for " + atMost + " bytes");
        }
        return n;
    }

    /** Checksums of the mask's blocks, with the machine's lock held. */
    private void record(long page, int frame, int mask) {
        for (int b = 0; b < blocks; b++) {
            if ((mask >>> b & 1) != 0) {
                int mfn = guest.mfn(frame, b);
                table.checksum[mfn] = guest.sum(mfn, device.id, page, b, table.generation[mfn]);
            }
        }
    }

    /** With the machine's lock held: the frame equals the disk, and the next store to it faults. */
    void publish(int frame, FrameState state) {
        FrameState recorded = machine.breaks(Mutation.CLEAN_BEFORE_FORCE) ? FrameState.CLEAN : state;
        for (int b = 0; b < blocks; b++) {
            int mfn = guest.mfn(frame, b);
            domain.protect(mfn);
            table.writtenAt[mfn] = device.writes;
            table.state(mfn, recorded);
        }
    }

    @Override
    public void writeBack(long firstPage, int[] frames, int[] blockMasks, int count, long size) throws IOException {
        Objects.checkIndex(count, MAX_RUN + 1);
        writeBack(firstPage, frames, blockMasks, count, size, null);
    }

    @Override
    public void writeBackVerified(
            long firstPage, int[] frames, int[] blockMasks, int count, long size, long[] sums) throws IOException {
        Objects.checkIndex(count, MAX_RUN + 1);
        writeBack(firstPage, frames, blockMasks, count, size, sums);
    }

    private void writeBack(
            long firstPage, int[] frames, int[] blockMasks, int count, long size, long @Nullable [] expected)
            throws IOException {
        request("write_back", () -> {
            requireAccepted();
            long[] sums = new long[count * blocks];
            // Before the write, so that a byte that changes beside the latch shows as a mismatch and not as a good
            // block.
            synchronized (machine) {
                for (int i = 0; i < count; i++) {
                    guest.settleFault(frames[i]);
                    require(firstPage + i, frames[i], FrameState.DIRTY, FrameState.DIRTY);
                    for (int b = 0; b < blocks; b++) {
                        if ((blockMasks[i] >>> b & 1) != 0) {
                            int mfn = guest.mfn(frames[i], b);
                            sums[i * blocks + b] =
                                    guest.sum(mfn, device.id, firstPage + i, b, table.generation[mfn]);
                            if (expected != null && sums[i * blocks + b] != expected[i * blocks + b]) {
                                throw new IOException("page " + (firstPage + i)
                                        + " is not what was to be written: nothing was written");
                            }
                        }
                    }
                }
            }
            writeBegins();
            boolean intact = false;
            try {
                for (int k = 0; k < sums.length; k++) {
                    if (sums[k] != 0) {
                        write(firstPage * blocks + k, frames[k / blocks], k % blocks, size);
                    }
                }
                intact = true;
            } catch (IOException e) {
                if (!machine.breaks(Mutation.FAILED_WRITE_RECORDED_AS_WRITTEN)) {
                    throw e;
                }
                intact = true;
            } finally {
                writeEnds(intact);
            }
            for (int i = 0; i < count; i++) {
                domain.stepWithin("write_back.record");
                synchronized (machine) {
                    for (int b = 0; b < blocks; b++) {
                        if (sums[i * blocks + b] != 0 && !machine.breaks(Mutation.CHECKSUM_NOT_RENEWED)) {
                            table.checksum[guest.mfn(frames[i], b)] = sums[i * blocks + b];
                        }
                    }
                    publish(frames[i], FrameState.WRITTEN);
                }
            }
        });
    }

    /** One block to the disk, as far as it lies within the size. */
    private void write(long block, int frame, int b, long size) throws IOException {
        long position = block * BLOCK;
        long wanted = Math.clamp(size - position, 0, BLOCK);
        if (wanted == 0) {
            return;
        }
        domain.stepWithin("disk.write");
        MemorySegment source;
        synchronized (machine) {
            int mfn = guest.mfn(frame, b);
            source = domain.frame(mfn);
            device.ring.remove(block);
        }
        long done = 0;
        while (done < wanted) {
            done += progress(store.write(position + done, source.asSlice(done, wanted - done)), wanted - done, "write");
        }
        if (heuristic) {
            long sum = guest.checksum()
                    .block(source, 0, domain.incarnation(), device.id, block, 0, 0);
            synchronized (machine) {
                device.remember(block, sum);
            }
        }
    }

    void writeBegins() {
        synchronized (machine) {
            device.writesInFlight++;
            if (heuristic) {
                device.version = null;
            }
        }
    }

    /** Takes the version that our own write left; not if the request was torn down in the middle. */
    void writeEnds(boolean intact) throws IOException {
        synchronized (machine) {
            device.writesInFlight--;
            device.writes++;
            device.lastWriteNanos = System.nanoTime();
            if (heuristic && intact && device.writesInFlight == 0) {
                device.version = store.version();
                device.unsettled = true;
            }
        }
    }

    @Override
    public void seal(long page, int frame, int blockMask) {
        update("seal", () -> {
            synchronized (machine) {
                guest.settleFault(frame);
                require(page, frame, FrameState.DIRTY, FrameState.DIRTY);
                record(page, frame, blockMask);
                publish(frame, FrameState.WRITTEN);
            }
        });
    }

    @Override
    public void force() throws IOException {
        request("force", () -> {
            long ended;
            synchronized (machine) {
                ended = device.writes;
            }
            domain.stepWithin("disk.force");
            store.force();
            synchronized (machine) {
                device.forced = Math.max(device.forced, ended);
            }
        });
    }

    @Override
    public void truncate(long size) throws IOException {
        request("truncate", () -> {
            requireAccepted();
            writeBegins();
            boolean intact = false;
            try {
                domain.stepWithin("disk.truncate");
                store.truncate(size);
                intact = true;
            } finally {
                writeEnds(intact);
            }
            synchronized (machine) {
                device.ring.keySet().removeIf(block -> (block + 1) * BLOCK > size);
            }
        });
    }

    private boolean isQuiet() {
        synchronized (machine) {
            return System.nanoTime() - device.lastWriteNanos > STAMP_LAG;
        }
    }

    @Override
    public void settle() throws IOException {
        requireOpen();
        synchronized (machine) {
            if (accepted && heuristic && device.unsettled && device.writesInFlight == 0 && isQuiet()) {
                StoreVersion now = store.version();
                device.unsettled = !now.equals(device.version);
            }
        }
    }

    @Override
    public void close() throws IOException {
        if (closed) {
            return;
        }
        domain.step(guest.boot, "disconnect_device");
        try {
            if (accepted && heuristic) {
                boolean interrupted = false;
                while (!isQuiet()) {
                    LockSupport.parkNanos(1_000_000);
                    interrupted |= Thread.interrupted();
                }
                if (interrupted) {
                    Thread.currentThread().interrupt();
                }
                settle();
            }
        } finally {
            closed = true;
            synchronized (machine) {
                device.open = false;
                device.store = null;
            }
            store.close();
        }
    }
}
