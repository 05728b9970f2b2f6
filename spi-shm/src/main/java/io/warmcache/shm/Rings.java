/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import io.warmcache.CacheConfig;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
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

    /** What may keep the kernel from being asked for a ring. */
    interface Filter {
        /** For the calling thread. */
        boolean isOn() throws IOException;
    }

    private static final System.Logger LOG = System.getLogger("io.warmcache.shm");

    private static final long PAUSE_NANOS = 100_000;

    private final RingCalls calls;
    private final int owner;
    private final @Nullable StepHook hook;

    /** Whether none is to be made at the moment. */
    private final Filter filter;

    /** Those made, without gaps. */
    private final AtomicReferenceArray<@Nullable Ring> rings;

    /** How many there can be: fewer once the kernel has refused one for good. */
    private volatile int most;

    /** The last one could not be made, for want of what may be there again by and by. */
    private volatile boolean wanting;

    private volatile long wantingSince;

    /** For how long no further one is tried then. A test sets it. */
    volatile long wantingNanos = TimeUnit.SECONDS.toNanos(10);

    private volatile boolean closing;

    /**
     * @param most how many rings at once, 0 for none
     * @param filter whether none is to be made at the moment, by the thread that asks
     * @param owner the descriptor that holds the owner lock
     */
    Rings(int most, Filter filter, RingCalls calls, int owner, @Nullable StepHook hook) {
        this.most = most;
        this.filter = filter;
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
            case "auto" -> mayBeFiltered() ? 0 : some;
            case "uring" -> some;
            case "threads" -> 0;
            default -> throw new IllegalArgumentException(
                    "option " + OPTION + " is \"" + value + "\": it must be auto, threads or uring");
        };
    }

    /** What keeps the kernel from being asked for a ring, by the options of a segment; it may come later. */
    static Filter filter(CacheConfig cache) {
        return "uring".equals(cache.options().get(OPTION)) ? () -> false : Rings::isFiltered;
    }

    /**
     * Whether a filter decides which system calls this thread may make. One that does not know io_uring may end the
     * process that calls it, so that there is no trying.
     */
    static boolean isFiltered() throws IOException {
        // The thread's name is in there, of any bytes.
        for (String line : Files.readAllLines(Path.of("/proc/thread-self/status"), StandardCharsets.ISO_8859_1)) {
            if (line.startsWith("Seccomp:")) {
                return !line.substring("Seccomp:".length()).strip().equals("0");
            }
        }
        return false;
    }

    private static boolean mayBeFiltered() {
        try {
            return isFiltered();
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
                first.taken = false;
            }
        }
        int limit = most;
        for (int i = 0; i < limit; i++) {
            Ring ring = rings.get(i);
            if (ring == null ? mayMake() : !ring.taken) {
                return !closing;
            }
        }
        return false;
    }

    /** Whether there is a ring, be it that others have it. */
    boolean isAny() {
        return !closing && rings.length() > 0 && rings.get(0) != null;
    }

    private boolean mayMake() {
        return !wanting || System.nanoTime() - wantingSince >= wantingNanos;
    }

    /**
     * A ring for this thread until it is no longer {@linkplain Ring#taken}; null if there is none.
     *
     * @throws StackOverflowError if there would be no stack to wait for its reads
     */
    @Nullable Ring take() {
        Ring.requireStack();
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
                ring.taken = false; // not begun
            }
        }
        return null;
    }

    private synchronized @Nullable Ring make() {
        Ring.requireStack(); // what fails midway for want of it may not be closed for the same reason
        int made = 0;
        while (made < most && rings.get(made) != null) {
            made++;
        }
        if (made >= most || closing || !mayMake()) {
            return null;
        }
        Ring ring = null;
        boolean kept = false;
        boolean looked = false;
        try {
            boolean on = filter.isOn();
            looked = true;
            if (on) {
                throw new IOException("which system calls may be made is filtered now");
            }
            ring = Ring.open(calls, owner, hook);
            rings.set(made, ring);
            kept = true;
            wanting = false;
            return ring;
        } catch (IOException | LinkageError | OutOfMemoryError e) {
            if (!looked || mayPass(e)) { // to look takes a descriptor, too
                wantingSince = System.nanoTime();
                wanting = true;
            } else {
                most = made;
            }
            LOG.log(System.Logger.Level.DEBUG, "no further queue of reads, with " + made + " there are", e);
            return null;
        } finally {
            if (ring != null && !kept) {
                ring.close();
            }
        }
    }

    /** Whether there may be rings again by and by: descriptors or memory have run out. */
    private static boolean mayPass(Throwable failure) {
        return failure instanceof ErrnoException e
                ? e.errno() == Libc.EMFILE || e.errno() == Libc.ENFILE || e.errno() == Libc.ENOMEM
                : failure instanceof OutOfMemoryError;
    }

    /**
     * Returns when no read is under way, and none will be. If it throws that is not so, and the memory must stay;
     * what goes wrong with the closing of a ring that reads nothing is no reason for that.
     */
    void close() {
        closing = true;
        synchronized (this) {
            for (int i = 0; i < rings.length(); i++) {
                Ring ring = rings.get(i);
                if (ring != null) {
                    awaitTaken(ring);
                    rings.set(i, null);
                    closeQuietly(ring);
                }
            }
            most = 0;
        }
    }

    private static void awaitTaken(Ring ring) {
        boolean interrupted = false;
        while (!ring.tryTake()) {
            LockSupport.parkNanos(PAUSE_NANOS);
            interrupted |= Thread.interrupted();
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    private static void closeQuietly(Ring ring) {
        try {
            ring.close();
        } catch (Throwable t) {
            try {
                LOG.log(System.Logger.Level.DEBUG, "a queue of reads could not be closed", t);
            } catch (Throwable u) {
                return; // heap or stack is exhausted, and the segment is to be given back all the same
            }
        }
    }
}
