/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache;

import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** A {@link PageCache#checkpoint} under way or ended. Safe for use by many threads. */
public interface Checkpoint {
    Progress progress();

    boolean isDone();

    /** Ends it soon; images sealed before stay. Without effect when it is done. */
    void cancel();

    /**
     * Waits until it is done.
     *
     * @throws InterruptedException if the waiting thread is interrupted; the checkpoint goes on
     */
    Report await() throws InterruptedException;

    /**
     * How far it is.
     *
     * @param files stores to take an image of
     * @param filesDone of these, how many are done with, sealed or not
     * @param pages pages that were in memory when their store's turn came, of the stores looked at so far
     * @param pagesDone of these, how many were copied or left out
     * @param bytesWritten bytes of images written so far, compressed
     */
    record Progress(int files, int filesDone, long pages, long pagesDone, long bytesWritten) {}

    /**
     * What came of it.
     *
     * @param cancelled whether it was cancelled, or its cache closed, before every store had its turn
     * @param time how long it took
     * @param images one line a mapped store
     */
    record Report(boolean cancelled, Duration time, List<Image> images) {
        public Report {
            images = List.copyOf(images);
        }

        /** Pages in all images that were sealed. */
        public long pages() {
            return images.stream().mapToLong(Image::pages).sum();
        }
    }

    /**
     * What came of one store's image.
     *
     * @param store the store's name
     * @param file the image's file, or null if none was sealed
     * @param pages pages in it
     * @param leftOut pages that were in memory but not copied (changed, in use by a writer, damaged), or written again
     *     before the seal
     * @param bytes the image's length
     * @param sealTime how long the store's writes were held up for sealing it
     * @param outcome {@code "sealed"}, or why there is none, in one sentence
     */
    record Image(
            String store,
            @Nullable Path file,
            long pages,
            long leftOut,
            long bytes,
            Duration sealTime,
            String outcome) {}
}
