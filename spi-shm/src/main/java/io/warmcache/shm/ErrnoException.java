/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import java.io.IOException;

/** A failed system call: names the call, the file and the error. */
final class ErrnoException extends IOException {
    private static final long serialVersionUID = 1L;

    private final int errno;

    ErrnoException(String call, String what, int errno) {
        super(call + " of " + what + " failed: " + Libc.errorText(errno) + mend(errno));
        this.errno = errno;
    }

    private static String mend(int errno) {
        return errno == Libc.EMFILE
                ? ". This process may have no more descriptors open: raise its limit (RLIMIT_NOFILE, ulimit -n), or map"
                        + " fewer files at once"
                : "";
    }

    int errno() {
        return errno;
    }
}
