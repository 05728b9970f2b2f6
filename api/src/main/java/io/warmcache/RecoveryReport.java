/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache;

import java.nio.file.Path;
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
 * @param images one line for each image found when a file was mapped; see {@link WarmUpOptions}
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
        List<FileRecovery> files,
        List<ImageRecovery> images) {

    public RecoveryReport {
        dropped = Map.copyOf(dropped);
        files = List.copyOf(files);
        images = List.copyOf(images);
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

    /**
     * What became of one store's image. A snapshot: restoring goes on in the background.
     *
     * @param name the store's name
     * @param image the image's file
     * @param accepted whether it passed the gates: then its pages are restored as far as each is good
     * @param verdict why it was refused, or what was wrong with parts of it; empty if nothing was
     * @param pages pages it holds
     * @param restored pages restored from it
     * @param damaged pages not restored because their bytes, or the part of the image they are in, failed the checks
     * @param skipped pages not restored because they were in memory already, were written since, or found no free frame
     */
    public record ImageRecovery(
            String name,
            Path image,
            boolean accepted,
            String verdict,
            long pages,
            long restored,
            long damaged,
            long skipped) {}
}
