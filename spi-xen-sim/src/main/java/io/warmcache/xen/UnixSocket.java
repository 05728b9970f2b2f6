/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/**
 * A stream socket of the Unix domain. Not a {@link java.nio.channels.SocketChannel}, which an interrupt of its user
 * closes, and which can hand over no descriptor.
 *
 * <p>One thread at a time sends and receives; it alone closes. Any thread may {@link #shutdown}.
 */
@SuppressWarnings("restricted")
final class UnixSocket implements AutoCloseable {
    /** The longest path that a socket's address holds. */
    private static final int MAX_PATH = 107;

    private static final int AF_UNIX = 1;
    private static final int SOCK_STREAM_CLOEXEC = 1 | 0x80000;
    private static final int SOL_SOCKET = 1;
    private static final int SO_PEERCRED = 17;
    private static final int SCM_RIGHTS = 1;
    private static final int SHUT_RDWR = 2;
    private static final int MSG_NOSIGNAL = 0x4000;
    private static final int MSG_CMSG_CLOEXEC = 0x40000000;
    private static final int ADDRESS_BYTES = 110;
    private static final int ECONNREFUSED = 111;
    private static final int ENOENT = 2;

    private static final MethodHandle SOCKET = Libc.call("socket", JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT);
    private static final MethodHandle BIND = Libc.call("bind", JAVA_INT, JAVA_INT, ADDRESS, JAVA_INT);
    private static final MethodHandle LISTEN = Libc.call("listen", JAVA_INT, JAVA_INT, JAVA_INT);
    private static final MethodHandle ACCEPT =
            Libc.call("accept4", JAVA_INT, JAVA_INT, ADDRESS, ADDRESS, JAVA_INT);
    private static final MethodHandle CONNECT = Libc.call("connect", JAVA_INT, JAVA_INT, ADDRESS, JAVA_INT);
    private static final MethodHandle SEND = Libc.call("send", JAVA_LONG, JAVA_INT, ADDRESS, JAVA_LONG, JAVA_INT);
    private static final MethodHandle RECV = Libc.call("recv", JAVA_LONG, JAVA_INT, ADDRESS, JAVA_LONG, JAVA_INT);
    private static final MethodHandle SENDMSG = Libc.call("sendmsg", JAVA_LONG, JAVA_INT, ADDRESS, JAVA_INT);
    private static final MethodHandle RECVMSG = Libc.call("recvmsg", JAVA_LONG, JAVA_INT, ADDRESS, JAVA_INT);
    private static final MethodHandle SHUTDOWN = Libc.call("shutdown", JAVA_INT, JAVA_INT, JAVA_INT);
    private static final MethodHandle GETSOCKOPT =
            Libc.call("getsockopt", JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, ADDRESS, ADDRESS);

    private final int fd;
    private final String name;
    private boolean closed;

    private UnixSocket(int fd, String name) {
        this.fd = fd;
        this.name = name;
    }

    private static long succeed(String what, String name, Libc.Call call) throws IOException {
        long rc = Libc.result(call);
        if (rc < 0) {
            throw new IOException(what + " " + name + " failed with errno " + -rc);
        }
        return rc;
    }

    private static UnixSocket create(Path path) throws IOException {
        String name = path.toAbsolutePath().toString();
        if (name.getBytes(StandardCharsets.UTF_8).length > MAX_PATH) {
            throw new IOException(name + " is too long for a socket: at most " + MAX_PATH + " bytes");
        }
        int fd = (int) succeed(
                "making socket", name, s -> (int) SOCKET.invokeExact(s, AF_UNIX, SOCK_STREAM_CLOEXEC, 0));
        return new UnixSocket(fd, name);
    }

    private MemorySegment address(Arena arena) {
        MemorySegment address = arena.allocate(ADDRESS_BYTES, 8);
        address.set(JAVA_SHORT, 0, (short) AF_UNIX);
        byte[] path = name.getBytes(StandardCharsets.UTF_8);
        MemorySegment.copy(path, 0, address, JAVA_BYTE, 2, path.length);
        return address;
    }

    /** Listens at a path where nothing is yet. */
    static UnixSocket listen(Path path) throws IOException {
        UnixSocket socket = create(path);
        boolean done = false;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment address = socket.address(arena);
            var _ = succeed(
                    "binding", socket.name, s -> (int) BIND.invokeExact(s, socket.fd, address, ADDRESS_BYTES));
            var _ = succeed("listening at", socket.name, s -> (int) LISTEN.invokeExact(s, socket.fd, 128));
            done = true;
            return socket;
        } finally {
            if (!done) {
                socket.close();
            }
        }
    }

    /** Connects. */
    static UnixSocket connect(Path path) throws IOException {
        UnixSocket socket = create(path);
        boolean done = false;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment address = socket.address(arena);
            long rc = Libc.result(s -> (int) CONNECT.invokeExact(s, socket.fd, address, ADDRESS_BYTES));
            if (rc == -ECONNREFUSED || rc == -ENOENT) {
                throw new IOException("no xen-simd listens at " + socket.name + ": start it with --socket "
                        + socket.name + ", or set the option xen.socket to where it listens");
            }
            if (rc < 0) {
                throw new IOException("connecting to " + socket.name + " failed with errno " + -rc);
            }
            done = true;
            return socket;
        } finally {
            if (!done) {
                socket.close();
            }
        }
    }

    /** Waits for the next connection; throws once this was shut down. */
    UnixSocket accept() throws IOException {
        int peer = (int) succeed(
                "accepting at",
                name,
                s -> (int) ACCEPT.invokeExact(s, fd, MemorySegment.NULL, MemorySegment.NULL, 0x80000));
        return new UnixSocket(peer, name);
    }

    /** The process at the other end when it connected. */
    int peerPid() throws IOException {
        return peer(0);
    }

    /** The user of that process. */
    int peerUid() throws IOException {
        return peer(4);
    }

    private int peer(long at) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment cred = arena.allocate(12, 4);
            MemorySegment length = arena.allocateFrom(JAVA_INT, 12);
            var _ = succeed(
                    "asking for the peer of",
                    name,
                    s -> (int) GETSOCKOPT.invokeExact(s, fd, SOL_SOCKET, SO_PEERCRED, cred, length));
            return cred.get(JAVA_INT, at);
        }
    }

    /** Sends all of it. */
    void send(MemorySegment bytes) throws IOException {
        long done = 0;
        while (done < bytes.byteSize()) {
            MemorySegment rest = bytes.asSlice(done);
            done += succeed(
                    "sending to", name, s -> (long) SEND.invokeExact(s, fd, rest, rest.byteSize(), MSG_NOSIGNAL));
        }
    }

    /** Receives some; 0 at the end. */
    long receive(MemorySegment into) throws IOException {
        return succeed("receiving from", name, s -> (long) RECV.invokeExact(s, fd, into, into.byteSize(), 0));
    }

    /** A {@code struct msghdr} of one byte and one descriptor. */
    private static MemorySegment message(Arena arena, MemorySegment control) {
        MemorySegment vector = arena.allocate(16, 8);
        vector.set(ADDRESS, 0, arena.allocateFrom(JAVA_BYTE, (byte) 'F'));
        vector.set(JAVA_LONG, 8, 1);
        MemorySegment message = arena.allocate(56, 8);
        message.set(ADDRESS, 16, vector);
        message.set(JAVA_LONG, 24, 1);
        message.set(ADDRESS, 32, control);
        message.set(JAVA_LONG, 40, control.byteSize());
        return message;
    }

    /** Sends one byte, and a descriptor with it. */
    void sendDescriptor(int descriptor) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment control = arena.allocate(24, 8);
            control.set(JAVA_LONG, 0, 20);
            control.set(JAVA_INT, 8, SOL_SOCKET);
            control.set(JAVA_INT, 12, SCM_RIGHTS);
            control.set(JAVA_INT, 16, descriptor);
            MemorySegment message = message(arena, control);
            var _ = succeed("sending to", name, s -> (long) SENDMSG.invokeExact(s, fd, message, MSG_NOSIGNAL));
        }
    }

    /** Receives one byte, and the descriptor that came with it. */
    int receiveDescriptor() throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment control = arena.allocate(24, 8);
            MemorySegment message = message(arena, control);
            long n = succeed(
                    "receiving from", name, s -> (long) RECVMSG.invokeExact(s, fd, message, MSG_CMSG_CLOEXEC));
            if (n != 1 || message.get(JAVA_LONG, 40) < 20 || control.get(JAVA_INT, 12) != SCM_RIGHTS) {
                throw new IOException(name + " granted no memory");
            }
            return control.get(JAVA_INT, 16);
        }
    }

    /** Ends what is under way and yet to come, at both ends. */
    synchronized void shutdown() {
        if (!closed) {
            var _ = Libc.result(s -> (int) SHUTDOWN.invokeExact(s, fd, SHUT_RDWR));
        }
    }

    @Override
    public synchronized void close() {
        if (!closed) {
            closed = true;
            Libc.close(fd);
        }
    }
}
