/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture;

import java.io.IOException;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/**
 * What the victim says it is about to do and has done, in a mapped file that outlives it: the store must hold, after
 * its death, what this allows and nothing else. A kill leaves each thread's stores up to some point, in program order
 * as compiled, so all that is needed is {@link #fence}.
 *
 * <p>For each unit: a <em>base</em> version with the number of its bytes before a truncate cut it, the state a parent
 * or a truncate found the store in; versions up to <em>lo</em> other than that are dead; those after it up to
 * <em>begun</em> may have been written; <em>acked</em> is the last acknowledged; nothing older than <em>floor</em> may
 * be in the store.
 */
final class Journal {
    /** Units of a file at most. */
    static final int UNITS = 1536;

    private static final int SLOT_BYTES = 64;
    private static final int UNIT_BYTES = 32;
    private static final int UNITS_AT = 4096;

    private static final int GENERATION = 0;
    private static final int RECREATING = 4;
    private static final int PENDING = 8;
    private static final int SIZE_FLOOR = 16;
    private static final int SIZE_MAX = 24;
    private static final int PROGRESS = 32;

    /** A number kept of every unit. */
    enum Field {
        BASE(0),
        BASE_CUT(4),
        LO(8),
        BEGUN(12),
        ACKED(16),
        FLOOR(20);

        private final int offset;

        Field(int offset) {
            this.offset = offset;
        }
    }

    private final MappedByteBuffer map;

    private Journal(MappedByteBuffer map) {
        this.map = map;
        map.order(ByteOrder.nativeOrder());
    }

    /** Makes one of files that do not exist. */
    static Journal create(Path file) throws IOException {
        Journal journal = open(file);
        for (int slot = 0; slot < SlotSpec.ALL.size(); slot++) {
            journal.pending(slot, -1);
            for (int unit = 0; unit < UNITS; unit++) {
                journal.set(slot, unit, Field.BASE_CUT, Content.UNIT);
            }
        }
        return journal;
    }

    static Journal open(Path file) throws IOException {
        try (FileChannel channel = FileChannel.open(
                file, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            return new Journal(channel.map(
                    FileChannel.MapMode.READ_WRITE, 0, UNITS_AT + (long) SlotSpec.ALL.size() * UNITS * UNIT_BYTES));
        }
    }

    /** What was noted before is noted before what is done after. */
    static void fence() {
        VarHandle.fullFence();
    }

    int get(int slot, int unit, Field field) {
        return map.getInt(at(slot, unit) + field.offset);
    }

    void set(int slot, int unit, Field field, int value) {
        map.putInt(at(slot, unit) + field.offset, value);
    }

    private static int at(int slot, int unit) {
        return UNITS_AT + (slot * UNITS + unit) * UNIT_BYTES;
    }

    /** Counts the files that there have been under this name. */
    int generation(int slot) {
        return map.getInt(slot * SLOT_BYTES + GENERATION);
    }

    void generation(int slot, int value) {
        map.putInt(slot * SLOT_BYTES + GENERATION, value);
    }

    /** Whether the file is being deleted and made anew. */
    boolean recreating(int slot) {
        return map.getInt(slot * SLOT_BYTES + RECREATING) != 0;
    }

    void recreating(int slot, boolean value) {
        map.putInt(slot * SLOT_BYTES + RECREATING, value ? 1 : 0);
    }

    /** The length that a truncate under way gives the file, or -1. */
    long pending(int slot) {
        return map.getLong(slot * SLOT_BYTES + PENDING);
    }

    void pending(int slot, long size) {
        map.putLong(slot * SLOT_BYTES + PENDING, size);
    }

    /** The file is no shorter than this. */
    long sizeFloor(int slot) {
        return map.getLong(slot * SLOT_BYTES + SIZE_FLOOR);
    }

    void sizeFloor(int slot, long size) {
        map.putLong(slot * SLOT_BYTES + SIZE_FLOOR, size);
    }

    /** The file is no longer than this. */
    long sizeMax(int slot) {
        return map.getLong(slot * SLOT_BYTES + SIZE_MAX);
    }

    void sizeMax(int slot, long size) {
        map.putLong(slot * SLOT_BYTES + SIZE_MAX, size);
    }

    /** About how many operations the victims ended; for a parent that wants to see them get on. */
    long progress() {
        long sum = 0;
        for (int slot = 0; slot < SlotSpec.ALL.size(); slot++) {
            sum += map.getInt(slot * SLOT_BYTES + PROGRESS);
        }
        return sum;
    }

    void progressed(int slot) {
        map.putInt(slot * SLOT_BYTES + PROGRESS, map.getInt(slot * SLOT_BYTES + PROGRESS) + 1);
    }

    /** Says that the store holds exactly this, and that nothing written before can come back. */
    void settle(int slot, int unit, int version, int cut) {
        set(slot, unit, Field.FLOOR, 0);
        set(slot, unit, Field.BASE, version);
        set(slot, unit, Field.BASE_CUT, cut);
        set(slot, unit, Field.LO, get(slot, unit, Field.BEGUN));
        set(slot, unit, Field.ACKED, version);
    }

    /** Says that the file is new and empty. */
    void reset(int slot) {
        for (int unit = 0; unit < UNITS; unit++) {
            settle(slot, unit, 0, Content.UNIT);
        }
        sizeFloor(slot, 0);
        sizeMax(slot, 0);
        pending(slot, -1);
        generation(slot, generation(slot) + 1);
    }

    /** Says that the file was cut or lengthened to {@code size}, from {@code old}. */
    void truncated(int slot, long size, long old) {
        if (size < old) {
            int boundary = (int) (size / Content.UNIT);
            int rest = (int) (size % Content.UNIT);
            if (rest > 0) {
                int acked = get(slot, boundary, Field.ACKED);
                boolean base = acked == get(slot, boundary, Field.BASE);
                settle(
                        slot,
                        boundary,
                        acked,
                        base ? Math.min(rest, get(slot, boundary, Field.BASE_CUT)) : rest);
                boundary++;
            }
            for (int unit = boundary; unit < UNITS; unit++) {
                settle(slot, unit, 0, Content.UNIT);
            }
        }
        if (size != old) {
            sizeFloor(slot, size);
            sizeMax(slot, size);
        } // else nothing is done, and what was written behind the store's end stays to be flushed
        fence();
        pending(slot, -1);
    }
}
