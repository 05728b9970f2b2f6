/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import io.warmcache.AttachProgress;
import io.warmcache.BackingStore;
import io.warmcache.CacheClosedException;
import io.warmcache.CacheConfig;
import io.warmcache.CacheException;
import io.warmcache.CacheStats;
import io.warmcache.Checkpoint;
import io.warmcache.Health;
import io.warmcache.LatchTimeoutException;
import io.warmcache.MapOptions;
import io.warmcache.PageCache;
import io.warmcache.PagedFile;
import io.warmcache.RecoveryReport;
import io.warmcache.StoreId;
import io.warmcache.Validation;
import io.warmcache.WarmUp;
import io.warmcache.core.image.FileDisk;
import io.warmcache.core.image.ImageDisk;
import io.warmcache.spi.BackendConfig;
import io.warmcache.spi.BackendFile;
import io.warmcache.spi.BlockChecksum;
import io.warmcache.spi.FrameBackend;
import io.warmcache.spi.FrameBackendProvider;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.VarHandle;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import javax.management.ObjectName;
import org.jspecify.annotations.Nullable;

/** One open cache: its files, their mapping and unmapping, and its end. */
final class Cache implements PageCache {
    private static final System.Logger LOG = System.getLogger("io.warmcache");

    /** Bits of the version counted before it wraps; tests set fewer. */
    static final int VERSION_BITS = TranslationWord.VERSION_BITS;

    /**
     * {@code off}: no background thread. Nothing is written back, settled, saved or scrubbed but by a caller's own
     * calls, so that a simulator sees the same steps in every run.
     */
    static final String OPTION_MAINTENANCE = "core.maintenance";

    /** {@code on}: nothing is written to a store that no writer stored, and clean frames are verified all the time. */
    private static final String OPTION_PARANOID = "core.paranoid";

    final CacheConfig config;
    final boolean debug;
    final FrameBackend backend;
    final MemorySegment memory;
    final BlockChecksum checksum;
    final long incarnation;
    final long latchTimeoutNanos;

    /** Threads of an eager validation. */
    final int validationThreads;

    final Counters counters = new Counters();
    final LatchWaiters waiters = new LatchWaiters();
    final WrapEpoch epoch;
    final FrameTable frames;
    /** Null unless the cache is paranoid. */
    final @Nullable UnlockSums unlockSums;

    /** Whether there are threads beside those of the callers. */
    final boolean hasThreads;

    /** Pages read ahead at once for one reader, at most. */
    final int mostAhead;

    final Recovery recovery;
    final Maintenance maintenance;
    final BackgroundWrites backgroundWrites;
    final UndoBuffers undoBuffers;
    final Resizing resizing;
    final Images images;

    /** Every file that has frames or is mapped, by the ledger's number. */
    final Map<Long, CachedFile> files = new ConcurrentHashMap<>();

    /** Set when the cache begins to close; looked at after counting a pin. */
    volatile boolean closing;

    /**
     * Guards {@link #mapped}, {@link CachedFile#mappings}, {@link CachedFile#unmapping}, and mapping as a whole. Taken
     * after a file's usage lock; whoever takes that with this one held first waits out an unmapping.
     */
    private final ReentrantLock mapLock = new ReentrantLock();

    private final Map<StoreId, CachedFile> mapped = new HashMap<>();

    /** Signalled when the close of a file's last mapping has ended, in either way. */
    private final Condition unmapped = mapLock.newCondition();

    /** Pins and where they were taken, with debugging on. */
    private final Map<Object, Throwable> pinSites = new ConcurrentHashMap<>();

    final Ending ending;

    /** Stores that are open, from before a file is mapped until its store is closed. */
    final Set<ParkingFile> stores = ConcurrentHashMap.newKeySet();

    /** What is being mapped, for messages. Written under the map lock. */
    volatile @Nullable String mapping;

    /** The name under which management tools see the cache. Set before the cache is handed out. */
    private @Nullable ObjectName bean;

    private Cache(CacheConfig config, FrameBackend backend, int versionBits, ImageDisk disk) {
        this.config = config;
        debug = config.debug();
        this.backend = backend;
        memory = backend.memory();
        checksum = backend.checksum();
        incarnation = backend.incarnation();
        latchTimeoutNanos = nanos(config.latchTimeout());
        validationThreads = EagerValidation.threads(config);
        epoch = new WrapEpoch(versionBits);
        frames = new FrameTable(backend, counters, epoch, waiters, ReadAhead.percent(config.options()));
        unlockSums = "on".equals(config.options().get(OPTION_PARANOID)) ? new UnlockSums(this) : null;
        hasThreads = !"off".equals(config.options().get(OPTION_MAINTENANCE));
        mostAhead = ReadAhead.most(config.options(), frames.pageShift);
        recovery = new Recovery(this);
        maintenance = new Maintenance(this);
        backgroundWrites = new BackgroundWrites(this);
        undoBuffers = new UndoBuffers(frames.pageSize);
        resizing = new Resizing(this);
        images = new Images(this, disk);
        ending = new Ending(this);
    }

    /** Bounded, so that it can be added to any time. */
    static long nanos(Duration duration) {
        Duration most = Duration.ofNanos(Long.MAX_VALUE / 4);
        return duration.isNegative() ? 0 : (duration.compareTo(most) < 0 ? duration : most).toNanos();
    }

    static Cache open(
            CacheConfig config, FrameBackendProvider provider, BackendConfig backendConfig, AttachProgress progress)
            throws IOException {
        return open(
                config, provider, backendConfig, VERSION_BITS, FileDisk.INSTANCE, AttachScan.Plan.usual(), progress);
    }

    /**
     * As {@link #open(CacheConfig, FrameBackendProvider, BackendConfig, AttachProgress)}, for tests that want
     * versions to wrap soon, or to see every operation on images.
     */
    static Cache open(
            CacheConfig config,
            FrameBackendProvider provider,
            BackendConfig backendConfig,
            int versionBits,
            ImageDisk disk)
            throws IOException {
        return open(config, provider, backendConfig, versionBits, disk, AttachScan.Plan.usual(), (frames, of) -> {});
    }

    /** As above, for tests that want several threads to attach a few frames. */
    static Cache open(
            CacheConfig config,
            FrameBackendProvider provider,
            BackendConfig backendConfig,
            int versionBits,
            ImageDisk disk,
            AttachScan.Plan plan,
            AttachProgress progress)
            throws IOException {
        long openedAt = System.nanoTime();
        Events.Attach event = new Events.Attach();
        event.begin();
        FrameBackend backend = provider.attach(backendConfig);
        Cache cache = null;
        try {
            cache = new Cache(config, backend, versionBits, disk);
            cache.recovery.attach(openedAt, plan, progress);
            if (!"off".equals(config.options().get(OPTION_MAINTENANCE))) {
                cache.maintenance.start();
                cache.images.start();
            }
            RecoveryReport report = cache.recovery();
            if (event.shouldCommit()) {
                event.cache = config.name();
                event.warm = report.warm();
                event.cleanStop = report.cleanStop();
                event.found = report.found();
                event.kept = report.kept();
                event.bytes = report.bytesKept();
                event.ownerWait = report.ownerWait().toNanos();
                event.reason = report.coldReason();
                event.commit();
            }
            LOG.log(
                    System.Logger.Level.INFO,
                    () -> "cache \"" + config.name() + "\" opened " + Recovery.describe(report));
            return cache;
        } catch (Throwable t) {
            try {
                if (cache != null) {
                    cache.maintenance.stop();
                    cache.images.beginStop();
                    var _ = cache.images.awaitThreads(System.nanoTime() + Long.MAX_VALUE / 4);
                }
                backend.abandon();
            } catch (IOException e) {
                t.addSuppressed(e);
            }
            throw t;
        }
    }

    /** Shows the cache to management tools until it is closed. */
    Cache managed() {
        bean = CacheBean.register(this);
        return this;
    }

    @Override
    public CacheConfig config() {
        return config;
    }

    @Override
    public long capacity() {
        return (long) frames.capacity() << frames.pageShift;
    }

    @Override
    public void resize(long capacity) throws IOException {
        resizing.resize(capacity);
    }

    /** The file of a ledger number, made if there is none. */
    CachedFile fileOf(long fileId) {
        return files.computeIfAbsent(fileId, id -> new CachedFile(this, id));
    }

    // ---- map and unmap
    // -----------------------------------------------------------------------------------------------

    @Override
    public PagedFile map(Path path, MapOptions options) throws IOException {
        mapLock.lock();
        try {
            checkOpen();
            mapping = path.toString();
            CachedFile shared = shareable(backend.identify(path, options));
            if (shared != null) {
                return share(shared);
            }
            BackingStore store = backend.openStore(path, options);
            StoreId id;
            try {
                id = store.id();
            } catch (Throwable t) {
                closeQuietly(store::close, t);
                throw t;
            }
            return mapNew(store, id, options);
        } finally {
            mapping = null;
            mapLock.unlock();
        }
    }

    @Override
    @SuppressWarnings("ReferenceEquality") // the very object that is mapped already must not be closed
    public PagedFile map(BackingStore store, MapOptions options) throws IOException {
        mapLock.lock();
        try {
            checkOpen();
            mapping = store.name();
            StoreId id = store.id();
            CachedFile shared = shareable(id);
            if (shared != null) {
                BackendFile open = shared.backing;
                if (open == null || open.store() != store) {
                    store.close();
                }
                return share(shared);
            }
            return mapNew(store, id, options);
        } finally {
            mapping = null;
            mapLock.unlock();
        }
    }

    void checkOpen() {
        if (closing) {
            throw new CacheClosedException("the cache is closed");
        }
    }

    /**
     * The file of a store that is mapped, once nobody is closing its last mapping; null if none is. Lets go of the map
     * lock while it waits.
     */
    private @Nullable CachedFile shareable(StoreId id) {
        long deadline = System.nanoTime() + latchTimeoutNanos;
        CachedFile file = mapped.get(id);
        while (file != null && file.unmapping) {
            if (!Waits.until(deadline, left -> unmapped.await(left, TimeUnit.NANOSECONDS))) {
                throw new LatchTimeoutException(file.name + " is being closed, and pins or latches of it kept that from"
                        + " ending for longer than latchTimeout: close them");
            }
            checkOpen();
            file = mapped.get(id);
        }
        return file;
    }

    private static MappedFile share(CachedFile file) {
        file.mappings++;
        return new MappedFile(file);
    }

    private MappedFile mapNew(BackingStore store, StoreId id, MapOptions options) throws IOException {
        GuardedFile backing;
        @Nullable BackendFile opened = null;
        try {
            opened = backend.openFile(store, this::forget);
            ParkingFile parking = new ParkingFile(opened, store.name(), this);
            backing = images.guard(parking);
            stores.add(parking);
        } catch (Throwable t) {
            closeQuietly(opened == null ? store::close : opened::close, t);
            throw t;
        }
        CachedFile file = fileOf(backing.fileId());
        List<WarmUpJob> work;
        try {
            if (!id.equals(store.id())) { // else the pages of one would be those of the other
                throw new IllegalArgumentException(store.name() + " has changed its id while it was mapped");
            }
            file.name = store.name();
            file.poison = null;
            file.poisonTold = false;
            file.degraded = null;
            file.lost = null;
            file.unlisted = null;
            recovery.passGates(file, backing, options);
            if (file.degraded != null) {
                backing.lostWrites();
            }
            work = images.mapped(file, backing, !options.readOnly());
            backing.owner(file);
        } catch (Throwable t) {
            if (config.validation() == Validation.EAGER) {
                // What was validated already must pass the gates of the next mapping all the same.
                closeQuietly(() -> recovery.park(file), t);
            }
            closeQuietly(backing::close, t);
            throw t;
        }
        file.options = options;
        file.backing = backing;
        file.open = true;
        file.mappedAs = id;
        mapped.put(id, file);
        images.queue(work);
        return share(file);
    }

    /** Releases all frames of a file that is not mapped, whose number the ledger is about to forget. */
    private void forget(long fileId) {
        CachedFile file = files.get(fileId);
        if (file != null) {
            try {
                // As long as a frame of it is left, so is its index: a failure here is one to be repeated.
                recovery.forget(file);
                files.remove(fileId, file);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }

    /** Something to close whatever else has failed. */
    private interface Closing {
        void close() throws IOException;
    }

    private static void closeQuietly(Closing closing, Throwable cause) {
        try {
            closing.close();
        } catch (Throwable t) {
            suppress(cause, t);
        }
    }

    /** A store may throw one and the same again, which cannot be suppressed by itself. */
    @SuppressWarnings("ReferenceEquality")
    static void suppress(Throwable cause, Throwable other) {
        if (other != cause) {
            cause.addSuppressed(other);
        }
    }

    @SuppressWarnings("ReferenceEquality") // a file that was mapped again has another ledger entry open
    void unmap(MappedFile mapping, CachedFile file) throws IOException {
        @Nullable BackendFile closing;
        mapLock.lock();
        try {
            awaitUnmapped(file, file.deadline());
            if (mapping.closed) {
                return;
            }
            if (file.mappings > 1) {
                mapping.end();
                file.mappings--;
                return;
            }
            file.unmapping = true;
            closing = file.backing;
        } finally {
            mapLock.unlock();
        }
        // Without the lock: a pin that somebody holds, or a slow store, keeps no other file from being mapped or
        // closed.
        try {
            closeFile(file, false, file.deadline());
        } finally {
            mapLock.lock();
            try {
                file.unmapping = false;
                // Also when the store failed to close: it is not the cache's any more. Somebody else may have mapped
                // it again already.
                if ((closing == null || file.backing != closing) && !mapping.closed) {
                    mapping.end();
                    file.mappings--;
                }
                unmapped.signalAll();
            } finally {
                mapLock.unlock();
            }
        }
    }

    /** With the map lock held, which is let go of meanwhile. */
    private void awaitUnmapped(CachedFile file, long deadline) {
        while (file.unmapping) {
            if (!Waits.until(deadline, left -> unmapped.await(left, TimeUnit.NANOSECONDS))) {
                throw new LatchTimeoutException(file.name + " is being closed already, and its store, or pins or"
                        + " latches of it, kept that from ending for longer than latchTimeout"
                        + (closing ? ": " + ending.reasons() : ""));
            }
        }
    }

    /**
     * C1 to C4, by whoever set {@link CachedFile#unmapping}, or by the end of the cache.
     *
     * @param force whether what was written is forced, too
     * @param deadline for how long to wait for those who use the file
     * @throws CacheException if pages stay held: nothing has changed then
     */
    void closeFile(CachedFile file, boolean force, long deadline) throws IOException {
        BackendFile backing = file.backing;
        if (backing == null) {
            throwLoss(file); // no more is written to it, and who closes it was waiting for its end
            return;
        }
        lockUsage(file, deadline);
        try {
            Throwable poison = file.poison;
            boolean poisoned = poison != null;
            try {
                if (!poisoned) {
                    file.writeBack.flush(backing, 0);
                }
                file.open = false;
                VarHandle.fullFence(); // before any look at the index: the other side of a pin
                awaitReleased(file, deadline);
                if (!poisoned) {
                    // Writers that were under way when the file stopped admitting new ones.
                    file.writeBack.flush(backing, 0);
                    awaitReleased(file, deadline);
                    if ((force || images.wantsForce()) && file.sets.anyUnforced()) {
                        file.writeBack.force(backing);
                    }
                }
            } catch (Throwable t) {
                file.open = true;
                throw t;
            }
            images.closing(file, backing);
            recovery.park(file);
            if (poisoned) {
                recovery.forget(file);
            }
            file.sets.clear();
            file.backing = null;
            try {
                backing.close();
            } finally {
                removeMapped(file);
            }
            if (poison != null && !file.poisonTold) {
                file.poisonTold = true;
                throw file.poisoned(poison, " is closed, and was poisoned", ". Check the store, and map it again");
            }
        } finally {
            file.usage.writeLock().unlock();
        }
    }

    /** For whoever closes a mapping of a file that the end of the cache has given up. */
    private static void throwLoss(CachedFile file) throws IOException {
        Throwable lost = file.lost;
        if (lost != null) {
            throw new IOException(
                    "the cache was closed, and not all that was written to " + file.name + " got into its store: "
                            + lost.getMessage(),
                    lost);
        }
    }

    /** Last, so that whoever maps the store again waits for its end and finds it free. */
    private void removeMapped(CachedFile file) {
        mapLock.lock();
        try {
            mapped.remove(file.mappedAs, file);
        } finally {
            mapLock.unlock();
        }
    }

    private static void lockUsage(CachedFile file, long deadline) {
        if (!Waits.until(deadline, left -> file.usage.writeLock().tryLock(left, TimeUnit.NANOSECONDS))) {
            throw new LatchTimeoutException(
                    file.name + " stayed in use by a flush, force or truncate for longer than latchTimeout");
        }
    }

    /** C2. Waits for short latches; pins are somebody's to close. */
    private void awaitReleased(CachedFile file, long deadline) {
        int held = Recovery.held(file);
        while (held > 0) {
            if (System.nanoTime() - deadline >= 0) {
                throw new CacheException(held + " pages of " + file.name
                        + " are still pinned or latched: close their pins, then close the file" + describeSites());
            }
            frames.awaitFreed(TimeUnit.MILLISECONDS.toNanos(1));
            held = Recovery.held(file);
        }
    }

    // ---- background
    // --------------------------------------------------------------------------------------------------

    /**
     * Writes some dirty pages of any file, for a thread that found no frame to evict. Returns whether any was
     * written.
     */
    boolean writeBackSome() {
        for (CachedFile file : files.values()) {
            if (backgroundWrites.isStanding(file)) {
                continue; // whoever calls it stands, too
            }
            boolean failedBefore = file.degraded != null;
            try {
                if (file.backing != null && file.writeBack.writeSome()) {
                    return true;
                }
            } catch (IOException | RuntimeException e) {
                file.poisonTold = false; // whose miss this is for hears nothing of it
                // Tried again every millisecond while somebody waits for a frame.
                var level = failedBefore ? System.Logger.Level.TRACE : System.Logger.Level.WARNING;
                LOG.log(level, () -> "write-back of " + file.name + " failed", e);
            }
        }
        return false;
    }

    Collection<CachedFile> files() {
        return files.values();
    }

    // ---- pins
    // --------------------------------------------------------------------------------------------------------

    void pinTaken(Object pin) {
        if (debug) {
            pinSites.put(pin, new Throwable("pinned here"));
        }
    }

    void pinGone(Object pin) {
        if (debug) {
            pinSites.remove(pin);
        }
    }

    String describeSites() {
        if (pinSites.isEmpty()) {
            return debug ? "" : " (open the cache with debug to see where they were taken)";
        }
        StringBuilder text = new StringBuilder();
        for (Throwable site : pinSites.values()) {
            text.append("\n  pinned at");
            StackTraceElement[] trace = site.getStackTrace();
            for (int i = 0, shown = 0; i < trace.length && shown < 6; i++) {
                if (!trace[i].getClassName().startsWith("io.warmcache.core.")) {
                    text.append("\n    ").append(trace[i]);
                    shown++;
                }
            }
        }
        return text.toString();
    }

    /** Pages that are pinned, latched, being read or being written. */
    int heldPages() {
        int held = 0;
        for (CachedFile file : files.values()) {
            held += Recovery.held(file);
        }
        return held;
    }

    // ---- observing
    // ---------------------------------------------------------------------------------------------------

    @Override
    public RecoveryReport recovery() {
        return recovery.report();
    }

    @Override
    public CacheStats stats() {
        int free = frames.freeCount();
        int dirtyPages = 0;
        for (CachedFile file : files.values()) {
            dirtyPages += file.sets.dirtyCount();
        }
        return new CacheStats(
                counters.hits.sum(),
                counters.misses.sum(),
                counters.readAhead.get(),
                counters.readAheadUnused.get(),
                counters.evictions.sum(),
                counters.pagesWritten.sum(),
                counters.blocksWritten.sum(),
                counters.bytesRead.sum(),
                counters.bytesWritten.sum(),
                counters.forces.sum(),
                counters.validated.sum(),
                counters.validationFailures.sum(),
                counters.writeFailures.sum(),
                frames.inUse(),
                free,
                dirtyPages,
                counters.dirtyBlocks.get());
    }

    @Override
    public Checkpoint checkpoint(Path directory, Consumer<Checkpoint.Progress> progress) {
        return images.checkpoint(directory, progress);
    }

    @Override
    public WarmUp warmUp() {
        return images;
    }

    @Override
    public Health health() {
        List<String> problems = new ArrayList<>();
        if (closing) {
            problems.add(ending.problem());
        }
        String background = maintenance.failure();
        if (background != null) {
            problems.add(background);
        }
        String warming = images.failure();
        if (warming != null) {
            problems.add(warming);
        }
        for (CachedFile file : files.values()) {
            Throwable poison = file.poison;
            Throwable degraded = file.degraded;
            if (poison != null) {
                problems.add(file.name + " is poisoned (" + poison.getMessage()
                        + "): close it, check the store, and map it again");
            } else if (degraded != null) {
                problems.add(file.name + " could not be written (" + degraded.getMessage()
                        + "): mend the store; what is dirty is kept and written again");
            }
        }
        return new Health(problems.isEmpty(), problems);
    }

    // ---- end
    // ---------------------------------------------------------------------------------------------------------

    @Override
    public void flush() throws IOException {
        checkOpen();
        Throwable failure = null;
        for (CachedFile file : files.values()) {
            try {
                // Also of one that is being closed: what it has not written yet it may fail to write.
                if (file.open || (file.backing != null && file.sets.dirtyCount() > 0)) {
                    file.writeBack.flush();
                }
            } catch (CacheClosedException e) {
                LOG.log(System.Logger.Level.TRACE, "closed by its user meanwhile, and flushed by that", e);
            } catch (IOException | RuntimeException e) {
                if (failure == null) {
                    failure = e;
                } else {
                    suppress(failure, e);
                }
            }
        }
        if (failure != null) {
            throw CachedFile.sneaky(failure);
        }
        checkOpen(); // else what its close could not write would pass for written
    }

    @Override
    public void close(Duration grace) throws IOException {
        ending.close(Objects.requireNonNull(grace, "grace"), false);
    }

    @Override
    public void drop() throws IOException {
        ending.close(Duration.ofSeconds(10), true);
    }

    /** J1. Waits for nobody, and may be called again. */
    void beginClosing() {
        closing = true;
        VarHandle.fullFence(); // before any look at the index: the other side of a pin
        maintenance.beginStop();
        images.beginStop();
    }

    /** After {@link #beginClosing}: waits for the cache's own threads; returns whether they ended in time. */
    boolean awaitThreads(long deadline) {
        return maintenance.awaitThreads(deadline) && images.awaitThreads(deadline);
    }

    /** Makes a daemon thread that is not started yet. */
    interface ThreadMaker {
        Thread make(Runnable task, String name);
    }

    /** Of threads made while the cache is in use. A test makes some that cannot be started. */
    volatile ThreadMaker threads = Cache::daemon;

    private static Thread daemon(Runnable task, String name) {
        Thread thread = new Thread(task, name);
        thread.setDaemon(true);
        return thread;
    }

    List<CachedFile> mappedFiles() {
        mapLock.lock();
        try {
            return List.copyOf(mapped.values());
        } finally {
            mapLock.unlock();
        }
    }

    /** Makes the caller the one who closes a file, after waiting for those who do already. */
    void claim(CachedFile file) {
        mapLock.lock();
        try {
            awaitUnmapped(file, System.nanoTime() + Long.MAX_VALUE / 4);
            file.unmapping = true;
        } finally {
            mapLock.unlock();
        }
    }

    /** After {@link #claim}, with the file closed or abandoned. */
    void unclaim(CachedFile file) {
        mapLock.lock();
        try {
            file.unmapping = false;
            file.mappings = 0;
            unmapped.signalAll();
        } finally {
            mapLock.unlock();
        }
    }

    /** J5. With nothing held and no file open. */
    void giveBack(boolean wipe) throws IOException {
        CacheBean.unregister(bean);
        int kept = frames.capacity() - frames.freeCount();
        if (wipe) {
            backend.drop();
        } else {
            try {
                frames.saveHints();
            } finally {
                backend.close();
            }
        }
        LOG.log(
                System.Logger.Level.INFO,
                () -> "cache \"" + config.name() + "\" closed, "
                        + (wipe ? "and its memory wiped" : "and " + kept + " frames left for the next"));
    }

    /**
     * A file that would not take its dirty pages: they end with the process, and their records say DIRTY. Returns their
     * number.
     */
    int abandon(CachedFile file, Throwable cause) {
        lockUsage(file, System.nanoTime() + Long.MAX_VALUE / 4);
        try {
            int dirty = file.sets.dirtyCount();
            file.open = false;
            BackendFile backing = file.backing;
            if ((dirty > 0 || file.poison != null) && file.lost == null) {
                file.lost = cause;
            }
            if (backing != null) {
                try {
                    backing.close();
                } catch (Throwable t) {
                    suppress(cause, t);
                } finally {
                    file.backing = null;
                    removeMapped(file);
                }
            }
            return dirty;
        } finally {
            file.usage.writeLock().unlock();
        }
    }

    /** For tests: every invariant of the heap's structures against each other and the ledger. */
    Set<String> problems() {
        return Assertions.problems(this);
    }
}
