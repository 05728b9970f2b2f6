/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv.demo;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class ZipfTest {
    private static final int DRAWS = 1_000_000;

    @Test
    void drawsEachRankAsOftenAsItsLawSays() {
        Zipf zipf = new Zipf(1000, 1.1);
        int[] drawn = draw(zipf, 7);
        double sum = 0;
        for (int rank = 1; rank <= 1000; rank++) {
            sum += Math.pow(rank, -1.1);
        }
        for (int rank : new int[] {0, 1, 2, 9, 99, 999}) {
            double expected = DRAWS * Math.pow(rank + 1, -1.1) / sum;
            double tolerance = 6 * Math.sqrt(expected);
            assertEquals(expected, drawn[rank], tolerance, "rank " + rank);
        }
    }

    @Test
    void drawsAllRanksAlikeWithoutSkew() {
        int[] drawn = draw(new Zipf(10, 0), 3);
        for (int rank = 0; rank < 10; rank++) {
            assertEquals(DRAWS / 10.0, drawn[rank], 6 * Math.sqrt(DRAWS / 10.0), "rank " + rank);
        }
    }

    @Test
    void drawsTheSameSequenceFromTheSameSeed() {
        Zipf zipf = new Zipf(500, 0.9);
        assertArrayEquals(draw(zipf, 11), draw(zipf, 11));
    }

    @Test
    void knowsTheShareOfTheFirstRanks() {
        Zipf zipf = new Zipf(100, 1);
        int[] drawn = draw(zipf, 5);
        int first = 0;
        for (int rank = 0; rank < 20; rank++) {
            first += drawn[rank];
        }
        assertEquals(zipf.share(20), first / (double) DRAWS, 0.01);
        assertEquals(0, zipf.share(0));
        assertEquals(1, zipf.share(100), 1e-12);
    }

    @Test
    void drawsTheOnlyRankThereIs() {
        assertEquals(0, new Zipf(1, 1.1).next(new SplittableRandom(1)));
        assertThrows(IllegalArgumentException.class, () -> new Zipf(0, 1));
    }

    private static int[] draw(Zipf zipf, long seed) {
        SplittableRandom random = new SplittableRandom(seed);
        int[] drawn = new int[zipf.ranks()];
        for (int i = 0; i < DRAWS; i++) {
            drawn[zipf.next(random)]++;
        }
        assertTrue(drawn[0] > 0);
        return drawn;
    }
}
