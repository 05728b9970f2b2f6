/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import java.time.Instant;
import org.jspecify.annotations.Nullable;

/**
 * Where the content of each frame came from, and when, for {@code explain()}: one word a frame, written by the owner of
 * its page's word on a miss, a validation and a write-back, never on a hit.
 *
 * <pre>
 *  63      61 60      58 57              29 28              0
 *  +---------+----------+------------------+-----------------+
 *  | source  | validated| since            | written         |
 *  +---------+----------+------------------+-----------------+
 * </pre>
 * Times are tenths of a second since the cache was opened, plus 1; 0 for never. They stop at 1.7 years. A word that was
 * never written is that of a frame found in memory when the cache was opened, so that an attach need not write it.
 */
final class FrameHistory {
    /** How a frame came by its content. */
    static final int FROM_STORE = 1;

    static final int FOUND = 2;
    static final int OVERWRITTEN = 3;
    static final int FROM_IMAGE = 4;

    /** What made a frame found in memory be validated. */
    enum Check {
        NONE(0, "not validated yet"),
        TOUCH(1, "first touch"),
        SCRUB(2, "background scrub"),
        EAGER(3, "eager validation at map"),
        CANARY(4, "canary at map, compared with the store"),
        STORE(5, "comparison of all with the store at map"),
        IMAGE(6, "copying into a checkpoint image");

        private final int number;
        final String text;

        Check(int number, String text) {
            this.number = number;
            this.text = text;
        }
    }

    private static final Check[] CHECKS = Check.values();
    private static final int TIME_BITS = 29;
    private static final long TIME_MASK = (1L << TIME_BITS) - 1;
    private static final int SOURCE_SHIFT = 61;
    private static final int CHECK_SHIFT = 58;

    private static final long FOUND_WORD = (long) FOUND << SOURCE_SHIFT | 1L << TIME_BITS;

    private final long[] words;
    private final long openedMillis = System.currentTimeMillis();

    FrameHistory(int frames) {
        words = new long[frames];
    }

    private long now() {
        // A clock set back gives the time of opening.
        return Math.clamp((System.currentTimeMillis() - openedMillis) / 100 + 1, 1, TIME_MASK);
    }

    /** The frame has new content; nothing is known of what it held before. */
    void arrived(int frame, int source) {
        words[frame] = (long) source << SOURCE_SHIFT | now() << TIME_BITS;
    }

    void validated(int frame, Check check) {
        words[frame] = (word(frame) & (7L << SOURCE_SHIFT | TIME_MASK))
                | (long) check.number << CHECK_SHIFT
                | now() << TIME_BITS;
    }

    void written(int frame) {
        words[frame] = (word(frame) & ~TIME_MASK) | now();
    }

    /** A resize moved the content of a frame. */
    void moved(int from, int to) {
        words[to] = word(from);
    }

    long word(int frame) {
        long word = words[frame];
        return word == 0 ? FOUND_WORD : word;
    }

    static int source(long word) {
        return (int) (word >>> SOURCE_SHIFT);
    }

    static Check check(long word) {
        int number = (int) (word >>> CHECK_SHIFT) & 7;
        for (Check check : CHECKS) {
            if (check.number == number) {
                return check;
            }
        }
        throw new IllegalStateException("no check has number " + number);
    }

    @Nullable Instant since(long word) {
        return time(word >>> TIME_BITS & TIME_MASK);
    }

    @Nullable Instant written(long word) {
        return time(word & TIME_MASK);
    }

    Instant opened() {
        return Instant.ofEpochMilli(openedMillis);
    }

    private @Nullable Instant time(long tenths) {
        return tenths == 0 ? null : Instant.ofEpochMilli(openedMillis + (tenths - 1) * 100);
    }
}
