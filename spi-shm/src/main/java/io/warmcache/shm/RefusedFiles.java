/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * The plain files that caches of this process have open, and descriptors of those that another of them was refused.
 * Closing one would drop the {@code fcntl} locks that the process holds on the file, an engine's own among them: they
 * are kept for the next attempt, and closed with the owner's descriptor, which drops those locks anyhow.
 */
final class RefusedFiles {
    private static final Set<Key> OPEN = new HashSet<>();
    private static final Map<Key, List<Kept>> KEPT = new HashMap<>();

    private RefusedFiles() {}

    private record Key(int devMajor, int devMinor, long inode) {
        static Key of(FileStat file) {
            return new Key(file.devMajor(), file.devMinor(), file.inode());
        }
    }

    private record Kept(boolean readOnly, int fd) {}

    /** The caller has locked the file, and keeps it until it is {@linkplain #closing}. */
    static void opened(FileStat file) {
        synchronized (OPEN) {
            OPEN.add(Key.of(file));
        }
    }

    /** Whether this process has the file. */
    static boolean isOpen(FileStat file) {
        synchronized (OPEN) {
            return OPEN.contains(Key.of(file));
        }
    }

    /** A descriptor that was kept of this file, for the caller to own; -1 if there is none. */
    static int take(FileStat file, boolean readOnly) {
        synchronized (OPEN) {
            List<Kept> kept = KEPT.getOrDefault(Key.of(file), List.of());
            for (int i = 0; i < kept.size(); i++) {
                if (kept.get(i).readOnly() == readOnly) {
                    int fd = kept.remove(i).fd();
                    if (kept.isEmpty()) {
                        KEPT.remove(Key.of(file));
                    }
                    return fd;
                }
            }
            return -1;
        }
    }

    /**
     * Keeps the descriptor of a file that is not to be had if this process has it.
     *
     * @param ours whether it is known to, as a cache of another class loader may
     * @return false if the caller may close it
     */
    static boolean keep(FileStat file, boolean readOnly, int fd, boolean ours) {
        synchronized (OPEN) {
            if (!ours && !OPEN.contains(Key.of(file))) {
                return false;
            }
            KEPT.computeIfAbsent(Key.of(file), key -> new ArrayList<>()).add(new Kept(readOnly, fd));
            return true;
        }
    }

    /** Its owner is about to close the file, still having it locked. */
    static void closing(FileStat file) {
        synchronized (OPEN) {
            OPEN.remove(Key.of(file));
            List<Kept> kept = KEPT.remove(Key.of(file));
            if (kept != null) {
                kept.forEach(each -> Libc.close(each.fd()));
            }
        }
    }

    static int count() {
        synchronized (OPEN) {
            return KEPT.values().stream().mapToInt(List::size).sum();
        }
    }
}
