/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache;

import java.time.Duration;
import java.util.List;
import java.util.Map;

/**
 * What an attach found in memory and what became of it. A snapshot: with {@link Validation#LAZY} frames are still being
 * validated after {@link PageCache#open}, and {@code kept} falls as they fail.
 *
 * @param warm whether frames of an earlier life were taken over
 * @param coldReason why not, in one sentence; empty when warm
 * @param cleanStop whether the previous owner had closed the cache
 * @param framesTotal frames of the segment
 * @param found frames that held something when the cache attached
 * @param kept of these, how many are still reusable: validated, or waiting for their first touch
 * @param unvalidated of the kept, how many have not been validated by checksum yet
 * @param dropped frames not kept, by reason; reasons that did not occur are absent
 * @param bytesKept bytes of the kept frames
 * @param ownerWait how long the attach waited for a dying owner
 * @param timeToReady from the start of {@link PageCache#open} until every lookup was answered, owner wait included
 * @param files one line a file mapped so far
 */
public record RecoveryReport(
        boolean warm,
        String coldReason,
        boolean cleanStop,
        int framesTotal,
        int found,
        int kept,
        int unvalidated,
        Map<DropReason, Integer> dropped,
        long bytesKept,
        Duration ownerWait,
        Duration timeToReady,
        List<FileRecovery> files) {

    public RecoveryReport {
        dropped = Map.copyOf(dropped);
        files = List.copyOf(files);
    }

    /** Frames that were found and not kept. */
    public int droppedTotal() {
        return dropped.values().stream().mapToInt(Integer::intValue).sum();
    }

    /**
     * What the gates decided for one file.
     *
     * @param name the store's name
     * @param verdict the gate's verdict in a few words
     * @param found frames of this file that were there when it was mapped
     * @param kept of these, how many passed the file's gates
     * @param canaryBlocks blocks compared with the store to decide
     */
    public record FileRecovery(String name, String verdict, int found, int kept, int canaryBlocks) {}
}
