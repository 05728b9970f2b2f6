/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.fuzz;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Locale;
import java.util.random.RandomGenerator;

/** Something that is given mutated input. One thread at a time. */
interface Target extends AutoCloseable {
    /** What there is to choose from. */
    enum Kind {
        /** Segments in shared memory, attached and read; stores in memory, of exact versions. */
        SEGMENT,
        /** The file table of a segment, whose stores are plain files. */
        JOURNAL,
        /** Checkpoint images. */
        IMAGE,
        /** Hot lists. */
        HOTLIST,
        /** Messages to an {@code xen-simd}, and its answers. */
        WIRE,
        /** Requests to the KV server. */
        RESP;

        /**
         * Prepares it.
         *
         * @param directory where what the mutations start from is kept: a mutation is made again only from the same
         */
        Target open(Path directory) throws Exception {
            return switch (this) {
                case SEGMENT -> new SegmentTarget(directory, false);
                case JOURNAL -> new SegmentTarget(directory, true);
                case IMAGE -> new ImageTarget(directory);
                case HOTLIST -> new HotListTarget(directory);
                case WIRE -> new WireTarget();
                case RESP -> new RespTarget(directory);
            };
        }

        String label() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    /**
     * Makes one input of what {@code random} gives, feeds it, and looks at what comes of it.
     *
     * @return in a few words how the input was taken, the same for inputs of the same effect
     * @throws Exception whatever should not have come of it: a {@link Finding}, or what was thrown that is documented
     *     nowhere
     */
    String run(RandomGenerator random) throws Exception;

    /** What was served from memory or taken for good, so that a run in which nothing ever is shows. */
    long served();

    @Override
    void close() throws IOException;
}
