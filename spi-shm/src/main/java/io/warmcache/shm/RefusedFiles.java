/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;

/**
 * Descriptors of files that turned out to belong to another cache of this process. Closing one would drop the {@code
 * fcntl} locks that the process holds on the file, an engine's own among them: they are kept for the next attempt, and
 * closed with the descriptor of the owner, which drops those locks anyhow.
 */
final class RefusedFiles {
    private static final List<Kept> KEPT = new ArrayList<>();

    private RefusedFiles() {}

    private record Kept(FileStat file, boolean readOnly, int fd) {}

    /** A descriptor that was kept of this file, for the caller to own; -1 if there is none. */
    static int take(FileStat file, boolean readOnly) {
        synchronized (KEPT) {
            for (Iterator<Kept> all = KEPT.iterator(); all.hasNext(); ) {
                Kept kept = all.next();
                if (kept.readOnly() == readOnly && kept.file().sameFile(file)) {
                    all.remove();
                    return kept.fd();
                }
            }
        }
        return -1;
    }

    static void keep(FileStat file, boolean readOnly, int fd) {
        synchronized (KEPT) {
            KEPT.add(new Kept(file, readOnly, fd));
        }
    }

    /** The owner has closed the file. */
    static void close(FileStat file) {
        synchronized (KEPT) {
            for (Iterator<Kept> all = KEPT.iterator(); all.hasNext(); ) {
                Kept kept = all.next();
                if (kept.file().sameFile(file)) {
                    all.remove();
                    Libc.close(kept.fd());
                }
            }
        }
    }

    static int count() {
        synchronized (KEPT) {
            return KEPT.size();
        }
    }
}
