/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

import java.util.concurrent.atomic.LongAdder;

/** Counts since the server started. Safe for use by many threads. */
final class ServerStats {
    final LongAdder connections = new LongAdder();
    final LongAdder rejectedConnections = new LongAdder();
    final LongAdder commands = new LongAdder();
    final LongAdder errorReplies = new LongAdder();
    final LongAdder protocolErrors = new LongAdder();
    final LongAdder keyspaceHits = new LongAdder();
    final LongAdder keyspaceMisses = new LongAdder();
    final LongAdder expiredKeys = new LongAdder();

    void lookedUp(boolean found) {
        (found ? keyspaceHits : keyspaceMisses).increment();
    }
}
