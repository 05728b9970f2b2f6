/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

/**
 * What one client may ask of the server.
 *
 * @param clients connections at a time
 * @param requestBytes bytes of one request, all arguments together
 * @param bulkBytes bytes of one argument
 * @param keyBytes bytes of a key
 * @param arguments arguments of one request
 */
record Limits(int clients, int requestBytes, int bulkBytes, int keyBytes, int arguments) {
    /** Arguments of a request, and bytes of each, before the client has authenticated. */
    static final int UNAUTHENTICATED_ARGUMENTS = 10;

    static final int UNAUTHENTICATED_BULK_BYTES = 16_384;

    /** Bytes of an inline command, or of the line that announces an array or a bulk string. */
    static final int LINE_BYTES = 65_536;
}
