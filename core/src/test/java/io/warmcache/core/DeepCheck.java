/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.warmcache.BackingStore;
import io.warmcache.spi.BackendFile;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.locks.LockSupport;

/**
 * What must hold of a cache whenever nobody uses it: its whole structure ({@link Assertions}), and every clean byte in
 * memory the same as in the store, found or loaded, validated or not.
 */
final class DeepCheck {
    private static final long PATIENCE_NANOS = 60_000_000_000L;

    private DeepCheck() {}

    /**
     * Fails, and goes on failing for a minute, if anything contradicts itself: the background thread may be at work.
     * The stores must not fail.
     */
    static void assertValid(Cache cache) throws IOException {
        long deadline = System.nanoTime() + PATIENCE_NANOS;
        Set<String> problems = problems(cache);
        while (!problems.isEmpty() && System.nanoTime() - deadline < 0) {
            LockSupport.parkNanos(1_000_000);
            problems = problems(cache);
        }
        assertEquals(Set.of(), problems);
    }

    static Set<String> problems(Cache cache) throws IOException {
        Set<String> problems = new TreeSet<>(cache.problems());
        for (CachedFile file : cache.files()) {
            BackendFile backing = file.backing;
            if (backing == null) {
                continue;
            }
            if (backing.store().size() != file.size) {
                problems.add(file.name + " has " + file.size + " bytes, its store " + backing.store().size());
            }
            if (file.extension.availablePermits() != 1 || file.truncatingFrom != Long.MAX_VALUE) {
                problems.add("the end of " + file.name + " is held");
            }
            if (file.usage.getReadLockCount() != 0) {
                problems.add(file.name + " is in use");
            }
            MemorySegment stored = MemorySegment.ofArray(new byte[file.pageSize]);
            file.index.forEachLeaf(0, (first, leaf) -> {
                for (int slot = 0; slot < RadixIndex.LEAF_SLOTS; slot++) {
                    long word = TranslationWord.get(leaf, slot);
                    long state = TranslationWord.state(word);
                    if (state == TranslationWord.RESIDENT || state == TranslationWord.UNVERIFIED) {
                        compare(file, backing.store(), first + slot, TranslationWord.frame(word), stored, problems);
                    }
                }
            });
        }
        return problems;
    }

    private static void compare(
            CachedFile file, BackingStore store, long page, int frame, MemorySegment stored, Set<String> problems) {
        String what = "page " + page + " of " + file.name + " in frame " + frame;
        if (page >= file.pages()) {
            problems.add(what + " is past the end");
            return;
        }
        read(store, page * file.pageSize, stored);
        MemorySegment held = file.frames.slice(frame);
        int dirty = file.frames.dirtyBlocks[frame];
        for (int block = 0; block < file.frames.blocksPerPage; block++) {
            long at = (long) block << 12;
            long end = Math.clamp(file.size - page * file.pageSize - at, 0, 4096);
            long from = (dirty & 1 << block) == 0 ? 0 : end; // of a dirty block, what is past the end: zeros
            long wrong = MemorySegment.mismatch(held, at + from, at + 4096, stored, at + from, at + 4096);
            if (wrong >= 0) {
                problems.add(what + " differs from the store at byte " + (at + from + wrong));
            }
        }
    }

    /** Reads a page, with zeros past the end. */
    private static void read(BackingStore store, long position, MemorySegment target) {
        try {
            long done = 0;
            while (done < target.byteSize()) {
                int n = store.read(position + done, target.asSlice(done));
                if (n < 0) {
                    break;
                }
                done += n;
            }
            target.asSlice(done).fill((byte) 0);
        } catch (IOException e) {
            throw new AssertionError("the store must not fail here", e);
        }
    }
}
