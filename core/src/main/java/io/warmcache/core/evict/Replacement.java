/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core.evict;

import java.util.Arrays;
import java.util.function.IntFunction;
import java.util.function.IntToLongFunction;

/**
 * Which frame to give up when one is needed.
 *
 * <p>Three queues, after S3-FIFO, with the reuse distances of LIRS to decide between them:
 *
 * <pre>
 *   fault ──► YOUNG ──► OLD ──► evicted, leaves a ghost
 *                ▲       │ ▲
 *       used, but│       │ │ unused for longer than the
 *     not enough └───────┤ │ page that takes its place
 *                        ▼ │
 *   fault of a ghost ──► MAIN ◄┐ used: again to the tail
 *                          └───┘
 * </pre>
 *
 * <p><b>Probation</b> is a FIFO in two parts. When a frame passes from young to old its use count is set to 0: a scan
 * that touches a page thirty times does so at once, while the page is young, and is a scan all the same. A frame used
 * while old asks for a place in main.
 *
 * <p><b>Main</b> is a clock: its hand takes one use off a used frame and passes on. A page gets into main, from
 * probation or by a fault that finds its ghost, only against the frame under the hand, and only if that frame has been
 * out of use for longer than the page's own reuse distance. So a loop longer than the cache cannot turn main over
 * (every frame of main is used again before the loop comes back to the page that wants in), while a new working set
 * replaces an old one at once. The frame that lost its place becomes the next candidate, unless it is used before its
 * turn.
 *
 * <p>Two things are learned. <b>Probation's share</b> grows with pages that win a place in main and shrinks with
 * pages that do not: 1 % is best for loops, more is nearer to least recently used. The <b>hand's speed</b>, as used
 * frames passed for one fault, falls when most pages leave main without a single use: then use is no matter of recency,
 * and main should rather remember how often.
 *
 * <p>Time counts queue insertions, so one stamp for each frame is its time of last known use, its place in its queue
 * and its hint for the next process. A hit cannot call the policy: it is seen when a hand passes, through the use
 * count.
 *
 * <p>Costs: 17 bytes a frame and 12 for its ghost. A page read twice, the second time after its ghost is gone, is
 * missed twice. A reuse that is regular but takes as many faults as the cache has frames is learned only if probation
 * happens to reach it. Every call is bounded by a small multiple of {@link #MAX_HAND_STEPS}; the price is that the
 * hand may give up on a used frame.
 *
 * <p>Not safe for threads: the cache calls everything under one lock.
 */
public final class Replacement {
    /** The use counts, which live in the cache's translation words where hits can reach them. */
    public interface UseCounts {
        /** How often the page in {@code frame} was used since its count was last set, 0 to 3; 3 stands for more. */
        int get(int frame);

        /** Sets the use count, 0 to 3; may do nothing while the page is in transition. */
        void set(int frame, int uses);
    }

    /**
     * Where the policy's state outlives the process. Told of every change but that of a use count by a hit, as it
     * happens: so what a death leaves is as old as the last look at the use counts, and no older.
     */
    public interface Memory {
        /** The {@link #hint} of {@code frame} has changed. */
        void moved(int frame);

        /** The {@link #word} at {@code index} is now {@code word}. */
        void word(int index, long word);

        /** Keeps nothing. */
        Memory NONE = new Memory() {
            @Override
            public void moved(int frame) {}

            @Override
            public void word(int index, long word) {}
        };
    }

    private static final int NONE = 0;
    private static final int YOUNG = 1;
    private static final int OLD = 2;
    private static final int MAIN = 3;
    private static final int PARKED = 4;
    private static final int CANDIDATE = 5;

    private static final int NIL = -1;

    /** Numbers of a frame in {@link #places}, and which they are. */
    private static final int PLACE = 4;

    private static final int NEXT = 0;
    private static final int PREVIOUS = 1;
    private static final int STAMP = 2;
    private static final int QUEUE = 3;

    /** The fewest and the most used frames that main's hand passes for one fault. */
    private static final int MIN_HAND_STEPS = 2;

    private static final int MAX_HAND_STEPS = 64;

    /** The part of main that one fault may age at most, as a divisor: else a small cache forgets at once. */
    private static final int HAND_SHARE = 24;

    /** Main's hand keeps its speed when this share of the pages that leave main was not used there once. */
    private static final double IDLE_SHARE = 0.53;

    /** How much slower one such page makes the hand. */
    private static final double SLOW_DOWN = 0.01;

    private static final double SPEED_UP = SLOW_DOWN * IDLE_SHARE / (1 - IDLE_SHARE);

    /** Probation's least share of the frames. */
    private static final double MIN_PROBATION = 0.01;

    /** Its greatest share as long as only ghosts speak for it, which more probation might have kept or not. */
    private static final double GHOST_PROBATION = 0.25;

    /** Its greatest share, when pages come back within probation. */
    private static final double MAX_PROBATION = 0.9;

    /** A frame whose page was admitted to main. */
    private static final byte ADMITTED = 1;

    /** A frame whose page was admitted to main and used there. */
    private static final byte PROVEN = 2;

    /** A parked frame or a candidate that was taken off main's queue. */
    private static final byte FROM_MAIN = 4;

    /** In word 0, beside what was learned: frames have been evicted. */
    private static final int FULL = 1 << 31;

    private static final int HINT_QUEUE_SHIFT = 30;
    private static final int HINT_USES_SHIFT = 28;
    private static final int HINT_TIME_MASK = (1 << HINT_USES_SHIFT) - 1;

    private static final int KEY_QUEUE_MASK = 3;
    private static final int KEY_FRAME_SHIFT = 2;
    private static final int KEY_FRAME_MASK = Integer.MAX_VALUE;
    private static final int KEY_TIME_SHIFT = KEY_FRAME_SHIFT + 31;

    private static final int TIME_DIGITS = 3;
    private static final int TIME_DIGIT_BITS = 10;
    private static final int TIME_DIGIT_MASK = (1 << TIME_DIGIT_BITS) - 1;

    /** Frames that pages may be loaded into; frame numbers go up to what the arrays hold. */
    private int frames;

    private final UseCounts uses;
    private final Memory memory;

    /** What the memory holds is being taken over, and need not be written back to it. */
    private boolean restoring;

    /** Where a restore has its memory from. Tests have none. */
    IntFunction<long[]> arrays = long[]::new;

    /** Word 0 as the memory was last told. */
    private long told;

    /**
     * Four numbers a frame, side by side since a frame's place is hardly ever looked at in part: the frames behind and
     * before it in its queue, the time of its last known use, and its queue.
     */
    private final int[] places;

    /** {@link #ADMITTED}, {@link #PROVEN} and {@link #FROM_MAIN} of each frame. */
    private final byte[] flags;

    private final int[] head = new int[CANDIDATE];
    private final int[] tail = new int[CANDIDATE];
    private final int[] size = new int[CANDIDATE];
    private final Ghosts ghosts;

    /** Insertions into queues; wraps, and is compared by unsigned differences only. */
    private int now;

    private int maxHandSteps;
    private int minProbation;
    private int ghostProbation;
    private int maxProbation;

    /** Used frames that main's hand may pass for one fault or candidate. */
    private double handSteps;

    /** What is left of {@link #handSteps} in this call. */
    private int budget;

    /** Frames that probation is meant to hold; pages that ask for main move it by half a frame each. */
    private int probation;

    private int halfProbation;

    /** Frames that main may hold without taking a place from one of its own. */
    private int mainShare;

    /** Frames that probation holds beyond that, whose pages have not been used for the first time yet. */
    private int aside;

    /** Nothing was evicted yet, and pages go straight to main: it can only be judged when it is full. */
    private boolean filling = true;

    /** Parked frames that may be tried again once nothing else is left. */
    private int retries;

    /**
     * A policy over frames 0 to {@code frames} - 1, all of them free, that ends with the process.
     *
     * @throws IllegalArgumentException if {@code frames} is not positive
     */
    public Replacement(int frames, UseCounts uses) {
        this(frames, frames, uses, Memory.NONE);
    }

    /**
     * A policy over frames 0 to {@code frames} - 1, all of them free, that leaves its state in {@code memory}.
     *
     * @throws IllegalArgumentException if {@code frames} is not positive
     */
    public Replacement(int frames, UseCounts uses, Memory memory) {
        this(frames, frames, uses, memory);
    }

    /**
     * As {@link #Replacement(int, UseCounts, Memory)}, and {@link #resize} may make it up to {@code maxFrames}.
     *
     * @throws IllegalArgumentException if {@code frames} is not positive or greater than {@code maxFrames}
     */
    public Replacement(int frames, int maxFrames, UseCounts uses, Memory memory) {
        if (frames <= 0 || frames > maxFrames) {
            throw new IllegalArgumentException(
                    "a cache has at least one frame and at most " + maxFrames + ", not " + frames);
        }
        this.frames = frames;
        this.uses = uses;
        this.memory = memory;
        places = new int[Math.multiplyExact(maxFrames, PLACE)];
        flags = new byte[maxFrames];
        Arrays.fill(head, NIL);
        Arrays.fill(tail, NIL);
        ghosts = new Ghosts((int) Math.min(Integer.MAX_VALUE - 64L, maxFrames + maxFrames / 2L));
        bounds();
        handSteps = maxHandSteps;
        learn(2 * minProbation);
        mainShare = frames - probation;
    }

    /** What follows from the number of frames. */
    private void bounds() {
        maxHandSteps = Math.clamp(frames / HAND_SHARE, MIN_HAND_STEPS, MAX_HAND_STEPS);
        minProbation = Math.max(1, (int) (frames * MIN_PROBATION));
        ghostProbation = Math.max(1, (int) (frames * GHOST_PROBATION));
        maxProbation = Math.max(1, (int) (frames * MAX_PROBATION));
    }

    /** The page of {@code keyHash} was faulted into {@code frame}, which was free. */
    public void loaded(int frame, long keyHash) {
        loaded(frame, keyHash, false);
    }

    /**
     * As {@link #loaded(int, long)}. Nobody has asked for a page that was read {@code ahead}: it gets into main by its
     * ghost alone, also while there is room.
     */
    public void loaded(int frame, long keyHash, boolean ahead) {
        assert queue(frame) == NONE : "loaded into a frame in use: " + frame;
        removed(frame);
        long reuseDistance = ghosts.take(keyHash, now);
        if (reuseDistance >= 0) {
            tellGhost();
        }
        budget = (int) Math.round(handSteps);
        enter(
                frame,
                filling
                        ? size[MAIN] < mainShare && !ahead
                        : reuseDistance >= 0 && contest(reuseDistance, ghostProbation));
        tellLearned();
    }

    /**
     * So many of the pages in memory were read before anybody asked for them, and nobody has yet: probation is longer
     * by them, so that they neither push each other out nor are old before their first use.
     */
    public void aside(int pages) {
        if (aside != pages) {
            aside = pages;
            ageYoung();
        }
    }

    /** The frame was freed other than by eviction; a frame that was free already stays so. */
    public void removed(int frame) {
        if (queue(frame) != NONE) {
            unlink(frame);
        }
    }

    /**
     * The page in {@code frame} is not expected to be used again: it goes before any other, unless it is used all the
     * same. Without effect on a frame that is free, or proposed, or could not be evicted.
     */
    public void evictFirst(int frame) {
        int list = queue(frame);
        if (list == YOUNG || list == OLD || list == MAIN) {
            unlink(frame);
            uses.set(frame, 0);
            flags[frame] = 0;
            if (head[OLD] != NIL) {
                // as old as the page it overtakes, also for the next process
                set(frame, STAMP, stamp(head[OLD]));
            }
            link(OLD, frame, NIL);
        }
    }

    /**
     * The next frame to evict, taken off its queue, to be followed by {@link #evicted}, {@link #retained} or {@link
     * #removed} for it; other calls may come between. Returns -1 when every frame was proposed and retained since the
     * last eviction or the last -1.
     */
    public int candidate() {
        filling = false;
        budget = (int) Math.round(handSteps);
        int frame = propose();
        if (frame != NIL) {
            if (queue(frame) == MAIN) {
                flags[frame] |= FROM_MAIN;
            } else if (queue(frame) != PARKED) {
                flags[frame] &= ~FROM_MAIN;
            }
            unlink(frame);
            set(frame, QUEUE, CANDIDATE);
        }
        mainShare = Math.max(0, size[YOUNG] + size[OLD] + size[MAIN] - probation - aside);
        return frame;
    }

    private int propose() {
        for (int step = 0; step < maxHandSteps && !probationIsShort() && head[OLD] != NIL; step++) {
            if (uses.get(head[OLD]) == 0) {
                return head[OLD];
            }
            promote(head[OLD]);
        }
        if (probationIsShort() && head[MAIN] != NIL) {
            int victim = mainVictim(-1);
            return victim != NIL ? victim : head[MAIN];
        }
        if (head[OLD] != NIL) {
            return head[OLD];
        }
        if (head[YOUNG] != NIL) {
            return head[YOUNG];
        }
        if (head[MAIN] != NIL) {
            return head[MAIN];
        }
        if (retries > 0 && head[PARKED] != NIL) {
            retries--;
            return head[PARKED];
        }
        retries = size[PARKED];
        return NIL;
    }

    private boolean probationIsShort() {
        return size[YOUNG] + size[OLD] < probation + aside;
    }

    /** The page in the candidate {@code frame} was evicted and the frame is free. */
    public void evicted(int frame, long keyHash) {
        assert queue(frame) == CANDIDATE : "evicted without having been proposed: " + frame;
        removed(frame);
        ghosts.add(keyHash, stamp(frame), now);
        tellGhost();
        if ((flags[frame] & ADMITTED) != 0) {
            double change = (flags[frame] & PROVEN) != 0 ? 1 + SPEED_UP : 1 - SLOW_DOWN;
            handSteps = Math.clamp(handSteps * change, MIN_HAND_STEPS, maxHandSteps);
        }
        // Two for one eviction, so that parked frames do not pile up; none while evictions fail: each is tried once.
        unpark();
        unpark();
        retries = size[PARKED];
        tellLearned();
    }

    private void tellGhost() {
        memory.word(1 + ghosts.changed(), ghosts.entry(ghosts.changed()));
    }

    private void tellLearned() {
        long learned = word(0);
        if (learned != told) {
            told = learned;
            memory.word(0, learned);
        }
    }

    /** The candidate {@code frame} could not be evicted; it is tried again only after others were. */
    public void retained(int frame) {
        assert queue(frame) == CANDIDATE : "retained without having been proposed: " + frame;
        removed(frame);
        link(PARKED, frame, tail[PARKED]);
    }

    /**
     * How much the page in {@code frame} would be missed, 0 to 2^35 - 1; to be compared with that of other frames at
     * the same moment. Pages used more than once in main are the hottest, then all others that were used, the latest
     * first; a young page's many uses may be a scan's, and count for one. Of those not used main's come first, then
     * young ones.
     */
    public long heat(int frame) {
        int list = queue(frame);
        if (list == PARKED || list == CANDIDATE) {
            list = isFromMain(frame) ? MAIN : OLD;
        }
        int count = uses.get(frame) & 3;
        long tier = switch (list) {
            case MAIN -> 2 + count;
            case OLD -> count > 0 ? 3 : 0;
            case YOUNG -> count > 0 ? 3 : 1;
            default -> 0;
        };
        return (tier << 32) | (0xFFFF_FFFFL - Integer.toUnsignedLong(now - stamp(frame)));
    }

    /** The page in {@code from} was moved to {@code to}, which was free, and takes its place in all respects. */
    public void moved(int from, int to) {
        removed(to);
        int list = queue(from);
        set(to, STAMP, stamp(from));
        flags[to] = flags[from];
        if (list == CANDIDATE) {
            set(to, QUEUE, CANDIDATE);
            set(from, QUEUE, NONE);
        } else if (list != NONE) {
            link(list, to, from);
            unlink(from);
        }
    }

    /**
     * Pages will be loaded into frames 0 to {@code count} - 1 from now on; those that are no more must be free.
     *
     * @throws IllegalArgumentException if {@code count} is out of range
     */
    public void resize(int count) {
        if (count <= 0 || count > flags.length) {
            throw new IllegalArgumentException(
                    "a cache has at least one frame and at most " + flags.length + ", not " + count);
        }
        filling |= count > frames;
        frames = count;
        bounds();
        handSteps = Math.clamp(handSteps, MIN_HAND_STEPS, maxHandSteps);
        learn(halfProbation);
        mainShare = Math.max(0, (filling ? frames : size[YOUNG] + size[OLD] + size[MAIN]) - probation);
        ageYoung();
        tellLearned();
    }

    /** What the next process should know of {@code frame}: queue, use count, time of last use. */
    public int hint(int frame) {
        int list = queue(frame);
        if (list == PARKED || list == CANDIDATE) {
            list = isFromMain(frame) ? MAIN : OLD;
        }
        return (list << HINT_QUEUE_SHIFT)
                | ((uses.get(frame) & 3) << HINT_USES_SHIFT)
                | (stamp(frame) & HINT_TIME_MASK);
    }

    /** The use count in a hint, 0 to 3. */
    public static int usesOf(int hint) {
        return (hint >>> HINT_USES_SHIFT) & 3;
    }

    /**
     * Takes over frames that survived in memory, with the hints kept of them, before anything else is done. Any value
     * will do for a hint: one that makes no sense costs its page a better place.
     *
     * @param survivors the frames, each once
     * @param hints the hint of each, in the same order
     */
    public void restore(int[] survivors, int[] hints) {
        restore(survivors, hints, true);
    }

    /**
     * As {@link #restore(int[], int[])}, for who has set the use counts already, and perhaps counted on, if not
     * {@code setUses}.
     */
    public void restore(int[] survivors, int[] hints, boolean setUses) {
        restore(survivors, hints, setUses, Slices.worth(survivors.length));
    }

    /**
     * As above, on so many threads.
     *
     * @throws OutOfMemoryError if there is no room for 16 bytes a frame; no link was written then
     */
    void restore(int[] survivors, int[] hints, boolean setUses, int slices) {
        int count = survivors.length;
        long[] keys = arrays.apply(count);
        Slices.run(count, slices, (slice, from, to) -> {
            for (int i = from; i < to; i++) {
                keys[i] = key(survivors[i], hints[i]);
            }
        });
        long[] sorted = sort(keys, arrays.apply(count), slices);
        int oldest = oldest(sorted);
        int newest = count == 0 ? 0 : time(sorted[(oldest + count - 1) % count]);
        Restored[] parts = new Restored[slices];
        for (int slice = 0; slice < slices; slice++) {
            parts[slice] = new Restored();
        }
        Restored all = new Restored();
        // Nothing is allocated by whoever writes links, nor after the first one is written.
        Slices.run(count, slices, (slice, from, to) -> parts[slice].link(sorted, oldest, newest, from, to));
        all.join(parts);
        if (setUses) {
            for (int i = 0; i < count; i++) {
                uses.set(survivors[i], usesOf(hints[i]));
            }
        }
        now = newest;
        restoring = true;
        learn(2 * Math.min(maxProbation, size[YOUNG] + size[OLD]));
        mainShare = frames - probation;
        ageYoung();
        restoring = false;
    }

    /** Time, frame and queue of a hint, so that the keys' order is that of their times. */
    private static long key(int frame, int hint) {
        return (long) (hint & HINT_TIME_MASK) << KEY_TIME_SHIFT
                | (long) frame << KEY_FRAME_SHIFT
                | hint >>> HINT_QUEUE_SHIFT;
    }

    /**
     * Keys in the order of their times, and of the array where these are equal: digit by digit, each with so few values
     * that the places written to at the same time stay in the nearest caches. The result is one of both arrays.
     */
    private static long[] sort(long[] keys, long[] other, int slices) {
        long[] from = keys;
        long[] to = other;
        for (int digit = 0; digit < TIME_DIGITS; digit++) {
            int shift = KEY_TIME_SHIFT + digit * TIME_DIGIT_BITS;
            int[][] starts = new int[slices][1 << TIME_DIGIT_BITS];
            long[] source = from;
            long[] target = to;
            Slices.run(keys.length, slices, (slice, first, end) -> {
                for (int i = first; i < end; i++) {
                    starts[slice][(int) (source[i] >>> shift) & TIME_DIGIT_MASK]++;
                }
            });
            int start = 0;
            for (int value = 0; value <= TIME_DIGIT_MASK; value++) {
                for (int[] of : starts) {
                    int count = of[value];
                    of[value] = start;
                    start += count;
                }
            }
            Slices.run(keys.length, slices, (slice, first, end) -> {
                for (int i = first; i < end; i++) {
                    target[starts[slice][(int) (source[i] >>> shift) & TIME_DIGIT_MASK]++] = source[i];
                }
            });
            from = target;
            to = source;
        }
        return from;
    }

    private static int time(long key) {
        return (int) (key >>> KEY_TIME_SHIFT);
    }

    /** Where in keys sorted by time the oldest one is: behind the widest gap in the circle of times. */
    private static int oldest(long[] sorted) {
        int oldest = 0;
        int widest = -1;
        for (int i = 0; i < sorted.length; i++) {
            int before = time(sorted[i == 0 ? sorted.length - 1 : i - 1]);
            int gap = (time(sorted[i]) - before) & HINT_TIME_MASK;
            if (gap > widest) {
                widest = gap;
                oldest = i;
            }
        }
        return oldest;
    }

    /**
     * A slice of the frames to be restored, in the order of their times, linked to each other and to the last frame of
     * the same queue before the slice. Frames of no queue, 0, are linked the other way round, the newest first.
     */
    private final class Restored {
        private final int[] first = new int[PARKED];
        private final int[] last = new int[PARKED];
        private final int[] count = new int[PARKED];
        private final int[] before = new int[PARKED];

        /** Slices are linked by several threads: each link is written by whoever has the later frame of the two. */
        void link(long[] sorted, int oldest, int newest, int from, int to) {
            lookBack(sorted, oldest, from);
            for (int i = from; i < to; i++) {
                long key = sorted[(int) (((long) oldest + i) % sorted.length)];
                int list = (int) key & KEY_QUEUE_MASK;
                int frame = (int) (key >>> KEY_FRAME_SHIFT) & KEY_FRAME_MASK;
                int place = PLACE * frame;
                places[place + STAMP] = newest - ((newest - time(key)) & HINT_TIME_MASK);
                places[place + QUEUE] = list == NONE ? OLD : list;
                places[place + (list == NONE ? NEXT : PREVIOUS)] = before[list];
                if (before[list] != NIL) {
                    places[PLACE * before[list] + (list == NONE ? PREVIOUS : NEXT)] = frame;
                }
                before[list] = frame;
                if (count[list]++ == 0) {
                    first[list] = frame;
                }
                last[list] = frame;
            }
        }

        /** Finds the last frame of each queue before position {@code from}, as the slice before this one has it. */
        private void lookBack(long[] sorted, int oldest, int from) {
            Arrays.fill(before, NIL);
            int missing = PARKED;
            for (int i = from - 1; i >= 0 && missing > 0; i--) {
                long key = sorted[(int) (((long) oldest + i) % sorted.length)];
                int list = (int) key & KEY_QUEUE_MASK;
                if (before[list] == NIL) {
                    before[list] = (int) (key >>> KEY_FRAME_SHIFT) & KEY_FRAME_MASK;
                    missing--;
                }
            }
        }

        /** Makes the queues, all of them empty, of what the slices have linked. */
        void join(Restored[] parts) {
            Arrays.fill(first, NIL);
            Arrays.fill(last, NIL);
            for (Restored part : parts) {
                for (int list = NONE; list < PARKED; list++) {
                    if (part.count[list] > 0) {
                        first[list] = first[list] == NIL ? part.first[list] : first[list];
                        last[list] = part.last[list];
                        size[list == NONE ? OLD : list] += part.count[list];
                    }
                }
            }
            for (int list = YOUNG; list < PARKED; list++) {
                head[list] = first[list];
                tail[list] = last[list];
                if (last[list] != NIL) {
                    set(last[list], NEXT, NIL);
                }
            }
            if (first[NONE] != NIL) {
                set(last[NONE], PREVIOUS, NIL);
                set(first[NONE], NEXT, head[OLD]);
                if (head[OLD] != NIL) {
                    set(head[OLD], PREVIOUS, first[NONE]);
                } else {
                    tail[OLD] = first[NONE];
                }
                head[OLD] = last[NONE];
            }
        }
    }

    /**
     * Takes a frame over that survived in memory, as one of the next to go, instead of all that {@link #restore} takes:
     * allocates nothing.
     */
    public void restoreUnordered(int frame) {
        restoring = true;
        link(OLD, frame, tail[OLD]);
        restoring = false;
    }

    /**
     * How many words the policy remembers beside the hints of the frames, what it has learned and the ghosts: at most
     * 8 more than one and a half for a frame.
     */
    public int words() {
        return 1 + ghosts.slots();
    }

    /** What the next process should know that belongs to no frame. */
    public long word(int index) {
        return index == 0
                ? ((long) Float.floatToRawIntBits((float) handSteps) << 32)
                        | Integer.toUnsignedLong(halfProbation | (filling ? 0 : FULL))
                : ghosts.entry(index - 1);
    }

    /** Takes a word over, after {@link #restore} and before anything else; any value will do, and 0 says nothing. */
    public void restoreWord(int index, long word) {
        if (word == 0) {
            return;
        }
        if (index == 0) {
            restoring = true;
            float steps = Float.intBitsToFloat((int) (word >>> 32));
            handSteps = Math.clamp(Float.isNaN(steps) ? maxHandSteps : steps, MIN_HAND_STEPS, maxHandSteps);
            filling = ((int) word & FULL) == 0;
            learn((int) word & ~FULL);
            mainShare = frames - probation;
            ageYoung();
            restoring = false;
        } else {
            int age = (now - (int) word) & HINT_TIME_MASK;
            ghosts.entry(index - 1, (word & (-1L << 32)) | Integer.toUnsignedLong(now - age));
        }
    }

    /** Takes the first {@code count} words over, as {@link #restoreWord}; {@code words} is asked on several threads. */
    public void restoreWords(int count, IntToLongFunction words) {
        if (count == 0) {
            return;
        }
        restoreWord(0, words.applyAsLong(0));
        Slices.run(count - 1, Slices.worth(count - 1), (slice, from, to) -> {
            for (int i = from; i < to; i++) {
                restoreWord(i + 1, words.applyAsLong(i + 1));
            }
        });
    }

    /** The frames of a queue from its head on. For tests. */
    int[] frames(int list) {
        int[] frames = new int[size[list]];
        int count = 0;
        for (int frame = head[list]; frame != NIL; frame = next(frame)) {
            frames[count++] = frame;
        }
        return frames;
    }

    @Override
    public String toString() {
        return "Replacement[frames=" + frames + ", young=" + size[YOUNG] + ", old=" + size[OLD] + ", main=" + size[MAIN]
                + ", parked=" + size[PARKED] + ", probation=" + probation + ", now=" + now + "]";
    }

    /** Whether {@code frame} holds a page as far as the policy knows. For tests. */
    public boolean holds(int frame) {
        return queue(frame) != NONE;
    }

    /**
     * Walks all queues. For tests.
     *
     * @throws IllegalStateException if they contradict each other
     */
    public void check() {
        int linked = 0;
        for (int list = YOUNG; list <= PARKED; list++) {
            int count = 0;
            int before = NIL;
            for (int frame = head[list]; frame != NIL; frame = next(frame)) {
                require(queue(frame) == list, "frame in another queue than it says", frame);
                require(previous(frame) == before, "frame with a wrong link back", frame);
                require(++count <= flags.length, "queue in a circle", list);
                before = frame;
            }
            require(tail[list] == before, "queue with a wrong tail", list);
            require(size[list] == count, "queue with a wrong size", list);
            linked += count;
        }
        for (int frame = 0; frame < flags.length; frame++) {
            int list = queue(frame);
            linked += list == NONE || list == CANDIDATE ? 1 : 0;
        }
        require(linked == flags.length, "frames accounted for", linked);
        require(size[YOUNG] <= Math.max(1, probation / 2) + aside, "young frames", size[YOUNG]);
    }

    private void require(boolean condition, String otherwise, int number) {
        if (!condition) {
            throw new IllegalStateException(otherwise + ": " + number + ", in " + this);
        }
    }

    private void unpark() {
        int frame = head[PARKED];
        if (frame != NIL) {
            unlink(frame);
            append(isFromMain(frame) ? MAIN : YOUNG, frame);
            ageYoung();
        }
    }

    private boolean isFromMain(int frame) {
        return (flags[frame] & FROM_MAIN) != 0;
    }

    private void enter(int frame, boolean main) {
        flags[frame] = main ? ADMITTED : 0;
        append(main ? MAIN : YOUNG, frame);
        ageYoung();
    }

    /** Moves the frame at the head of old, used there, to main or, if main has no room for it, back to the start. */
    private void promote(int frame) {
        unlink(frame);
        enter(frame, contest(Integer.toUnsignedLong(now - stamp(frame)), maxProbation));
    }

    /**
     * Whether a page that came back after {@code reuseDistance} gets into main; probation learns from it. A page that
     * wins shows that main holds frames worth less, so probation may have more of them, up to {@code limit}; a page
     * that loses shows the contrary. A page that was away for longer than a cache full of faults would not have been
     * kept by a larger probation either.
     */
    private boolean contest(long reuseDistance, int limit) {
        boolean won = makeRoomInMain(reuseDistance);
        if (!won) {
            learn(halfProbation - 1);
        } else if (reuseDistance <= frames && halfProbation < 2 * limit) {
            learn(halfProbation + 1);
        }
        return won;
    }

    private void learn(int halfFrames) {
        halfProbation = Math.clamp(halfFrames, 2 * minProbation, 2 * maxProbation);
        probation = halfProbation / 2;
    }

    /** Finds a place in main for a page that came back after {@code reuseDistance}; false if it has to do without. */
    private boolean makeRoomInMain(long reuseDistance) {
        if (size[MAIN] < mainShare) {
            return true;
        }
        int victim = mainVictim(reuseDistance);
        if (victim == NIL) {
            return false;
        }
        unlink(victim);
        link(OLD, victim, NIL);
        return true;
    }

    /** Turns main's hand to a frame that has been out of use for longer than {@code idle}, if that is near. */
    private int mainVictim(long idle) {
        for (; budget > 0 && head[MAIN] != NIL; budget--) {
            int frame = head[MAIN];
            int count = uses.get(frame);
            if (count == 0) {
                return Integer.toUnsignedLong(now - stamp(frame)) > idle ? frame : NIL;
            }
            uses.set(frame, count >> 1);
            flags[frame] |= PROVEN;
            unlink(frame);
            append(MAIN, frame);
        }
        return NIL;
    }

    private void ageYoung() {
        while (size[YOUNG] > Math.max(1, probation / 2) + aside) {
            int frame = head[YOUNG];
            uses.set(frame, 0);
            unlink(frame);
            link(OLD, frame, tail[OLD]);
        }
    }

    private void append(int list, int frame) {
        set(frame, STAMP, ++now);
        link(list, frame, tail[list]);
    }

    private void set(int frame, int which, int value) {
        places[PLACE * frame + which] = value;
    }

    private int next(int frame) {
        return places[PLACE * frame + NEXT];
    }

    private int previous(int frame) {
        return places[PLACE * frame + PREVIOUS];
    }

    /** The time of the last known use. */
    private int stamp(int frame) {
        return places[PLACE * frame + STAMP];
    }

    private int queue(int frame) {
        return places[PLACE * frame + QUEUE];
    }

    /** Links a frame into a list behind {@code before}, or at its head if that is -1. */
    private void link(int list, int frame, int before) {
        int after = before == NIL ? head[list] : next(before);
        set(frame, NEXT, after);
        set(frame, PREVIOUS, before);
        if (before == NIL) {
            head[list] = frame;
        } else {
            set(before, NEXT, frame);
        }
        if (after == NIL) {
            tail[list] = frame;
        } else {
            set(after, PREVIOUS, frame);
        }
        set(frame, QUEUE, list);
        size[list]++;
        if (!restoring) {
            memory.moved(frame);
        }
    }

    private void unlink(int frame) {
        int list = queue(frame);
        set(frame, QUEUE, NONE);
        if (list == CANDIDATE) {
            return;
        }
        int before = previous(frame);
        int after = next(frame);
        if (before == NIL) {
            head[list] = after;
        } else {
            set(before, NEXT, after);
        }
        if (after == NIL) {
            tail[list] = before;
        } else {
            set(after, PREVIOUS, before);
        }
        size[list]--;
    }
}
