/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.fuzz;

import java.util.Arrays;
import java.util.List;
import java.util.random.RandomGenerator;

/**
 * Changes a segment: blindly, and as one who knows the format and makes the checksum of what he changed match again.
 * What it never does is to forge the content of a page together with its block checksums: who can do that is not kept
 * out by checksums.
 */
final class SegmentMutator {
    private static final int PARTS = 6;

    private final RandomGenerator random;
    private final byte[] bytes;
    private final SegmentFormat format;
    private final SegmentFormat original;
    private final long incarnation;
    private final List<byte[]> others;
    private int length;

    /**
     * Changes bytes in place.
     *
     * @param bytes a segment, of {@code length} bytes; may be longer
     * @param pristine the same before any change: where things lie, however the headers read by now
     * @param others other segments
     */
    SegmentMutator(RandomGenerator random, byte[] bytes, int length, byte[] pristine, List<byte[]> others) {
        this.random = random;
        this.bytes = bytes;
        this.length = length;
        format = new SegmentFormat(bytes);
        original = new SegmentFormat(pristine);
        incarnation = original.incarnation();
        this.others = others;
    }

    /** Returns the length that the file is to have. */
    int mutate(boolean tableOnly) {
        int changes = 1 + random.nextInt(1 << random.nextInt(4));
        for (int i = 0; i < changes; i++) {
            if (tableOnly) {
                table();
            } else {
                change();
            }
        }
        return length;
    }

    private void change() {
        switch (random.nextInt(16)) {
            case 0, 1, 2 -> blind(random.nextInt(PARTS));
            case 3, 4 -> header();
            case 5 -> geometry();
            case 6, 7, 8 -> record();
            case 9 -> exchange();
            case 10, 11 -> table();
            case 12 -> resize();
            case 13 -> splice();
            case 14 -> Mutation.any(bytes, original.frames(), original.ledger(), random);
            default -> Mutation.any(bytes, 0, length, random);
        }
    }

    private void blind(int part) {
        switch (part) {
            case 0 -> Mutation.any(bytes, 0, 8 * SegmentFormat.HEADER_WORDS, random);
            case 1 -> {
                int second = SegmentFormat.HEADER;
                Mutation.any(bytes, second, second + 8 * SegmentFormat.HEADER_WORDS, random);
            }
            case 2 -> Mutation.any(bytes, SegmentFormat.TABLE, original.frames(), random);
            case 3 -> Mutation.any(bytes, original.ledger(), original.record(original.capacity()), random);
            case 4 -> Mutation.any(bytes, original.policy(), original.length(), random);
            default -> {
                // The same to both copies, so that neither is the whole one.
                int word = 8 * random.nextInt(SegmentFormat.HEADER_WORDS);
                long value = Mutation.changed(format.word(word), random);
                format.word(word, value);
                format.word(SegmentFormat.HEADER + word, value);
            }
        }
    }

    /** One field, sealed again, in one copy or in both. */
    private void header() {
        int word = random.nextInt(SegmentFormat.HEADER_WORDS);
        int copies = random.nextInt(3);
        long value = Mutation.changed(format.word(8 * word), random);
        for (int copy = 0; copy < 2; copy++) {
            if (copies == 2 || copies == copy) {
                format.word(copy * SegmentFormat.HEADER + 8 * word, value);
                format.sealHeader(copy);
            }
        }
    }

    /** Another geometry that agrees with itself, and perhaps with the file's length. */
    private void geometry() {
        int page = random.nextInt(4) == 0 ? 4096 << random.nextInt(5) : original.pageSize();
        long room = switch (random.nextInt(4)) {
            case 0 -> 1 + random.nextInt(300);
            case 1 -> 1L << random.nextInt(25);
            default -> Math.max(1, original.room() + random.nextInt(17) - 8);
        };
        int files = random.nextInt(4) == 0 ? 1 + random.nextInt(64) : original.maxFiles();
        for (int copy = 0; copy < 2; copy++) {
            int base = copy * SegmentFormat.HEADER;
            format.word(base + 8 * SegmentFormat.W_PAGE_SIZE, page);
            format.word(base + 8 * SegmentFormat.W_ROOM, room);
            format.word(base + 8 * SegmentFormat.W_MAX_FILES, files);
            format.word(base + 8 * SegmentFormat.W_CAPACITY, 1 + random.nextLong(room));
            format.deriveGeometry(copy);
            format.sealHeader(copy);
        }
        long wanted = (format.word(8 * SegmentFormat.W_LENGTH) + 4095) / 4096 * 4096;
        if (wanted <= bytes.length && random.nextInt(4) > 0) {
            length((int) wanted);
        }
    }

    private void length(int value) {
        if (value < length) {
            // What is cut off reads as zeros if it comes back.
            Arrays.fill(bytes, value, length, (byte) 0);
        }
        length = value;
    }

    /** A field or state of one record; its check matches again more often than not. */
    private void record() {
        int frame = random.nextInt(original.capacity());
        int record = original.record(frame);
        if (record + original.recordSize() > bytes.length) {
            return;
        }
        boolean wasFree = original.word(record) == SegmentFormat.FREE;
        int blocks = original.pageSize() / 4096;
        switch (random.nextInt(6)) {
            case 0 -> {
                long[] states = SegmentFormat.states();
                format.word(record, states[random.nextInt(states.length)]);
            }
            case 1 -> format.word(record, Mutation.changed(format.word(record), random));
            case 2 -> {
                // Another frame's claim to its page, or one of this file or that which nobody makes.
                int other = original.record(random.nextInt(original.capacity()));
                System.arraycopy(bytes, other + 16, bytes, record + 16, random.nextBoolean() ? 16 : 24 + 8 * blocks);
            }
            case 3 -> format.word(record + 16, 1 + random.nextInt(6));
            case 4 -> format.word(record + 24, random.nextBoolean() ? random.nextInt(40) : Mutation.word(random));
            default -> {
                int word = record + 8 * random.nextInt(original.recordSize() / 8);
                format.word(word, Mutation.changed(format.word(word), random));
            }
        }
        // A frame given up long ago, brought back whole with state and check, would be a forgery of its content.
        if (!wasFree && random.nextInt(4) > 0) {
            format.sealRecord(record, frame, blocks, incarnation);
        }
    }

    /** Two records, two frames, or two slots. */
    private void exchange() {
        int size;
        int one;
        int other;
        int capacity = original.capacity();
        switch (random.nextInt(3)) {
            case 0 -> {
                size = original.recordSize();
                one = original.record(random.nextInt(capacity));
                other = original.record(random.nextInt(capacity));
            }
            case 1 -> {
                size = original.pageSize();
                one = original.frame(random.nextInt(capacity));
                other = original.frame(random.nextInt(capacity));
            }
            default -> {
                size = SegmentFormat.SLOT;
                one = original.slot(random.nextInt(original.maxFiles()));
                other = original.slot(random.nextInt(original.maxFiles()));
            }
        }
        byte[] kept = Arrays.copyOfRange(bytes, one, one + size);
        System.arraycopy(bytes, other, bytes, one, size);
        if (random.nextBoolean()) {
            System.arraycopy(kept, 0, bytes, other, size);
        }
    }

    private void table() {
        int slot = original.slot(random.nextInt(original.maxFiles()));
        switch (random.nextInt(6)) {
            case 0 -> Mutation.any(bytes, slot, slot + SegmentFormat.SLOT, random);
            case 1 -> {
                int word = slot + 8 * (1 + random.nextInt(8));
                format.word(word, Mutation.changed(format.word(word), random));
                format.sealSlot(slot, incarnation);
            }
            case 2, 3 -> {
                int copy = random.nextInt(2);
                int journal = slot + SegmentFormat.JOURNAL + copy * SegmentFormat.JOURNAL_BYTES;
                int changes = 1 + random.nextInt(3);
                for (int i = 0; i < changes; i++) {
                    int word = journal + 8 * (1 + random.nextInt(SegmentFormat.JOURNAL_BYTES / 8 - 1));
                    format.word(word, Mutation.changed(format.word(word), random));
                }
                format.sealJournal(slot, copy, incarnation);
            }
            case 4 -> {
                int word = slot + SegmentFormat.RING + 8 * random.nextInt(128);
                format.word(word, Mutation.changed(format.word(word), random));
            }
            default -> Mutation.any(bytes, slot + SegmentFormat.RING, slot + SegmentFormat.SLOT, random);
        }
    }

    private void resize() {
        int wanted = switch (random.nextInt(4)) {
            case 0 -> random.nextInt(length + 1);
            case 1 -> random.nextInt(length / 4096 + 1) * 4096;
            case 2 -> original.ledger();
            default -> length + 4096 * (1 + random.nextInt(16));
        };
        length(Math.min(wanted, bytes.length));
    }

    /** A part of another segment at the same place: header, slots, records, pages of another life. */
    private void splice() {
        if (others.isEmpty()) {
            return;
        }
        byte[] other = others.get(random.nextInt(others.size()));
        int unit = 64 << random.nextInt(8);
        int most = Math.min(other.length, length) / unit;
        if (most > 0) {
            int at = random.nextInt(most) * unit;
            System.arraycopy(other, at, bytes, at, unit);
        }
    }
}
