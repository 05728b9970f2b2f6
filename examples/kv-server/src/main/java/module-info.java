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
    // static: the demo alone needs them, not the server
    requires static io.warmcache.shm;
    requires static io.warmcache.xen;
    requires static java.desktop;
    requires static org.jspecify;
    requires static tools.jackson.databind;
    requires static xchart;

    opens io.warmcache.kv to
            info.picocli;
    // the demo's options, and its report as JSON
    opens io.warmcache.kv.demo to
            info.picocli,
            tools.jackson.databind;
}
