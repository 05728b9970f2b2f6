/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture;

import io.warmcache.torture.Journal.Field;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Compares the files that a dead victim left with what its journal allows, and makes what is there the new start. */
final class Oracle {
    private final Journal journal;
    private final Path directory;
    private final long salt;
    private final long[] words = new long[Content.WORDS];
    private long bytes;

    Oracle(Journal journal, Path directory, long salt) {
        this.journal = journal;
        this.directory = directory;
        this.salt = salt;
    }

    /** Bytes compared so far. */
    long bytes() {
        return bytes;
    }

    /** Compares every file; nobody may write meanwhile. Returns what is wrong, one line each. */
    List<String> check() throws IOException {
        List<String> problems = new ArrayList<>();
        for (int slot = 0; slot < SlotSpec.ALL.size(); slot++) {
            check(slot, problems);
        }
        return problems;
    }

    private void check(int slot, List<String> problems) throws IOException {
        SlotSpec spec = SlotSpec.ALL.get(slot);
        Path path = Slot.path(spec, directory);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment store =
                    Files.exists(path) ? ResidentCheck.coldRead(path, arena) : MemorySegment.NULL;
            long size = store.byteSize();
            long pending = journal.pending(slot);
            boolean cut = pending >= 0 && size == pending;
            if (!cut && (size < journal.sizeFloor(slot) || size > journal.sizeMax(slot))) {
                problems.add(spec.name() + " is " + size + " bytes long: it must be from "
                        + journal.sizeFloor(slot) + " to " + journal.sizeMax(slot) + (pending < 0 ? "" : " or "
                        + pending));
            }
            int found = problems.size();
            for (int unit = 0; unit < Journal.UNITS; unit++) {
                long at = (long) unit * Content.UNIT;
                int length = Math.clamp(size - at, 0, Content.UNIT);
                Arrays.fill(words, 0);
                MemorySegment.copy(store, Math.min(at, size), MemorySegment.ofArray(words), 0, length);
                check(slot, unit, length, cut, problems);
                if (problems.size() > found + 20) {
                    problems.add("and more in " + spec.name());
                    break;
                }
            }
            bytes += size;
            journal.sizeFloor(slot, size);
            journal.sizeMax(slot, size);
            journal.pending(slot, -1);
            journal.recreating(slot, false);
        }
    }

    /** Compares a unit of which the file has {@code length} bytes. */
    private void check(int slot, int unit, int length, boolean cut, List<String> problems) {
        int base = journal.get(slot, unit, Field.BASE);
        int baseCut = journal.get(slot, unit, Field.BASE_CUT);
        int lo = journal.get(slot, unit, Field.LO);
        int begun = journal.get(slot, unit, Field.BEGUN);
        int floor = journal.get(slot, unit, Field.FLOOR);
        if (length == 0) {
            if (!cut && (base != 0 || floor > 0)) {
                problems.add(describe(slot, unit, "lies past the end, and was written"));
            }
            journal.settle(slot, unit, 0, Content.UNIT);
            return;
        }
        int version = Content.version(words, 0);
        if (version > lo
                && version >= floor
                && version <= begun
                && Content.matches(words, 0, salt, unit, version, Content.UNIT, length)) {
            journal.settle(slot, unit, version, length);
        } else if (floor <= base && Content.matches(words, 0, salt, unit, base, baseCut, length)) {
            journal.settle(slot, unit, base, Math.min(baseCut, length));
        } else if (length < Integer.BYTES && versionOf(unit, Math.max(lo + 1, floor), begun, length) > 0) {
            journal.settle(slot, unit, versionOf(unit, Math.max(lo + 1, floor), begun, length), length);
        } else {
            problems.add(describe(
                    slot,
                    unit,
                    "has version " + version + " (word 0 " + Long.toHexString(words[0]) + ", word 1 "
                            + Long.toHexString(words[1]) + ", last " + Long.toHexString(words[words.length - 1])
                            + "), whole: "
                            + Content.matches(words, 0, salt, unit, version, Content.UNIT, length)
                            + ", bytes there: " + length + ", cut: " + cut));
            journal.settle(slot, unit, 0, Content.UNIT);
        }
    }

    /** A version whose first bytes these are, where there are too few to tell it; 0 if there is none. */
    private int versionOf(int unit, int first, int last, int length) {
        for (int version = first; version <= last; version++) {
            if (Content.matches(words, 0, salt, unit, version, Content.UNIT, length)) {
                return version;
            }
        }
        return 0;
    }

    private String describe(int slot, int unit, String what) {
        StringBuilder text = new StringBuilder("unit " + unit + " of " + SlotSpec.ALL.get(slot).name() + " " + what
                + "; allowed:");
        for (Field field : Field.values()) {
            text.append(' ').append(field).append(' ').append(journal.get(slot, unit, field));
        }
        return text.toString();
    }
}
