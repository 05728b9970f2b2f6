/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import io.warmcache.CacheConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicReferenceArray;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * The rings of one segment: made when one is wanted and none is free, up to a few, and kept until the segment is
 * closed.
 */
final class Rings {
    /** How pages that one caller wants together are read. */
    static final String OPTION = "shm.reads";

    private static final System.Logger LOG = System.getLogger("io.warmcache.shm");

    private static final long PAUSE_NANOS = 100_000;

    private final RingCalls calls;
    private final int owner;
    private final @Nullable StepHook hook;

    /** Those made, without gaps. */
    private final AtomicReferenceArray<@Nullable Ring> rings;

    /** How many there can be: fewer once the kernel has refused one. */
    private volatile int most;

    private volatile boolean closing;

    /**
     * @param most how many rings at once, 0 for none
     * @param owner the descriptor that holds the owner lock
     */
    Rings(int most, RingCalls calls, int owner, @Nullable StepHook hook) {
        this.most = most;
        this.calls = calls;
        this.owner = owner;
        this.hook = hook;
        rings = new AtomicReferenceArray<>(most);
    }

    /** How many rings a segment may have by its options. */
    static int most(CacheConfig cache) {
        String value = cache.options().getOrDefault(OPTION, "auto");
        int some = Math.max(2, Runtime.getRuntime().availableProcessors());
        return switch (value) {
            case "auto" -> isFiltered() ? 0 : some;
            case "uring" -> some;
            case "threads" -> 0;
            default -> throw new IllegalArgumentException(
                    "option " + OPTION + " is \"" + value + "\": it must be auto, threads or uring");
        };
    }

    /**
     * Whether a filter decides which system calls this process may make. One that does not know io_uring may end the
     * process that calls it, so that there is no trying.
     */
    private static boolean isFiltered() {
        try {
            for (String line : Files.readAllLines(Path.of("/proc/thread-self/status"))) {
                if (line.startsWith("Seccomp:")) {
                    return !line.substring("Seccomp:".length()).strip().equals("0");
                }
            }
            return false;
        } catch (IOException e) {
            LOG.log(System.Logger.Level.DEBUG, "whether system calls are filtered is not known", e);
            return true;
        }
    }

    /** Whether {@link #take} would probably find one. Makes the first, which tells whether there can be any. */
    boolean hasOne() {
        if (most > 0 && rings.get(0) == null) {
            Ring first = make();
            if (first != null) {
                first.give();
            }
        }
        int limit = most;
        for (int i = 0; i < limit; i++) {
            Ring ring = rings.get(i);
            if (ring == null || !ring.isTaken()) {
                return !closing;
            }
        }
        return false;
    }

    /** A ring for this thread until {@link Ring#give}; null if there is none. */
    @Nullable Ring take() {
        int limit = most;
        for (int i = 0; i < limit && !closing; i++) {
            Ring ring = rings.get(i);
            if (ring == null) {
                return make();
            }
            if (ring.tryTake()) {
                if (!closing) {
                    return ring;
                }
                ring.give();
            }
        }
        return null;
    }

    private synchronized @Nullable Ring make() {
        int made = 0;
        while (made < most && rings.get(made) != null) {
            made++;
        }
        if (made >= most || closing) {
            return null;
        }
        try {
            Ring ring = Ring.open(calls, owner, hook);
            rings.set(made, ring);
            return ring;
        } catch (IOException | LinkageError | OutOfMemoryError e) {
            most = made;
            LOG.log(System.Logger.Level.DEBUG, "no further queue of reads, with " + made + " there are", e);
            return null;
        }
    }

    /** Returns when no read is under way, and none will be. */
    void close() {
        closing = true;
        synchronized (this) {
            for (int i = 0; i < rings.length(); i++) {
                Ring ring = rings.get(i);
                if (ring != null) {
                    boolean interrupted = false;
                    while (!ring.tryTake()) {
                        LockSupport.parkNanos(PAUSE_NANOS);
                        interrupted |= Thread.interrupted();
                    }
                    if (interrupted) {
                        Thread.currentThread().interrupt();
                    }
                    rings.set(i, null);
                    try {
                        ring.close();
                    } catch (RuntimeException e) {
                        // It reads nothing: what it keeps is no reason to keep the segment.
                        LOG.log(System.Logger.Level.DEBUG, "a queue of reads could not be closed", e);
                    }
                }
            }
            most = 0;
        }
    }
}
