/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.fuzz;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.json.JsonMapper;

/**
 * The short form of {@code examples/fuzz/run}, the same inputs each time; {@code -Dwarmcache.fuzz.factor=N} makes it N
 * times as long, {@code -Dwarmcache.fuzz.seed=N} feeds others.
 */
class FuzzTest {
    private static final int FACTOR = Integer.getInteger("warmcache.fuzz.factor", 1);
    private static final int SEED = Integer.getInteger("warmcache.fuzz.seed", 1);

    @TempDir
    Path directory;

    @ParameterizedTest
    @CsvSource({"segment, 600", "journal, 40", "image, 60", "hotlist, 60", "wire, 40", "resp, 60"})
    void nothingIsFound(String target, int mutations) throws Exception {
        int count = mutations * FACTOR;
        System.out.println("target " + target + ", seed " + SEED);
        assertEquals(0, run(target, SEED, count), "see above");
        Tally tally = tally(target);
        assertEquals(count, tally.mutations);
        assertTrue(tally.served > 0, "something is taken for good, or nothing is tested");
        assertTrue(tally.outcomes.size() > 1, "inputs differ in what they do");
        if (target.equals("image")) {
            assertEquals(0, run(target, SEED, count + 1));
            assertEquals(count + 1, tally(target).mutations, "a run goes on where it was");
        }
    }

    private int run(String target, int seed, int count) {
        return Fuzz.run(
                "--target", target, "--seed", "" + seed, "--mutations", "" + count, "--out", directory.toString());
    }

    private Tally tally(String target) {
        return JsonMapper.builder()
                .build()
                .readValue(directory.resolve("fuzz-" + target + ".json").toFile(), Tally.class);
    }

    @Test
    void theFormatDocumentIsEnoughToSealWhatWasChanged() throws Exception {
        try (SegmentTarget target = new SegmentTarget(directory, false)) {
            assertTrue(target.served() > 0);
        }
        byte[] segment = Files.readAllBytes(directory.resolve("base-killed.bin"));
        byte[] sealed = segment.clone();
        SegmentFormat format = new SegmentFormat(sealed);
        int whole = 0;
        for (int frame = 0; frame < format.capacity(); frame++) {
            if (format.word(format.record(frame)) == SegmentFormat.CLEAN) {
                format.sealRecord(format.record(frame), frame, format.pageSize() / 4096, format.incarnation());
                whole++;
            }
        }
        for (int copy = 0; copy < 2; copy++) {
            format.deriveGeometry(copy);
            format.sealHeader(copy);
        }
        for (int slot = 0; slot < 3; slot++) {
            format.sealSlot(format.slot(slot), format.incarnation());
            for (int copy = 0; copy < 2; copy++) {
                int journal = format.slot(slot) + SegmentFormat.JOURNAL + copy * SegmentFormat.JOURNAL_BYTES;
                if (format.word(journal) != 0) {
                    format.sealJournal(format.slot(slot), copy, format.incarnation());
                    whole++;
                }
            }
        }
        assertArrayEquals(segment, sealed);
        assertTrue(whole > 10, whole + " records and journals");
    }

    @Test
    void anInputFollowsFromItsSeedAndNumber() {
        byte[] bytes = {1, 2, 3, 4, 5, 6, 7, 8, 9};
        assertEquals(new ByteSource(bytes).nextLong(), new ByteSource(bytes).nextLong());
        ByteSource source = new ByteSource(bytes);
        assertEquals(1, source.nextInt(256));
        assertEquals(0x0203, source.nextInt(1 << 16));
        assertEquals(Child.random(3, 4).nextLong(), Child.random(3, 4).nextLong());
        assertNotEquals(Child.random(3, 4).nextLong(), new SplittableRandom(3).nextLong());
    }
}
