/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache;

import java.time.Instant;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What the cache knows of one page, and which gates its frame passed: see {@link PagedFile#explain}. Times are exact to
 * a tenth of a second.
 *
 * @param file the store's name
 * @param page the page
 * @param state what the page is to a reader now
 * @param frame the frame that holds it, or -1
 * @param source where the frame's content came from
 * @param since when it came from there, or was validated after the restart; null if there is no frame, or it has not
 *     been validated yet
 * @param gates the gates that content from an earlier life has passed, and those outstanding, in their order; empty for
 *     content of this life
 * @param record the state of the frame's record in the ledger
 * @param pins read pins held on it
 * @param dirtyBlocks bit {@code b} set: block {@code b} of the page differs from the store
 * @param unforced whether the page was written, and not forced since
 * @param lastWriteBack when the page was last written to the store from this frame; null if it was not in this life
 */
public record PageExplanation(
        String file,
        long page,
        State state,
        int frame,
        Source source,
        @Nullable Instant since,
        List<Gate> gates,
        String record,
        int pins,
        int dirtyBlocks,
        boolean unforced,
        @Nullable Instant lastWriteBack) {

    public PageExplanation {
        gates = List.copyOf(gates);
    }

    /** What a page is to a reader. */
    public enum State {
        /** Not in memory: the next access reads it from the store. */
        ABSENT,
        /** Being read, or verified, by another thread. */
        LOADING,
        /** In memory: an access is a hit. */
        RESIDENT,
        /** Latched by a writer, the evictor or a truncate. */
        LATCHED,
        /** Found in memory: the next access compares its checksums first. */
        UNVERIFIED,
        /** Cut off by a truncate while pinned: readable through those pins alone. */
        DETACHED
    }

    /** Where a frame's content came from. */
    public enum Source {
        /** There is no frame, or nothing is known of it. */
        NONE,
        /** Read from the store in this life. */
        STORE,
        /** Found in memory: it survived a restart. */
        SURVIVED,
        /** Written as a whole in this life, without reading it. */
        WRITTEN,
        /** Restored from a checkpoint image, which has gates of its own. */
        IMAGE
    }

    /**
     * One gate.
     *
     * @param name what is asked
     * @param passed whether it has been passed; false for one that is outstanding
     * @param detail how
     * @param when when; null for one that is outstanding
     */
    public record Gate(String name, boolean passed, String detail, @Nullable Instant when) {
        @Override
        public String toString() {
            return name + ": " + detail + (when == null ? "" : " at " + when);
        }
    }

    /** Several lines for a person to read. */
    @Override
    public String toString() {
        StringBuilder text = new StringBuilder("page " + page + " of " + file + ": " + state);
        if (frame >= 0) {
            text.append(", frame ").append(frame).append(", record ").append(record).append(", source ").append(source);
        }
        if (since != null) {
            text.append(" since ").append(since);
        }
        if (pins > 0) {
            text.append(", pins ").append(pins);
        }
        if (dirtyBlocks != 0) {
            text.append(", dirty blocks ").append(Integer.toBinaryString(dirtyBlocks));
        }
        if (unforced) {
            text.append(", not forced");
        }
        if (lastWriteBack != null) {
            text.append(", last written at ").append(lastWriteBack);
        }
        for (Gate gate : gates) {
            text.append("\n  ").append(gate.passed() ? "passed " : "waits  ").append(gate);
        }
        return text.toString();
    }
}
