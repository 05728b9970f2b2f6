/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture.faults;

import io.warmcache.spi.FrameState;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Random;
import org.jspecify.annotations.Nullable;

/**
 * A segment of shared memory, read and written by what {@code docs/format.md} says of it and nothing else: so the
 * document is put to the test, too.
 */
final class ShmRemains implements Remains {
    static final int HEADER = 4096;
    static final int HEADER_WORDS = 32;
    static final int TABLE = 8192;

    private static final int SELF_CHECK = 8;
    private static final int FILE_ID = 16;
    private static final int PAGE = 24;
    private static final int GENERATION = 32;
    private static final int HINT = 36;
    private static final int CHECKSUMS = 40;

    private static final long FREE = 0x5A1C93E70B64D28FL;
    private static final long FILLING = 0xC3D84F15A6E9703BL;
    private static final long CLEAN = 0x17F62AB9D4508E6CL;
    private static final long WRITTEN = 0xE882B54E619B3DD5L;
    private static final long DIRTY = 0x2E4BD8713F97C4A2L;

    private final Arena arena = Arena.ofShared();
    final MemorySegment all;
    final int pageSize;
    final int capacity;
    final int recordSize;
    final long frames;
    final long ledger;
    private final long incarnation;
    private final int blocks;

    @SuppressWarnings("MustBeClosedChecker") // the arena ends with this
    ShmRemains(Path segment) throws IOException {
        try (FileChannel channel =
                FileChannel.open(segment, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            all = channel.map(FileChannel.MapMode.READ_WRITE, 0, channel.size(), arena);
        }
        // The owner is idle or dead, so copy A is whole.
        pageSize = (int) header(5);
        recordSize = (int) header(8);
        ledger = header(9);
        frames = header(10);
        incarnation = header(12);
        capacity = (int) header(23);
        blocks = pageSize / 4096;
    }

    private long header(int word) {
        return all.get(ValueLayout.JAVA_LONG, word * 8L);
    }

    private long word(long at) {
        return all.get(ValueLayout.JAVA_LONG, at);
    }

    private void word(long at, long value) {
        all.set(ValueLayout.JAVA_LONG, at, value);
    }

    long record(int frame) {
        return ledger + (long) frame * recordSize;
    }

    @Override
    public int frames() {
        return capacity;
    }

    @Override
    public int pageSize() {
        return pageSize;
    }

    private static @Nullable FrameState state(long word) {
        if (word == FREE) {
            return FrameState.FREE;
        } else if (word == FILLING) {
            return FrameState.FILLING;
        } else if (word == CLEAN) {
            return FrameState.CLEAN;
        } else if (word == WRITTEN) {
            return FrameState.WRITTEN;
        }
        return word == DIRTY ? FrameState.DIRTY : null;
    }

    @Override
    public Entry entry(int frame) {
        long at = record(frame);
        return new Entry(
                state(word(at)),
                word(at + FILE_ID),
                word(at + PAGE),
                all.get(ValueLayout.JAVA_INT, at + GENERATION));
    }

    @Override
    public byte get(long at) {
        return all.get(ValueLayout.JAVA_BYTE, frames + at);
    }

    @Override
    public void put(long at, byte value) {
        all.set(ValueLayout.JAVA_BYTE, frames + at, value);
    }

    private boolean counts(long offset) {
        return offset < CHECKSUMS + 8L * blocks && (offset < HINT || offset >= CHECKSUMS);
    }

    @Override
    public boolean flipRecord(int frame, int bits, Random random) {
        boolean counts = false;
        for (int bit : Draw.distinct(random, bits, recordSize * 8)) {
            flip(record(frame) * 8 + bit);
            counts |= counts(bit / 8);
        }
        return counts;
    }

    /** Turns a bit of the segment over. */
    void flip(long bit) {
        all.set(
                ValueLayout.JAVA_BYTE,
                bit / 8,
                (byte) (all.get(ValueLayout.JAVA_BYTE, bit / 8) ^ 1 << (bit % 8)));
    }

    boolean bit(long bit) {
        return (all.get(ValueLayout.JAVA_BYTE, bit / 8) >> (bit % 8) & 1) != 0;
    }

    @Override
    public boolean storeIntoRecord(int frame, Random random) {
        long offset = 8L * random.nextInt(recordSize / 8);
        byte[] before = copy(frame);
        word(record(frame) + offset, random.nextLong());
        byte[] after = copy(frame);
        boolean counts = false;
        for (int i = 0; i < before.length; i++) {
            counts |= before[i] != after[i] && counts(i);
        }
        return counts;
    }

    @Override
    public byte[] recordOf(int frame) {
        byte[] record = copy(frame);
        java.util.Arrays.fill(record, 0, SELF_CHECK, (byte) 0);
        java.util.Arrays.fill(record, HINT, CHECKSUMS, (byte) 0);
        return record;
    }

    private byte[] copy(int frame) {
        return all.asSlice(record(frame), recordSize).toArray(ValueLayout.JAVA_BYTE);
    }

    private void paste(int frame, byte[] record) {
        all.asSlice(record(frame), recordSize).copyFrom(MemorySegment.ofArray(record));
    }

    @Override
    public void swapRecords(int a, int b, boolean valid) {
        byte[] first = copy(a);
        paste(a, copy(b));
        paste(b, first);
        if (valid) {
            seal(a);
            seal(b);
        }
    }

    @Override
    public void rekey(int frame, long fileId, long page) {
        word(record(frame) + FILE_ID, fileId);
        word(record(frame) + PAGE, page);
        seal(frame);
    }

    @Override
    public void uninitialise(int frame, Random random) {
        byte[] garbage = copy(frame);
        if (random.nextBoolean()) {
            random.nextBytes(garbage); // what the memory held before
        } else {
            java.util.Arrays.fill(garbage, CHECKSUMS, garbage.length, (byte) 0);
        }
        paste(frame, garbage);
        word(record(frame), random.nextBoolean() ? CLEAN : WRITTEN);
    }

    @Override
    public void tear(int frame, int donor) {
        byte[] record = copy(frame);
        int half = (CHECKSUMS + 8 * blocks) / 2 / 8 * 8;
        System.arraycopy(copy(donor), half, record, half, recordSize - half);
        paste(frame, record);
    }

    /** Makes the record's self-check right. */
    private void seal(int frame) {
        long at = record(frame);
        long h = mix(incarnation, frame);
        h = mix(h, word(at + FILE_ID));
        h = mix(h, word(at + PAGE));
        h = mix(h, all.get(ValueLayout.JAVA_INT, at + GENERATION));
        for (int b = 0; b < blocks; b++) {
            h = mix(h, word(at + CHECKSUMS + 8L * b));
        }
        h = (h ^ h >>> 33) * 0xFF51AFD7ED558CCDL;
        h = (h ^ h >>> 29) * 0xC4CEB9FE1A85EC53L;
        h ^= h >>> 32;
        word(at + SELF_CHECK, h == 0 ? 1 : h);
    }

    private static long mix(long h, long word) {
        long mixed = Long.rotateLeft(h ^ word * 0x9E3779B97F4A7C15L, 31) * 0xD6E8FEB86659FD93L;
        return mixed ^ mixed >>> 32;
    }

    /** Whether the self-check of a record is what this class would write: that it can forge one. */
    boolean isWhole(int frame) {
        long was = word(record(frame) + SELF_CHECK);
        seal(frame);
        long is = word(record(frame) + SELF_CHECK);
        word(record(frame) + SELF_CHECK, was);
        return was == is;
    }

    @Override
    public void close() {
        arena.close();
    }
}
