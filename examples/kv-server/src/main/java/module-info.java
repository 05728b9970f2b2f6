/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
/** A key-value server on warmcache. */
module io.warmcache.kv {
    requires com.h2database;
    requires info.picocli;
    requires io.netty.buffer;
    requires io.netty.codec;
    requires io.netty.codec.redis;
    requires io.netty.common;
    requires io.netty.transport;
    requires io.warmcache.api;
    requires io.warmcache.h2;
    requires static org.jspecify;

    opens io.warmcache.kv to
            info.picocli;
}
