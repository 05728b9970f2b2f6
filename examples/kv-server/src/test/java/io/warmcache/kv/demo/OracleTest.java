/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv.demo;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class OracleTest {
    private static final long WINDOW = 1000;
    private static final int KEY = 1;

    private final Oracle oracle = new Oracle(3);

    @Test
    void allowsAbsenceAloneBeforeAnyWrite() {
        assertAllowed(0);
        assertTrue(oracle.settled(KEY));
    }

    @Test
    void allowsTheVersionLastSentAloneWhileTheServerLives() {
        oracle.serverStarted(0);
        oracle.written(KEY);
        assertAllowed(1);
        oracle.written(KEY);
        assertAllowed(2);
        oracle.acknowledged(KEY, 1, 0);
        assertAllowed(2);
        assertTrue(oracle.settled(KEY));
    }

    @Test
    void allowsAPendingWriteToHaveHappenedOrNot() {
        oracle.serverStarted(0);
        write(1, 0);
        oracle.written(KEY);
        oracle.serverKilled(1);
        assertAllowed(1, 2);
        assertFalse(oracle.settled(KEY));
        assertEquals(1, oracle.uncertainKeys());
    }

    @Test
    void allowsAnyOfSeveralPendingWrites() {
        oracle.serverStarted(0);
        write(1, 0);
        oracle.written(KEY);
        oracle.written(KEY);
        oracle.serverKilled(1);
        assertAllowed(1, 2, 3);
    }

    @Test
    void allowsNoLossOfAnAcknowledgedWriteWhoseServerForcesFirst() {
        oracle.serverStarted(0);
        write(1, 0);
        write(2, 10);
        oracle.serverKilled(10);
        assertAllowed(2);
    }

    @Test
    void allowsTheLossOfAWriteAcknowledgedWithinTheWindow() {
        oracle.serverStarted(WINDOW);
        write(1, 0);
        write(2, 500);
        write(3, 900);
        oracle.serverKilled(1600);
        assertAllowed(2, 3);
    }

    @Test
    void allowsNoLossOfAWriteAcknowledgedBeforeTheWindow() {
        oracle.serverStarted(WINDOW);
        write(1, 0);
        write(2, 100);
        oracle.serverKilled(1200);
        assertAllowed(2);
    }

    @Test
    void appliesToEachServerItsOwnPromise() {
        oracle.serverStarted(WINDOW);
        write(1, 0);
        oracle.serverKilled(10);
        assertAllowed(0, 1);
        oracle.serverStarted(0);
        write(2, 20);
        oracle.serverKilled(21);
        assertAllowed(2);
    }

    @Test
    void allowsWhatWasFoundAloneAfterAKill() {
        oracle.serverStarted(0);
        write(1, 0);
        oracle.written(KEY);
        oracle.written(KEY);
        oracle.serverKilled(1);
        oracle.serverStarted(0);
        oracle.found(KEY, 2, oracle.allowed(KEY), false);
        assertAllowed(2);
        assertTrue(oracle.settled(KEY));
    }

    @Test
    void neverAllowsALostVersionAgain() {
        oracle.serverStarted(0);
        write(1, 0);
        oracle.written(KEY);
        oracle.written(KEY);
        oracle.serverKilled(1);
        oracle.serverStarted(0);
        oracle.found(KEY, 1, oracle.allowed(KEY), false);
        assertEquals(4, oracle.written(KEY));
        oracle.serverKilled(2);
        // 2 and 3 were lost, 4 is pending
        assertAllowed(1, 4);
    }

    @Test
    void countsOnFromWhatWasFoundWhereWritesBuildOnTheStateBefore() {
        oracle.serverStarted(0);
        write(1, 0);
        oracle.written(KEY);
        oracle.written(KEY);
        oracle.serverKilled(1);
        oracle.serverStarted(0);
        oracle.found(KEY, 2, oracle.allowed(KEY), true);
        assertEquals(3, oracle.written(KEY));
        assertAllowed(3);
    }

    @Test
    void keepsWhatIsPossibleOverSeveralKillsUntilItIsRead() {
        oracle.serverStarted(0);
        write(1, 0);
        oracle.written(KEY);
        oracle.serverKilled(1);
        oracle.serverStarted(0);
        oracle.serverKilled(2);
        assertAllowed(1, 2);
        oracle.serverStarted(0);
        oracle.written(KEY);
        oracle.serverKilled(3);
        assertAllowed(1, 2, 3);
    }

    @Test
    void takesWhatWasFoundInThisLifeForNoProofOfItsOwnWrites() {
        oracle.serverStarted(WINDOW);
        write(1, 0);
        oracle.found(KEY, 1, oracle.allowed(KEY), false);
        oracle.serverKilled(500);
        assertAllowed(0, 1);
    }

    @Test
    void judgesARequestByWhatWasSentBeforeIt() {
        oracle.serverStarted(0);
        write(1, 0);
        Oracle.Allowed before = oracle.allowed(KEY);
        oracle.written(KEY);
        assertTrue(before.contains(1));
        assertFalse(before.contains(2));
    }

    @Test
    void keepsEverythingAcknowledgedOverACleanStop() {
        oracle.serverStarted(WINDOW);
        write(1, 0);
        write(2, 5);
        oracle.serverStopped();
        assertAllowed(2);
        assertEquals(0, oracle.uncertainKeys());
    }

    @Test
    void keepsManyWritesOfTheWindowInOrder() {
        oracle.serverStarted(WINDOW);
        int writes = 5000;
        for (int i = 1; i <= writes; i++) {
            write(i, i);
        }
        oracle.serverKilled(writes + 1);
        // acknowledged more than the window before the kill: up to 4000
        assertAllowed(IntStream.rangeClosed(writes - (int) WINDOW, writes).toArray());
        assertEquals(writes, oracle.acknowledgedWrites());
    }

    private void write(int version, long time) {
        assertEquals(version, oracle.written(KEY));
        oracle.acknowledged(KEY, version, time);
    }

    private void assertAllowed(int... versions) {
        Oracle.Allowed allowed = oracle.allowed(KEY);
        List<Integer> all = IntStream.range(0, 10_000).filter(allowed::contains).boxed().toList();
        assertEquals(IntStream.of(versions).boxed().toList(), all, allowed.toString());
        assertEquals(versions.length == 1, allowed.exact());
    }
}
