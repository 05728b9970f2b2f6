/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv.demo;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.WritableByteChannel;
import java.nio.charset.StandardCharsets;

/** RESP commands on their way out: a byte array that grows, and is sent from its front. */
final class CommandBuffer {
    private byte[] bytes = new byte[64 << 10];
    private int start;
    private int end;

    /** Starts a command of so many strings, its name included. */
    CommandBuffer command(int strings) {
        return line('*', strings);
    }

    CommandBuffer string(byte[] value) {
        int at = beginString(value.length);
        System.arraycopy(value, 0, bytes, at, value.length);
        return endString(value.length);
    }

    CommandBuffer string(String value) {
        return string(value.getBytes(StandardCharsets.UTF_8));
    }

    /**
     * Makes room for a string that the caller writes into {@link #array()} itself before {@link #endString}.
     *
     * @return where in the array
     */
    int beginString(int length) {
        line('$', length);
        reserve(length + 2);
        return end;
    }

    CommandBuffer endString(int length) {
        end += length;
        bytes[end++] = '\r';
        bytes[end++] = '\n';
        return this;
    }

    byte[] array() {
        return bytes;
    }

    /** Bytes not sent yet. */
    int pending() {
        return end - start;
    }

    /** Sends what the channel takes. */
    void sendTo(WritableByteChannel channel) throws IOException {
        if (start < end) {
            start += channel.write(ByteBuffer.wrap(bytes, start, end - start));
        }
        if (start == end) {
            start = 0;
            end = 0;
        }
    }

    private CommandBuffer line(char type, int number) {
        byte[] digits = Integer.toString(number).getBytes(StandardCharsets.US_ASCII);
        reserve(digits.length + 3);
        bytes[end++] = (byte) type;
        System.arraycopy(digits, 0, bytes, end, digits.length);
        end += digits.length;
        bytes[end++] = '\r';
        bytes[end++] = '\n';
        return this;
    }

    private void reserve(int more) {
        if (bytes.length - end >= more) {
            return;
        }
        int used = end - start;
        if (bytes.length - used >= more && start >= used) {
            System.arraycopy(bytes, start, bytes, 0, used);
        } else {
            byte[] larger = new byte[Math.max(2 * bytes.length, used + more)];
            System.arraycopy(bytes, start, larger, 0, used);
            bytes = larger;
        }
        start = 0;
        end = used;
    }
}
