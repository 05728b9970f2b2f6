/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.Channel;
import io.netty.channel.ChannelFutureListener;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.util.ArrayDeque;
import java.util.Queue;
import java.util.concurrent.RejectedExecutionException;

/**
 * Runs one client's requests in order and sends the replies in the same order, each not before the commit it waits
 * for.
 *
 * <p>Requests run on the connection's event loop, but for those that may take long. Nothing more is run while such a
 * one is under way, while the client does not read its replies, while too many replies wait for a commit, or while
 * the storage cannot keep up; then the socket is not read either, and the client feels it. All fields belong to the
 * event loop, except that a request that runs elsewhere has the session and the reply writer to itself.
 */
final class ConnectionHandler extends ChannelInboundHandlerAdapter {
    private static final System.Logger LOG = System.getLogger(ConnectionHandler.class.getName());

    /** Replies are handed to the socket in pieces of about this size. */
    private static final int FLUSH_BYTES = 65_536;
    /** Replies that may wait for a commit before the next request is run. */
    private static final int MAX_HELD_BYTES = 1 << 20;

    private static final int FIRST_BUFFER_BYTES = 512;

    private final Server server;
    private final Committer committer;
    private final Channel channel;
    private final ReplyWriter reply;
    private final Session session;

    /** Requests, and perhaps a last {@link ProtocolError}. */
    private final Queue<Object> pending = new ArrayDeque<>();
    private final Queue<Held> held = new ArrayDeque<>();
    private int heldBytes;
    /** The commit that the replies in the writer's buffer wait for. */
    private long outTicket;
    /** Whether the next request has to wait. */
    private boolean busy;
    /** Whether session and reply writer belong to a request that runs elsewhere. */
    private boolean lent;
    private boolean draining;
    private boolean awaitsCommit;
    private boolean closeSent;
    private boolean gone;

    private record Held(ByteBuf replies, long ticket) {}

    ConnectionHandler(Server server, Channel channel) {
        this.server = server;
        this.channel = channel;
        committer = server.storage().committer();
        reply = new ReplyWriter(newBuffer());
        session = new Session(server, server.nextClientId(), String.valueOf(channel.remoteAddress()), reply);
    }

    Session session() {
        return session;
    }

    /** Runs nothing more; replies still owed are sent. */
    void quiesce() {
        busy = true;
        pending.clear();
        regulateReading();
    }

    @Override
    public void channelRead(ChannelHandlerContext ctx, Object message) {
        pending.add(message);
        drain();
    }

    @Override
    public void channelReadComplete(ChannelHandlerContext ctx) {
        flushReplies();
    }

    @Override
    public void channelWritabilityChanged(ChannelHandlerContext ctx) {
        if (channel.isWritable()) {
            // later: this may be called from the middle of a write of ours
            onLoop(this::resume);
        }
    }

    @Override
    public void channelInactive(ChannelHandlerContext ctx) {
        gone = true;
        pending.clear();
        held.forEach(each -> each.replies.release());
        held.clear();
        if (!lent) {
            reply.out().release();
        }
    }

    @Override
    public void exceptionCaught(ChannelHandlerContext ctx, Throwable cause) {
        // a reset connection is the client's business
        if (!(cause instanceof IOException)) {
            LOG.log(Level.WARNING, "closing the connection of " + session.address(), cause);
        }
        var _ = ctx.close();
    }

    private void resume() {
        drain();
        flushReplies();
    }

    private void drain() {
        if (draining || gone) {
            return;
        }
        draining = true;
        try {
            while (!busy && !session.isClosing() && heldBytes < MAX_HELD_BYTES && channel.isWritable()) {
                Object next = pending.poll();
                if (next == null) {
                    break;
                }
                if (next instanceof Request request) {
                    run(request);
                } else if (next instanceof ProtocolError error) {
                    server.stats().protocolErrors.increment();
                    reply.error("ERR Protocol error: " + error.message());
                    session.closeAfterReplies();
                }
                if (!lent && reply.out().readableBytes() >= FLUSH_BYTES) {
                    flushReplies();
                }
            }
        } finally {
            draining = false;
        }
        regulateReading();
    }

    private void regulateReading() {
        channel.config().setAutoRead(!busy && pending.isEmpty());
    }

    private void run(Request request) {
        session.startCommand();
        server.stats().commands.increment();
        int start = reply.out().writerIndex();
        Command command;
        try {
            command = server.commands().resolve(session, request);
        } catch (CommandException e) {
            fail(start, String.valueOf(e.getMessage()));
            return;
        }
        if (command.isSlow(request)) {
            runElsewhere(command, request);
        } else {
            execute(command, request, start);
            settle(start);
        }
    }

    private void execute(Command command, Request request, int start) {
        try {
            command.run().run(session, request);
        } catch (CommandException e) {
            fail(start, String.valueOf(e.getMessage()));
        } catch (RuntimeException e) {
            LOG.log(Level.ERROR, "the command " + command.name() + " failed", e);
            fail(start, "ERR internal error: " + e);
        }
    }

    private void fail(int start, String message) {
        server.stats().errorReplies.increment();
        reply.out().writerIndex(start);
        reply.error(message);
    }

    private void runElsewhere(Command command, Request request) {
        // replies so far need not wait for this one, and its buffer must be its own
        flushReplies();
        busy = true;
        lent = true;
        try {
            server.runElsewhere(() -> {
                execute(command, request, 0);
                onLoop(this::finishElsewhere);
            });
        } catch (RejectedExecutionException e) {
            lent = false;
            fail(0, "ERR server is shutting down");
        }
    }

    private void finishElsewhere() {
        lent = false;
        if (gone) {
            reply.out().release();
            return;
        }
        busy = false;
        settle(0);
        resume();
    }

    /**
     * Notes which commit the reply written from {@code start} on waits for, and whether the next request must wait
     * too.
     */
    private void settle(int start) {
        long ticket = session.replyTicket();
        if (ticket > outTicket && !committer.isCompleted(ticket)) {
            separate(start, ticket);
        }
        if (session.hasWritten() && committer.congested()) {
            busy = true;
            committer.whenRelieved(() -> onLoop(() -> {
                busy = false;
                resume();
            }));
        }
    }

    /** Sends what was written before {@code start}, so that it does not wait for {@code ticket} as what comes after. */
    private void separate(int start, long ticket) {
        ByteBuf out = reply.out();
        long before = outTicket;
        outTicket = ticket;
        if (start == out.readerIndex()) {
            return;
        }
        ByteBuf later = newBuffer();
        later.writeBytes(out, start, out.writerIndex() - start);
        out.writerIndex(start);
        reply.redirect(later);
        send(out, before);
    }

    private void flushReplies() {
        if (gone || lent) {
            return;
        }
        ByteBuf out = reply.out();
        if (out.isReadable()) {
            // first: writing may fill the channel, which is told at once and ends up here again
            long ticket = outTicket;
            reply.redirect(newBuffer());
            outTicket = 0;
            send(out, ticket);
        }
        channel.flush();
        if (session.isClosing() && held.isEmpty() && !closeSent) {
            closeSent = true;
            channel.writeAndFlush(Unpooled.EMPTY_BUFFER).addListener(ChannelFutureListener.CLOSE);
        }
    }

    private void send(ByteBuf replies, long ticket) {
        if (held.isEmpty() && committer.isCompleted(ticket)) {
            var _ = channel.write(replies, channel.voidPromise());
        } else {
            held.add(new Held(replies, ticket));
            heldBytes += replies.readableBytes();
            awaitCommit(ticket);
        }
    }

    private void awaitCommit(long ticket) {
        if (!awaitsCommit) {
            awaitsCommit = true;
            committer.whenCompleted(ticket, () -> onLoop(this::sendHeld));
        }
    }

    private void sendHeld() {
        awaitsCommit = false;
        if (gone) {
            return;
        }
        Held next;
        while ((next = held.peek()) != null) {
            if (!committer.isCompleted(next.ticket)) {
                awaitCommit(next.ticket);
                break;
            }
            held.remove();
            heldBytes -= next.replies.readableBytes();
            var _ = channel.write(next.replies, channel.voidPromise());
        }
        resume();
    }

    private void onLoop(Runnable action) {
        try {
            channel.eventLoop().execute(action);
        } catch (RejectedExecutionException e) {
            // the server has stopped, and the connection with it
            LOG.log(Level.DEBUG, "the event loop has ended", e);
        }
    }

    private ByteBuf newBuffer() {
        return channel.alloc().buffer(FIRST_BUFFER_BYTES);
    }
}
