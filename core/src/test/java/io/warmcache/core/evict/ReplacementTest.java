/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core.evict;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ReplacementTest {
    private static final long SEED = 20_260_102;

    /** What must hold of frames whatever the policy thinks of them. */
    private enum State {
        FREE,
        LOADED,
        PROPOSED
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3, 7, 64, 500})
    void anyCallsInAnyOrderKeepEveryFrameAccountedFor(int frames) {
        Random random = new Random(SEED + frames);
        int[] counts = new int[frames];
        Replacement policy = new Replacement(frames, over(counts, random));
        State[] states = new State[frames];
        Arrays.fill(states, State.FREE);
        Set<Integer> proposed = new HashSet<>();
        for (int i = 0; i < 40_000; i++) {
            int frame = random.nextInt(frames);
            counts[random.nextInt(frames)] = random.nextInt(4);
            switch (random.nextInt(9)) {
                case 0, 1, 2 -> {
                    if (states[frame] == State.FREE) {
                        policy.loaded(frame, Replay.hash(random.nextInt(3 * frames)));
                        states[frame] = State.LOADED;
                    }
                }
                case 3 -> {
                    if (random.nextInt(4) == 0) {
                        policy.removed(frame);
                        states[frame] = State.FREE;
                        proposed.remove(frame);
                    }
                }
                case 4, 5 -> {
                    int candidate = policy.candidate();
                    if (candidate >= 0) {
                        assertEquals(State.LOADED, states[candidate], "seed " + SEED);
                        states[candidate] = State.PROPOSED;
                        proposed.add(candidate);
                    }
                }
                case 6 -> {
                    for (int candidate : proposed) {
                        if (random.nextBoolean()) {
                            policy.evicted(candidate, Replay.hash(random.nextInt(3 * frames)));
                            states[candidate] = State.FREE;
                        } else {
                            policy.retained(candidate);
                            states[candidate] = State.LOADED;
                        }
                    }
                    proposed.clear();
                }
                case 7 -> policy.evictFirst(frame);
                default -> policy.hint(frame);
            }
            if (i % 100 == 0 || frames < 10) {
                policy.check();
            }
        }
        // Nothing is lost: every loaded frame can still be had.
        int loaded = (int) Arrays.stream(states).filter(s -> s == State.LOADED).count();
        Set<Integer> evicted = new HashSet<>();
        for (int misses = 0; misses < 2 && evicted.size() < loaded; ) {
            int candidate = policy.candidate();
            if (candidate < 0) {
                misses++;
                continue;
            }
            assertTrue(evicted.add(candidate));
            policy.evicted(candidate, candidate);
        }
        assertEquals(loaded, evicted.size(), policy::toString);
        assertEquals(-1, policy.candidate());
        policy.check();
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 10, 1000})
    void withAllFramesPinnedEachIsProposedOnceAndThenNone(int frames) {
        Replay cache = new Replay(frames);
        new Random(SEED).longs(20L * frames, 0, 3L * frames).forEach(cache::access);
        for (int round = 0; round < 3; round++) {
            Set<Integer> tried = new HashSet<>();
            for (int frame; (frame = cache.policy.candidate()) >= 0; ) {
                assertTrue(tried.add(frame), "frame " + frame + " a second time in a round");
                cache.policy.retained(frame);
            }
            assertEquals(cache.resident.size(), tried.size());
            cache.policy.check();
        }
    }

    @Test
    void aFrameThatCouldNotBeEvictedIsNotTriedAgainBeforeOthersAre() {
        int frames = 1000;
        Replay cache = new Replay(frames);
        new Random(SEED).longs(20L * frames, 0, 3L * frames).forEach(cache::access);
        int pinned = cache.policy.candidate();
        cache.policy.retained(pinned);
        int meanwhile = 0;
        for (int frame; (frame = cache.policy.candidate()) != pinned; meanwhile++) {
            cache.policy.evicted(frame, frame);
        }
        assertTrue(meanwhile >= 2, meanwhile + " tries between");
        cache.policy.check();
    }

    @ParameterizedTest
    @ValueSource(ints = {100, 1000, 20_000})
    void aScanThatTouchesEachPageThirtyTimesLeavesTheHotSet(int frames) {
        Replay cache = new Replay(frames);
        int hot = frames * 7 / 10;
        Random random = new Random(SEED);
        for (int i = 0; i < 20 * frames; i++) {
            cache.access(random.nextInt(hot));
        }
        for (long page = 0; page < 10L * frames; page++) {
            for (int touch = 0; touch < 30; touch++) {
                cache.access(1_000_000 + page);
            }
            cache.access(random.nextInt(hot));
        }
        long left = IntStream.range(0, hot).filter(page -> cache.resident.containsKey((long) page)).count();
        assertTrue(left >= 0.9 * hot, left + " of " + hot + " left, seed " + SEED);
        cache.policy.check();
    }

    @ParameterizedTest
    @ValueSource(ints = {100, 1000})
    void aScanWithNoOtherAccessAtAllLeavesTheHotSet(int frames) {
        Replay cache = new Replay(frames);
        int hot = frames * 7 / 10;
        Random random = new Random(SEED);
        for (int i = 0; i < 20 * frames; i++) {
            cache.access(random.nextInt(hot));
        }
        for (long access = 0; access < 300L * frames; access++) {
            cache.access(1_000_000 + access / 30);
        }
        long left = IntStream.range(0, hot).filter(page -> cache.resident.containsKey((long) page)).count();
        assertTrue(left >= 0.9 * hot, left + " of " + hot + " left, seed " + SEED);
    }

    @Test
    void aLoopLongerThanTheCacheKeepsHittingWhatFits() {
        for (int frames : new int[] {250, 500, 1000}) {
            Replay cache = new Replay(frames);
            for (int i = 0; i < 200 * 1011; i++) {
                cache.access(i % 1011);
            }
            assertTrue(cache.ratio() > 0.9 * frames / 1011, frames + " frames: " + cache.ratio());
        }
    }

    @Test
    void aNewWorkingSetReplacesTheOld() {
        Replay cache = new Replay(1000);
        Random random = new Random(SEED);
        for (int i = 0; i < 50_000; i++) {
            cache.access(random.nextInt(800));
        }
        for (int i = 0; i < 50_000; i++) {
            cache.access(10_000 + random.nextInt(800));
        }
        long left = IntStream.range(0, 800).filter(p -> cache.resident.containsKey(10_000L + p)).count();
        assertTrue(left >= 790, left + " of 800 of the new working set, seed " + SEED);
    }

    @Test
    void skewedAccessHitsMoreOftenThanLeastRecentlyUsedWould() {
        int frames = 1000;
        Replay cache = new Replay(frames);
        Map<Long, Boolean> lru = new LinkedHashMap<>(16, 0.75f, true);
        int lruHits = 0;
        Random random = new Random(SEED);
        double[] cumulative = new double[20_000];
        double sum = 0;
        for (int i = 0; i < cumulative.length; i++) {
            cumulative[i] = sum += 1 / Math.pow(i + 1, 0.9);
        }
        int accesses = 300_000;
        for (int i = 0; i < accesses; i++) {
            int at = Arrays.binarySearch(cumulative, random.nextDouble() * sum);
            long page = at < 0 ? -at - 1 : at;
            cache.access(page);
            lruHits += lru.put(page, true) != null ? 1 : 0;
            if (lru.size() > frames) {
                lru.remove(lru.keySet().iterator().next());
            }
        }
        double lruRatio = (double) lruHits / accesses;
        assertTrue(cache.ratio() > lruRatio + 0.04, cache.ratio() + " against " + lruRatio + ", seed " + SEED);
    }

    @Test
    void afterARestartTheSamePagesAreEvictedAsWithoutOne() {
        int frames = 2000;
        for (long seed = SEED; seed < SEED + 5; seed++) {
            Random random = new Random(seed);
            Replay control = new Replay(frames);
            for (int i = 0; i < 100_000; i++) {
                control.access(skewed(random, 10 * frames));
            }
            Replay restarted = Replay.restarted(control);
            restarted.policy.check();
            long[] after = random.longs(20_000).map(x -> skewed(new Random(x), 10 * frames)).toArray();
            control.evictions.clear();
            for (int i = 0; control.evictions.size() < frames / 10; i++) {
                control.access(after[i]);
            }
            for (int i = 0; restarted.evictions.size() < frames / 10; i++) {
                restarted.access(after[i]);
            }
            Set<Long> same = new HashSet<>(control.evictions);
            same.retainAll(restarted.evictions);
            assertTrue(
                    same.size() >= 0.9 * control.evictions.size(),
                    same.size() + " of " + control.evictions.size() + ", seed " + seed);
        }
    }

    @Test
    void anyHintsAreAcceptedAndAllFramesStayEvictable() {
        Random random = new Random(SEED);
        for (int run = 0; run < 50; run++) {
            int frames = 1 + random.nextInt(300);
            int[] survivors = IntStream.range(0, frames).filter(f -> random.nextInt(4) > 0).toArray();
            int[] hints = random.ints(survivors.length).toArray();
            Replacement policy = new Replacement(frames, over(new int[frames], random));
            policy.restore(survivors, hints);
            for (int i = 0; i < policy.words(); i++) {
                policy.restoreWord(i, random.nextLong());
            }
            policy.check();
            Set<Integer> evicted = new HashSet<>();
            for (int frame; (frame = policy.candidate()) >= 0; ) {
                evicted.add(frame);
                policy.evicted(frame, random.nextLong());
            }
            assertEquals(survivors.length, evicted.size(), "seed " + SEED);
            policy.check();
        }
    }

    private static List<Integer> boxed(int[] numbers) {
        return IntStream.of(numbers).boxed().toList();
    }

    /** The queues as one frame after the other would make them. */
    private static List<List<Integer>> queuesOf(int[] survivors, int[] hints) {
        int mask = (1 << 28) - 1;
        List<Integer> order = IntStream.range(0, survivors.length)
                .boxed()
                .sorted(Comparator.comparingInt(i -> hints[i] & mask))
                .toList();
        int widest = -1;
        int oldest = 0;
        for (int i = 0; i < order.size(); i++) {
            int before = hints[order.get((i + order.size() - 1) % order.size())];
            int gap = (hints[order.get(i)] - before) & mask;
            if (gap > widest) {
                widest = gap;
                oldest = i;
            }
        }
        List<List<Integer>> queues = Stream.generate(() -> (List<Integer>) new ArrayList<Integer>())
                .limit(4)
                .toList();
        for (int i = 0; i < order.size(); i++) {
            int at = order.get((oldest + i) % order.size());
            int list = hints[at] >>> 30;
            if (list == 0) {
                queues.get(2).addFirst(survivors[at]);
            } else {
                queues.get(list).add(survivors[at]);
            }
        }
        return queues;
    }

    @Test
    void restoringOnAnyNumberOfThreadsMakesTheQueuesThatOneFrameAfterTheOtherWould() {
        Random random = new Random(SEED);
        for (int run = 0; run < 200; run++) {
            int frames = 1 + random.nextInt(400);
            int[] survivors = IntStream.range(0, frames).filter(f -> random.nextInt(4) > 0).toArray();
            // Few times, so that some are equal, anywhere on the circle; sometimes fewer queues than there are.
            int base = random.nextInt();
            int span = 1 + random.nextInt(random.nextBoolean() ? 50 : 1 << 27);
            int queues = 1 + random.nextInt(4);
            int[] hints = IntStream.range(0, survivors.length)
                    .map(i -> random.nextInt(queues) << 30
                            | random.nextInt(4) << 28
                            | ((base + random.nextInt(span)) & ((1 << 28) - 1)))
                    .toArray();
            List<List<Integer>> expected = queuesOf(survivors, hints);
            for (int slices = 1; slices <= 7; slices++) {
                int[] counts = new int[frames];
                Replacement policy = new Replacement(frames, exactly(counts));
                policy.restore(survivors, hints, true, slices);
                policy.check();
                List<Integer> probation = new ArrayList<>(expected.get(2));
                probation.addAll(expected.get(1)); // the oldest young ones may have become old
                List<Integer> restored = new ArrayList<>(boxed(policy.frames(2)));
                restored.addAll(boxed(policy.frames(1)));
                assertEquals(probation, restored, "seed " + SEED + ", run " + run + ", slices " + slices);
                assertEquals(expected.get(3), boxed(policy.frames(3)));
                Set<Integer> young = new HashSet<>(boxed(policy.frames(1)));
                for (int i = 0; i < survivors.length; i++) {
                    boolean aged = hints[i] >>> 30 == 1 && !young.contains(survivors[i]);
                    assertEquals(aged ? 0 : hints[i] >>> 28 & 3, counts[survivors[i]]);
                }
            }
        }
    }

    /** Whoever restores may be in no position to fail, on however many threads it was tried. */
    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3, 7})
    void withoutMemoryForARestoreEveryFrameIsTakenOverInSomeOrder(int slices) {
        Random random = new Random(SEED);
        int[] survivors = IntStream.range(0, 300).filter(f -> f % 5 > 0).toArray();
        int[] hints = random.ints(survivors.length).toArray();
        for (int had = 0; had < 2; had++) {
            Replacement policy = new Replacement(300, exactly(new int[300]));
            int[] left = {had};
            policy.arrays = count -> {
                if (left[0]-- == 0) {
                    throw new OutOfMemoryError("injected");
                }
                return new long[count];
            };
            assertThrows(OutOfMemoryError.class, () -> policy.restore(survivors, hints, true, slices));
            policy.check();
            for (int queue = 1; queue <= 3; queue++) {
                assertEquals(List.of(), boxed(policy.frames(queue)), "linked by what failed");
            }
            IntStream.of(survivors).forEach(policy::restoreUnordered);
            policy.check();
            assertEquals(boxed(survivors), boxed(policy.frames(2)));
        }
    }

    @Test
    void hintsThatSpanTheWrapOfTheirTimeKeepTheirOrder() {
        int frames = 100;
        Replacement policy = new Replacement(frames, over(new int[frames], new Random(SEED)));
        int[] survivors = IntStream.range(0, frames).toArray();
        int[] hints = IntStream.range(0, frames)
                .map(f -> (3 << 30) | (((1 << 28) - 50 + f) & ((1 << 28) - 1)))
                .toArray();
        policy.restore(survivors, hints);
        List<Integer> evicted = IntStream.range(0, frames)
                .map(i -> {
                    int frame = policy.candidate();
                    policy.evicted(frame, frame);
                    return frame;
                })
                .boxed()
                .toList();
        assertEquals(IntStream.range(0, frames).boxed().toList(), evicted);
    }

    @Test
    void aCacheWithoutFramesIsRefused() {
        assertThrows(IllegalArgumentException.class, () -> new Replacement(0, over(new int[0], new Random())));
    }

    @Test
    void callsAllocateNothing() {
        int frames = 10_000;
        int[] counts = new int[frames];
        Replacement policy = new Replacement(frames, over(counts, new Random(SEED)));
        for (int frame = 0; frame < frames; frame++) {
            policy.loaded(frame, Replay.hash(frame));
        }
        var threads = (com.sun.management.ThreadMXBean) java.lang.management.ManagementFactory.getThreadMXBean();
        long allocated = 0;
        for (int run = 0; run < 2; run++) {
            long before = threads.getCurrentThreadAllocatedBytes();
            for (int i = 0; i < 1_000_000; i++) {
                int frame = policy.candidate();
                counts[i % frames] = 1;
                policy.evicted(frame, Replay.hash(i));
                policy.loaded(frame, Replay.hash(i / 3));
            }
            allocated = threads.getCurrentThreadAllocatedBytes() - before;
        }
        assertTrue(allocated < 1_000_000, allocated + " bytes in a million evictions");
    }

    private static long skewed(Random random, int pages) {
        return (long) (pages * Math.pow(random.nextDouble(), 3));
    }

    private static Replacement.UseCounts over(int[] counts, Random random) {
        Replacement.UseCounts exact = exactly(counts);
        return new Replacement.UseCounts() {
            @Override
            public int get(int frame) {
                return exact.get(frame);
            }

            @Override
            public void set(int frame, int uses) {
                // A page in transition keeps its count.
                if (random.nextInt(8) > 0) {
                    exact.set(frame, uses);
                }
            }
        };
    }

    private static Replacement.UseCounts exactly(int[] counts) {
        return new Replacement.UseCounts() {
            @Override
            public int get(int frame) {
                return counts[frame];
            }

            @Override
            public void set(int frame, int uses) {
                counts[frame] = uses;
            }
        };
    }
}
