/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** The short form of {@code examples/torture/run}. {@code -Dtorture.kills=1000} makes it longer. */
class TortureTest {
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
        int kills = Integer.getInteger("torture.kills", 50) * share / 50;
        Campaign campaign = new Campaign(options(backend, kills));
        String failure = campaign.run();
        System.out.println(campaign.summary());
        assertNull(failure, () -> evidence(failure));
        Tally.Sums sums = campaign.sums();
        assertTrue(sums.kills >= kills, campaign::summary);
        assertTrue(sums.residentPagesCompared > 0, campaign::summary);
        assertEquals(sums.restarts, sums.warmRestarts);
        assertEquals(0, sums.bad());
        Tally saved = Tally.load(directory.resolve("campaign.json"));
        assertEquals(sums.kills, saved.of(backend.name().toLowerCase(Locale.ROOT)).kills);
        // a campaign that has enough goes on with nothing, and forgets nothing
        Campaign again = new Campaign(options(backend, kills));
        assertNull(again.run());
        assertEquals(sums.residentPagesCompared, again.sums().residentPagesCompared);
    }

    /** Rules whose breach other tests of the core find too: here to see the harness find something. */
    private enum Breach {
        DIRTY_EVICTED,
        TAIL_NOT_ZEROED
    }

    @ParameterizedTest
    @EnumSource
    void aBrokenRuleOfTheCoreIsFound(Breach breach) throws Exception {
        Campaign campaign = new Campaign(options(TortureOptions.Backend.SHM, 300), breach.name());
        assertNotNull(campaign.run(), "nothing found");
        assertTrue(campaign.sums().bad() > 0);
        assertTrue(Files.readString(directory.resolve("failure-0").resolve("report.txt")).contains("seed "));
        assertTrue(Files.exists(directory.resolve("failure-0").resolve("lane")));
    }

    private String evidence(String failure) {
        try {
            return failure + "\n" + Files.readString(directory.resolve("failure-0").resolve("report.txt"));
        } catch (java.io.IOException e) {
            return failure;
        }
    }
}
