/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import io.warmcache.BackingStore;
import io.warmcache.spi.BackendFile;
import io.warmcache.spi.FileVerdict;
import java.io.IOException;
import java.util.List;
import java.util.concurrent.Future;
import java.util.concurrent.FutureTask;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;

/**
 * An open ledger entry whose I/O does not occupy the carriers of virtual threads: a virtual thread parks while one of a
 * few platform threads makes its system call, or its call of an engine's store. Else two misses would stop every
 * virtual thread of a machine with two processors. Each file has threads of its own, so that a store that hangs keeps
 * nobody from another one. Platform threads do their I/O themselves.
 *
 * <p>The caller waits until its call has ended, whatever happens, and owns what it owned all the while: to the
 * protocols the call is its own.
 *
 * <p>Counts the calls that are under way, for the end of the cache, which waits for them and names them.
 */
final class ParkingFile implements BackendFile {
    /** Calls at once on behalf of virtual threads; the others queue. Enough to keep a disk's queue full. */
    static final int MOST_THREADS = 64;

    /** What a store may be called for, as messages name it. */
    private static final List<String> KINDS = List.of("read", "write", "force", "truncate", "close", "check");

    private static final int READ = KINDS.indexOf("read");
    private static final int WRITE = KINDS.indexOf("write");
    private static final int FORCE = KINDS.indexOf("force");
    private static final int TRUNCATE = KINDS.indexOf("truncate");
    private static final int CLOSE = KINDS.indexOf("close");
    private static final int CHECK = KINDS.indexOf("check");

    private final BackendFile file;
    private final Cache cache;

    /** Of its store, which is not asked again: where it stands still, it may be named by whoever waits. */
    final String name;

    private final ThreadPoolExecutor threads;

    /** Calls under way, by kind. */
    private final AtomicIntegerArray calls = new AtomicIntegerArray(KINDS.size());

    ParkingFile(BackendFile file, String name, Cache cache) {
        this.file = file;
        this.cache = cache;
        this.name = name;
        AtomicInteger number = new AtomicInteger();
        threads = new ThreadPoolExecutor(
                MOST_THREADS,
                MOST_THREADS,
                1,
                TimeUnit.SECONDS,
                new LinkedBlockingQueue<>(),
                task -> cache.threads.make(
                        task, "warmcache-io-" + file.fileId() + "-" + number.incrementAndGet()),
                (task, pool) -> task.run()); // ended: the last calls of a file being closed
        threads.allowCoreThreadTimeOut(true);
    }

    /** What may block. */
    interface Call {
        void run() throws IOException;
    }

    /** Whether any call is under way, or queued. */
    boolean isCalled() {
        boolean any = false;
        for (int kind = 0; kind < KINDS.size(); kind++) {
            any |= calls.get(kind) > 0;
        }
        return any;
    }

    /** The calls that are under way, in words; empty if there are none. */
    String calls() {
        StringBuilder text = new StringBuilder();
        for (int kind = 0; kind < KINDS.size(); kind++) {
            int count = calls.get(kind);
            if (count > 0) {
                text.append(text.isEmpty() ? "" : " and ")
                        .append(count)
                        .append(' ')
                        .append(KINDS.get(kind))
                        .append(count == 1 ? "" : "s");
            }
        }
        return text.toString();
    }

    private void call(int kind, Call call) throws IOException {
        calls.incrementAndGet(kind);
        try {
            parked(call);
        } finally {
            calls.decrementAndGet(kind);
            if (cache.closing) {
                cache.ending.moved();
            }
        }
    }

    private void parked(Call call) throws IOException {
        if (!Thread.currentThread().isVirtual()) {
            call.run();
            return;
        }
        AtomicBoolean begun = new AtomicBoolean();
        FutureTask<Boolean> task = new FutureTask<>(() -> {
            if (begun.compareAndSet(false, true)) {
                call.run();
            }
            return true;
        });
        try {
            threads.execute(task);
        } catch (RuntimeException | Error e) {
            // No thread for it, but maybe in the queue of those there are: whoever begins it does it, and nobody else.
            if (begun.compareAndSet(false, true)) {
                call.run();
                return;
            }
        }
        await(task);
    }

    /** Returns or throws when the call has ended, and not before: until then the store may touch a frame. */
    private static void await(FutureTask<Boolean> task) {
        boolean interrupted = false;
        boolean ended = false;
        while (!ended) {
            try {
                ended = task.isDone();
                if (!ended) {
                    var _ = task.get();
                }
            } catch (InterruptedException e) {
                interrupted = true;
            } catch (Throwable t) {
                ended = false; // the call's own failure, told below; or this thread's heap or stack is exhausted
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
        if (task.state() == Future.State.FAILED) {
            throw CachedFile.sneaky(task.exceptionNow());
        }
    }

    @Override
    public long fileId() {
        return file.fileId();
    }

    @Override
    public BackingStore store() {
        return file.store();
    }

    @Override
    public FileVerdict verdict() {
        return file.verdict();
    }

    @Override
    public void accept() throws IOException {
        call(CHECK, file::accept);
    }

    @Override
    public void fill(long firstPage, int[] frames, int count, long size, long writtenMask) throws IOException {
        call(READ, () -> file.fill(firstPage, frames, count, size, writtenMask));
    }

    @Override
    public int runsAtOnce() {
        return file.runsAtOnce();
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
        call(READ, () -> file.fillRuns(runs, firstPages, frames, counts, writtenMasks, size, told));
    }

    @Override
    public void refill(long page, int frame, int blockMask, long size) throws IOException {
        call(READ, () -> file.refill(page, frame, blockMask, size));
    }

    @Override
    public void blank(long page, int frame) {
        file.blank(page, frame);
    }

    @Override
    public void writeBack(long firstPage, int[] frames, int[] blockMasks, int count, long size) throws IOException {
        call(WRITE, () -> file.writeBack(firstPage, frames, blockMasks, count, size));
    }

    @Override
    public void writeBackVerified(
            long firstPage, int[] frames, int[] blockMasks, int count, long size, long[] sums) throws IOException {
        call(WRITE, () -> file.writeBackVerified(firstPage, frames, blockMasks, count, size, sums));
    }

    @Override
    public void seal(long page, int frame, int blockMask) {
        file.seal(page, frame, blockMask);
    }

    @Override
    public void force() throws IOException {
        call(FORCE, file::force);
    }

    @Override
    public void truncate(long size) throws IOException {
        call(TRUNCATE, () -> file.truncate(size));
    }

    @Override
    public void settle() throws IOException {
        call(CHECK, file::settle);
    }

    @Override
    public void close() throws IOException {
        try {
            call(CLOSE, file::close);
        } finally {
            threads.shutdown();
            cache.stores.remove(this);
        }
    }
}
