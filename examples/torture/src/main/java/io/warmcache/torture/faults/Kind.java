/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture.faults;

/** The ways in which memory, records or stores are broken; numbered as in the table. */
enum Kind {
    BIT_FLIPS(1, "1 to 64 bit flips in data"),
    RECORD_FLIPS(2, "1 to 64 bit flips in records or header"),
    WILD_STORE(3, "wild store of 8 bytes"),
    OFF_BY_ONE(4, "slice written one byte too far"),
    COPY_OVERRUN(5, "copy that runs over into the next frame"),
    ELIDED_LATCH(6, "elided latch or fence"),
    USE_AFTER_EVICT(7, "store through a view kept after its page was evicted"),
    UNINITIALISED_RECORD(8, "uninitialised record"),
    SWAPPED_FRAMES(9, "frame numbers swapped"),
    OLD_CONTENT(10, "old content under a newer record"),
    WRONG_KEY(11, "valid frame under a wrong key"),
    TORN_UPDATE(12, "update of several steps, torn"),
    SEGMENT(13, "memory zeroed, truncated, grown"),
    DECAY(14, "decay: one-directional flips at 1e-9 to 1e-3"),
    STORE_CHANGED(15, "file changed while no cache had it");

    final int number;
    final String title;

    Kind(int number, String title) {
        this.number = number;
        this.title = title;
    }

    /** The kind of a number. */
    static Kind of(int number) {
        for (Kind kind : values()) {
            if (kind.number == number) {
                return kind;
            }
        }
        throw new IllegalArgumentException("there is no kind " + number + ": 1 to 15");
    }
}
