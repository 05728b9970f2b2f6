/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture;

import java.util.concurrent.atomic.AtomicLong;

/** Counts steps, and ends the process with SIGKILL at one of them. */
final class Steps {
    private final AtomicLong left;

    Steps(long dieAt) {
        left = new AtomicLong(dieAt);
        if (dieAt > 0) {
            // bind the function now, not in the midst of a protocol
            Signals.send(ProcessHandle.current().pid(), 0);
        }
    }

    void step() {
        if (left.decrementAndGet() == 0) {
            Signals.send(ProcessHandle.current().pid(), Signals.KILL);
            throw new IllegalStateException("a process outlived its SIGKILL");
        }
    }
}
