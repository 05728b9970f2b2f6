/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core.evict;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The least cache that can drive a {@link Replacement}: pages in frames, use counts, nothing in them. */
final class Replay {
    final Replacement policy;
    final long[] pages;
    final byte[] counts;
    final Map<Long, Integer> resident = new HashMap<>();
    final List<Long> evictions = new ArrayList<>();
    long hits;
    long accesses;
    private int used;

    Replay(int frames) {
        pages = new long[frames];
        counts = new byte[frames];
        policy = new Replacement(frames, new Replacement.UseCounts() {
            @Override
            public int get(int frame) {
                return counts[frame];
            }

            @Override
            public void set(int frame, int uses) {
                if (uses < 0 || uses > 3) {
                    throw new IllegalArgumentException("use count " + uses);
                }
                counts[frame] = (byte) uses;
            }
        });
    }

    /** A cache restarted with what {@code killed} left in memory. */
    static Replay restarted(Replay killed) {
        Replay replay = new Replay(killed.pages.length);
        int[] frames = killed.resident.values().stream().mapToInt(f -> f).toArray();
        int[] hints = new int[frames.length];
        for (int i = 0; i < frames.length; i++) {
            hints[i] = killed.policy.hint(frames[i]);
        }
        replay.policy.restore(frames, hints);
        for (int i = 0; i < killed.policy.words(); i++) {
            replay.policy.restoreWord(i, killed.policy.word(i));
        }
        System.arraycopy(killed.pages, 0, replay.pages, 0, killed.pages.length);
        replay.resident.putAll(killed.resident);
        replay.used = killed.used;
        return replay;
    }

    boolean access(long page) {
        accesses++;
        Integer frame = resident.get(page);
        if (frame != null) {
            hits++;
            counts[frame] = (byte) Math.min(3, counts[frame] + 1);
            return true;
        }
        int free = used < pages.length ? used++ : evict();
        pages[free] = page;
        counts[free] = 0;
        resident.put(page, free);
        policy.loaded(free, hash(page));
        return false;
    }

    private int evict() {
        int frame = policy.candidate();
        long victim = pages[frame];
        evictions.add(victim);
        resident.remove(victim);
        policy.evicted(frame, hash(victim));
        return frame;
    }

    double ratio() {
        return (double) hits / accesses;
    }

    static long hash(long page) {
        long hash = page * 0x9E3779B97F4A7C15L;
        hash = (hash ^ (hash >>> 32)) * 0xD6E8FEB86659FD93L;
        return (hash ^ (hash >>> 29)) * 0x9E3779B97F4A7C15L;
    }
}
