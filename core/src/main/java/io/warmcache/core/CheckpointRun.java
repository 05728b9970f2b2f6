/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import io.warmcache.CacheException;
import io.warmcache.Checkpoint;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/** One checkpoint of all mapped files, one file after the other. */
final class CheckpointRun implements Checkpoint {
    private final Images owner;
    private final Path directory;
    private final Consumer<Progress> listener;
    private final CountDownLatch done = new CountDownLatch(1);

    /** As {@link #done}, or the end of the cache is not to wait for that. */
    private final CountDownLatch left = new CountDownLatch(1);

    private volatile boolean cancelled;
    private volatile Progress progress = new Progress(0, 0, 0, 0, 0);
    private volatile Report report = new Report(true, Duration.ZERO, List.of());
    private volatile @Nullable Throwable failure;
    private volatile @Nullable Thread runner;

    CheckpointRun(Images owner, Path directory, Consumer<Progress> listener) {
        this.owner = owner;
        this.directory = directory;
        this.listener = listener;
    }

    /** Does everything; on a thread of its own. */
    void run() {
        runner = Thread.currentThread();
        long began = System.nanoTime();
        List<Image> images = new ArrayList<>();
        try {
            take(images);
        } catch (RuntimeException | Error e) {
            failure = e;
        } finally {
            report = new Report(cancelled, Duration.ofNanos(System.nanoTime() - began), images);
            owner.checkpointEnded();
            done.countDown();
            left.countDown();
        }
    }

    /** Instead of {@link #run}, if there is no thread for it. */
    void neverStarted() {
        cancelled = true;
        done.countDown();
        left.countDown();
    }

    private void take(List<Image> images) {
        List<CachedFile> files =
                owner.cache.files().stream().filter(file -> file.open).toList();
        Throttle throttle = new Throttle(owner.options.checkpointRate());
        for (CachedFile file : files) {
            if (cancelled) {
                return;
            }
            Progress before = progress;
            ImageCopy[] copy = new ImageCopy[1];
            if (!(file.backing instanceof GuardedFile guard)) {
                continue; // closed meanwhile
            }
            copy[0] = owner.copyOf(
                    file, guard, directory, throttle, () -> !cancelled, () -> tell(files, before, copy[0], 0));
            images.add(copy[0].run(owner.classes(file)));
            tell(files, before, copy[0], 1);
        }
    }

    private void tell(List<CachedFile> files, Progress before, ImageCopy copy, int done) {
        progress = new Progress(
                files.size(),
                before.filesDone() + done,
                before.pages() + copy.found(),
                before.pagesDone() + copy.looked(),
                before.bytesWritten() + copy.length());
        try {
            if (!cancelled) {
                listener.accept(progress);
            }
        } catch (RuntimeException e) {
            failure = e;
            cancelled = true;
        }
    }

    @Override
    public Progress progress() {
        return progress;
    }

    @Override
    public boolean isDone() {
        return done.getCount() == 0;
    }

    @Override
    public void cancel() {
        if (!isDone()) {
            cancelled = true;
        }
    }

    /** For a cache that is being closed. Its own listener may close it: then the cache does not wait for this. */
    void beginStop() {
        cancelled = true;
        if (Thread.currentThread().equals(runner)) {
            left.countDown();
        }
    }

    /** After {@link #beginStop}: returns whether this has ended in time, or closes the cache itself. */
    boolean awaitStopped(long deadline) {
        return Waits.until(deadline, nanos -> left.await(nanos, TimeUnit.NANOSECONDS));
    }

    @Override
    public Report await() throws InterruptedException {
        done.await();
        Throwable cause = failure;
        if (cause != null) {
            throw new CacheException("the checkpoint to " + directory + " failed: " + cause, cause);
        }
        return report;
    }
}
