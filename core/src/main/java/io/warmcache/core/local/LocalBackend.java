/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core.local;

import io.warmcache.BackingStore;
import io.warmcache.CacheConfig;
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
import java.util.Comparator;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** Frames and their records in memory of this process. */
final class LocalBackend implements FrameBackend {
    private static final String COLD = "the back end \"volatile\" keeps nothing beyond the process and its cache";

    /** What is known of a file while the cache is open, mapped or not. */
    private static final class Known {
        final long fileId;
        final StoreId id;
        StoreVersion version = StoreVersion.none();
        boolean open;
        long opened;

        Known(long fileId, StoreId id) {
            this.fileId = fileId;
            this.id = id;
        }
    }

    /** Frames that there is memory for, of which the first {@link #frames} exist. */
    private final int room;

    private volatile int frames;
    private final int pageSize;
    private final int maxFiles;
    private final BlockChecksum checksum;
    private final long incarnation;
    private final Arena arena = Arena.ofShared();
    private final MemorySegment memory;
    final Records records;
    private final int[] hints;

    /** Guards the fields below. */
    private final Object lock = new Object();

    private final Map<StoreId, Known> files = new HashMap<>();
    private long lastFileId;
    private long opens;
    private boolean closed;

    LocalBackend(BackendConfig config) throws IOException {
        CacheConfig cache = config.cache();
        frames = cache.frames();
        room = cache.maxFrames();
        pageSize = cache.pageSize();
        maxFiles = cache.maxFiles();
        checksum = config.checksum();
        incarnation = new SecureRandom().nextLong() | 1; // never 0
        memory = allocate(arena, (long) room * pageSize);
        records = new Records(room, pageSize / BlockChecksum.BLOCK_SIZE);
        hints = new int[room];
    }

    private static MemorySegment allocate(Arena arena, long bytes) throws IOException {
        try {
            return arena.allocate(bytes, BlockChecksum.BLOCK_SIZE);
        } catch (OutOfMemoryError e) {
            arena.close();
            throw new IOException(
                    "there is no memory for frames of " + bytes
                            + " bytes: configure a smaller capacity or maxCapacity, or give the process or its"
                            + " container more",
                    e);
        }
    }

    @Override
    public FailureDomain domain() {
        return FailureDomain.NONE;
    }

    @Override
    public AttachReport attachReport() {
        return new AttachReport(false, COLD, false, 0, 0);
    }

    @Override
    public int frames() {
        return frames;
    }

    @Override
    public int maxFrames() {
        return room;
    }

    /** The memory of all there is room for is the process's from open to close: Java gives none of a segment back. */
    @Override
    public void resize(int count) {
        if (count < 1 || count > room) {
            throw new IllegalArgumentException("there is room for 1 to " + room + " frames, not for " + count);
        }
        synchronized (lock) {
            requireOpen();
            for (int frame = count; frame < frames; frame++) {
                records.require(frame, FrameState.FREE);
            }
            frames = count;
        }
    }

    @Override
    public boolean move(int from, int to) {
        FrameState state = records.beginMove(from, to);
        MemorySegment.copy(memory, (long) from * pageSize, memory, (long) to * pageSize, pageSize);
        hints[to] = hints[from];
        records.state(from, FrameState.FREE);
        records.state(to, state);
        return true;
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

    @Override
    public void survivors(int from, int to, SurvivorVisitor visitor) {
        // Nothing survives.
    }

    @Override
    public boolean knowsFile(long fileId) {
        synchronized (lock) {
            return files.values().stream().anyMatch(known -> known.fileId == fileId);
        }
    }

    @Override
    public StoreId identify(Path file, MapOptions options) throws IOException {
        return PlainFile.identify(file, options);
    }

    @Override
    public BackingStore openStore(Path file, MapOptions options) throws IOException {
        return PlainFile.open(file, options);
    }

    @Override
    public BackendFile openFile(BackingStore store, FileEvictor evictor) throws IOException {
        StoreId id = store.id();
        StoreVersion version = store.version();
        Known known;
        Known forgotten = null;
        boolean isNew = false;
        synchronized (lock) {
            requireOpen();
            known = files.get(id);
            if (known != null && known.open) {
                throw new IllegalStateException(store.name() + " is open already");
            }
            if (known == null) {
                isNew = true;
                if (files.size() >= maxFiles) {
                    forgotten = leastRecentlyOpened(store);
                    forgotten.open = true; // nobody else's to open or forget from here on
                }
                known = new Known(++lastFileId, id);
            }
            known.open = true;
            known.opened = ++opens;
            files.put(known.id, known);
        }
        if (forgotten != null) {
            forget(forgotten, known, evictor);
        }
        return new LocalFile(this, store, id, known.fileId, version, verdict(isNew, known.version, version));
    }

    private Known leastRecentlyOpened(BackingStore store) throws IOException {
        Optional<Known> least =
                files.values().stream().filter(each -> !each.open).min(Comparator.comparingLong(each -> each.opened));
        return least.orElseThrow(() -> new IOException("the cache knows " + maxFiles
                + " files and all of them are mapped, so " + store.name()
                + " cannot be: raise maxFiles, or close some"));
    }

    private void forget(Known forgotten, Known successor, FileEvictor evictor) {
        boolean done = false;
        try {
            evictor.evict(forgotten.fileId);
            done = true;
        } finally {
            synchronized (lock) {
                forgotten.open = false;
                files.remove(done ? forgotten.id : successor.id);
            }
        }
    }

    private static FileVerdict verdict(boolean isNew, StoreVersion then, StoreVersion now) {
        if (isNew) {
            return new FileVerdict(FileVerdict.Kind.NEW, "not known");
        }
        return then.provesUnchanged(now)
                ? new FileVerdict(FileVerdict.Kind.SAME, "its version is unchanged")
                : new FileVerdict(
                        FileVerdict.Kind.CHANGED,
                        now.strength() == StoreVersion.Strength.NONE
                                ? "nothing could show a change of it here"
                                : "its version changed, or none was recorded");
    }

    /**
     * Ends the use of a file.
     *
     * @param version the store's as it was left; null for the one recorded before
     */
    void fileClosed(StoreId id, @Nullable StoreVersion version) {
        synchronized (lock) {
            Known known = files.get(id);
            if (known != null) {
                known.version = version == null ? known.version : version;
                known.open = false;
            }
        }
    }

    @Override
    public boolean readRecord(int frame, FrameRecord into) {
        records.read(frame, into);
        return true;
    }

    @Override
    public void markDirty(int frame) {
        records.markDirty(frame);
    }

    @Override
    public void release(int frame) {
        records.state(frame, FrameState.FREE);
    }

    @Override
    public void forced(int frame) {
        if (records.state(frame) == FrameState.WRITTEN) {
            records.state(frame, FrameState.CLEAN);
        }
    }

    @Override
    public void hint(int frame, int hint) {
        hints[frame] = hint;
    }

    @Override
    public int hint(int frame) {
        return hints[frame];
    }

    @Override
    public void recoveryFinished() {
        // No attach counts as unfinished: there is nothing to recover.
    }

    private void requireOpen() {
        if (closed) {
            throw new IllegalStateException("the back end is closed");
        }
    }

    @Override
    public void close() {
        end(false);
    }

    @Override
    public void drop() {
        end(true);
    }

    private void end(boolean wipe) {
        synchronized (lock) {
            if (closed) {
                return;
            }
            long open = files.values().stream().filter(known -> known.open).count();
            if (open > 0) {
                throw new IllegalStateException(open + " files are still open");
            }
            closed = true;
        }
        if (wipe) {
            memory.fill((byte) 0); // what is freed goes to the process's own allocator, as it is
        }
        arena.close();
    }
}
