/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache;

import java.time.Duration;
import java.util.Map;
import java.util.Objects;
import java.util.function.Consumer;

/**
 * How a cache is opened. Immutable; start from {@link #of} and change with the {@code with} methods.
 *
 * @param name names the segment: 1 to 200 of {@code A-Z a-z 0-9 . _ -}, not starting with a dot; or, for the back ends
 *     that take one, the absolute path of a mappable file
 * @param capacity bytes of all frames together, at least 8 pages; rounded down to whole pages
 * @param maxCapacity bytes that {@link PageCache#resize} may grow the cache to while it is open; 0 for {@code
 *     capacity}. Costs heap for its bookkeeping (about 60 bytes a page), and no frame memory before it is used
 * @param pageSize bytes of a page, a power of two from 4,096 to 65,536
 * @param backend the name of the back end that keeps the frames; {@code "shm"} by default, {@code "volatile"} for
 *     frames that end with the cache, on any platform
 * @param checksum {@code "xxh64"} (default) or {@code "crc32c"}
 * @param validation when frames found in memory are validated
 * @param ownerWait how long {@code open} waits for a dying owner; zero means 5 s and 100 ms per GiB of capacity
 * @param maxUnfinishedAttaches after so many attaches in a row that died before their scrub finished the cache starts
 *     cold; 0 for no limit
 * @param latchTimeout how long one call waits for a page that others keep
 * @param maxFiles how many files the ledger can know at once; the least recently mapped is forgotten first
 * @param debug records where pins were taken, and makes use of a segment after its pin was closed an exception
 * @param options further settings of the back end
 * @param warmUp how the cache becomes warm when its memory is gone
 * @param wipeOnClose whether closing the cache overwrites its memory with zeros and removes it, so that the next {@code
 *     open} is cold. A process that dies leaves its memory as it is, for the next {@code open} to take over or {@link
 *     PageCache#drop(CacheConfig)} to wipe. Images and hot lists are written all the same, where asked for
 */
public record CacheConfig(
        String name,
        long capacity,
        long maxCapacity,
        int pageSize,
        String backend,
        String checksum,
        Validation validation,
        Duration ownerWait,
        int maxUnfinishedAttaches,
        Duration latchTimeout,
        int maxFiles,
        boolean debug,
        Map<String, String> options,
        WarmUpOptions warmUp,
        boolean wipeOnClose) {

    public CacheConfig {
        Objects.requireNonNull(warmUp, "warmUp");
        Objects.requireNonNull(name, "name");
        if (pageSize < 4096 || pageSize > 65536 || Integer.bitCount(pageSize) != 1) {
            throw new IllegalArgumentException(
                    "pageSize is " + pageSize + ": it must be a power of two from 4096 to 65536");
        }
        if (capacity / pageSize < 8) {
            throw new IllegalArgumentException(
                    "capacity is " + capacity + " bytes: it must hold at least 8 pages of " + pageSize);
        }
        if (maxCapacity != 0 && maxCapacity < capacity) {
            throw new IllegalArgumentException("maxCapacity is " + maxCapacity + " bytes: it must be 0 or at least the"
                    + " capacity of " + capacity);
        }
        if (Math.max(capacity, maxCapacity) / pageSize > 1 << 24) {
            throw new IllegalArgumentException((maxCapacity == 0 ? "capacity is " + capacity : "maxCapacity is "
                    + maxCapacity) + " bytes: at most 16,777,216 pages of "
                    + pageSize + " fit; use a larger pageSize");
        }
        if (maxFiles < 1 || maxFiles > 1 << 20) {
            throw new IllegalArgumentException("maxFiles is " + maxFiles + ": it must be from 1 to 1048576");
        }
        if (maxUnfinishedAttaches < 0) {
            throw new IllegalArgumentException("maxUnfinishedAttaches is " + maxUnfinishedAttaches + ": 0 or more");
        }
        if (ownerWait.isNegative() || latchTimeout.isNegative()) {
            throw new IllegalArgumentException("ownerWait and latchTimeout must not be negative");
        }
        options = Map.copyOf(options);
    }

    /** A cache named {@code name} of {@code capacity} bytes: 4 KiB pages in shared memory, defaults for the rest. */
    public static CacheConfig of(String name, long capacity) {
        return new CacheConfig(
                name,
                capacity,
                0,
                4096,
                "shm",
                "xxh64",
                Validation.LAZY,
                Duration.ZERO,
                3,
                Duration.ofSeconds(30),
                1024,
                false,
                Map.of(),
                WarmUpOptions.NONE,
                false);
    }

    /** Frames of the cache. */
    public int frames() {
        return (int) (capacity / pageSize);
    }

    /** Frames there is room for: those of {@code maxCapacity}, or of {@code capacity} if that is 0. */
    public int maxFrames() {
        return (int) (Math.max(capacity, maxCapacity) / pageSize);
    }

    public CacheConfig withCapacity(long value) {
        return with(draft -> draft.capacity = value);
    }

    public CacheConfig withMaxCapacity(long value) {
        return with(draft -> draft.maxCapacity = value);
    }

    public CacheConfig withPageSize(int value) {
        return with(draft -> draft.pageSize = value);
    }

    public CacheConfig withBackend(String value) {
        return with(draft -> draft.backend = value);
    }

    public CacheConfig withChecksum(String value) {
        return with(draft -> draft.checksum = value);
    }

    public CacheConfig withValidation(Validation value) {
        return with(draft -> draft.validation = value);
    }

    public CacheConfig withOwnerWait(Duration value) {
        return with(draft -> draft.ownerWait = value);
    }

    public CacheConfig withMaxUnfinishedAttaches(int value) {
        return with(draft -> draft.maxUnfinishedAttaches = value);
    }

    public CacheConfig withLatchTimeout(Duration value) {
        return with(draft -> draft.latchTimeout = value);
    }

    public CacheConfig withMaxFiles(int value) {
        return with(draft -> draft.maxFiles = value);
    }

    public CacheConfig withDebug(boolean value) {
        return with(draft -> draft.debug = value);
    }

    public CacheConfig withOptions(Map<String, String> value) {
        return with(draft -> draft.options = value);
    }

    public CacheConfig withWarmUp(WarmUpOptions value) {
        return with(draft -> draft.warmUp = value);
    }

    public CacheConfig withWipeOnClose(boolean value) {
        return with(draft -> draft.wipeOnClose = value);
    }

    private CacheConfig with(Consumer<Draft> change) {
        Draft draft = new Draft(this);
        change.accept(draft);
        return draft.config();
    }

    /** A copy that can be changed. */
    private static final class Draft {
        final String name;
        long capacity;
        long maxCapacity;
        int pageSize;
        String backend;
        String checksum;
        Validation validation;
        Duration ownerWait;
        int maxUnfinishedAttaches;
        Duration latchTimeout;
        int maxFiles;
        boolean debug;
        Map<String, String> options;
        WarmUpOptions warmUp;
        boolean wipeOnClose;

        Draft(CacheConfig of) {
            name = of.name;
            capacity = of.capacity;
            maxCapacity = of.maxCapacity;
            pageSize = of.pageSize;
            backend = of.backend;
            checksum = of.checksum;
            validation = of.validation;
            ownerWait = of.ownerWait;
            maxUnfinishedAttaches = of.maxUnfinishedAttaches;
            latchTimeout = of.latchTimeout;
            maxFiles = of.maxFiles;
            debug = of.debug;
            options = of.options;
            warmUp = of.warmUp;
            wipeOnClose = of.wipeOnClose;
        }

        CacheConfig config() {
            return new CacheConfig(
                    name,
                    capacity,
                    maxCapacity,
                    pageSize,
                    backend,
                    checksum,
                    validation,
                    ownerWait,
                    maxUnfinishedAttaches,
                    latchTimeout,
                    maxFiles,
                    debug,
                    options,
                    warmUp,
                    wipeOnClose);
        }
    }
}
