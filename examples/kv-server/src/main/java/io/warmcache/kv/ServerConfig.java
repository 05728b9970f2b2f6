/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import org.jspecify.annotations.Nullable;

/**
 * How a server runs.
 *
 * @param bind the address to listen on
 * @param port the port, 0 for any that is free
 * @param fileName the data file, for people to read
 * @param durability when writes are acknowledged
 * @param threads event loops that serve the connections
 * @param mvstoreCacheMiB MVStore's own cache of decoded pages
 * @param mvstorePageBytes MVStore splits its pages above this size
 * @param password what clients must give to AUTH; null if they need not
 * @param limits what one client may ask
 */
record ServerConfig(
        String bind,
        int port,
        String fileName,
        Durability durability,
        int threads,
        int mvstoreCacheMiB,
        int mvstorePageBytes,
        @Nullable String password,
        Limits limits) {

    boolean needsPassword() {
        return password != null;
    }

    /** Compares in a time that does not tell how much of the password was right. */
    boolean acceptsPassword(byte[] given) {
        return password == null || MessageDigest.isEqual(password.getBytes(StandardCharsets.UTF_8), given);
    }

    /** Without the password: configurations end up in logs. */
    @Override
    public String toString() {
        return "ServerConfig[" + bind + ":" + port + ", " + fileName + ", " + durability.word() + "]";
    }
}
