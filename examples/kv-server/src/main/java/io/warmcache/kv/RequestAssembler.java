/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

import io.netty.buffer.ByteBuf;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.handler.codec.DecoderException;
import io.netty.handler.codec.redis.ArrayHeaderRedisMessage;
import io.netty.handler.codec.redis.BulkStringHeaderRedisMessage;
import io.netty.handler.codec.redis.BulkStringRedisContent;
import io.netty.handler.codec.redis.FullBulkStringRedisMessage;
import io.netty.handler.codec.redis.InlineCommandRedisMessage;
import io.netty.handler.codec.redis.LastBulkStringRedisContent;
import io.netty.util.ReferenceCountUtil;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;

/**
 * Puts the pieces that Netty's Redis decoder finds together to {@link Request}s, holding each to the {@link Limits}
 * as its pieces are announced and before memory is spent on them; the codec's own aggregators know no limit below 512
 * MiB and none for a whole request. After the first thing that makes no sense it passes on a {@link ProtocolError},
 * and nothing more.
 */
final class RequestAssembler extends ChannelInboundHandlerAdapter {
    /** What a client may send without any piece being found in it: a line and what one read adds to it. */
    private static final int MAX_UNDECODED_BYTES = 2 * Limits.LINE_BYTES;
    /** A bulk string starts with at most this much memory, whatever length it announces. */
    private static final int FIRST_CHUNK_BYTES = 65_536;
    private static final int FIRST_ARGUMENTS = 64;
    private static final byte[] EMPTY = {};

    private final Limits limits;
    private final BooleanSupplier authenticated;

    private boolean failed;
    private int undecodedBytes;
    /** Arguments still to come of the request under way; 0 between requests. */
    private int missingArguments;
    private List<byte[]> arguments = List.of();
    private long requestBytes;
    /** The bulk string under way; its length is the room made so far, not the length announced. */
    private byte @Nullable [] bulk;
    private int bulkFilled;
    private int bulkLength;

    RequestAssembler(Limits limits, BooleanSupplier authenticated) {
        this.limits = limits;
        this.authenticated = authenticated;
    }

    /** To be placed before the decoder: counts what goes in, so that a line without an end is noticed. */
    ChannelInboundHandlerAdapter meter() {
        return new ChannelInboundHandlerAdapter() {
            @Override
            public void channelRead(ChannelHandlerContext ctx, Object message) {
                if (failed) {
                    ReferenceCountUtil.release(message);
                    return;
                }
                undecodedBytes += ((ByteBuf) message).readableBytes();
                ctx.fireChannelRead(message);
                if (undecodedBytes > MAX_UNDECODED_BYTES && !failed) {
                    fail(ctx.pipeline().context(RequestAssembler.this), "too big inline request");
                }
            }
        };
    }

    @Override
    public void channelRead(ChannelHandlerContext ctx, Object message) {
        undecodedBytes = 0;
        try {
            if (!failed) {
                assemble(ctx, message);
            }
        } finally {
            ReferenceCountUtil.release(message);
        }
    }

    @Override
    public void exceptionCaught(ChannelHandlerContext ctx, Throwable cause) {
        if (cause instanceof DecoderException) {
            Throwable reason = cause.getCause() == null ? cause : cause.getCause();
            fail(ctx, String.valueOf(reason.getMessage()));
        } else {
            ctx.fireExceptionCaught(cause);
        }
    }

    private void assemble(ChannelHandlerContext ctx, Object message) {
        // the most frequent first; a full bulk string is also a last content, a last content also a content
        if (message instanceof FullBulkStringRedisMessage full) {
            if (full.isNull()) {
                fail(ctx, "invalid bulk length");
            } else if (expectsBulk(ctx, full.content().readableBytes())) {
                bulk = EMPTY;
                append(full.content());
                argumentComplete(ctx);
            }
        } else if (message instanceof BulkStringHeaderRedisMessage header) {
            if (expectsBulk(ctx, header.bulkStringLength())) {
                bulkLength = header.bulkStringLength();
                bulk = new byte[Math.min(bulkLength, FIRST_CHUNK_BYTES)];
            }
        } else if (message instanceof BulkStringRedisContent content) {
            append(content.content());
            if (message instanceof LastBulkStringRedisContent) {
                argumentComplete(ctx);
            }
        } else if (message instanceof ArrayHeaderRedisMessage header) {
            startRequest(ctx, header.length());
        } else if (message instanceof InlineCommandRedisMessage inline && missingArguments == 0) {
            inline(ctx, inline.content());
        } else if (missingArguments > 0) {
            fail(ctx, "expected '$' and the length of an argument");
        } else {
            fail(ctx, "expected '*' and the number of arguments, or an inline command");
        }
    }

    private void startRequest(ChannelHandlerContext ctx, long length) {
        if (missingArguments > 0) {
            fail(ctx, "expected '$', got '*'");
        } else if (length > limits.arguments()) {
            fail(ctx, "invalid multibulk length");
        } else if (length > Limits.UNAUTHENTICATED_ARGUMENTS && !authenticated.getAsBoolean()) {
            fail(ctx, "unauthenticated multibulk length");
        } else if (length > 0) {
            missingArguments = (int) length;
            arguments = new ArrayList<>(Math.min(missingArguments, FIRST_ARGUMENTS));
            requestBytes = 0;
        }
    }

    /** Whether a bulk string of {@code length} bytes may come now; if not, has failed. */
    private boolean expectsBulk(ChannelHandlerContext ctx, int length) {
        if (missingArguments == 0) {
            fail(ctx, "expected '*', got '$'");
        } else if (length > limits.bulkBytes()) {
            fail(ctx, "invalid bulk length");
        } else if (length > Limits.UNAUTHENTICATED_BULK_BYTES && !authenticated.getAsBoolean()) {
            fail(ctx, "unauthenticated bulk length");
        } else {
            requestBytes += length;
            if (requestBytes > limits.requestBytes()) {
                fail(ctx, "request is larger than the " + limits.requestBytes() + " bytes that --max-request allows");
            }
        }
        return !failed;
    }

    private void append(ByteBuf content) {
        byte[] room = bulk;
        if (room == null) {
            return;
        }
        int added = content.readableBytes();
        if (bulkFilled + added > room.length) {
            room = Arrays.copyOf(room, (int) Math.min(bulkLength, Math.max(2L * room.length, bulkFilled + added)));
            bulk = room;
        }
        content.readBytes(room, bulkFilled, added);
        bulkFilled += added;
    }

    private void argumentComplete(ChannelHandlerContext ctx) {
        byte[] argument = bulk;
        if (argument == null) {
            return;
        }
        arguments.add(argument);
        bulk = null;
        bulkFilled = 0;
        bulkLength = 0;
        if (--missingArguments == 0) {
            byte[][] all = arguments.toArray(new byte[0][]);
            arguments = List.of();
            ctx.fireChannelRead(new Request(all));
        }
    }

    private void inline(ChannelHandlerContext ctx, String line) {
        if (line.indexOf('\uFFFD') >= 0) {
            // the decoder has put this character where bytes were not UTF-8: what they were is gone
            fail(ctx, "inline commands are UTF-8 text; send other bytes as an array of bulk strings");
            return;
        }
        List<byte[]> words = InlineCommand.split(line);
        if (words == null) {
            fail(ctx, "unbalanced quotes in request");
        } else if (!words.isEmpty()) {
            ctx.fireChannelRead(new Request(words.toArray(new byte[0][])));
        }
    }

    private void fail(ChannelHandlerContext ctx, String message) {
        failed = true;
        bulk = null;
        arguments = List.of();
        ctx.fireChannelRead(new ProtocolError(message));
    }
}
