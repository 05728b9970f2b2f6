/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

import io.warmcache.StoreVersion;
import java.io.EOFException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/**
 * Messages over a socket: a length of four bytes that counts what follows, a code, and fields, little-endian. Whoever
 * sent a message waits for the answer before the next. Not thread-safe.
 */
final class Wire implements AutoCloseable {
    /** Says that both ends talk of the same thing. */
    static final long MAGIC = 0x31444d4953584357L;
    /** Of this protocol. */
    static final int VERSION = 2;
    /** The most bytes of a transfer within one message. */
    static final int MAX_TRANSFER = 128 << 10;
    /** The most bytes of a message. */
    static final int MAX_MESSAGE = 256 << 10;

    private static final int MAX_STRING = 4096;

    private final UnixSocket socket;
    private final MemorySegment outBytes;
    private final MemorySegment inBytes;
    private final ByteBuffer out;
    private final ByteBuffer in;

    @SuppressWarnings("MustBeClosedChecker") // freed when nothing refers to it any more
    Wire(UnixSocket socket) {
        this.socket = socket;
        outBytes = Arena.ofAuto().allocate(MAX_MESSAGE, 8);
        inBytes = Arena.ofAuto().allocate(MAX_MESSAGE, 8);
        out = outBytes.asByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
        in = inBytes.asByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
    }

    UnixSocket socket() {
        return socket;
    }

    /** Begins a message; the caller puts its fields, then {@link #send}s. */
    ByteBuffer begin(int code) {
        return out.clear().putInt(0).put((byte) code);
    }

    /** Sends what was begun. */
    void send() throws IOException {
        out.putInt(0, out.position() - 4);
        socket.send(outBytes.asSlice(0, out.position()));
    }

    /**
     * Waits for the next message and returns its code; its fields are then in {@link #in}.
     *
     * @throws EOFException at the end
     * @throws IOException also for what is no message
     */
    int receive() throws IOException {
        long have = 0;
        long need = 5;
        while (have < need) {
            long n = socket.receive(inBytes.asSlice(have));
            if (n == 0) {
                throw new EOFException("the connection was closed");
            }
            have += n;
            if (have >= 4) {
                int length = in.getInt(0);
                if (length < 1 || length > MAX_MESSAGE - 4) {
                    throw new ProtocolException("a message of " + length + " bytes");
                }
                need = 4L + length;
            }
        }
        if (have > need) {
            throw new ProtocolException("a message before the last was answered");
        }
        in.clear().limit((int) need).position(5);
        return in.get(4) & 0xFF;
    }

    /** The fields of the message received last. */
    ByteBuffer in() {
        return in;
    }

    static void put(ByteBuffer to, String text) {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        int length = Math.min(bytes.length, MAX_STRING);
        to.putInt(length).put(bytes, 0, length);
    }

    static String string(ByteBuffer from) throws ProtocolException {
        int length = from.getInt();
        if (length < 0 || length > MAX_STRING) {
            throw new ProtocolException("a text of " + length + " bytes");
        }
        byte[] bytes = new byte[length];
        from.get(bytes);
        return new String(bytes, StandardCharsets.UTF_8);
    }

    static void put(ByteBuffer to, StoreVersion version) {
        to.put(code(StoreVersion.Strength.values(), version.strength()))
                .putLong(version.first())
                .putLong(version.second())
                .putLong(version.third());
    }

    static StoreVersion version(ByteBuffer from) throws ProtocolException {
        return new StoreVersion(
                value(StoreVersion.Strength.values(), from.get()), from.getLong(), from.getLong(), from.getLong());
    }

    /** The number of one of several values. */
    static <E> byte code(E[] values, E value) {
        return (byte) Arrays.asList(values).indexOf(value);
    }

    /** The value of that number. */
    static <E> E value(E[] values, int code) throws ProtocolException {
        if (code < 0 || code >= values.length) {
            throw new ProtocolException("value " + code + " of " + values.length);
        }
        return values[code];
    }

    @Override
    public void close() {
        socket.close();
    }

    /** What was received is no message of this protocol. */
    static final class ProtocolException extends IOException {
        private static final long serialVersionUID = 1L;

        ProtocolException(String message) {
            super(message + " is against the protocol");
        }
    }
}
