/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

import io.netty.bootstrap.ServerBootstrap;
import io.netty.buffer.Unpooled;
import io.netty.channel.Channel;
import io.netty.channel.ChannelFutureListener;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.ChannelOption;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.group.ChannelGroup;
import io.netty.channel.group.DefaultChannelGroup;
import io.netty.channel.nio.NioIoHandler;
import io.netty.channel.socket.SocketChannel;
import io.netty.channel.socket.nio.NioServerSocketChannel;
import io.netty.handler.codec.redis.FixedRedisMessagePool;
import io.netty.handler.codec.redis.RedisDecoder;
import io.netty.util.concurrent.DefaultThreadFactory;
import io.netty.util.concurrent.GlobalEventExecutor;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;

/** A running server: listens, serves, and stops without losing what it acknowledged. Safe for use by many threads. */
final class Server implements AutoCloseable {
    /** The version of Redis whose behaviour clients may expect of the commands that there are. */
    static final String REDIS_VERSION = "7.2.0";

    private static final System.Logger LOG = System.getLogger(Server.class.getName());
    private static final int BACKLOG = 511;
    private static final int SLOW_REQUEST_THREADS = 2;
    private static final long STOP_SECONDS = 5;

    private final ServerConfig config;
    private final DataFile file;
    private final Runnable onShutdownRequest;
    private final long startNanos = System.nanoTime();
    private final ServerStats stats = new ServerStats();
    private final CommandTable commands = new CommandTable();
    private final ScanCursors scanCursors = new ScanCursors();
    private final InfoReport info = new InfoReport(this);
    private final AtomicInteger clients = new AtomicInteger();
    private final AtomicLong nextClientId = new AtomicLong(1);
    private final ChannelGroup channels = new DefaultChannelGroup(GlobalEventExecutor.INSTANCE);
    private final Storage storage;
    private final ExpirySweeper sweeper;
    private final ExecutorService slowRequests =
            Executors.newFixedThreadPool(SLOW_REQUEST_THREADS, new DefaultThreadFactory("kv-slow", true));
    private final EventLoopGroup loops;
    private final Channel listener;
    private final AtomicBoolean closed = new AtomicBoolean();

    /**
     * Opens the storage and listens; when this returns, clients are served.
     *
     * @param file closed with the server, also if this fails
     * @param onShutdownRequest called when a client asks for a shutdown; must return at once
     * @param onStorageFailure called when writing or forcing failed: nothing is acknowledged any more
     * @throws IOException if the file cannot be opened or the address not be bound; says why and what mends it
     */
    Server(ServerConfig config, DataFile file, Runnable onShutdownRequest, Consumer<Throwable> onStorageFailure)
            throws IOException {
        this.config = config;
        this.file = file;
        this.onShutdownRequest = onShutdownRequest;
        try {
            storage = new Storage(
                    file.name(),
                    config.mvstorePageBytes(),
                    config.mvstoreCacheMiB(),
                    config.durability(),
                    onStorageFailure);
        } catch (IOException | RuntimeException e) {
            file.close();
            throw e;
        }
        sweeper = new ExpirySweeper(storage, stats);
        loops = new MultiThreadIoEventLoopGroup(
                config.threads(), new DefaultThreadFactory("kv-loop", true), NioIoHandler.newFactory());
        listener = bootstrap().bind(config.bind(), config.port()).awaitUninterruptibly().channel();
        if (!listener.isActive()) {
            close();
            throw new IOException("cannot listen on " + config.bind() + ":" + config.port()
                    + " (in use, or not an address of this machine): choose another --port or --bind");
        }
        sweeper.start();
    }

    private ServerBootstrap bootstrap() {
        return new ServerBootstrap()
                .group(loops)
                .channel(NioServerSocketChannel.class)
                .option(ChannelOption.SO_BACKLOG, BACKLOG)
                .option(ChannelOption.SO_REUSEADDR, true)
                .childOption(ChannelOption.TCP_NODELAY, true)
                .childOption(ChannelOption.SO_KEEPALIVE, true)
                .childHandler(new ChannelInitializer<SocketChannel>() {
                    @Override
                    protected void initChannel(SocketChannel channel) {
                        accept(channel);
                    }
                });
    }

    private void accept(SocketChannel channel) {
        stats.connections.increment();
        channel.closeFuture().addListener(closed -> clients.decrementAndGet());
        if (clients.incrementAndGet() > config.limits().clients()) {
            stats.rejectedConnections.increment();
            channel.writeAndFlush(Unpooled.copiedBuffer(
                            "-ERR max number of clients reached\r\n", StandardCharsets.ISO_8859_1))
                    .addListener(ChannelFutureListener.CLOSE);
            return;
        }
        channels.add(channel);
        ConnectionHandler handler = new ConnectionHandler(this, channel);
        RequestAssembler assembler = new RequestAssembler(config.limits(), handler.session()::isAuthenticated);
        channel.pipeline()
                .addLast(
                        assembler.meter(),
                        new RedisDecoder(Limits.LINE_BYTES, FixedRedisMessagePool.INSTANCE, true),
                        assembler,
                        handler);
    }

    ServerConfig config() {
        return config;
    }

    Storage storage() {
        return storage;
    }

    CacheView cache() {
        return file.cache();
    }

    ServerStats stats() {
        return stats;
    }

    CommandTable commands() {
        return commands;
    }

    ScanCursors scanCursors() {
        return scanCursors;
    }

    /** The port listened on. */
    int port() {
        return ((InetSocketAddress) listener.localAddress()).getPort();
    }

    /** Connections now. */
    int clients() {
        return clients.get();
    }

    long nextClientId() {
        return nextClientId.getAndIncrement();
    }

    long uptimeNanos() {
        return System.nanoTime() - startNanos;
    }

    String info(List<String> sections) {
        return info.text(sections);
    }

    void runElsewhere(Runnable request) {
        slowRequests.execute(request);
    }

    void requestShutdown() {
        onShutdownRequest.run();
    }

    /** What CONFIG GET knows. */
    Map<String, String> parameters() {
        Map<String, String> all = new LinkedHashMap<>();
        all.put("bind", config.bind());
        all.put("port", Integer.toString(port()));
        all.put("databases", Integer.toString(Storage.DATABASES));
        all.put("maxclients", Integer.toString(config.limits().clients()));
        all.put("proto-max-bulk-len", Integer.toString(config.limits().bulkBytes()));
        all.put("appendonly", "yes");
        all.put("appendfsync", config.durability().word());
        all.put("save", "");
        all.put("maxmemory", "0");
        all.put("timeout", "0");
        all.put("io-threads", Integer.toString(config.threads()));
        return all;
    }

    /**
     * Stops: accepts nobody, runs nothing more, commits and forces, sends the replies that waited for it, closes the
     * connections, the storage and its file. Does nothing the second time.
     */
    @Override
    public void close() {
        if (!closed.compareAndSet(false, true)) {
            return;
        }
        listener.close().awaitUninterruptibly(STOP_SECONDS, TimeUnit.SECONDS);
        channels.forEach(channel -> channel.eventLoop().execute(() -> {
            ConnectionHandler handler = channel.pipeline().get(ConnectionHandler.class);
            if (handler != null) {
                handler.quiesce();
            }
        }));
        try {
            slowRequests.shutdown();
            if (!slowRequests.awaitTermination(STOP_SECONDS, TimeUnit.SECONDS)) {
                LOG.log(Level.WARNING, "a request that takes long is cut off");
            }
            sweeper.close();
            storage.committer().stop();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        // behind the tasks that send what waited for the last commit
        channels.close().awaitUninterruptibly(STOP_SECONDS, TimeUnit.SECONDS);
        loops.shutdownGracefully(0, STOP_SECONDS, TimeUnit.SECONDS).awaitUninterruptibly();
        storage.close();
        file.close();
    }
}
