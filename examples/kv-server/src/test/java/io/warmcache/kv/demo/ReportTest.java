/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv.demo;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class ReportTest {
    private static final Timeline.Rates BEFORE = new Timeline.Rates(5, 100_000, 20_000, 0.9, 1500);

    @Test
    void tellsWhatTheWarmRestartHeld() {
        Report report = report(0, restart("warm", 0.895, 1600, 9950, 4.2));
        assertTrue(report.targets().stream().allMatch(Report.Target::held), report.targets().toString());
    }

    @Test
    void tellsEachMissedTarget() {
        assertEquals(1, missed(report(0, restart("warm", 0.895, 1600, 9800, null))));
        assertEquals(2, missed(report(0, restart("warm", 0.88, 1600, 10_000, null))));
        assertEquals(2, missed(report(0, restart("warm", 0.9, 1700, 10_000, null))));
    }

    @Test
    void putsEveryRestartIntoOneAlignedTable() {
        Report report = report(0, restart("warm", 0.9, 1500, 10_000, 4.25), restart("cold", 0.1, 9000, 0, null));
        String text = Figures.of(report).text();
        List<String> lines = text.lines().toList();
        assertEquals(1, lines.stream().map(String::length).distinct().count(), text);
        assertTrue(lines.getFirst().endsWith("cold"), text);
        assertLine(text, "process start to first reply", "-", "1.25 s", "1.25 s");
        assertLine(text, "hit ratio, first second", "90.00 %", "90.00 %", "10.00 %");
        assertLine(text, "requests/s, first second", "20,000", "8,000", "8,000");
        assertLine(text, "time to 95 % of requests/s before", "-", "4.25 s", "> 3.00 s");
        assertLine(text, "read from disk a request, first 10,000", "1,500 B", "1,500 B", "9,000 B");
        assertLine(text, "wrong values", "-", "0", "0");
        assertTrue(text.contains("3 checksum, 7 dirty"), text);
    }

    @Test
    void writesTheSameFiguresAsJson(@TempDir Path directory) throws IOException {
        Report report = report(0, restart("warm", 0.9, 1500, 10_000, 4.25), restart("cold", 0.1, 9000, 0, null));
        ReportWriter.write(report, directory);
        JsonNode json = JsonMapper.shared().readTree(Files.readString(directory.resolve("report.json")));
        JsonNode warm = json.get("restarts").get(0);
        assertEquals("warm", warm.get("name").asString());
        assertEquals(1.25, warm.get("firstReplySeconds").asDouble());
        assertEquals(10_000, warm.get("framesKept").asLong());
        assertEquals(7, warm.get("framesDropped").get("dirty").asLong());
        assertEquals(0.9, warm.get("firstSecond").get("hitRatio").asDouble());
        assertEquals(4.25, warm.get("throughput95Seconds").asDouble());
        assertTrue(json.get("restarts").get(1).get("throughput95Seconds").isNull());
        assertEquals(31, warm.get("timeline").size());
        assertEquals(20_000, json.get("before").get("rates").get("requestsPerSecond").asDouble());
        assertEquals(0, json.get("answers").get("wrongValues").asLong());
    }

    @Test
    void writesAPageThatNeedsNothingElse() {
        String page = ReportWriter.html(report(0, restart("warm", 0.9, 1500, 10_000, 4.25)));
        assertTrue(page.contains("<td>1.25 s</td>"));
        assertTrue(page.contains("0 wrong values"));
        assertFalse(page.contains("src=\"http"));
        assertFalse(page.contains("<script"));
        assertFalse(page.contains("<link"));
        // a machine without fonts gets the reason in place of the pictures
        int pictures = count(page, "src=\"data:image/png;base64,iVBOR") + count(page, "No picture: ");
        assertEquals(2, pictures);
    }

    @Test
    void showsWrongValuesAndEscapesThem() {
        Report report = report(2, restart("<warm>", 0.9, 1500, 10_000, 4.25));
        String page = ReportWriter.html(report);
        assertTrue(page.contains("2 wrong values"));
        assertTrue(page.contains("key &lt;&amp;&quot;"));
        assertTrue(page.contains("&lt;warm&gt;"));
        assertFalse(page.contains("<warm>"));
        assertFalse(report.answers().right());
    }

    @Test
    void reportsKills() {
        KillReport report = new KillReport(
                7, 20, 4, 3, 13, 18, 2, Map.of("why", 2), 100, Map.of("dirty", 5L), answers(0));
        assertTrue(report.text().contains("20: 4 while starting, 3 while everything was compared, 13 under load"));
        assertEquals(7, JsonMapper.shared().readTree(ReportWriter.json(report)).get("seed").asInt());
    }

    private static void assertLine(String text, String label, String... cells) {
        String line = text.lines().filter(each -> each.startsWith(label)).findFirst().orElse("");
        List<String> found = List.of(line.substring(label.length()).strip().split(" {2,}"));
        assertEquals(List.of(cells), found, line);
    }

    private static long missed(Report report) {
        return report.targets().stream().filter(each -> !each.held()).count();
    }

    private static int count(String text, String part) {
        return text.split(part, -1).length - 1;
    }

    private static Report.Restart restart(
            String name, double hitRatio, double diskBytes, long kept, @Nullable Double throughput95) {
        Timeline.Rates first = new Timeline.Rates(1, 8000, 8000, hitRatio, diskBytes);
        List<Timeline.Sample> samples = new ArrayList<>();
        for (int i = 0; i <= 30; i++) {
            samples.add(new Timeline.Sample(i / 10.0, 800 * i, 700 * i, 100 * i, 1000 * i));
        }
        return new Report.Restart(
                name, "how", "direct", 1.25, 0.5, true, "", 10_010, kept,
                new TreeMap<>(Map.of("dirty", 7L, "checksum", 3L)), first,
                first, first, throughput95, null, 4096, 500, 0, samples);
    }

    private static Report report(int wrong, Report.Restart... restarts) {
        Report.Before before =
                new Report.Before(1000, 5000, 6000, BEFORE, 10_000, Map.of("CLEAN", 10_000L), List.of());
        assertNull(restarts[0].hitRatio95Seconds());
        return new Report(
                "now", Map.of("processors", "2"), Map.of("seed", "1"), before, List.of(restarts),
                RestartDemo.targets(before, restarts[0]), answers(wrong));
    }

    private static Report.Answers answers(int wrong) {
        return new Report.Answers(10, 5, wrong, 0, wrong == 0 ? List.of() : List.of("key <&\" is wrong"));
    }
}
