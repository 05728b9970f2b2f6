/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv.demo;

import java.util.LinkedHashMap;
import java.util.Map;

/**
 * What came of many kills, as {@code report.json} has it.
 *
 * @param seed of every random choice
 * @param kills altogether
 * @param killsWhileStarting before the server said that it was ready
 * @param killsWhileComparing between that and the load
 * @param killsUnderLoad under a load of reads and writes
 * @param warmStarts servers that took frames over
 * @param coldStarts servers that did not
 * @param coldReasons why not, and how often
 * @param framesKept of all starts together
 * @param framesDropped of all starts together, by reason
 * @param answers what was compared
 */
record KillReport(
        long seed,
        int kills,
        int killsWhileStarting,
        int killsWhileComparing,
        int killsUnderLoad,
        int warmStarts,
        int coldStarts,
        Map<String, Integer> coldReasons,
        long framesKept,
        Map<String, Long> framesDropped,
        Report.Answers answers) {
    /** For the terminal. */
    String text() {
        Map<String, String> lines = new LinkedHashMap<>();
        lines.put("seed", Long.toString(seed));
        lines.put("kills", kills + ": " + killsWhileStarting + " while starting, " + killsWhileComparing
                + " while everything was compared, " + killsUnderLoad + " under load");
        lines.put("starts that got ready", warmStarts + " warm, " + coldStarts + " cold " + coldReasons);
        lines.put("frames kept", Figures.count(framesKept));
        lines.put("frames dropped", framesDropped.toString());
        lines.put("writes acknowledged", Figures.count(answers.writesAcknowledged()));
        lines.put("values compared", Figures.count(answers.valuesCompared()));
        lines.put("wrong values", Figures.count(answers.wrongValues()));
        lines.put("wrong replies", Figures.count(answers.errors()));
        lines.put("failed restarts", "0");
        StringBuilder text = new StringBuilder();
        lines.forEach((name, value) -> text.append(String.format("%-22s  %s%n", name, value)));
        return text.toString();
    }
}
