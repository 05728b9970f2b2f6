/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

import io.warmcache.h2.WarmFileSystem;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;
import org.h2.mvstore.MVStore;

/**
 * The one thread that commits: takes a snapshot and writes it, forces the file, and tells who waits for it. Then, now
 * and then and never more than it wrote, it moves live pages out of chunks that are mostly dead, so that their space is
 * reused.
 *
 * <p>With {@link Durability#EVERYSEC} there are commits between two forces, when much is written: after a crash MVStore
 * reads the chunk at the end of its file block by block, so chunks are kept small. Until a force has ended, nothing is
 * reused that the state forced before refers to. Whatever is cut off, by {@code kill -9} or by a crash of the operating
 * system, the last forced state and all it refers to is on disk.
 *
 * <p>A failed write or force is final: what the disk holds is unknown then, and a second force that succeeds would not
 * tell. The failure is handed on and nothing is acknowledged any more.
 */
final class Committer {
    /** Writes are durable about this long after they were acknowledged, with {@link Durability#EVERYSEC}. */
    private static final long INTERVAL_NANOS = TimeUnit.MILLISECONDS.toNanos(800);
    /** Unsaved bytes that start a commit early: keeps chunks and pauses small. */
    private static final int EARLY_COMMIT_BYTES = 4 << 20;
    /** Unsaved bytes above which writers have to wait for a commit: bounds chunks and the heap. */
    private static final int CONGESTED_BYTES = 12 << 20;
    /** Space is reclaimed when less than this share of the chunks' bytes is live. */
    private static final int TARGET_FILL_PERCENT = 50;
    /** A pass that reclaims space follows so many bytes that clients have changed, at least ... */
    private static final int LEAST_RECLAIM_BYTES = 4 << 20;
    /** ... and moves no more than that, up to this: more than the live half of a chunk. */
    private static final int MOST_RECLAIM_BYTES = 16 << 20;

    private final MVStore store;
    private final WriteGate gate;
    private final Durability durability;
    private final Consumer<Throwable> onFailure;
    private final Thread thread = new Thread(this::run, "kv-committer");
    private final List<Waiter> waiters = new ArrayList<>();
    /** Guarded by {@link #waiters} too. */
    private final List<Runnable> congested = new ArrayList<>();

    private volatile boolean changed;
    private volatile boolean stopping;
    private volatile boolean failed;
    /** Everything up to this ticket is forced. */
    private volatile long completed;

    /** Keeps all that the last forced state refers to from being reused. */
    private MVStore.TxCounter forcedUsage;
    /** Whether something was committed and not yet forced. */
    private boolean unforced;

    private final AtomicLong commits = new AtomicLong();
    private final AtomicLong forces = new AtomicLong();
    private final AtomicLong reclaims = new AtomicLong();
    private volatile long lastCommitNanos;
    /** Bytes that clients have changed since the last pass that reclaimed space. */
    private long unreclaimedBytes;
    /** Unsaved bytes that no client has changed: the last pass has moved them. */
    private int movedBytes;

    private record Waiter(long ticket, Runnable action) {}

    Committer(MVStore store, WriteGate gate, Durability durability, Consumer<Throwable> onFailure) {
        this.store = store;
        this.gate = gate;
        this.durability = durability;
        this.onFailure = onFailure;
        thread.setDaemon(true);
        // what was found may have been written by a process that died before it was forced
        store.sync();
        forcedUsage = store.registerVersionUsage();
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

    /** Whether so much waits to be written that who writes should wait for {@link #whenRelieved}. */
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

    /** Runs {@code action} once the congestion is over: at once, or on the committing thread after its next commit. */
    void whenRelieved(Runnable action) {
        synchronized (waiters) {
            congested.add(action);
        }
        // looked at again behind the lock: a commit that has just ended has not seen the action
        if (congested()) {
            LockSupport.unpark(thread);
        } else {
            relieve();
        }
    }

    long commits() {
        return commits.get();
    }

    long forces() {
        return forces.get();
    }

    /** How long the last commit with its force took. */
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

    /** Whether a write or a force has failed: the store must not be committed again. */
    boolean failed() {
        return failed;
    }

    private void run() {
        long lastStart = System.nanoTime() - INTERVAL_NANOS;
        try {
            while (true) {
                boolean last = stopping;
                boolean work = changed || unforced;
                long wait = work ? waitNanos(lastStart) : INTERVAL_NANOS;
                if (work && (last || wait <= 0)) {
                    lastStart = System.nanoTime();
                    commitAndForce();
                    lastCommitNanos = System.nanoTime() - lastStart;
                    reclaim();
                } else if (store.getUnsavedMemory() > EARLY_COMMIT_BYTES) {
                    commit();
                    reclaim();
                } else if (last) {
                    store.deregisterVersionUsage(forcedUsage);
                    return;
                } else {
                    LockSupport.parkNanos(this, Math.max(wait, TimeUnit.MILLISECONDS.toNanos(1)));
                }
            }
        } catch (Throwable e) {
            failed = true;
            gate.endSnapshot();
            onFailure.accept(e);
        }
    }

    private long waitNanos(long lastStart) {
        return durability == Durability.ALWAYS ? 0 : lastStart + INTERVAL_NANOS - System.nanoTime();
    }

    private void commitAndForce() {
        // registered with the version before the one that is forced now
        MVStore.TxCounter usage = store.registerVersionUsage();
        long covered = commit();
        store.sync();
        store.deregisterVersionUsage(forcedUsage);
        forcedUsage = usage;
        unforced = false;
        forces.incrementAndGet();
        complete(covered);
    }

    /** Returns the ticket that the commit covers. */
    private long commit() {
        unreclaimedBytes += Math.max(0, store.getUnsavedMemory() - movedBytes);
        movedBytes = 0;
        unforced = true;
        long covered = gate.beginSnapshot();
        try {
            // lowered inside the gate: a change made after the snapshot raises it again
            changed = false;
            store.commit();
        } finally {
            gate.endSnapshot();
        }
        commits.incrementAndGet();
        relieve();
        return covered;
    }

    private void relieve() {
        List<Runnable> actions;
        synchronized (waiters) {
            actions = List.copyOf(congested);
            congested.clear();
        }
        actions.forEach(Runnable::run);
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
        if (unreclaimedBytes < LEAST_RECLAIM_BYTES || stopping) {
            return;
        }
        unreclaimedBytes = Math.min(unreclaimedBytes, MOST_RECLAIM_BYTES);
        int before = store.getUnsavedMemory();
        // chunks that hold more live bytes than the limit are passed over, until more was changed
        if (WarmFileSystem.readingOnce(() -> store.compact(TARGET_FILL_PERCENT, (int) unreclaimedBytes))) {
            unreclaimedBytes = 0;
            movedBytes = store.getUnsavedMemory() - before;
            reclaims.incrementAndGet();
            // moved pages are changes of their own, though no key changed
            changed = true;
        }
    }
}
