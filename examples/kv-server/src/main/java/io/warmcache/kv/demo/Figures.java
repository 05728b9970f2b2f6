/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv.demo;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.StringJoiner;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * The one table, for the terminal and the page alike.
 *
 * @param columns headings, of the label column first
 * @param rows cells, the label first; each as long as {@code columns}
 */
record Figures(List<String> columns, List<List<String>> rows) {
    private static final String NONE = "-";

    static Figures of(Report report) {
        Table table = new Table(report);
        Timeline.Rates before = report.before().rates();
        table.row("I/O", "direct", Report.Restart::io);
        table.row("process start to first reply", NONE, each -> seconds(each.firstReplySeconds()));
        table.row("  of it, attaching the memory", NONE, each -> seconds(each.cacheReadySeconds()));
        table.row("frames found", NONE, each -> count(each.framesFound()));
        table.row("frames kept", NONE, each -> count(each.framesKept()));
        table.row("frames dropped", NONE, each -> dropped(each.framesDropped()));
        String ratio = percent(before.hitRatio());
        table.row("hit ratio, first second", ratio, each -> percent(each.firstSecond().hitRatio()));
        table.row("hit ratio, first 10,000 requests", ratio, each -> percent(each.firstRequests().hitRatio()));
        String throughput = count(before.requestsPerSecond());
        table.row("requests/s, first second", throughput, each -> count(each.firstSecond().requestsPerSecond()));
        table.row("requests/s, last 5 s", throughput, each -> count(each.lastSeconds().requestsPerSecond()));
        table.row("time to 95 % of requests/s before", NONE, each -> reached(each, each.throughput95Seconds()));
        table.row("time to 95 % of hit ratio before", NONE, each -> reached(each, each.hitRatio95Seconds()));
        table.row("read from disk before first reply", NONE, each -> Sizes.format(each.attachDiskReadBytes()));
        String disk = bytes(before.diskReadBytesPerRequest());
        table.row("read from disk a request, first second", disk, each ->
                bytes(each.firstSecond().diskReadBytesPerRequest()));
        table.row("read from disk a request, first 10,000", disk, each ->
                bytes(each.firstRequests().diskReadBytesPerRequest()));
        table.row("values compared", NONE, each -> count(each.valuesCompared()));
        table.row("wrong values", NONE, each -> count(each.wrongValues()));
        return new Figures(table.columns, table.rows);
    }

    private static final class Table {
        private final Report report;
        private final List<String> columns = new ArrayList<>(List.of("", "before the kill"));
        private final List<List<String>> rows = new ArrayList<>();

        Table(Report report) {
            this.report = report;
            for (Report.Restart each : report.restarts()) {
                columns.add(each.name());
            }
        }

        void row(String label, String before, Function<Report.Restart, String> cell) {
            List<String> row = new ArrayList<>(List.of(label, before));
            for (Report.Restart each : report.restarts()) {
                row.add(cell.apply(each));
            }
            rows.add(row);
        }
    }

    /** The table for a terminal, columns aligned. */
    String text() {
        int[] width = new int[columns.size()];
        List<List<String>> all = new ArrayList<>(rows);
        all.addFirst(columns);
        for (List<String> row : all) {
            for (int i = 0; i < width.length; i++) {
                width[i] = Math.max(width[i], row.get(i).length());
            }
        }
        StringBuilder text = new StringBuilder();
        for (List<String> row : all) {
            text.append(String.format("%-" + width[0] + "s", row.getFirst()));
            for (int i = 1; i < width.length; i++) {
                text.append(String.format("  %" + width[i] + "s", row.get(i)));
            }
            text.append(System.lineSeparator());
        }
        return text.toString();
    }

    static String seconds(double value) {
        return String.format(Locale.ROOT, "%.2f s", value);
    }

    static String count(double value) {
        return count(Math.round(value));
    }

    static String count(long value) {
        return String.format(Locale.ROOT, "%,d", value);
    }

    static String percent(double ratio) {
        return String.format(Locale.ROOT, "%.2f %%", 100 * ratio);
    }

    static String bytes(double value) {
        return String.format(Locale.ROOT, "%,d B", Math.round(value));
    }

    private static String dropped(Map<String, Long> reasons) {
        if (reasons.isEmpty()) {
            return "0";
        }
        StringJoiner all = new StringJoiner(", ");
        reasons.forEach((reason, frames) -> all.add(count(frames) + " " + reason.replace('_', ' ')));
        return all.toString();
    }

    private static String reached(Report.Restart restart, @Nullable Double seconds) {
        if (seconds != null) {
            return seconds(seconds);
        }
        double end = restart.timeline().isEmpty() ? 0 : restart.timeline().getLast().seconds();
        return "> " + seconds(end);
    }
}
