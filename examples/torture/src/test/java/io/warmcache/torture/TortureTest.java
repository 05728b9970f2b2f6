/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The short form of {@code examples/torture/run}. {@code -Dtorture.kills=1000} makes it longer. */
class TortureTest {
    private static final int KILLS = Integer.getInteger("torture.kills", 50);

    @TempDir
    Path directory;

    private TortureOptions options(TortureOptions.Backend backend, int kills) {
        TortureOptions options = new TortureOptions();
        options.backend = backend;
        options.kills = kills;
        options.parallel = 2;
        options.out = directory;
        options.complete();
        System.out.println("seed " + options.seedValue());
        return options;
    }

    @ParameterizedTest
    @CsvSource({"SHM, 35", "XEN, 15"})
    void killsLeaveNothingWrong(TortureOptions.Backend backend, int share) throws Exception {
        int kills = KILLS * share / 50;
        Campaign campaign = new Campaign(options(backend, kills));
        String failure = campaign.run();
        System.out.println(campaign.summary());
        assertNull(failure, () -> evidence(failure));
        Tally.Sums sums = campaign.sums();
        assertTrue(sums.kills >= kills, campaign::summary);
        assertTrue(sums.residentPagesCompared > 4 * sums.warmRestarts, "what dropped all would be right as well");
        assertEquals(sums.restarts, sums.warmRestarts);
        assertEquals(0, sums.bad());
        Tally saved = Tally.load(directory.resolve("campaign.json"));
        assertEquals(sums.kills, saved.of(backend.name().toLowerCase(Locale.ROOT)).kills);
        // a campaign that has enough goes on with nothing, and forgets nothing
        Campaign again = new Campaign(options(backend, kills));
        assertNull(again.run());
        assertEquals(sums.residentPagesCompared, again.sums().residentPagesCompared);
    }

    /**
     * That the harness finds what it is there to find. The second rule's breach shows after a restart alone, and takes
     * some minutes to be met: with {@code -Dtorture.kills=1000} and more.
     */
    @ParameterizedTest
    @ValueSource(strings = {"DIRTY_EVICTED", "TAIL_NOT_ZEROED"})
    void aBrokenRuleOfTheCoreIsFound(String breach) throws Exception {
        assumeTrue(breach.equals("DIRTY_EVICTED") || KILLS >= 1000, "takes -Dtorture.kills=1000");
        Campaign campaign = new Campaign(options(TortureOptions.Backend.SHM, 300), breach);
        assertNotNull(campaign.run(), "nothing found");
        assertTrue(campaign.sums().bad() > 0);
        assertTrue(Files.readString(directory.resolve("failure-0").resolve("report.txt")).contains("seed "));
        assertTrue(Files.exists(directory.resolve("failure-0").resolve("lane")));
    }

    private String evidence(String failure) {
        try {
            return failure + "\n" + Files.readString(directory.resolve("failure-0").resolve("report.txt"));
        } catch (IOException e) {
            return failure;
        }
    }
}
