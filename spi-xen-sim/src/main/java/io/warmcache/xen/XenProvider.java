/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

import io.warmcache.BusyException;
import io.warmcache.CacheConfig;
import io.warmcache.spi.BackendConfig;
import io.warmcache.spi.FrameBackend;
import io.warmcache.spi.FrameBackendProvider;
import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * The back end {@code "xen"}: frames in the memory of a domain of a simulated machine, which outlives the guest but not
 * this process unless it is another's. The cache's name is the domain's; a domain that has crashed or was shut down
 * is booted again by an attach.
 *
 * <p>Options in {@link io.warmcache.CacheConfig#options()}:
 * <ul>
 *   <li>{@code xen.machine}: the name of a machine; one that is not on is powered on with four times the memory that
 * the
 *       cache asks for. {@code default} by default.
 * <li>{@code xen.socket}: the path at which a {@link XenSimd} listens: the domain is one of its machine, which
 * outlives
 *       this process. Then {@code xen.machine} says nothing.
 * </ul>
 */
public final class XenProvider implements FrameBackendProvider {
    private static final String OPTION_MACHINE = "xen.machine";
    private static final String OPTION_SOCKET = "xen.socket";

    /** For {@link java.util.ServiceLoader}. */
    public XenProvider() {}

    @Override
    public String name() {
        return "xen";
    }

    private static @Nullable Path socket(BackendConfig config) {
        String socket = config.cache().options().get(OPTION_SOCKET);
        return socket == null ? null : Path.of(socket);
    }

    private static String machine(BackendConfig config) {
        return config.cache().options().getOrDefault(OPTION_MACHINE, "default");
    }

    @Override
    public FrameBackend attach(BackendConfig config) throws IOException {
        NativeAccess.require();
        CacheConfig cache = config.cache();
        Path socket = socket(config);
        if (socket != null) {
            return RemoteBackend.attach(socket, config);
        }
        long pages = (long) cache.maxFrames() * cache.pageSize() / Machine.FRAME_SIZE;
        Machine machine = Machine.namedOrCreate(machine(config), (int) Math.min(4 * pages, Machine.MOST_FRAMES));
        long wait = cache.ownerWait().isZero()
                ? TimeUnit.SECONDS.toNanos(5)
                : TimeUnit.NANOSECONDS.convert(cache.ownerWait());
        synchronized (machine) {
            long waited = awaitOwner(
                    machine,
                    cache.name(),
                    wait,
                    "a cache of this process (pid " + ProcessHandle.current().pid() + ")");
            return attach(machine, config, waited);
        }
    }

    /** The pfns of that many frames; where memory is granted in whole extents, with the rest of the last one. */
    static int pages(Machine machine, int frames, int pageSize) {
        long unit = machine.isShared() ? DomainMemory.EXTENT_PAGES : 1;
        long pages = (long) frames * (pageSize / Machine.FRAME_SIZE);
        return Math.toIntExact((pages + unit - 1) / unit * unit);
    }

    /**
     * The pfns to have room for. Its tables cost memory, so a guest of another process gets no room for more than the
     * machine has.
     */
    private static int room(Machine machine, int least, int maxFrames, int pageSize) {
        int room = Math.max(least, pages(machine, maxFrames, pageSize));
        return machine.isShared() ? Math.max(least, Math.min(room, machine.frames())) : room;
    }

    /** With the machine's lock held, and nobody attached to the domain: boots it, or makes it. */
    static GuestBackend attach(Machine machine, BackendConfig config, long waited) throws IOException {
        CacheConfig cache = config.cache();
        Domain domain = machine.domain(cache.name());
        int wanted = pages(machine, cache.frames(), cache.pageSize());
        int room = room(machine, wanted, cache.maxFrames(), cache.pageSize());
        String coldReason = "";
        if (domain == null) {
            coldReason = "there was no domain";
        } else if (!domain.used && (domain.pages() != room || domain.reservation() != wanted)) {
            coldReason = "the domain has " + domain.pages() + " pages of 4096 bytes, the configuration says " + room;
        } else {
            coldReason = GuestBackend.coldReason(domain, config);
        }
        int unfinished = domain == null ? 0 : domain.unfinished;
        if (domain != null && coldReason.isEmpty()) {
            if (domain.state() != Domain.State.RUNNING) {
                domain.reboot();
            }
            if (domain.used) {
                fit(domain, cache);
            }
        } else {
            if (domain != null) {
                domain.destroy();
            }
            domain = machine.createDomain(cache.name(), room, wanted);
        }
        return GuestBackend.attach(domain, config, coldReason, waited, unfinished);
    }

    /**
     * Gives a domain that has been booted the room and the memory that are configured. What it has of either beyond
     * that stays: the cache moves pages out of it first.
     */
    private static void fit(Domain domain, CacheConfig cache) throws IOException {
        int frames = Math.max(domain.frames, cache.frames());
        int least = pages(domain.machine(), frames, domain.pageSize);
        int room = room(domain.machine(), least, cache.maxFrames(), domain.pageSize);
        if (room != domain.pages()) {
            domain.room(room);
        }
        domain.grow(domain.boot(), frames, () -> { });
    }

    /** With the machine's lock held; returns nanoseconds waited. */
    static long awaitOwner(Machine machine, String name, long most, String holder) throws BusyException {
        long start = System.nanoTime();
        boolean interrupted = false;
        try {
            while (true) {
                Domain domain = machine.domain(name);
                if (domain == null || (domain.guest() == null && domain.session == null)) {
                    return System.nanoTime() - start;
                }
                long left = most - (System.nanoTime() - start);
                if (left <= 0) {
                    Object session = domain.session;
                    throw new BusyException(domain + " is attached to by " + (session == null ? holder : session)
                            + ": close that one first, or crash the domain");
                }
                try {
                    TimeUnit.NANOSECONDS.timedWait(machine, left);
                } catch (InterruptedException e) {
                    interrupted = true;
                }
            }
        } finally {
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    @Override
    public boolean drop(BackendConfig config) throws IOException {
        Path socket = socket(config);
        if (socket != null) {
            NativeAccess.require();
            return RemoteBackend.drop(socket, config.cache().name());
        }
        Machine machine = Machine.named(machine(config));
        if (machine == null) {
            return false;
        }
        synchronized (machine) {
            Domain domain = machine.domain(config.cache().name());
            if (domain == null) {
                return false;
            }
            if (domain.guest() != null) {
                throw new BusyException(domain + " is in use by a cache of this process: close that one first");
            }
            domain.destroy();
            return true;
        }
    }
}
