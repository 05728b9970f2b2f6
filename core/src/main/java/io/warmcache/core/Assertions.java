/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import io.warmcache.spi.FrameRecord;
import io.warmcache.spi.FrameState;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.roaringbitmap.RoaringBitmap;

/**
 * Checks the whole structure of a cache that nobody uses at the moment: index, frame table, free list, policy, dirty
 * sets, pins, counts and ledger against each other. What the store has is compared by the tests, which know it.
 */
final class Assertions {
    private Assertions() {}

    /** One sentence for each thing that is wrong. */
    static Set<String> problems(Cache cache) {
        Set<String> problems = new TreeSet<>();
        Map<Integer, String> holders = new HashMap<>();
        Map<Integer, FrameTable.Owner> owners = new HashMap<>();
        for (CachedFile file : cache.files()) {
            RoaringBitmap dirtyPages = file.sets.dirtyPages();
            file.index.forEachLeaf(0, (first, leaf) -> {
                for (int slot = 0; slot < RadixIndex.LEAF_SLOTS; slot++) {
                    long word = TranslationWord.get(leaf, slot);
                    long page = first + slot;
                    check(cache, file, page, word, holders, problems);
                    long state = TranslationWord.state(word);
                    if (state == TranslationWord.RESIDENT || state == TranslationWord.UNVERIFIED) {
                        int frame = TranslationWord.frame(word);
                        owners.put(frame, new FrameTable.Owner(file, leaf, page));
                        if (cache.frames.dirtyBlocks[frame] != 0) {
                            dirtyPages.remove((int) page);
                        }
                    }
                }
            });
            if (!dirtyPages.isEmpty()) {
                problems.add("pages " + dirtyPages + " of " + file.name + " are in the dirty set, but not dirty");
            }
        }
        cache.frames.check(owners, problems::add);
        int free = cache.frames.freeCount();
        if (free + holders.size() != cache.frames.capacity()) {
            problems.add(cache.frames.capacity() + " frames, but " + free + " free and " + holders.size() + " held");
        }
        FrameRecord record = new FrameRecord();
        int dirty = 0;
        int dirtyFrames = 0;
        for (int frame = 0; frame < cache.frames.frames; frame++) {
            dirty += Integer.bitCount(cache.frames.dirtyBlocks[frame]);
            dirtyFrames += cache.frames.dirtyBlocks[frame] == 0 ? 0 : 1;
            if (frame >= cache.frames.capacity() && holders.containsKey(frame)) {
                problems.add("frame " + frame + " does not exist, but is held by " + holders.get(frame));
            }
            if (!holders.containsKey(frame)
                    && cache.backend.readRecord(frame, record)
                    && record.state != FrameState.FREE) {
                problems.add("frame " + frame + " is held by no page, but recorded " + record.state);
            }
        }
        if (dirty != cache.counters.dirtyBlocks.get()) {
            problems.add(dirty + " dirty blocks, but " + cache.counters.dirtyBlocks.get() + " counted");
        }
        if (dirtyFrames != cache.frames.dirtyFrames()) {
            problems.add(dirtyFrames + " dirty frames, but " + cache.frames.dirtyFrames() + " counted");
        }
        return problems;
    }

    private static void check(
            Cache cache,
            CachedFile file,
            long page,
            long word,
            Map<Integer, String> holders,
            Set<String> problems) {
        long state = TranslationWord.state(word);
        String what = "page " + page + " of " + file.name + " (" + TranslationWord.describe(word) + ")";
        if (state == TranslationWord.EMPTY) {
            return;
        }
        if (state != TranslationWord.RESIDENT && state != TranslationWord.UNVERIFIED) {
            problems.add(what + " is in transition with nobody at work");
            return;
        }
        int frame = TranslationWord.frame(word);
        String other = holders.put(frame, what);
        if (other != null) {
            problems.add(what + " has the frame of " + other);
        }
        if (TranslationWord.pins(word) != 0) {
            problems.add(what + " is pinned with nobody at work");
        }
        if (state == TranslationWord.UNVERIFIED && cache.frames.dirtyBlocks[frame] != 0) {
            problems.add(what + " is dirty and was never validated");
        }
        if (TranslationWord.isFlushing(word)) {
            problems.add(what + " is being flushed with nobody at work");
        }
        int dirty = cache.frames.dirtyBlocks[frame];
        if (dirty != 0 && file.sets.nextDirty(page) != page) {
            problems.add(what + " has dirty blocks but is not in the dirty set");
        }
        FrameRecord record = new FrameRecord();
        if (!cache.backend.readRecord(frame, record)) {
            problems.add(what + " has a damaged record");
        } else if (record.fileId != file.fileId || record.page != page) {
            problems.add(what + " is recorded as page " + record.page + " of file " + record.fileId);
        } else if ((dirty != 0) != (record.state == FrameState.DIRTY)) {
            problems.add(what + " has dirty blocks " + dirty + " but is recorded " + record.state);
        } else if (file.mismatches(frame, record, cache.frames.allBlocks & ~dirty) != 0) {
            problems.add(what + " does not match its checksums");
        }
    }
}
