/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

import io.warmcache.BackingStore;
import io.warmcache.StoreId;
import io.warmcache.StoreVersion;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** What the VMM remembers of a virtual disk from one life of the guest to the next. Guarded by the machine's lock. */
final class Device {
    /** Blocks remembered for a canary. */
    static final int RING = 64;

    final long id;
    final StoreId storeId;
    /** What whoever opened it last called its store. */
    String name = "";

    boolean open;
    /** What the guest has it open on; the VMM closes it when the guest dies. */
    @Nullable BackingStore store;
    long lastOpened;
    /** The version that the records count for; null while that cannot be said. */
    @Nullable StoreVersion version;
    /** Whether {@link #version} was taken so soon after a write that its times could not show another. */
    boolean unsettled;
    int writesInFlight;
    /** Counts writes that ended. */
    long writes;
    /** Writes that had ended when the last successful force began. */
    long forced;

    long lastWriteNanos;

    /** Checksums of the blocks written last, oldest first. */
    final Map<Long, Long> ring = new LinkedHashMap<>();

    /** Where guests are other processes: the frame of each page, as last recorded. */
    final Map<Long, Integer> frameOf = new HashMap<>();

    Device(long id, StoreId storeId) {
        this.id = id;
        this.storeId = storeId;
    }

    void remember(long block, long checksum) {
        ring.remove(block);
        ring.put(block, checksum);
        if (ring.size() > RING) {
            ring.remove(ring.keySet().iterator().next());
        }
    }
}
