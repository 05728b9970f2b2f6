/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture;

/** How a life ends, or what is done to it meanwhile. */
enum Kind {
    /** SIGKILL at a random moment. */
    KILL(38),
    /** SIGKILL of itself at a step of the back end's protocols; {@code shm} alone has them within the guest. */
    STEP(20),
    /** SIGKILL of itself before or after a call of the back end. */
    VERB(12),
    /** An orderly close, with a look at the whole structure and at pins before. */
    CLEAN(5),
    /** SIGSTOP and SIGCONT, then SIGKILL. */
    STOP(4),
    /** SIGKILL while stopped, with the successor waiting already. */
    TAKEOVER(4),
    /** SIGABRT, as after an error in the virtual machine. */
    ABORT(1),
    /** Killed by the kernel for want of memory in a control group. */
    OOM(1),
    /** EIO from a store, then SIGKILL. */
    EIO(4),
    /** Short transfers of a store, then SIGKILL. */
    SHORT(3),
    /** A store without room, then SIGKILL. */
    FULL_STORE(2),
    /** A file system without room, then SIGKILL. */
    FULL_DISK(2),
    /** A slow store, so that transfers are half done at the SIGKILL. */
    SLOW_STORE(4),
    /** A disk that the kernel slows down, so that its I/O is under way at the SIGKILL. */
    SLOW_DISK(1),
    /** No room for the segment; a life beside the others. */
    FULL_MEMORY(1);

    /** How often, relative to the others. */
    final int weight;

    Kind(int weight) {
        this.weight = weight;
    }
}
