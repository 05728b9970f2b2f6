/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import io.warmcache.PageExplanation;
import io.warmcache.PageExplanation.Gate;
import io.warmcache.PageExplanation.Source;
import io.warmcache.PageExplanation.State;
import io.warmcache.spi.AttachReport;
import io.warmcache.spi.FrameRecord;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;

/**
 * Tells what is known of a page. Recorded is one word a frame ({@link FrameHistory}) and the verdict of each file; all
 * else follows from the translation word, the ledger and the attach report.
 */
final class Explanation {
    /** Looks at a page that changes while it is looked at. */
    private static final int TRIES = 16;

    private Explanation() {}

    static PageExplanation of(CachedFile file, long page) {
        file.checkPage(page, Math.max(file.pages(), 1));
        PageExplanation seen = absent(file, page, State.ABSENT);
        for (int tries = 0; tries < TRIES; tries++) {
            long[] leaf = file.index.leaf(page);
            if (leaf == null) {
                return absent(file, page, State.ABSENT);
            }
            int slot = RadixIndex.slot(page);
            long word = TranslationWord.acquire(leaf, slot);
            State state = state(word);
            if (state == State.ABSENT || state == State.LOADING) {
                return absent(file, page, state);
            }
            seen = resident(file, page, word, state);
            long now = TranslationWord.acquire(leaf, slot);
            if (((word ^ now) & TranslationWord.STAMP_MASK) == 0) {
                return seen;
            }
        }
        return seen;
    }

    private static State state(long word) {
        long state = TranslationWord.state(word);
        if (state == TranslationWord.RESIDENT) {
            return State.RESIDENT;
        } else if (state == TranslationWord.UNVERIFIED) {
            return State.UNVERIFIED;
        } else if (state == TranslationWord.LOADING) {
            return State.LOADING;
        } else if (state == TranslationWord.EXCLUSIVE) {
            return State.LATCHED;
        } else if (state == TranslationWord.DETACHED) {
            return State.DETACHED;
        }
        return State.ABSENT;
    }

    private static PageExplanation absent(CachedFile file, long page, State state) {
        boolean unforced = file.sets.refill(page, 1) != 0;
        return new PageExplanation(
                file.name, page, state, -1, Source.NONE, null, List.of(), "none", 0, 0, unforced, null);
    }

    private static PageExplanation resident(CachedFile file, long page, long word, State state) {
        FrameTable frames = file.frames;
        int frame = TranslationWord.frame(word);
        long history = frames.history.word(frame);
        FrameRecord record = new FrameRecord();
        boolean whole = file.backend.readRecord(frame, record);
        boolean survived = FrameHistory.source(history) == FrameHistory.FOUND;
        boolean validated = FrameHistory.check(history) != FrameHistory.Check.NONE;
        return new PageExplanation(
                file.name,
                page,
                state,
                frame,
                switch (FrameHistory.source(history)) {
                    case FrameHistory.FROM_STORE -> Source.STORE;
                    case FrameHistory.FOUND -> Source.SURVIVED;
                    case FrameHistory.OVERWRITTEN -> Source.WRITTEN;
                    case FrameHistory.FROM_IMAGE -> Source.IMAGE;
                    default -> Source.NONE;
                },
                survived && !validated ? null : frames.history.since(history),
                survived ? gates(file, history) : List.of(),
                record.state + (whole ? "" : " (being changed)"),
                TranslationWord.pins(word),
                frames.dirtyBlocks[frame],
                file.sets.refill(page, 1) != 0,
                frames.history.written(history));
    }

    private static List<Gate> gates(CachedFile file, long history) {
        AttachReport attach = file.cache.backend.attachReport();
        FrameHistory times = file.frames.history;
        Instant opened = times.opened();
        List<Gate> gates = new ArrayList<>();
        gates.add(new Gate(
                "owner and header",
                true,
                attach.cleanStop() ? "the last owner had closed the cache" : "the last owner was killed, and is gone",
                opened));
        gates.add(new Gate("record", true, "whole, reusable, of a known file, and the only one of its page", opened));
        gates.add(new Gate("store", true, file.verdict, file.mappedAt));
        FrameHistory.Check check = FrameHistory.check(history);
        boolean validated = check != FrameHistory.Check.NONE;
        gates.add(new Gate("checksum", validated, check.text, validated ? times.since(history) : null));
        return gates;
    }
}
