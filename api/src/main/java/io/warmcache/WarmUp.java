/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache;

import java.time.Duration;
import java.util.List;

/**
 * What {@link WarmUpOptions} do in the background of an open cache: images are restored first, each when its store is
 * mapped, then pages of the hot list are read, hottest first. Only free frames are taken: no page in memory is evicted
 * for it. Safe for use by many threads.
 */
public interface WarmUp {
    Status status();

    /**
     * Waits until nothing is left to do for the stores mapped so far.
     *
     * @return whether that is so, false when the time ran out
     * @throws InterruptedException if the waiting thread is interrupted
     */
    boolean await(Duration atMost) throws InterruptedException;

    /** Ends what is under way, and starts nothing for stores mapped later. The hot list keeps what was not read yet. */
    void stop();

    /**
     * Counters since the cache was opened.
     *
     * @param running whether something is left to do
     * @param restored pages restored from images
     * @param reread pages read from stores because the hot list names them
     * @param present pages of either that were in memory already
     * @param noFrame pages of either for which there was no free frame
     * @param bytes bytes of the pages restored and read
     * @param imagesRemoved images deleted before a first write
     * @param checkpoints checkpoints ended
     * @param hotListWrites how often the hot list was written
     * @param problems one sentence for each thing that was ignored, or that failed, and what mends it
     */
    record Status(
            boolean running,
            long restored,
            long reread,
            long present,
            long noFrame,
            long bytes,
            long imagesRemoved,
            long checkpoints,
            long hotListWrites,
            List<String> problems) {
        public Status {
            problems = List.copyOf(problems);
        }
    }
}
