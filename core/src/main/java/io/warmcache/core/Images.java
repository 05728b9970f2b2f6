/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static io.warmcache.core.TranslationWord.RESIDENT;
import static io.warmcache.core.TranslationWord.UNVERIFIED;

import io.warmcache.BackingStore;
import io.warmcache.CacheClosedException;
import io.warmcache.CacheException;
import io.warmcache.Checkpoint;
import io.warmcache.RecoveryReport;
import io.warmcache.StoreId;
import io.warmcache.StoreVersion;
import io.warmcache.WarmUp;
import io.warmcache.WarmUpOptions;
import io.warmcache.core.image.DamagedImageException;
import io.warmcache.core.image.HotList;
import io.warmcache.core.image.ImageDisk;
import io.warmcache.core.image.ImageReader;
import io.warmcache.spi.BackendFile;
import java.io.IOException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.atomic.LongAdder;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.roaringbitmap.RoaringBitmap;

/**
 * What makes a cache warm when its memory is gone: images of its stores and the hot list ({@code docs/internals.md},
 * section 12). This class decides when; {@link ImageCopy}, {@link ImageRestore} and {@link HotRead} do it.
 */
final class Images implements WarmUp {
    private static final System.Logger LOG = System.getLogger("io.warmcache");

    private static final int MOST_PROBLEMS = 100;

    final Cache cache;
    final WarmUpOptions options;
    final LongAdder restored = new LongAdder();
    final LongAdder reread = new LongAdder();
    final LongAdder present = new LongAdder();
    final LongAdder noFrame = new LongAdder();
    final LongAdder bytes = new LongAdder();
    private final LongAdder removed = new LongAdder();
    private final LongAdder checkpoints = new LongAdder();
    private final LongAdder hotListWrites = new LongAdder();
    private final ImageDisk disk;
    private final @Nullable Path directory;

    private final ReentrantLock lock = new ReentrantLock();
    private final Condition changed = lock.newCondition();

    // Guarded by the lock, down to the blank line.
    private final Deque<WarmUpJob> jobs = new ArrayDeque<>();
    private @Nullable WarmUpJob current;
    private boolean stopped;
    private boolean ending;
    private @Nullable Thread worker;
    private @Nullable CheckpointRun checkpoint;
    private final Map<CachedFile, HotRead> hotReads = new HashMap<>();
    /** Where images of a store were put beside the configured directory. */
    private final Map<StoreId, Set<Path>> elsewhere = new HashMap<>();
    private final Set<String> problems = new LinkedHashSet<>();
    private final List<ImageRestore> found = new ArrayList<>();
    /** The hot list: each store as it was read, or last seen. */
    private final Map<StoreId, HotList.Entry> hot = new LinkedHashMap<>();

    private volatile @Nullable String failure;

    /** Set when the memory is to be wiped: then nothing is to be warm. */
    volatile boolean dropping;

    Images(Cache cache, ImageDisk disk) {
        this.cache = cache;
        this.disk = disk;
        options = cache.config.warmUp();
        Path given = options.directory();
        directory = given == null ? null : given.toAbsolutePath();
        if (options.hotList() && directory != null) {
            readHotList(hotListFile(directory));
        }
    }

    /** Starts the thread, if there may be something for it to do. */
    void start() {
        if (directory != null) {
            Thread thread = new Thread(this::work, "warmcache-warm-" + cache.config.name());
            thread.setDaemon(true);
            lock.lock();
            try {
                worker = thread;
            } finally {
                lock.unlock();
            }
            thread.start();
        }
    }

    /** For {@code health()}. */
    @Nullable String failure() {
        Thread thread = worker();
        return thread != null && thread.getState() == Thread.State.TERMINATED && !cache.closing
                ? "the thread that warms the cache has died: reopen the cache"
                : failure;
    }

    private @Nullable Thread worker() {
        lock.lock();
        try {
            return worker;
        } finally {
            lock.unlock();
        }
    }

    private void problem(String problem) {
        lock.lock();
        try {
            if (problems.size() < MOST_PROBLEMS) {
                problems.add(problem);
            }
        } finally {
            lock.unlock();
        }
        LOG.log(System.Logger.Level.WARNING, problem);
    }

    // ---- mapping a file --------------------------------------------------------------------------------------------

    GuardedFile guard(BackendFile inner) {
        return new GuardedFile(inner, cache.frames.pageSize, disk, removed);
    }

    /** The image of a store in a directory. */
    static Path imageOf(Path directory, StoreId store) {
        return directory.resolve(store + ".wcimg");
    }

    /**
     * After M6, before the file is open: arms the guard.
     *
     * @param alone whether no other cache can have the store open: if it is mapped for writing
     * @return what there is to restore and to read, to be given to {@link #queue} when the file is open
     */
    List<WarmUpJob> mapped(CachedFile file, GuardedFile guard, boolean alone) {
        StoreId store = guard.store().id();
        Set<Path> places = new LinkedHashSet<>();
        if (directory != null) {
            places.add(imageOf(directory, store));
        }
        HotList.Entry entry;
        lock.lock();
        try {
            places.addAll(elsewhere.getOrDefault(store, Set.of()));
            // Another identity, but the same name: moved to another host, or restored. Its page numbers may be good.
            entry = hot.getOrDefault(
                    store,
                    hot.values().stream()
                            .filter(e -> e.name().equals(file.name))
                            .findFirst()
                            .orElse(null));
        } finally {
            lock.unlock();
        }
        List<WarmUpJob> work = new ArrayList<>();
        for (Path place : places) {
            if (alone) {
                sweep(place);
            }
            look(file, guard, place, work);
        }
        if (entry != null) {
            HotRead read = new HotRead(this, file, guard, entry.classes());
            lock.lock();
            try {
                hotReads.put(file, read);
            } finally {
                lock.unlock();
            }
            work.add(read);
        }
        return work;
    }

    /**
     * Removes what a killed process left of an image that it was taking: whoever takes one has the store open, and now
     * this cache has, alone. But for a checkpoint of this cache, which may be ending still.
     */
    private void sweep(Path place) {
        boolean under;
        lock.lock();
        try {
            under = checkpoint != null && !checkpoint.isDone();
        } finally {
            lock.unlock();
        }
        try {
            boolean removed = disk.delete(ImageCopy.temporary(place, true));
            if (!under) {
                removed |= disk.delete(ImageCopy.temporary(place, false));
            }
            if (removed) {
                LOG.log(System.Logger.Level.DEBUG, "an unfinished image at {0} was removed", place);
            }
        } catch (IOException e) {
            LOG.log(System.Logger.Level.DEBUG, "what is left of an unfinished image at " + place + " stays", e);
        }
    }

    private void look(CachedFile file, GuardedFile guard, Path path, List<WarmUpJob> work) {
        ImageReader reader = null;
        String refusal;
        try {
            ImageDisk.Reader in = disk.open(path);
            reader = new ImageReader(in);
            refusal = refusal(file, guard.store(), reader);
        } catch (NoSuchFileException e) {
            return;
        } catch (DamagedImageException e) {
            refusal = String.valueOf(e.getMessage());
        } catch (IOException | RuntimeException e) {
            refusal = "it cannot be read: " + e;
        }
        guard.arm(path);
        ImageRestore restore = new ImageRestore(this, file, guard, path, reader, refusal);
        lock.lock();
        try {
            found.add(restore);
        } finally {
            lock.unlock();
        }
        if (refusal.isEmpty()) {
            work.add(restore);
        } else {
            restore.finish();
            problem("the image " + path + " of " + file.name + " is not restored: " + refusal);
        }
    }

    /** The gates of an image whose header and footer are whole; empty if it passes. */
    private String refusal(CachedFile file, BackingStore store, ImageReader image) throws IOException {
        int pageSize = cache.frames.pageSize;
        if (!image.store().equals(store.id())) {
            return "it is of another store: " + image.store();
        }
        if (image.pageSize() != pageSize) {
            return "its pages have " + image.pageSize() + " bytes, those of this cache " + pageSize;
        }
        if (file.degraded != null) {
            return "the store could not be forced when it was mapped";
        }
        StoreVersion now = store.version();
        if (!image.version().provesUnchanged(now)) {
            return "the store was changed after the image was taken: its version was " + image.version()
                    + " and is " + now;
        }
        if (image.size() != store.size()) {
            return "the store was changed after the image was taken: it had " + image.size() + " bytes and has "
                    + store.size();
        }
        return "";
    }

    List<RecoveryReport.ImageRecovery> recovered() {
        lock.lock();
        try {
            return found.stream().map(ImageRestore::report).toList();
        } finally {
            lock.unlock();
        }
    }

    // ---- closing a file --------------------------------------------------------------------------------------------

    /** Whether everything is to be durable before {@link #closing}. */
    boolean wantsForce() {
        return options.imageAtClose() && !dropping;
    }

    /**
     * With the last user of a file gone and everything written, before its frames are parked: notes what is hot, and
     * takes an image if the options say so. Fails nothing.
     */
    void closing(CachedFile file, BackendFile backing) {
        boolean unfinished = cancelJobs(backing);
        if (directory == null || dropping || file.poison != null || !(backing instanceof GuardedFile guard)) {
            return;
        }
        try {
            takeLeave(file, guard, directory, unfinished);
        } catch (RuntimeException | OutOfMemoryError e) {
            problem("what is in memory of " + file.name + " was not noted at its close: " + e);
        }
    }

    private void takeLeave(CachedFile file, GuardedFile guard, Path in, boolean unfinished) {
        List<RoaringBitmap> classes = classes(file);
        if (options.hotList()) {
            remember(file, guard, classes);
        }
        Path target = imageOf(in, guard.store().id());
        // An image that is good still, and was not restored to its end, holds more than memory does.
        if (options.imageAtClose() && !(unfinished && guard.isArmed(target))) {
            Checkpoint.Image image =
                    new ImageCopy(file, guard, disk, target, new Throttle(0), true, () -> true, cache.ending::moved)
                            .run(classes);
            if (!image.outcome().equals(ImageCopy.SEALED) && !image.outcome().equals(ImageCopy.NOTHING)) {
                problem("no image of " + file.name + " was taken at its close: " + image.outcome());
            }
        }
    }

    /** Ends a file's jobs; returns whether an image of it was not restored to its end. */
    @SuppressWarnings("ReferenceEquality") // of this mapping, not of one before
    private boolean cancelJobs(BackendFile backing) {
        boolean unfinished = false;
        lock.lock();
        try {
            for (ImageRestore restore : found) {
                unfinished |= restore.guard == backing && restore.isUnfinished();
            }
            for (WarmUpJob job : List.copyOf(jobs)) {
                if (job.guard == backing) {
                    jobs.remove(job);
                    job.finish();
                }
            }
            WarmUpJob running = current;
            if (running != null && running.guard == backing) {
                running.cancel();
            }
            changed.signalAll();
        } finally {
            lock.unlock();
        }
        return unfinished;
    }

    /** Has all threads end soon. */
    void beginStop() {
        CheckpointRun run;
        lock.lock();
        try {
            ending = true;
            run = checkpoint;
        } finally {
            lock.unlock();
        }
        stop();
        if (run != null) {
            run.beginStop();
        }
    }

    /** After {@link #beginStop}: waits for the threads; returns whether they ended in time. */
    boolean awaitThreads(long deadline) {
        CheckpointRun run;
        lock.lock();
        try {
            run = checkpoint;
        } finally {
            lock.unlock();
        }
        Thread thread = worker();
        return (run == null || run.awaitStopped(deadline)) && (thread == null || Waits.ended(thread, deadline));
    }

    // ---- the thread ------------------------------------------------------------------------------------------------

    void queue(List<WarmUpJob> work) {
        lock.lock();
        try {
            if (stopped) {
                work.forEach(WarmUpJob::finish);
            } else {
                jobs.addAll(work);
                changed.signalAll();
            }
        } finally {
            lock.unlock();
        }
    }

    private void work() {
        long interval = options.hotList() ? Cache.nanos(options.hotListInterval()) : Long.MAX_VALUE / 4;
        long listAt = System.nanoTime() + interval;
        while (true) {
            WarmUpJob job;
            lock.lock();
            try {
                while (!ending && jobs.isEmpty() && listAt - System.nanoTime() > 0) {
                    var _ = changed.awaitNanos(listAt - System.nanoTime());
                }
                if (ending) {
                    return;
                }
                job = jobs.poll();
                current = job;
            } catch (InterruptedException e) {
                continue; // nobody but a user's stray call interrupts this thread
            } finally {
                lock.unlock();
            }
            if (job != null) {
                run(job);
            }
            if (listAt - System.nanoTime() <= 0) {
                writeHotList();
                listAt = System.nanoTime() + interval;
            }
        }
    }

    /** For tests that have no thread: does everything that is queued. */
    void runQueued() {
        while (true) {
            WarmUpJob job;
            lock.lock();
            try {
                job = jobs.poll();
                current = job;
            } finally {
                lock.unlock();
            }
            if (job == null) {
                return;
            }
            run(job);
        }
    }

    private void run(WarmUpJob job) {
        try {
            job.run();
        } catch (CacheClosedException e) {
            LOG.log(System.Logger.Level.DEBUG, "warming of " + job.file.name + " ended with it", e);
        } catch (IOException | RuntimeException | Error e) {
            problem("warming of " + job.file.name + " ended early: " + e);
        } finally {
            lock.lock();
            try {
                job.finish();
                current = null;
                changed.signalAll();
            } finally {
                lock.unlock();
            }
        }
    }

    @Override
    public Status status() {
        lock.lock();
        try {
            return new Status(
                    !jobs.isEmpty() || current != null,
                    restored.sum(),
                    reread.sum(),
                    present.sum(),
                    noFrame.sum(),
                    bytes.sum(),
                    removed.sum(),
                    checkpoints.sum(),
                    hotListWrites.sum(),
                    List.copyOf(problems));
        } finally {
            lock.unlock();
        }
    }

    @Override
    public boolean await(Duration atMost) throws InterruptedException {
        long left = Cache.nanos(atMost);
        lock.lock();
        try {
            while (!jobs.isEmpty() || current != null) {
                if (left <= 0) {
                    return false;
                }
                left = changed.awaitNanos(left);
            }
            return true;
        } finally {
            lock.unlock();
        }
    }

    @Override
    public void stop() {
        lock.lock();
        try {
            stopped = true;
            for (WarmUpJob job : jobs) {
                job.finish();
            }
            jobs.clear();
            WarmUpJob running = current;
            if (running != null) {
                running.cancel();
            }
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    // ---- the hot list ----------------------------------------------------------------------------------------------

    /** The pages of a file in memory, by class of heat. */
    List<RoaringBitmap> classes(CachedFile file) {
        List<RoaringBitmap> classes = new ArrayList<>();
        for (int c = 0; c < HotList.CLASSES; c++) {
            classes.add(new RoaringBitmap());
        }
        long[] pages = new long[RadixIndex.LEAF_SLOTS];
        int[] frames = new int[RadixIndex.LEAF_SLOTS];
        int[] heat = new int[RadixIndex.LEAF_SLOTS];
        file.index.forEachLeaf(0, (first, leaf) -> {
            int count = 0;
            for (int slot = 0; slot < RadixIndex.LEAF_SLOTS; slot++) {
                long word = TranslationWord.acquire(leaf, slot);
                long state = TranslationWord.state(word);
                if (state == RESIDENT || state == UNVERIFIED || state == TranslationWord.EXCLUSIVE) {
                    pages[count] = first + slot;
                    frames[count++] = TranslationWord.frame(word);
                }
            }
            if (count > 0) {
                cache.frames.heatClasses(frames, count, heat);
                for (int i = 0; i < count; i++) {
                    classes.get(heat[i]).add((int) pages[i]);
                }
            }
        });
        return classes;
    }

    private Path hotListFile(Path in) {
        return in.resolve(cache.config.name().replaceAll("[^A-Za-z0-9._-]", "_") + ".wchot");
    }

    private void readHotList(Path file) {
        try {
            for (HotList.Entry entry : HotList.read(disk, file)) {
                hot.put(entry.store(), entry);
            }
        } catch (NoSuchFileException e) {
            LOG.log(System.Logger.Level.DEBUG, "no hot list yet", e);
        } catch (IOException | RuntimeException e) {
            problem("the hot list " + file + " is ignored: " + e.getMessage());
        }
    }

    /** Notes what of a file is hot now, and what was listed and not read yet. */
    private void remember(CachedFile file, GuardedFile guard, List<RoaringBitmap> classes) {
        StoreId store = guard.store().id();
        RoaringBitmap known = RoaringBitmap.or(classes.toArray(new RoaringBitmap[0]));
        List<RoaringBitmap> merged = new ArrayList<>();
        lock.lock();
        try {
            HotRead read = hotReads.get(file);
            List<RoaringBitmap> pending = read == null ? List.of() : read.pending();
            for (int c = 0; c < classes.size(); c++) {
                merged.add(
                        pending.isEmpty()
                                ? classes.get(c)
                                : RoaringBitmap.or(classes.get(c), RoaringBitmap.andNot(pending.get(c), known)));
            }
            hot.remove(store); // to the end: the last to be forgotten
            hot.put(store, new HotList.Entry(store, file.name, merged));
            var oldest = new HashSet<StoreId>();
            for (StoreId id : hot.keySet()) {
                if (hot.size() - oldest.size() > cache.config.maxFiles()) {
                    oldest.add(id);
                }
            }
            hot.keySet().removeAll(oldest);
        } finally {
            lock.unlock();
        }
    }

    /** Writes the hot list of now. A failure is kept for {@code health()} until the next success. */
    void writeHotList() {
        if (!options.hotList() || directory == null || dropping) {
            return;
        }
        try {
            for (CachedFile file : cache.files()) {
                file.usage.readLock().lock();
                try {
                    if (file.open && file.backing instanceof GuardedFile guard) {
                        remember(file, guard, classes(file));
                    }
                } finally {
                    file.usage.readLock().unlock();
                }
            }
            List<HotList.Entry> entries;
            lock.lock();
            try {
                entries = List.copyOf(hot.values());
            } finally {
                lock.unlock();
            }
            HotList.write(disk, hotListFile(directory), entries);
            hotListWrites.increment();
            failure = null;
        } catch (IOException | RuntimeException | OutOfMemoryError e) {
            failure = "the hot list in " + directory + " could not be written (" + e + "): mend the directory";
            LOG.log(System.Logger.Level.WARNING, failure, e);
        }
    }

    // ---- checkpoints -----------------------------------------------------------------------------------------------

    Checkpoint checkpoint(Path to, Consumer<Checkpoint.Progress> listener) {
        CheckpointRun run = new CheckpointRun(this, to.toAbsolutePath(), listener);
        lock.lock();
        try {
            if (ending || cache.closing) {
                throw new CacheClosedException("the cache is closed");
            }
            if (checkpoint != null && !checkpoint.isDone()) {
                throw new CacheException("a checkpoint is under way: wait for its end, or cancel it");
            }
            checkpoint = run;
        } finally {
            lock.unlock();
        }
        try {
            cache.threads
                    .make(run::run, "warmcache-checkpoint-" + cache.config.name())
                    .start();
        } catch (Throwable t) {
            run.neverStarted(); // else it would be under way for ever, and the end of the cache wait for it
            throw t;
        }
        return run;
    }

    /** A copy for a checkpoint; from now on an image at its place is looked for whenever the store is mapped. */
    ImageCopy copyOf(
            CachedFile file, GuardedFile guard, Path to, Throttle throttle, BooleanSupplier goesOn, Runnable told) {
        StoreId store = guard.store().id();
        Path target = imageOf(to, store);
        lock.lock();
        try {
            elsewhere.computeIfAbsent(store, id -> new LinkedHashSet<>()).add(target);
        } finally {
            lock.unlock();
        }
        return new ImageCopy(file, guard, disk, target, throttle, false, goesOn, told);
    }

    void checkpointEnded() {
        checkpoints.increment();
    }
}
