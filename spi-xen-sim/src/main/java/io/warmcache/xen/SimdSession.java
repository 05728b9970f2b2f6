/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

import io.warmcache.BackingStore;
import io.warmcache.spi.BackendFile;
import java.io.IOException;
import java.security.SecureRandom;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** One life of a guest of another process, from its attach to the end of its first connection. Thread-safe. */
final class SimdSession {
    /** The most connections of a guest, each of which is a thread here. */
    private static final int MOST_WIRES = 4096;

    private static final SecureRandom RANDOM = new SecureRandom();

    final GuestBackend backend;
    final Domain domain;
    /** What a further connection of this guest must know. */
    final long secretHigh = RANDOM.nextLong();

    final long secretLow = RANDOM.nextLong();
    private final int pid;
    /** A descriptor of its process, or why there is none. */
    private final int process;

    private final Machine machine;
    private final SharedInfo info;
    private final Set<Wire> wires = new HashSet<>();
    private final Map<Integer, BackingStore> disks = new HashMap<>();
    private final Map<Integer, BackendFile> files = new HashMap<>();
    private int nextHandle = 1;
    private int active;
    private volatile boolean ended;
    private volatile boolean detached;

    /** With the machine's lock held. */
    SimdSession(GuestBackend backend, int pid) {
        this.backend = backend;
        this.pid = pid;
        domain = backend.domain;
        machine = backend.machine;
        DomainMemory memory = domain.memory();
        if (memory == null) {
            throw new IllegalStateException(domain + " has no memory that another process could map");
        }
        process = Libc.openProcess(pid);
        info = memory.info();
        info.reset();
        domain.session = this;
    }

    int pid() {
        return pid;
    }

    SharedInfo info() {
        return info;
    }

    /**
     * Admits a connection, unless the guest has ended.
     *
     * @throws IllegalStateException if it has too many
     */
    synchronized boolean admit(Wire wire) {
        if (wires.size() >= MOST_WIRES) {
            throw new IllegalStateException(
                    this + " has " + MOST_WIRES + " connections: make fewer calls at once, from fewer threads");
        }
        return !ended && wires.add(wire);
    }

    synchronized void dismiss(Wire wire) {
        wires.remove(wire);
    }

    /** Begins to serve a request; returns false if the guest has ended. {@link #exit} must follow. */
    synchronized boolean enter() {
        if (ended) {
            return false;
        }
        active++;
        return true;
    }

    synchronized void exit() {
        active--;
        notifyAll();
    }

    synchronized int add(BackingStore disk) {
        disks.put(nextHandle, disk);
        return nextHandle++;
    }

    synchronized int add(BackendFile file) {
        files.put(nextHandle, file);
        return nextHandle++;
    }

    synchronized BackingStore disk(int handle) {
        BackingStore disk = disks.get(handle);
        if (disk == null) {
            throw new IllegalArgumentException("no virtual disk is open as " + handle);
        }
        return disk;
    }

    synchronized void forgetDisk(int handle) {
        disks.remove(handle);
    }

    synchronized BackendFile file(int handle) {
        BackendFile file = files.get(handle);
        if (file == null) {
            throw new IllegalArgumentException("no device is connected as " + handle);
        }
        return file;
    }

    synchronized void forgetFile(int handle) {
        files.remove(handle);
    }

    /**
     * Takes what the guest has logged since the last time; before each of its requests, so that each finds what was
     * logged before it was sent.
     */
    void takeEvents() {
        if (!info.isPending()) {
            return;
        }
        synchronized (machine) {
            // Without memory it was dropped meanwhile, by another connection of the guest.
            if (domain.session == this && domain.memory() != null && !info.take(backend::take)) {
                domain.distrusted = "the guest overwrote its own event log, so that releases may be lost";
                domain.crash(domain.distrusted);
            }
        }
    }

    /** Whether its domain no longer runs, or runs a successor. */
    boolean isOver() {
        synchronized (machine) {
            return domain.session != this || domain.state() != Domain.State.RUNNING;
        }
    }

    /** Crashes the domain, unless it has a successor of this guest in it by now. */
    void crash(String why) {
        synchronized (machine) {
            if (domain.session == this) {
                domain.crash(why);
            }
        }
    }

    /** The guest has said that it ends in order. */
    void detached() {
        detached = true;
    }

    /** Whether the domain is about to be free: the guest has said so, or its first connection has ended. */
    boolean isEnding() {
        return detached || ended;
    }

    /**
     * Ends the guest: nothing of it is served any more, what it had logged is taken, requests under way are drained,
     * and its disks are closed. Only then may its domain be attached to again.
     *
     * @param millis how long to wait for the end of its process, which ends no later than its connections if it died
     */
    void end(String why, int millis) {
        List<BackingStore> open;
        synchronized (this) {
            if (ended) {
                return;
            }
            ended = true;
            for (Wire wire : wires) {
                wire.socket().shutdown();
            }
        }
        if (!detached) {
            try {
                takeEvents();
            } catch (RuntimeException e) {
                // Its end must go on, or its name would be taken for ever.
                synchronized (machine) {
                    domain.distrusted = "what the guest logged last could not be taken: " + e;
                }
            }
            crash(why);
        }
        boolean interrupted = false;
        synchronized (this) {
            while (active > 0) {
                try {
                    wait();
                } catch (InterruptedException e) {
                    interrupted = true;
                }
            }
            open = List.copyOf(disks.values());
        }
        for (BackingStore disk : open) {
            try {
                disk.close();
            } catch (IOException e) {
                System.err.println("xen-simd: " + disk.name() + " could not be closed: " + e.getMessage());
            }
        }
        boolean gone = detached || isGone(millis);
        if (process >= 0) {
            Libc.close(process);
        }
        synchronized (machine) {
            if (domain.session == this) {
                if (!gone && domain.distrusted.isEmpty()) {
                    // It may store to its frames at any time, so its successor gets others.
                    domain.distrusted = "its last guest's process (pid " + pid
                            + ") still runs, and has the memory mapped: it lost its connection, and did not die";
                }
                domain.session = null;
            }
            machine.notifyAll();
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    /** Whether the guest's process, and so its mapping of the memory, is no more. */
    private boolean isGone(int millis) {
        if (pid == ProcessHandle.current().pid()) {
            return true; // a test's guest in this very process, which ends when the test says so
        }
        return process == Libc.GONE || (process >= 0 && Libc.awaitEnd(process, millis));
    }

    @Override
    public String toString() {
        return "a guest in the process with pid " + pid;
    }
}
