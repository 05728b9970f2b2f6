/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache;

import java.nio.file.Path;
import java.time.Duration;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * How a cache becomes warm when its memory is gone: after a loss of power, or on another host. Two means, both kept in
 * {@code directory}: <b>images</b>, one file a store, hold the bytes of its pages and are restored without reading
 * the store; the <b>hot list</b> holds page numbers in order of heat, and the pages are read again from the store.
 *
 * <p>An image is good until the first write to its store, before which the cache deletes it. So whoever opens a store
 * of which there is an image must name the image's directory here, or delete the image: a write of a cache that does
 * not know of the image is noticed by the store's version alone, which for {@link StoreVersion.Strength#EXACT} does not
 * tell one cache's writes. For the same reason an image must never be copied back to where it was.
 *
 * @param directory where images are looked for when a store is mapped, and where the hot list is kept; null for
 *     neither. Created when something is first written to it
 * @param imageAtClose whether an image of a store is written when its last mapping is closed. The close takes as long
 *     as that
 * @param hotList whether the hot list is kept, and read at the start
 * @param hotListInterval how often it is written, beside the time the cache is closed; at least 1 ms
 * @param checkpointRate bytes of pages a second that {@link PageCache#checkpoint} copies at most; 0 for no limit
 * @param warmUpRate bytes of pages a second that are restored from images or read again from stores at most; 0 for no
 *     limit
 */
public record WarmUpOptions(
        @Nullable Path directory,
        boolean imageAtClose,
        boolean hotList,
        Duration hotListInterval,
        long checkpointRate,
        long warmUpRate) {
    /** No directory: nothing is restored and nothing kept, and a checkpoint runs at 256 MiB/s. The default. */
    public static final WarmUpOptions NONE =
            new WarmUpOptions(null, false, false, Duration.ofSeconds(60), 256L << 20, 256L << 20);

    public WarmUpOptions {
        Objects.requireNonNull(hotListInterval, "hotListInterval");
        if (directory == null && (imageAtClose || hotList)) {
            throw new IllegalArgumentException("an image at close and a hot list need a directory: name one");
        }
        if (hotListInterval.compareTo(Duration.ofMillis(1)) < 0) {
            throw new IllegalArgumentException("hotListInterval is " + hotListInterval + ": at least 1 ms");
        }
        if (checkpointRate < 0 || warmUpRate < 0) {
            throw new IllegalArgumentException("checkpointRate and warmUpRate must not be negative");
        }
    }

    /**
     * Images are restored from a directory, and a hot list is kept there once a minute; no image at close, 256 MiB/s.
     */
    public static WarmUpOptions in(Path directory) {
        return new WarmUpOptions(
                directory.toAbsolutePath(), false, true, NONE.hotListInterval, NONE.checkpointRate, NONE.warmUpRate);
    }

    public WarmUpOptions withImageAtClose(boolean value) {
        return new WarmUpOptions(directory, value, hotList, hotListInterval, checkpointRate, warmUpRate);
    }

    public WarmUpOptions withHotList(boolean value) {
        return new WarmUpOptions(directory, imageAtClose, value, hotListInterval, checkpointRate, warmUpRate);
    }

    public WarmUpOptions withHotListInterval(Duration value) {
        return new WarmUpOptions(directory, imageAtClose, hotList, value, checkpointRate, warmUpRate);
    }

    public WarmUpOptions withCheckpointRate(long value) {
        return new WarmUpOptions(directory, imageAtClose, hotList, hotListInterval, value, warmUpRate);
    }

    public WarmUpOptions withWarmUpRate(long value) {
        return new WarmUpOptions(directory, imageAtClose, hotList, hotListInterval, checkpointRate, value);
    }
}
