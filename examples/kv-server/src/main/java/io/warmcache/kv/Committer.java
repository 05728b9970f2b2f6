/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;
import org.h2.mvstore.MVStore;

/**
 * The one thread that commits: takes a snapshot, writes it, forces the file, and tells who waits for it. Then, now
 * and then and never more than it wrote, it moves live pages out of chunks that are mostly dead, so that their space
 * is reused.
 *
 * <p>Each commit is forced before the next one begins, and MVStore reuses a chunk's space at the earliest in the
 * commit after the one that stopped referring to it. Whatever is cut off, by {@code kill -9} or by a crash of the
 * operating system, the last forced commit and all it refers to is on disk.
 *
 * <p>A failed write or force is final: what the disk holds is unknown then, and a second force that succeeds would
 * not tell. The failure is handed on and nothing is acknowledged any more.
 */
final class Committer {
    /** Writes are durable about this long after they were acknowledged, with {@link Durability#EVERYSEC}. */
    private static final long INTERVAL_NANOS = TimeUnit.MILLISECONDS.toNanos(800);
    /** Unsaved bytes that start a commit early: keeps chunks and pauses small. */
    private static final int EARLY_COMMIT_BYTES = 16 << 20;
    /** Unsaved bytes above which writers have to wait for the commit: bounds the heap. */
    private static final int CONGESTED_BYTES = 96 << 20;
    /** Space is reclaimed when less than this share of the chunks' bytes is live. */
    private static final int TARGET_FILL_PERCENT = 60;
    /** One reclaiming pass follows so many bytes committed ... */
    private static final long RECLAIM_EVERY_BYTES = 16 << 20;
    /** ... and moves at most so many; more than a chunk holds, else a large one could never be emptied. */
    private static final int RECLAIM_BYTES = 32 << 20;

    private final MVStore store;
    private final WriteGate gate;
    private final Durability durability;
    private final Consumer<Throwable> onFailure;
    private final Thread thread = new Thread(this::run, "kv-committer");
    private final List<Waiter> waiters = new ArrayList<>();

    private volatile boolean changed;
    private volatile boolean stopping;
    /** Everything up to this ticket is forced. */
    private volatile long completed;

    private final AtomicLong commits = new AtomicLong();
    private final AtomicLong reclaims = new AtomicLong();
    private volatile long lastCommitNanos;
    private long unreclaimedBytes;

    private record Waiter(long ticket, Runnable action) {}

    Committer(MVStore store, WriteGate gate, Durability durability, Consumer<Throwable> onFailure) {
        this.store = store;
        this.gate = gate;
        this.durability = durability;
        this.onFailure = onFailure;
        thread.setDaemon(true);
    }

    void start() {
        thread.start();
    }

    Durability durability() {
        return durability;
    }

    /** To be called after every change. */
    void changed() {
        if (!changed) {
            changed = true;
            if (durability == Durability.ALWAYS) {
                LockSupport.unpark(thread);
            }
        }
        if (durability == Durability.EVERYSEC && store.getUnsavedMemory() > EARLY_COMMIT_BYTES) {
            LockSupport.unpark(thread);
        }
    }

    /** Whether so much waits to be written that who writes should wait for {@link #whenCompleted}. */
    boolean congested() {
        return store.getUnsavedMemory() > CONGESTED_BYTES;
    }

    boolean isCompleted(long ticket) {
        return ticket <= completed;
    }

    /**
     * Runs {@code action} once everything up to {@code ticket} is forced: at once, or later on the committing thread.
     */
    void whenCompleted(long ticket, Runnable action) {
        synchronized (waiters) {
            if (ticket > completed) {
                waiters.add(new Waiter(ticket, action));
                return;
            }
        }
        action.run();
    }

    long commits() {
        return commits.get();
    }

    /** How long the last commit took, its force included. */
    long lastCommitNanos() {
        return lastCommitNanos;
    }

    /** Passes that moved live pages to reclaim space. */
    long reclaims() {
        return reclaims.get();
    }

    int unsavedBytes() {
        return store.getUnsavedMemory();
    }

    /** Commits and forces what was changed until now, answers who waits for it, and ends the thread. */
    void stop() throws InterruptedException {
        stopping = true;
        LockSupport.unpark(thread);
        thread.join();
    }

    private void run() {
        long lastStart = System.nanoTime() - INTERVAL_NANOS;
        try {
            while (true) {
                boolean last = stopping;
                long wait = waitNanos(lastStart);
                if (changed && (last || wait <= 0)) {
                    lastStart = System.nanoTime();
                    commit();
                    lastCommitNanos = System.nanoTime() - lastStart;
                    reclaim();
                } else if (last) {
                    return;
                } else {
                    LockSupport.parkNanos(this, Math.max(wait, TimeUnit.MILLISECONDS.toNanos(1)));
                }
            }
        } catch (Throwable e) {
            gate.endSnapshot();
            onFailure.accept(e);
        }
    }

    private long waitNanos(long lastStart) {
        if (!changed) {
            return INTERVAL_NANOS;
        }
        if (durability == Durability.ALWAYS || store.getUnsavedMemory() > EARLY_COMMIT_BYTES) {
            return 0;
        }
        return lastStart + INTERVAL_NANOS - System.nanoTime();
    }

    private void commit() {
        unreclaimedBytes += store.getUnsavedMemory();
        long covered = gate.beginSnapshot();
        try {
            // lowered inside the gate: a change made after the snapshot raises it again
            changed = false;
            store.commit();
        } finally {
            gate.endSnapshot();
        }
        store.sync();
        commits.incrementAndGet();
        complete(covered);
    }

    private void complete(long covered) {
        List<Waiter> done = new ArrayList<>();
        synchronized (waiters) {
            completed = covered;
            for (Iterator<Waiter> each = waiters.iterator(); each.hasNext(); ) {
                Waiter waiter = each.next();
                if (waiter.ticket <= covered) {
                    done.add(waiter);
                    each.remove();
                }
            }
        }
        for (Waiter waiter : done) {
            waiter.action.run();
        }
    }

    private void reclaim() {
        if (unreclaimedBytes < RECLAIM_EVERY_BYTES || stopping) {
            return;
        }
        unreclaimedBytes = 0;
        if (store.compact(TARGET_FILL_PERCENT, RECLAIM_BYTES)) {
            reclaims.incrementAndGet();
            // moved pages are changes of their own, though no key changed
            changed = true;
        }
    }
}
