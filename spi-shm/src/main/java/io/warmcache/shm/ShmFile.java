/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import io.warmcache.BackingStore;
import io.warmcache.StoreId;
import io.warmcache.StoreVersion;
import io.warmcache.spi.BackendFile;
import io.warmcache.spi.BlockChecksum;
import io.warmcache.spi.FileVerdict;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Objects;
import java.util.UUID;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/** A store, its slot in the file table, and the I/O between it and the frames. */
final class ShmFile implements BackendFile {
    private static final int BLOCK = Layout.BLOCK;

    private final ShmBackend backend;
    private final int slot;
    private final long fileId;
    private final BackingStore store;
    private final StoreId storeId;
    /** The same store if it is a plain file. */
    private final @Nullable FileStore file;

    private final StoreJournal journal;
    private final StoreVersion versionAtOpen;
    private final FileVerdict verdict;

    private final Ledger ledger;
    private final MemorySegment frames;
    private final BlockChecksum checksum;
    private final long incarnation;
    private final int pageSize;
    private final int blocks;
    private final UUID boot;
    private final long opened;
    private final @Nullable StepHook hook;

    private final Semaphore parallelWrites = new Semaphore(StoreJournal.MAX_IN_FLIGHT);
    private final Object forceLock = new Object();
    private final AtomicInteger active = new AtomicInteger();
    private volatile boolean closed;
    private volatile boolean accepted;
    private boolean forcedBeforeAccept;
    private volatile long lastWriteNanos = System.nanoTime();

    ShmFile(
            ShmBackend backend,
            int slot,
            long fileId,
            BackingStore store,
            StoreJournal journal,
            StoreVersion version,
            FileVerdict verdict,
            UUID boot,
            long opened) {
        this.backend = backend;
        this.slot = slot;
        this.fileId = fileId;
        this.store = store;
        storeId = store.id();
        this.file = store instanceof FileStore f ? f : null;
        this.journal = journal;
        this.versionAtOpen = version;
        this.verdict = verdict;
        this.ledger = backend.ledger();
        this.frames = backend.memory();
        this.checksum = backend.checksum();
        this.incarnation = backend.incarnation();
        this.pageSize = backend.pageSize();
        this.blocks = pageSize / BLOCK;
        this.boot = boot;
        this.opened = opened;
        this.hook = backend.hook();
    }

    /** Of the store, which is not asked again as it is closed. */
    StoreId storeId() {
        return storeId;
    }

    int slot() {
        return slot;
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

    /** Keeps {@link #close} waiting until {@link #exit}. */
    private void enter() {
        active.incrementAndGet();
        if (closed) {
            active.decrementAndGet();
            throw new IllegalStateException(store.name() + " is closed");
        }
    }

    private void exit() {
        active.decrementAndGet();
    }

    private void step(String name) {
        if (hook != null) {
            hook.at(name);
        }
    }

    private void requireAccepted() {
        if (!accepted) {
            throw new IllegalStateException(store.name() + " has not been accepted");
        }
    }

    /** Nanoseconds of the epoch's clock, rounded down to its milliseconds. */
    private static long now() {
        return System.currentTimeMillis() * 1_000_000;
    }

    /** The same, rounded up. */
    private static long nowOrLater() {
        return now() + 1_000_000;
    }

    @Override
    public void accept() throws IOException {
        enter();
        try {
            if (accepted) {
                throw new IllegalStateException(store.name() + " was accepted before");
            }
            StoreVersion version = store.version();
            if (!version.equals(versionAtOpen)) {
                throw new IOException(store.name() + " was changed by another program while it was being mapped");
            }
            long now = now();
            boolean settled =
                    switch (version.strength()) {
                        case EXACT, NONE -> true;
                        // A change within the clock tick of the last one would leave the times as they are.
                        case HEURISTIC -> file != null && now - version.third() > StoreGate.STAMP_LAG;
                    };
            lastWriteNanos = System.nanoTime();
            journal.accept(version, settled, forcedBeforeAccept, now, Libc.clockOffset(), boot, opened);
            accepted = true;
        } finally {
            exit();
        }
    }

    @Override
    public void fill(long firstPage, int[] frames, int count, long size, long writtenMask) throws IOException {
        Objects.checkIndex(count, MAX_RUN + 1);
        enter();
        try {
            requireAccepted();
            for (int i = 0; i < count; i++) {
                var _ = ledger.begin(frames[i], fileId, firstPage + i);
            }
            read(firstPage * pageSize, frames, 0, (long) count * pageSize, size);
            filled(firstPage, frames, count, writtenMask);
        } finally {
            exit();
        }
    }

    /** The bytes of a run have all arrived. */
    private void filled(long firstPage, int[] frames, int count, long writtenMask) {
        step("fill.read");
        for (int i = 0; i < count; i++) {
            sum(firstPage + i, frames[i], -1);
            ledger.publish(frames[i], (writtenMask >>> i & 1) != 0 ? Ledger.WRITTEN : Ledger.CLEAN);
        }
    }

    @Override
    public int runsAtOnce() {
        return file != null && file.isDirect() && backend.rings().hasOne() ? Ring.ENTRIES : 1;
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
        Objects.checkIndex(runs, firstPages.length + 1);
        for (int i = 0; i < runs; i++) {
            Objects.checkIndex(counts[i], Math.min(MAX_RUN, frames[i].length) + 1);
        }
        Objects.requireNonNull(told, "told");
        enter();
        try {
            requireAccepted();
            FileStore direct = file != null && file.isDirect() ? file : null;
            Rings rings = backend.rings();
            Ring ring = runs > 1 && direct != null ? rings.take() : null;
            if (direct == null || ring == null) {
                if (direct == null || runs < 2 || !rings.isAny()) {
                    BackendFile.super.fillRuns(runs, firstPages, frames, counts, writtenMasks, size, told);
                } // else others have them all: read by this thread alone they would take many times as long
                return;
            }
            try {
                for (int i = 0; i < runs; i++) {
                    for (int k = 0; k < counts[i]; k++) {
                        var _ = ledger.begin(frames[i][k], fileId, firstPages[i] + k);
                    }
                }
                new QueuedFill(ring, direct, runs, firstPages, frames, counts, writtenMasks, size, told).run();
            } finally {
                if (ring.begun) {
                    ring.drain(); // a fault of the memory may be thrown at any later instruction, past U8 too
                }
                ring.taken = false; // U9, by no call, which could fail
            }
        } finally {
            exit();
        }
    }

    /** U3 to U8 of {@code docs/internals.md}, section 16: runs whose records are FILLING. */
    private final class QueuedFill {
        private final Ring ring;
        private final FileStore file;
        private final int runs;
        private final long[] firstPages;
        private final int[][] frames;
        private final int[] counts;
        private final long[] writtenMasks;
        private final long size;
        private final RunFilled told;
        private final int[] runOf = new int[Ring.ENTRIES];
        private int next;

        /** No further run is begun, since the others are not wanted any more. */
        private boolean ending;

        QueuedFill(
                Ring ring,
                FileStore file,
                int runs,
                long[] firstPages,
                int[][] frames,
                int[] counts,
                long[] writtenMasks,
                long size,
                RunFilled told) {
            this.ring = ring;
            this.file = file;
            this.runs = runs;
            this.firstPages = firstPages;
            this.frames = frames;
            this.counts = counts;
            this.writtenMasks = writtenMasks;
            this.size = size;
            this.told = told;
        }

        /** Whatever happens, no read is under way when this ends. */
        void run() throws IOException {
            Throwable failure = null;
            int descriptor = file.descriptor();
            ring.begin();
            boolean ended = false;
            while (ring.begun) {
                try {
                    if (ended || failure != null) {
                        ring.drain();
                    } else {
                        ended = turn(descriptor);
                    }
                } catch (Throwable t) {
                    if (failure == null) {
                        failure = t;
                    }
                }
            }
            if (failure instanceof IOException e) {
                throw e;
            } else if (failure instanceof RuntimeException e) {
                throw e;
            } else if (failure instanceof Error e) {
                throw e;
            } else if (failure != null) {
                throw new IllegalStateException(failure);
            }
        }

        /** Returns whether all runs were told or left out. */
        private boolean turn(int descriptor) {
            for (int slot = ring.slot(); next < runs && slot >= 0 && goesOn(); slot = ring.slot()) {
                int run = next++;
                long bytes = Layout.roundUp(wanted(run), BLOCK);
                if (bytes == 0) {
                    end(run, 0);
                    continue;
                }
                runOf[slot] = run;
                long at = 0;
                int n = 0;
                for (; at < bytes; n++) {
                    long length = Math.min(pageSize, bytes - at);
                    ring.vector(slot, n, ShmFile.this.frames.address() + offset(frames[run][n]), length);
                    at += length;
                }
                ring.add(slot, descriptor, firstPages[run] * pageSize, n);
            }
            if (ring.isPrepared()) {
                step("fill.prepared");
                ring.enter(0);
                step("fill.submitted");
                for (int slot = ring.withdraw(); slot >= 0; slot = ring.withdraw()) {
                    if (goesOn()) {
                        end(runOf[slot], 0);
                    }
                }
            }
            int slot = ring.reap();
            if (slot < 0 && !ring.isIdle()) {
                ring.enter(1);
                slot = ring.reap();
            }
            for (; slot >= 0; slot = ring.reap()) {
                step("fill.reaped");
                end(runOf[slot], ring.result(slot));
            }
            return (next == runs || ending) && ring.isIdle();
        }

        private boolean goesOn() {
            ending = ending || !told.goesOn();
            return !ending;
        }

        private long wanted(int run) {
            return Math.clamp(size - firstPages[run] * pageSize, 0, (long) counts[run] * pageSize);
        }

        /** U6 and U7. */
        private void end(int run, int result) {
            Throwable failure = null;
            try {
                if (result == -Libc.EIO) {
                    throw new ErrnoException("read", file.name(), Libc.EIO);
                }
                // What is missing is read again as any other page: there the end of the file is told from a transfer
                // cut short, and what this queue does not take from what cannot be read.
                int got = (int) Math.clamp(result, 0, wanted(run)) / BLOCK * BLOCK;
                read(firstPages[run] * pageSize + got, frames[run], got, (long) counts[run] * pageSize - got, size);
                filled(firstPages[run], frames[run], counts[run], writtenMasks[run]);
            } catch (Throwable t) {
                failure = t;
            }
            told.ended(run, failure);
        }
    }

    @Override
    public void refill(long page, int frame, int blockMask, long size) throws IOException {
        enter();
        try {
            var _ = ledger.require(frame, fileId, page, Ledger.DIRTY, Ledger.FILLING);
            int[] one = {frame};
            for (int b = 0; b < blocks; b++) {
                int first = b;
                while (b < blocks && (blockMask >>> b & 1) != 0) {
                    b++;
                }
                if (b > first) {
                    read(page * pageSize + (long) first * BLOCK, one, first * BLOCK, (long) (b - first) * BLOCK, size);
                }
            }
        } finally {
            exit();
        }
    }

    /**
     * Reads {@code bytes} of the store into a run of frames, zeros for what lies past its end or {@code size}.
     *
     * @param skip where in the run to begin
     */
    private void read(long position, int[] run, int skip, long bytes, long size) throws IOException {
        long wanted = Math.max(0, Math.min(bytes, size - position));
        long got = 0;
        if (wanted > 0) {
            got = file != null
                    ? file.readFully(
                            position,
                            Layout.roundUp(wanted, BLOCK),
                            (from, n) -> vectors(frames, run, skip + from, n))
                    : readPages(position, run, skip, wanted);
        }
        for (long at = Math.min(got, wanted); at < bytes; ) {
            long inPage = (skip + at) % pageSize;
            long n = Math.min(pageSize - inPage, bytes - at);
            frames.asSlice(offset(run[(int) ((skip + at) / pageSize)]) + inPage, n).fill((byte) 0);
            at += n;
        }
    }

    private long offset(int frame) {
        return (long) frame * pageSize;
    }

    /** Sets the vectors of this thread's next transfer; frames that follow each other are one. */
    private int vectors(MemorySegment memory, int[] run, long skip, long bytes) {
        int n = 0;
        long begin = 0;
        long end = 0;
        for (long at = skip; at < skip + bytes; ) {
            long inPage = at % pageSize;
            long length = Math.min(pageSize - inPage, skip + bytes - at);
            long address = memory.address() + offset(run[(int) (at / pageSize)]) + inPage;
            if (address != end) {
                begin = address;
                n++;
            }
            end = address + length;
            Libc.vector(n - 1, begin, end - begin);
            at += length;
        }
        return n;
    }

    private long readPages(long position, int[] run, long skip, long bytes) throws IOException {
        long done = 0;
        while (done < bytes) {
            long inPage = (skip + done) % pageSize;
            long length = Math.min(pageSize - inPage, bytes - done);
            MemorySegment target = frames.asSlice(offset(run[(int) ((skip + done) / pageSize)]) + inPage, length);
            int n = store.read(position + done, target);
            if (n < 0) {
                return done;
            }
            done += progress(n, length, "read");
        }
        return done;
    }

    private int progress(int n, long atMost, String call) throws IOException {
        if (n < 1 || n > atMost) {
            throw new IOException(call + " of store " + store.name() + " returned " + n + " for " + atMost + " bytes");
        }
        return n;
    }

    /** Records the checksums of the given blocks of a frame. */
    private void sum(long page, int frame, int blockMask) {
        int generation = ledger.generation(frame);
        for (int b = 0; b < blocks; b++) {
            if ((blockMask >>> b & 1) != 0) {
                long at = offset(frame) + (long) b * BLOCK;
                ledger.checksum(frame, b, checksum.block(frames, at, incarnation, fileId, page, b, generation));
            }
        }
    }

    @Override
    public void blank(long page, int frame) {
        enter();
        try {
            requireAccepted();
            var _ = ledger.begin(frame, fileId, page);
            frames.asSlice(offset(frame), pageSize).fill((byte) 0);
            sum(page, frame, -1);
            ledger.publish(frame, Ledger.DIRTY);
            ledger.dirty(frame);
        } finally {
            exit();
        }
    }

    @Override
    public void writeBack(long firstPage, int[] frames, int[] blockMasks, int count, long size) throws IOException {
        Objects.checkIndex(count, MAX_RUN + 1);
        writeBack(firstPage, frames, blockMasks, count, size, new Source(this.frames, frames), null);
    }

    @Override
    public void writeBackVerified(
            long firstPage, int[] frames, int[] blockMasks, int count, long size, long[] sums) throws IOException {
        Objects.checkIndex(count, MAX_RUN + 1);
        try (Arena arena = Arena.ofShared()) {
            // A copy that nobody can reach: what is compared is what is written.
            MemorySegment copy = arena.allocate((long) count * pageSize, BLOCK);
            int[] places = new int[count];
            for (int i = 0; i < count; i++) {
                places[i] = i;
                MemorySegment.copy(this.frames, offset(frames[i]), copy, offset(i), pageSize);
            }
            writeBack(firstPage, frames, blockMasks, count, size, new Source(copy, places), sums);
        }
    }

    /**
     * Where the bytes of a run are that is written.
     *
     * @param memory what holds them
     * @param places at how many pages from its start each page is
     */
    @SuppressWarnings("ArrayRecordComponent") // never compared
    private record Source(MemorySegment memory, int[] places) {}

    private void writeBack(
            long firstPage,
            int[] frames,
            int[] blockMasks,
            int count,
            long size,
            Source source,
            long @Nullable [] expected)
            throws IOException {
        enter();
        try {
            requireAccepted();
            int total = count * blocks;
            long[] sums = new long[total];
            long[] ring = new long[total];
            // Before the write, as are those for the ring, so that a byte that changes beside the latch shows as a
            // mismatch and not as a good block.
            for (int i = 0; i < count; i++) {
                int generation = ledger.require(frames[i], fileId, firstPage + i, Ledger.DIRTY, Ledger.DIRTY);
                for (int b = 0; b < blocks; b++) {
                    if ((blockMasks[i] >>> b & 1) != 0) {
                        long at = offset(source.places()[i]) + (long) b * BLOCK;
                        int k = i * blocks + b;
                        sums[k] = checksum.block(
                                source.memory(), at, incarnation, fileId, firstPage + i, b, generation);
                        if (expected != null && sums[k] != expected[k]) {
                            throw new IOException("page " + (firstPage + i) + " of " + store.name()
                                    + " is not what was to be written: nothing was written");
                        }
                    }
                }
            }
            long inStore = Math.min(total, Math.max(0, (size - firstPage * pageSize + BLOCK - 1) / BLOCK));
            for (int k = 0; k < inStore; k++) {
                int first = k;
                while (k < inStore && sums[k] != 0) {
                    k++;
                }
                if (k > first) {
                    long position = firstPage * pageSize + (long) first * BLOCK;
                    long bytes = Math.min((long) (k - first) * BLOCK, size - position);
                    // Of what is written at once the ring has room for the last blocks.
                    for (int r = Math.max(first, k - StoreJournal.RING); r < k && file != null; r++) {
                        long at = offset(source.places()[r / blocks]) + (long) (r % blocks) * BLOCK;
                        ring[r] = checksum.block(
                                source.memory(), at, incarnation, fileId, firstPage * blocks + r, 0, 0);
                    }
                    write(position, bytes, source, first, ring);
                }
            }
            step("writeBack.written");
            for (int i = 0; i < count; i++) {
                for (int b = 0; b < blocks; b++) {
                    if (sums[i * blocks + b] != 0) {
                        ledger.checksum(frames[i], b, sums[i * blocks + b]);
                    }
                }
                step("writeBack.summed");
                ledger.publish(frames[i], Ledger.WRITTEN);
            }
        } finally {
            exit();
        }
    }

    private void write(long position, long bytes, Source run, int firstBlock, long[] ring) throws IOException {
        if (file == null) {
            writePages(position, bytes, run, (long) firstBlock * BLOCK);
            return;
        }
        file.requireWritable();
        if (file.isShareable(position, bytes)) {
            parallelWrites.acquireUninterruptibly();
            try {
                long stamp = file.writes.readLock();
                try {
                    if (file.isShareable(position, bytes)) {
                        writeJournalled(file, position, bytes, run, firstBlock, ring, false);
                        return;
                    }
                } finally {
                    file.writes.unlockRead(stamp);
                }
            } finally {
                parallelWrites.release();
            }
        }
        long stamp = file.writes.writeLock();
        try {
            writeJournalled(file, position, bytes, run, firstBlock, ring, true);
        } finally {
            file.writes.unlockWrite(stamp);
        }
    }

    private void writeJournalled(
            FileStore file, long position, long bytes, Source run, int firstBlock, long[] ring, boolean exclusive)
            throws IOException {
        long before = file.size();
        long after = Math.max(before, position + bytes);
        int count = (int) ((bytes + BLOCK - 1) / BLOCK);
        if (exclusive) {
            file.prepare(bytes, after);
        }
        lastWriteNanos = System.nanoTime();
        int intent = journal.begin(position / BLOCK, count, before, after, now());
        try {
            file.writeFully(
                    position,
                    bytes,
                    (from, n) -> vectors(run.memory(), run.places(), (long) firstBlock * BLOCK + from, n),
                    () -> journal.extend(nowOrLater()));
        } catch (Throwable t) {
            written(intent, false, ring, firstBlock);
            if (exclusive) {
                try {
                    file.lengthMayHaveChanged();
                } catch (IOException e) {
                    t.addSuppressed(e);
                }
            }
            throw t;
        }
        step("write.done");
        written(intent, true, ring, firstBlock);
        if (exclusive) {
            file.reached(after);
        }
    }

    private void written(int intent, boolean done, long[] ring, int firstBlock) {
        lastWriteNanos = System.nanoTime();
        journal.end(intent, done, ring, firstBlock, nowOrLater());
    }

    private void writePages(long position, long bytes, Source run, long skip) throws IOException {
        int intent = beginForeign();
        try {
            long done = 0;
            while (done < bytes) {
                long inPage = (skip + done) % pageSize;
                long length = Math.min(pageSize - inPage, bytes - done);
                MemorySegment source = run.memory()
                        .asSlice(offset(run.places()[(int) ((skip + done) / pageSize)]) + inPage, length);
                done += progress(store.write(position + done, source), length, "write");
            }
        } finally {
            endForeign(intent);
        }
    }

    /** An exact version says nothing of our own writes; a heuristic one needs to know that there were some. */
    private int beginForeign() {
        if (versionAtOpen.strength() != StoreVersion.Strength.HEURISTIC) {
            return -1;
        }
        parallelWrites.acquireUninterruptibly();
        lastWriteNanos = System.nanoTime();
        return journal.begin(0, 0, 0, Long.MAX_VALUE, now());
    }

    private void endForeign(int intent) {
        if (intent >= 0) {
            lastWriteNanos = System.nanoTime();
            journal.end(intent, false, null, 0, nowOrLater());
            parallelWrites.release();
        }
    }

    @Override
    public void seal(long page, int frame, int blockMask) {
        enter();
        try {
            var _ = ledger.require(frame, fileId, page, Ledger.DIRTY, Ledger.DIRTY);
            sum(page, frame, blockMask);
            ledger.publish(frame, Ledger.WRITTEN);
        } finally {
            exit();
        }
    }

    @Override
    public void force() throws IOException {
        enter();
        try {
            synchronized (forceLock) {
                if (!accepted) {
                    store.force();
                    forcedBeforeAccept = true;
                    return;
                }
                if (file == null || versionAtOpen.strength() == StoreVersion.Strength.NONE) {
                    store.force();
                    return;
                }
                StoreVersion version;
                long stamp = file.writes.writeLock();
                try {
                    version = file.version();
                    journal.forceBegins();
                } finally {
                    file.writes.unlockWrite(stamp);
                }
                step("force.begun");
                file.force();
                step("force.done");
                journal.forceEnded(version);
            }
        } finally {
            exit();
        }
    }

    @Override
    public void truncate(long size) throws IOException {
        enter();
        try {
            requireAccepted();
            lastWriteNanos = System.nanoTime();
            if (file == null) {
                int intent = beginForeign();
                try {
                    store.truncate(size);
                } finally {
                    endForeign(intent);
                }
                return;
            }
            file.requireWritable();
            long stamp = file.writes.writeLock();
            try {
                long before = file.size();
                long least = Math.min(before, size);
                int intent = journal.begin(least / BLOCK, 0, least, Math.max(before, size), now());
                try {
                    file.cut(size);
                    step("truncate.done");
                } catch (IOException e) {
                    try {
                        file.lengthMayHaveChanged();
                    } catch (IOException f) {
                        e.addSuppressed(f);
                    }
                    throw e;
                } finally {
                    lastWriteNanos = System.nanoTime();
                    journal.end(intent, false, null, 0, nowOrLater());
                }
            } finally {
                file.writes.unlockWrite(stamp);
            }
        } finally {
            exit();
        }
    }

    private boolean isQuiet() {
        return System.nanoTime() - lastWriteNanos > StoreGate.STAMP_LAG;
    }

    @Override
    public void settle() throws IOException {
        enter();
        try {
            if (file != null && accepted && journal.isOpen() && isQuiet()) {
                settleNow(file, false);
            }
        } finally {
            exit();
        }
    }

    /** Takes the token unless a write is under way or was a moment ago. */
    private void settleNow(FileStore file, boolean wait) throws IOException {
        long stamp = wait ? file.writes.writeLock() : file.writes.tryWriteLock();
        if (stamp == 0) {
            return;
        }
        try {
            if (isQuiet()) {
                journal.settle(file.version(), Libc.clockOffset());
            }
        } finally {
            file.writes.unlockWrite(stamp);
        }
    }

    @Override
    public void close() throws IOException {
        synchronized (this) {
            if (closed) {
                return;
            }
            closed = true;
        }
        while (active.get() > 0) {
            LockSupport.parkNanos(50_000);
        }
        try {
            if (accepted && file != null) {
                boolean renamed = wasRenamed(file);
                if (renamed) {
                    lastWriteNanos = System.nanoTime(); // a token this fresh would not show a change right after it
                }
                if (renamed || journal.isOpen()) {
                    awaitQuiet();
                    settleNow(file, true);
                }
            } else if (accepted && journal.isOpen()) {
                journal.settle(store.version(), Libc.clockOffset());
            }
        } finally {
            try {
                store.close();
            } finally {
                backend.fileClosed(this);
            }
        }
    }

    /**
     * Whether the settled file's change time alone has moved, as by a new name, a link or another mode. While it was
     * ours to write nobody else may have written it and put its modification time back; nobody can tell these apart
     * once it is not.
     */
    private boolean wasRenamed(FileStore file) throws IOException {
        StoreVersion token = journal.token();
        StoreVersion now = file.version();
        return !journal.isOpen()
                && now.strength() == token.strength()
                && now.first() == token.first()
                && now.second() == token.second()
                && now.third() != token.third();
    }

    /** A token is only worth taking once the file's times could show a later change. */
    private void awaitQuiet() {
        boolean interrupted = false;
        while (!isQuiet()) {
            LockSupport.parkNanos(1_000_000);
            interrupted |= Thread.interrupted();
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
