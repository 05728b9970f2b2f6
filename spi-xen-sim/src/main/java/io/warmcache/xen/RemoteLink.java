/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

import io.warmcache.BusyException;
import java.io.EOFException;
import java.io.IOException;
import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.Set;
import java.util.concurrent.ConcurrentLinkedDeque;
import org.jspecify.annotations.Nullable;

/**
 * A guest's connections to its {@code xen-simd}: as many as it has calls under way at once. Thread-safe. Once one of
 * them breaks, all are of no use, and every call says so.
 */
final class RemoteLink implements AutoCloseable {
    private final Path path;
    private final Wire first;
    private final Callee callee;
    private final ConcurrentLinkedDeque<Wire> idle = new ConcurrentLinkedDeque<>();
    private final Set<Wire> wires = new HashSet<>();
    private long secretHigh;
    private long secretLow;
    private volatile int pid;
    private boolean closed;
    private volatile @Nullable String lost;

    /** The fields of a request. */
    @FunctionalInterface
    interface Fields {
        void put(ByteBuffer out);
    }

    /** Reads an answer. */
    @FunctionalInterface
    interface Answer<T> {
        T read(ByteBuffer in) throws IOException;
    }

    /** Serves what the VMM asks in the midst of a request. */
    @FunctionalInterface
    interface Callee {
        void serve(Wire wire) throws IOException;
    }

    /**
     * Connects.
     *
     * @throws IOException if nobody listens there; says how to mend it
     */
    RemoteLink(Path path, Callee callee) throws IOException {
        this.path = path;
        this.callee = callee;
        first = new Wire(UnixSocket.connect(path));
        wires.add(first);
    }

    /** A first message, on the first connection, which is kept. */
    <T> T hello(int op, Fields fields, Answer<T> answer) throws IOException {
        return exchange(first, op, out -> {
            out.putLong(Wire.MAGIC).putInt(Wire.VERSION);
            fields.put(out);
        }, answer);
    }

    /** What further connections have to know, and whom to name when they break. */
    void joined(long high, long low, int daemon) {
        secretHigh = high;
        secretLow = low;
        pid = daemon;
    }

    /** The memory that the VMM grants. */
    int grant() throws IOException {
        var _ = first.begin(Op.GRANT);
        first.send();
        return first.socket().receiveDescriptor();
    }

    /** Makes a request and waits for its answer, whatever interrupts the caller. */
    <T> T call(int op, Fields fields, Answer<T> answer) throws IOException {
        requireThere();
        Wire wire = idle.poll();
        if (wire == null) {
            wire = join();
        }
        T value = exchange(wire, op, fields, answer);
        return value;
    }

    void call(int op, Fields fields) throws IOException {
        var _ = call(op, fields, in -> 0);
    }

    private void requireThere() throws IOException {
        String reason = lost;
        if (reason != null) {
            throw new IOException(reason);
        }
    }

    private Wire join() throws IOException {
        Wire wire;
        try {
            wire = new Wire(UnixSocket.connect(path));
        } catch (IOException e) {
            throw lose(e);
        }
        synchronized (this) {
            String reason = lost;
            if (reason != null) {
                // too late for what shuts all of them down
                wire.close();
                throw new IOException(reason);
            }
            wires.add(wire);
        }
        boolean done = false;
        try {
            var _ = exchange(
                    wire,
                    Op.JOIN,
                    out -> out.putLong(Wire.MAGIC).putInt(Wire.VERSION).putLong(secretHigh).putLong(secretLow),
                    in -> 0);
            done = true;
            return wire;
        } finally {
            if (!done) {
                synchronized (this) {
                    wires.remove(wire);
                }
                wire.close();
            }
        }
    }

    private <T> T exchange(Wire wire, int op, Fields fields, Answer<T> answer) throws IOException {
        int code;
        T value = null;
        String message = "";
        try {
            fields.put(wire.begin(op));
            wire.send();
            while ((code = wire.receive()) == Op.CALL) {
                callee.serve(wire);
            }
            if (code == Op.OK) {
                value = answer.read(wire.in());
            } else {
                message = Wire.string(wire.in());
            }
        } catch (IOException | BufferUnderflowException e) {
            IOException gone = lose(e);
            wire.close();
            throw gone;
        }
        if (wire != first && op != Op.JOIN) {
            // who has joined uses the connection at once: no other thread may find it here
            idle.push(wire);
        }
        if (value != null) {
            return value;
        }
        switch (code) {
            case Op.BAD_STATE -> throw new IllegalStateException(message);
            case Op.BAD_ARGUMENT -> throw new IllegalArgumentException(message);
            case Op.BUSY -> throw new BusyException(message);
            case Op.NO_FILE -> throw new NoSuchFileException(
                    message, null, "no such file, and the options do not say to create it");
            default -> throw new IOException(message);
        }
    }

    /** Gives every connection up. */
    private IOException lose(Exception e) {
        synchronized (this) {
            if (lost == null) {
                String why = e instanceof EOFException ? "it closed the connection" : String.valueOf(e.getMessage());
                lost = closed
                        ? "the cache is closed"
                        : "xen-simd at " + path + (pid == 0 ? "" : ", pid " + pid + ",") + " is gone (" + why
                                + "), and with it the memory of the cache: look at its log, start it again if it ended,"
                                + " and reopen the cache";
            }
            for (Wire wire : wires) {
                wire.socket().shutdown();
            }
        }
        return new IOException(lost, e);
    }

    /** Why nothing can be asked any more, or null. */
    @Nullable String lost() {
        return lost;
    }

    /** Breaks every connection, as the end of the process would. */
    @Override
    public void close() {
        synchronized (this) {
            closed = true;
            if (lost == null) {
                lost = "the cache is closed";
            }
            for (Wire wire : wires) {
                wire.socket().shutdown();
            }
        }
        // Those in use are closed with their sockets' last user gone; none is, once every file is closed.
        Wire wire;
        while ((wire = idle.poll()) != null) {
            wire.close();
        }
        first.close();
    }
}
