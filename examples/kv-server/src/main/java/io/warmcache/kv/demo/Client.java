/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv.demo;

import java.io.EOFException;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.StandardSocketOptions;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.SocketChannel;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * A pipelining RESP client on one thread: a few connections, each with up to {@code depth} requests under way, the
 * next one sent when an answer arrives. It shares two cores with the server that it measures, so it copies and
 * allocates little.
 *
 * <p>Unlike a pipeline of a client library it knows of each single request whether it was answered before the server
 * died.
 */
final class Client implements AutoCloseable {
    private static final int READ_BYTES = 256 << 10;
    /** No connection queues more than this many bytes before it sends some. */
    private static final int QUEUED_BYTES = 256 << 10;

    /** A request under way. */
    interface Request {
        /** Called once, when its answer is there; {@code reply} is reused after that. */
        void answered(Reply reply, long now);
    }

    /** Where requests come from. */
    interface Source {
        /**
         * Appends the next command for a connection to {@code out}.
         *
         * @return what to do with its answer, or null, with nothing appended, if there is none now
         */
        @Nullable Request next(int connection, CommandBuffer out);
    }

    private final Selector selector;
    private final List<Connection> opened = new ArrayList<>();
    private final List<Connection> connections = new ArrayList<>();
    /** For questions about the server: never behind the load. */
    private final Connection side;
    private int depth;
    private final Reply reply = new Reply();

    /** Connects to the server on {@code port} of the loopback interface. */
    Client(int port, int connectionCount, int depth) throws IOException {
        this.depth = depth;
        selector = Selector.open();
        try {
            for (int i = 0; i < connectionCount; i++) {
                connections.add(new Connection(port));
            }
            side = new Connection(port);
        } catch (IOException e) {
            close();
            throw e;
        }
    }

    /** Lets each connection have so many requests under way from now on. */
    void depth(int requests) {
        depth = requests;
    }

    int connections() {
        return connections.size();
    }

    /**
     * Sends what may be sent, waits up to {@code timeoutMillis} for answers, and hands them on.
     *
     * @throws IOException if a connection ends or fails
     */
    void step(Source source, long timeoutMillis) throws IOException {
        for (int i = 0; i < connections.size(); i++) {
            connections.get(i).fill(source, i);
            connections.get(i).send();
        }
        side.send();
        receive(timeoutMillis);
    }

    /** Sends a question beside the load. */
    void ask(Request request, String... words) throws IOException {
        CommandBuffer out = side.out.command(words.length);
        for (String word : words) {
            out.string(word);
        }
        side.underWay.add(request);
        side.send();
    }

    /** Whether every request was answered. */
    boolean idle() {
        return underWay() == 0 && side.underWay.isEmpty();
    }

    /** Requests of the load that were sent and not answered. */
    int underWay() {
        int all = 0;
        for (Connection each : connections) {
            all += each.underWay.size();
        }
        return all;
    }

    /**
     * Waits for all answers, sending nothing new.
     *
     * @throws IOException if a connection ends or fails, or {@code timeoutMillis} pass without any answer
     */
    void drain(long timeoutMillis) throws IOException {
        long last = System.nanoTime();
        int before = underWay();
        while (!idle()) {
            step((connection, out) -> null, 50);
            if (underWay() != before) {
                before = underWay();
                last = System.nanoTime();
            } else if (System.nanoTime() - last > TimeUnit.MILLISECONDS.toNanos(timeoutMillis)) {
                throw new IOException("no answer within " + timeoutMillis + " ms, " + before + " requests under way");
            }
        }
    }

    /** After a kill: hands on every answer that the dead server had sent, and forgets the other requests. */
    void readToEnd() {
        try {
            // a channel that a selector knows cannot be made to block
            selector.close();
            for (Connection each : connections) {
                each.readToEnd();
            }
        } catch (IOException e) {
            // what was not read counts as not acknowledged, which promises less
        } finally {
            close();
        }
    }

    private void receive(long timeoutMillis) throws IOException {
        if (timeoutMillis > 0) {
            selector.select(timeoutMillis);
        } else {
            selector.selectNow();
        }
        for (SelectionKey key : selector.selectedKeys()) {
            Connection connection = (Connection) key.attachment();
            if (key.isReadable()) {
                connection.read();
            }
            if (key.isValid() && key.isWritable()) {
                connection.send();
            }
        }
        selector.selectedKeys().clear();
    }

    @Override
    public void close() {
        for (Connection each : opened) {
            each.close();
        }
        try {
            selector.close();
        } catch (IOException e) {
            // nothing of it is needed any more
        }
    }

    private final class Connection {
        private final SocketChannel channel;
        private final CommandBuffer out = new CommandBuffer();
        private final ArrayDeque<Request> underWay = new ArrayDeque<>();
        private byte[] in = new byte[2 * READ_BYTES];
        private int start;
        private int end;

        Connection(int port) throws IOException {
            channel = SocketChannel.open(new InetSocketAddress(InetAddress.getLoopbackAddress(), port));
            opened.add(this);
            channel.setOption(StandardSocketOptions.TCP_NODELAY, true);
            channel.configureBlocking(false);
            channel.register(selector, SelectionKey.OP_READ, this);
        }

        void fill(Source source, int number) {
            while (underWay.size() < depth && out.pending() < QUEUED_BYTES) {
                Request request = source.next(number, out);
                if (request == null) {
                    return;
                }
                underWay.add(request);
            }
        }

        void send() throws IOException {
            out.sendTo(channel);
            int interest = out.pending() > 0 ? SelectionKey.OP_READ | SelectionKey.OP_WRITE : SelectionKey.OP_READ;
            SelectionKey key = channel.keyFor(selector);
            if (key.interestOps() != interest) {
                key.interestOps(interest);
            }
        }

        void read() throws IOException {
            if (fillBuffer() < 0) {
                throw new EOFException("the server closed the connection");
            }
            answer();
        }

        void readToEnd() {
            try {
                channel.configureBlocking(true);
                while (fillBuffer() >= 0) {
                    answer();
                }
            } catch (IOException e) {
                // a reset: the end, too
            }
        }

        private int fillBuffer() throws IOException {
            if (in.length - end < READ_BYTES) {
                byte[] target = in;
                if (end - start > in.length - READ_BYTES) {
                    target = new byte[2 * in.length];
                }
                System.arraycopy(in, start, target, 0, end - start);
                in = target;
                end -= start;
                start = 0;
            }
            int read = channel.read(ByteBuffer.wrap(in, end, in.length - end));
            end += Math.max(read, 0);
            return read;
        }

        private void answer() throws IOException {
            long now = System.nanoTime();
            while (start < end) {
                int next = reply.parse(in, start, end);
                if (next < 0) {
                    return;
                }
                Request request = underWay.poll();
                if (request == null) {
                    throw new IOException("an answer to nothing: " + reply.text());
                }
                request.answered(reply, now);
                start = next;
            }
            start = 0;
            end = 0;
        }

        void close() {
            try {
                channel.close();
            } catch (IOException e) {
                // closed is closed
            }
        }
    }
}
