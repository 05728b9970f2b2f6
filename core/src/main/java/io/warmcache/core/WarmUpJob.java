/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import java.io.IOException;

/** Pages of one file to be brought to memory in the background. */
abstract class WarmUpJob {
    /** Pages restored or read under one hold of the file. */
    static final int BATCH = 64;

    final Images owner;
    final CachedFile file;
    final GuardedFile guard;
    private final Throttle throttle;
    private volatile boolean cancelled;

    WarmUpJob(Images owner, CachedFile file, GuardedFile guard) {
        this.owner = owner;
        this.file = file;
        this.guard = guard;
        throttle = new Throttle(owner.options.warmUpRate());
    }

    /** Does it; ends early when it is cancelled or the file is closed. */
    abstract void run() throws IOException;

    /** Gives back what it holds, whether or not it was run. */
    abstract void finish();

    final void cancel() {
        cancelled = true;
    }

    final boolean goesOn() {
        return !cancelled;
    }

    /** Something done to the file while nobody may close it. */
    interface Use {
        void run() throws IOException;
    }

    /** Runs {@code work} if the file is open as it was when this was made; returns whether it is. */
    @SuppressWarnings("ReferenceEquality") // a file that was closed and mapped again has another guard
    final boolean use(Use work) throws IOException {
        file.usage.readLock().lock();
        try {
            if (!file.open || file.backing != guard) {
                return false;
            }
            work.run();
            return true;
        } finally {
            file.usage.readLock().unlock();
        }
    }

    final void pay(long pages) {
        throttle.pay(pages << file.pageShift, this::goesOn);
    }
}
