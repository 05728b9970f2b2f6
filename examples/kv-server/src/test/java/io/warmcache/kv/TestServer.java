/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;
import redis.clients.jedis.DefaultJedisClientConfig;
import redis.clients.jedis.HostAndPort;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.RedisProtocol;

/** A server in this JVM on a plain file, on any free port. */
final class TestServer implements AutoCloseable {
    final AtomicInteger shutdownRequests = new AtomicInteger();
    final AtomicReference<@Nullable Throwable> storageFailure = new AtomicReference<>();
    final Server server;

    private TestServer(ServerConfig config, DataFile file) throws IOException {
        server = new Server(config, file, shutdownRequests::incrementAndGet, storageFailure::set);
    }

    /** Settings of a test server; each method changes one. */
    static final class Settings {
        private String fileName;
        private Durability durability = Durability.EVERYSEC;
        private @Nullable String password;
        private Limits limits = new Limits(100, 8 << 20, 4 << 20, 1 << 16, 1 << 16);
        Settings(Path directory) {
            fileName = directory.resolve("test.mvstore").toString();
        }

        /** The data file as H2 takes it; test.mvstore in the directory if this is not called. */
        Settings fileName(String value) {
            fileName = value;
            return this;
        }

        Settings durability(Durability value) {
            durability = value;
            return this;
        }

        Settings password(String value) {
            password = value;
            return this;
        }

        Settings limits(Limits value) {
            limits = value;
            return this;
        }

        TestServer start() throws IOException {
            ServerConfig config =
                    new ServerConfig("127.0.0.1", 0, fileName, durability, 2, 4, 8192, password, limits);
            return new TestServer(config, DataFile.plain(fileName));
        }
    }

    static TestServer start(Path directory) throws IOException {
        return new Settings(directory).start();
    }

    int port() {
        return server.port();
    }

    Jedis jedis() {
        return jedis(RedisProtocol.RESP2);
    }

    Jedis jedis(RedisProtocol protocol) {
        return new Jedis(
                new HostAndPort("127.0.0.1", port()),
                DefaultJedisClientConfig.builder()
                        .protocol(protocol)
                        .socketTimeoutMillis(60_000)
                        .build());
    }

    RawClient raw() throws IOException {
        return new RawClient(port());
    }

    /** A field of INFO. */
    String info(String field) {
        try (Jedis jedis = jedis()) {
            return jedis.info().lines()
                    .filter(line -> line.startsWith(field + ":"))
                    .findFirst()
                    .orElseThrow(() -> new AssertionError("INFO has no field " + field))
                    .substring(field.length() + 1);
        }
    }

    @Override
    public void close() {
        server.close();
        Throwable failure = storageFailure.get();
        if (failure != null) {
            throw new AssertionError("the storage failed", failure);
        }
    }
}
