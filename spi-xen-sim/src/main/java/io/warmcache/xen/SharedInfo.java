/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;

/**
 * The words that a guest and the VMM share, at the start of the guest's memory file: the event log (write faults,
 * releases, forces), and what the replacement policy wants to find again. The guest can write all of it at any time, so
 * the VMM takes nothing from here that could make a frame more trusted, and checks each event.
 *
 * <p>An event is one word: kind and frame below, a check of them and of the event's number above. The guest stores the
 * word, then the number of events; the VMM has a number of its own of those that it has taken.
 */
final class SharedInfo {
    /** A clean frame is about to be written. */
    static final int DIRTY = 1;
    /** A frame holds nothing any more. */
    static final int RELEASE = 2;
    /** A written frame may be clean by now. */
    static final int FORCED = 3;

    /** Events that fit before the VMM has taken some. */
    static final int EVENTS = 32_768;

    /** Of an event's 32 bits: enough for the frames of the largest machine, 4 TiB, and two more for the kind. */
    private static final int FRAME_BITS = 30;

    private static final long HEAD = 0;
    private static final long TAIL = 64;
    private static final long LOG = 4096;
    private static final long HINTS = LOG + 8L * EVENTS;
    private static final VarHandle WORD = ValueLayout.JAVA_LONG.varHandle();

    private final MemorySegment words;
    private final long policyAt;
    private final int policyWords;
    /** Of the guest: events logged. Of the VMM: events taken. */
    private long count;

    private SharedInfo(MemorySegment words, int pages) {
        this.words = words;
        policyAt = HINTS + (4L * pages + 7) / 8 * 8;
        policyWords = pages + pages / 2 + 8;
    }

    /** How many bytes it takes for a domain of that many pages. */
    static long bytes(int pages) {
        return HINTS + 4L * pages + 8L + 8L * (pages + pages / 2 + 8);
    }

    /** Maps them for as long as the arena lives. */
    static SharedInfo map(int fd, long offset, int pages, Arena arena) throws IOException {
        return new SharedInfo(Libc.map(fd, offset, bytes(pages), arena), pages);
    }

    /** Copies what the policy left, as far as there is room; the log is of no use to a successor. */
    void takeOver(SharedInfo other) {
        long hints = Math.min(policyAt, other.policyAt) - HINTS;
        MemorySegment.copy(other.words, HINTS, words, HINTS, hints);
        MemorySegment.copy(
                other.words, other.policyAt, words, policyAt, 8L * Math.min(policyWords, other.policyWords));
    }

    /** Starts the log again for a new guest. */
    void reset() {
        words.asSlice(0, HINTS).fill((byte) 0);
        count = 0;
    }

    private static long check(long number, long event) {
        long h = (number * 0x9E3779B97F4A7C15L) ^ (event * 0xC2B2AE3D27D4EB4FL);
        h = (h ^ (h >>> 29)) * 0xBF58476D1CE4E5B9L;
        return (h >>> 32) << 32;
    }

    // ---- the guest's side, by one thread at a time

    /** Whether another event fits. */
    boolean hasRoom() {
        return count - (long) WORD.getAcquire(words, TAIL) < EVENTS;
    }

    /** Logs an event, ordered before whatever the caller stores next. */
    void log(int kind, int frame) {
        long event = (long) kind << FRAME_BITS | frame;
        words.set(ValueLayout.JAVA_LONG, LOG + 8 * (count % EVENTS), check(count, event) | event);
        count++;
        WORD.setRelease(words, HEAD, count);
        VarHandle.fullFence();
    }

    // ---- the VMM's side, with the machine's lock held

    /** What is done for an event. */
    @FunctionalInterface
    interface Taker {
        void take(int kind, int frame);
    }

    /**
     * Takes what was logged.
     *
     * @return whether all of it was what a guest logs; if not, the log was overwritten
     */
    boolean take(Taker taker) {
        long head = (long) WORD.getAcquire(words, HEAD);
        if (head < count || head - count > EVENTS) {
            return false;
        }
        while (count < head) {
            long word = words.get(ValueLayout.JAVA_LONG, LOG + 8 * (count % EVENTS));
            long event = word & 0xFFFF_FFFFL;
            if ((word & 0xFFFF_FFFF_0000_0000L) != check(count, event)) {
                return false;
            }
            taker.take((int) (event >>> FRAME_BITS), (int) (event & (1L << FRAME_BITS) - 1));
            count++;
        }
        WORD.setRelease(words, TAIL, count);
        return true;
    }

    /** Whether there may be events to take; without the machine's lock, so that most requests do not need it. */
    boolean isPending() {
        try {
            return (long) WORD.getAcquire(words, HEAD) != count;
        } catch (IllegalStateException e) {
            return false; // unmapped meanwhile: another connection of the guest has dropped the domain
        }
    }

    // ---- hints

    int hint(int frame) {
        return words.get(ValueLayout.JAVA_INT, HINTS + 4L * frame);
    }

    void hint(int frame, int hint) {
        words.set(ValueLayout.JAVA_INT, HINTS + 4L * frame, hint);
    }

    int policyWords() {
        return policyWords;
    }

    long policyWord(int index) {
        return words.get(ValueLayout.JAVA_LONG, at(index));
    }

    void policyWord(int index, long word) {
        words.set(ValueLayout.JAVA_LONG, at(index), word);
    }

    private long at(int index) {
        if (index < 0 || index >= policyWords) {
            throw new IndexOutOfBoundsException("word " + index + " of " + policyWords);
        }
        return policyAt + 8L * index;
    }

    /** All of it, for a test that overwrites what it can. */
    MemorySegment words() {
        return words;
    }
}
