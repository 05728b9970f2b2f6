/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

import io.warmcache.BusyException;
import io.warmcache.CacheConfig;
import io.warmcache.spi.BackendConfig;
import io.warmcache.spi.BlockChecksum;
import io.warmcache.spi.FrameState;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.time.Duration;
import java.util.EnumMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * A machine whose guests are other processes: listens at a socket, and serves each connection by a thread of its own.
 */
final class SimdServer implements AutoCloseable {
    /** The most records of one answer. */
    static final int RECORDS = 1024;

    /** Between attempts to accept a connection when that fails. */
    private static final long ACCEPT_PAUSE = TimeUnit.MILLISECONDS.toNanos(100);

    private final Machine machine;
    private final Path path;
    private final Path disks;
    private final List<BlockChecksum> checksums;
    private final int lock;
    private final UnixSocket listening;
    private final int uid;
    private final Set<SimdConnection> connections = new HashSet<>();
    private final Set<SimdSession> sessions = new HashSet<>();
    private final Thread acceptor;
    private boolean closed;

    private SimdServer(
            Machine machine, Path path, Path disks, List<BlockChecksum> checksums, int lock, UnixSocket listening)
            throws IOException {
        this.machine = machine;
        this.path = path;
        this.disks = disks;
        this.checksums = checksums;
        this.lock = lock;
        this.listening = listening;
        uid = (int) Files.getAttribute(path, "unix:uid");
        acceptor = Thread.ofPlatform().name("xen-simd-accept").daemon().unstarted(this::accept);
    }

    /** A file that somebody wants to keep is not taken for what a predecessor left. */
    private static void requireSocketOrNothing(Path path) throws IOException {
        if (path.toString().isEmpty() || path.getFileName() == null) {
            throw new IOException("\"" + path + "\" names no file: choose another --socket");
        }
        if (Files.exists(path, LinkOption.NOFOLLOW_LINKS)
                && !Files.readAttributes(path, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS)
                        .isOther()) {
            throw new IOException(path + " is there and is no socket: remove it, or choose another --socket");
        }
    }

    /**
     * Powers a machine on and listens. What a killed predecessor left at the path is removed; its memory went with it.
     *
     * @param memory bytes of machine memory
     * @param disks the directory below which the virtual disks are
     * @param checksums the algorithms that guests may name
     * @throws IllegalArgumentException if that is less than 2 MiB, or more than 1 TiB
     * @throws BusyException if another one listens there
     */
    static SimdServer start(Path path, long memory, Path disks, List<BlockChecksum> checksums) throws IOException {
        NativeAccess.require();
        long frames = memory / Machine.FRAME_SIZE;
        if (frames < 1 << Machine.LARGE_ORDER || frames > Machine.MOST_FRAMES) {
            throw new IllegalArgumentException("machine memory of " + memory + " bytes: it must have 2 MiB to 1 TiB");
        }
        requireSocketOrNothing(path);
        Path lockFile = path.resolveSibling(path.getFileName() + ".lock");
        int lock = Libc.create(lockFile.toAbsolutePath().toString());
        boolean done = false;
        UnixSocket listening = null;
        try {
            if (!Libc.tryLock(lock, lockFile.toString())) {
                throw new BusyException(
                        "another xen-simd listens at " + path + ": stop it, or choose another --socket");
            }
            Files.deleteIfExists(path);
            Machine machine = Machine.createShared(
                    path.toString(), (int) frames, System.nanoTime());
            listening = UnixSocket.listen(path);
            Files.setPosixFilePermissions(
                    path, java.nio.file.attribute.PosixFilePermissions.fromString("rw-------"));
            SimdServer server = new SimdServer(
                    machine, path, disks.toRealPath(), List.copyOf(checksums), lock, listening);
            server.acceptor.start();
            done = true;
            return server;
        } finally {
            if (!done) {
                if (listening != null) {
                    listening.close();
                }
                Libc.close(lock);
            }
        }
    }

    Machine machine() {
        return machine;
    }

    int uid() {
        return uid;
    }

    synchronized boolean isClosed() {
        return closed;
    }

    Path disk(String name) throws IOException {
        return SimdConnection.within(disks, name);
    }

    private void accept() {
        while (true) {
            UnixSocket socket;
            try {
                socket = listening.accept();
            } catch (IOException e) {
                if (isClosed()) {
                    return;
                }
                // Out of descriptors, say: until some are given back. The guests that there are must not notice.
                System.err.println("xen-simd: " + e.getMessage() + "; trying again");
                LockSupport.parkNanos(ACCEPT_PAUSE);
                continue;
            }
            SimdConnection connection = null;
            try {
                connection = new SimdConnection(this, new Wire(socket));
                synchronized (this) {
                    if (closed) {
                        socket.close();
                        return;
                    }
                    connections.add(connection);
                }
                Thread.ofPlatform().name("xen-simd-guest").daemon().start(connection);
            } catch (Throwable t) { // no memory, or no further thread: that connection's loss alone
                System.err.println("xen-simd: a connection cannot be served: " + t);
                socket.close();
                if (connection != null) {
                    ended(connection);
                }
            }
        }
    }

    synchronized void ended(SimdConnection connection) {
        connections.remove(connection);
        notifyAll();
    }

    // ---- what a first message asks for

    SimdSession attach(
            int pid,
            String name,
            long capacity,
            long maxCapacity,
            int pageSize,
            int checksumId,
            int maxFiles,
            int maxUnfinished,
            long waitNanos)
            throws IOException {
        if (!name.matches("[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}")) {
            throw new IllegalArgumentException("the name \"" + name + "\" is not 1 to 200 of A-Z a-z 0-9 . _ -");
        }
        CacheConfig cache = CacheConfig.of(name, capacity)
                .withPageSize(pageSize)
                .withMaxCapacity(maxCapacity)
                .withMaxFiles(maxFiles)
                .withMaxUnfinishedAttaches(maxUnfinished);
        BlockChecksum checksum = checksums.stream()
                .filter(each -> each.algorithmId() == checksumId)
                .findFirst()
                .orElseThrow(() -> new IOException("xen-simd does not know the checksum algorithm " + checksumId
                        + ": start it with the guest's class path"));
        long most = Math.clamp(waitNanos, 0, Duration.ofHours(1).toNanos());
        synchronized (machine) {
            long waited = XenProvider.awaitOwner(
                    machine, name, most == 0 ? TimeUnit.SECONDS.toNanos(5) : most, "another guest");
            synchronized (this) {
                if (closed) {
                    throw new IOException("xen-simd is stopping");
                }
            }
            GuestBackend backend =
                    XenProvider.attach(machine, new BackendConfig(cache, checksum, checksums), waited);
            SimdSession session = new SimdSession(backend, pid);
            synchronized (this) {
                sessions.removeIf(each -> each.domain.session != each);
                sessions.add(session);
            }
            return session;
        }
    }

    synchronized @Nullable SimdSession session(long high, long low) {
        for (SimdSession each : sessions) {
            if (each.secretHigh == high && each.secretLow == low) {
                return each;
            }
        }
        return null;
    }

    boolean drop(String name) throws BusyException {
        synchronized (machine) {
            Domain domain = machine.domain(name);
            if (domain == null) {
                return false;
            }
            if (domain.session instanceof SimdSession guest && guest.isEnding()) {
                awaitEnd(name); // a guest's close returns before its connections have ended
            }
            Object session = domain.session;
            if (session != null) {
                throw new BusyException(domain + " is in use by " + session + ": close that one first");
            }
            if (machine.domain(name) != domain) {
                return false; // another one has dropped it meanwhile
            }
            domain.destroy();
            return true;
        }
    }

    /** With the machine's lock held. */
    private void awaitEnd(String name) throws BusyException {
        var _ = XenProvider.awaitOwner(machine, name, TimeUnit.SECONDS.toNanos(5), "a guest");
    }

    /** What a tool may ask. */
    Survey survey() {
        return new Survey(machine, checksums);
    }

    /** Frames by state of a domain that nobody is attached to. */
    void inspect(String name, ByteBuffer out) throws IOException {
        synchronized (machine) {
            Domain domain = machine.domain(name);
            if (domain == null) {
                throw new IOException("there is no domain named \"" + name + "\"");
            }
            awaitEnd(name);
            Map<FrameState, Integer> counts = new EnumMap<>(FrameState.class);
            int blocks = Math.max(1, domain.pageSize / Machine.FRAME_SIZE);
            for (int frame = 0; frame < domain.frames; frame++) {
                counts.merge(domain.table().state(domain.p2m(frame * blocks)), 1, Integer::sum);
            }
            for (FrameState state : FrameState.values()) {
                out.putInt(counts.getOrDefault(state, 0));
            }
        }
    }

    /** Ends every guest, gives all memory back and removes the socket. Closing again has no effect. */
    @Override
    public void close() {
        boolean interrupted = false;
        synchronized (this) {
            if (closed) {
                return;
            }
            closed = true;
            listening.shutdown();
            for (SimdConnection each : connections) {
                each.shutdown();
            }
            while (!connections.isEmpty()) {
                try {
                    wait();
                } catch (InterruptedException e) {
                    interrupted = true;
                }
            }
        }
        try {
            acceptor.join();
        } catch (InterruptedException e) {
            interrupted = true;
        }
        listening.close();
        machine.close();
        try {
            // The lock's file stays: one that waits for it may hold it open already.
            Files.deleteIfExists(path);
        } catch (IOException e) {
            System.err.println("xen-simd: " + path + " could not be removed: " + e.getMessage());
        }
        Libc.close(lock);
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
