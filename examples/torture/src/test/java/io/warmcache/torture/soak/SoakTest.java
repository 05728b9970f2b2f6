/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture.soak;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** A soak of a few seconds, and that the trend of a long one finds what it is there to find. */
class SoakTest {
    @TempDir
    private Path out;

    @ParameterizedTest
    @EnumSource(SoakOptions.Backend.class)
    void aCacheRestartedUnderLoadServesNothingWrongAndLeavesNothingBehind(SoakOptions.Backend backend)
            throws Exception {
        SoakOptions options = new SoakOptions();
        options.backend = backend;
        options.minutes = 4 / 60.0;
        options.every = 0.8;
        options.capacityMib = 4;
        options.rate = 4000;
        options.out = out;
        SoakReport report = Soak.run(options);
        assertTrue(report.good(), "see the report above");
        assertEquals(0, report.wrong());
        assertTrue(report.kills() >= 1 && report.operations() > 0 && report.compared() > 0, "it did something");
        JsonNode json = JsonMapper.shared().readTree(Files.readString(out.resolve("soak.json")));
        assertEquals(report.kills(), json.get("kills").asInt());
        assertEquals(report.samples().size(), json.get("samples").size());
        String svg = Files.readString(out.resolve("soak.svg"));
        var parsed = javax.xml.parsers.DocumentBuilderFactory.newInstance()
                .newDocumentBuilder()
                .parse(new org.xml.sax.InputSource(new java.io.StringReader(svg)));
        assertEquals(8, parsed.getElementsByTagName("polyline").getLength());
        try (Stream<Path> files = Files.list(out)) {
            assertEquals(
                    List.of("soak.json", "soak.log", "soak.svg"),
                    files.map(file -> String.valueOf(file.getFileName())).sorted().toList());
        }
    }

    private static Trend memory(double[] mib) {
        double[] bytes = Arrays.stream(mib).map(m -> m * (1 << 20)).toArray();
        return Trend.of("memory", "bytes", bytes, 16 << 20, 0.1, Trend.Leak.UP, false);
    }

    @Test
    void aLeakOfAMebibyteALifeIsFoundAmidNoiseAndNoiseAloneIsNot() {
        for (long seed = 1; seed <= 20; seed++) {
            Random random = new Random(seed);
            double[] noise = new double[118];
            double[] leak = new double[118];
            for (int life = 0; life < noise.length; life++) {
                // One life in six is far out.
                noise[life] = 300 + 20 * random.nextGaussian() + (random.nextInt(6) == 0 ? 200 : 0);
                leak[life] = noise[life] + life;
            }
            assertTrue(memory(noise).flat(), "seed " + seed + ": " + memory(noise));
            assertFalse(memory(leak).flat(), "seed " + seed + ": " + memory(leak));
        }
    }

    @Test
    void aFileLeftBehindByEachLifeIsFoundInTwoLives() {
        Trend files = Trend.of("files", "", new double[] {1, 2}, 0.5, 0, Trend.Leak.UP, true);
        assertTrue(files.judged() && !files.flat(), files::toString);
        assertTrue(Trend.of("files", "", new double[] {1, 1, 1}, 0.5, 0, Trend.Leak.UP, true).flat());
    }

    @Test
    void framesThatGetFewerAreFoundAndWhatIsOnlyToldIsNotJudged() {
        double[] fewer = new double[40];
        for (int life = 0; life < fewer.length; life++) {
            fewer[life] = 1000 - life;
        }
        assertFalse(Trend.of("frames", "", fewer, 20, 0, Trend.Leak.BOTH, false).flat());
        assertTrue(Trend.of("frames", "", fewer, 20, 0, Trend.Leak.UP, false).flat());
        assertTrue(Trend.of("frames", "", fewer, 0, 0, Trend.Leak.NEVER, false).flat());
        assertEquals(-1, Trend.slope(fewer));
    }
}
