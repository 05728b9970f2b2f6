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
        private final Path file;
        private Durability durability = Durability.EVERYSEC;
        private @Nullable String password;
        private Limits limits = new Limits(100, 8 << 20, 4 << 20, 1 << 16, 1 << 16);
        private @Nullable CacheView cache;

        Settings(Path directory) {
            file = directory.resolve("test.mvstore");
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

        Settings cache(CacheView value) {
            cache = value;
            return this;
        }

        TestServer start() throws IOException {
            ServerConfig config =
                    new ServerConfig("127.0.0.1", 0, file.toString(), durability, 2, 4, 8192, password, limits);
            DataFile plain = DataFile.plain(file.toString());
            CacheView view = cache;
            return new TestServer(config, view == null ? plain : new DataFile() {
                @Override
                public String name() {
                    return plain.name();
                }

                @Override
                public CacheView cache() {
                    return view;
                }

                @Override
                public void close() {
                    plain.close();
                }
            });
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
