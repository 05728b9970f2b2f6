/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv.demo;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Function;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;

/** Writes a report as one page that needs nothing else, and as JSON. */
final class ReportWriter {
    private static final String STYLE = """
            body { font: 15px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto;
                padding: 0 1rem; color: #222 }
            h1 { font-size: 1.6rem } h2 { font-size: 1.2rem; margin-top: 2rem }
            table { border-collapse: collapse; font-variant-numeric: tabular-nums }
            th, td { border-bottom: 1px solid #ddd; padding: .25rem .7rem; text-align: right; vertical-align: top }
            th:first-child, td:first-child, table.words td { text-align: left }
            thead th { border-bottom: 2px solid #888 }
            img { max-width: 100%; height: auto }
            .good { color: #1b7a2f } .bad { color: #b00020; font-weight: 600 } .note { color: #555 }
            code { font-size: .9em }
            """;

    private ReportWriter() {}

    /** Writes {@code report.json} and {@code report.html} into a directory that exists. */
    static void write(Report report, Path directory) throws IOException {
        Files.writeString(directory.resolve("report.json"), json(report));
        Files.writeString(directory.resolve("report.html"), html(report));
    }

    static String json(Object report) {
        return JsonMapper.builder()
                .enable(SerializationFeature.INDENT_OUTPUT)
                .build()
                .writeValueAsString(report);
    }

    static String html(Report report) {
        StringBuilder page = new StringBuilder();
        page.append("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n");
        page.append("<title>warmcache: a restart in four ways</title>\n");
        page.append("<style>\n").append(STYLE).append("</style></head><body>\n");
        page.append("<h1>A KV server killed under load, and restarted in four ways</h1>\n");
        verdict(report, page);
        page.append("<h2>Figures</h2>\n");
        figures(Figures.of(report), page);
        for (Report.Restart each : report.restarts()) {
            page.append("<p class=\"note\"><b>").append(escape(each.name())).append("</b>: ");
            page.append(escape(each.meaning()));
            if (!each.warm() && !each.coldReason().isEmpty()) {
                page.append(" The server says why it is cold: ").append(escape(each.coldReason())).append('.');
            }
            page.append("</p>\n");
        }
        page.append("<h2>Throughput after each restart</h2>\n");
        picture(page, "Throughput over time of the four restarts", "Throughput", "requests a second", report,
                Chart::throughput, report.before().rates().requestsPerSecond());
        page.append("<h2>Hit ratio after each restart</h2>\n");
        picture(page, "Hit ratio over time of the four restarts", "Hit ratio of the page cache", "per cent", report,
                Chart::hitRatio, 100 * report.before().rates().hitRatio());
        page.append("<h2>What the warm restart has to hold</h2>\n");
        targets(report, page);
        page.append("<h2>What was compared</h2>\n<p>");
        Report.Answers answers = report.answers();
        page.append(String.format(
                Locale.ROOT,
                "Every value that any request of any phase read, %,d in all, byte for byte, with what an oracle allows"
                        + " that knows the writes alone: %,d acknowledged ones, and those that were under way at a"
                        + " kill, which may have happened or not. After the load of each restart every key of the store"
                        + " was read so.</p>%n",
                answers.valuesCompared(),
                answers.writesAcknowledged()));
        page.append("<h2>How to read it</h2>\n").append(reading());
        words("Settings", report.settings(), page);
        words("Machine", report.machine(), page);
        page.append("<p class=\"note\">").append(escape(report.when()));
        page.append(". <code>report.json</code> has all figures, and the samples behind the pictures.</p>\n");
        page.append("</body></html>\n");
        return page.toString();
    }

    private static void verdict(Report report, StringBuilder page) {
        Report.Answers answers = report.answers();
        page.append("<p class=\"").append(answers.right() ? "good" : "bad").append("\">");
        page.append(Figures.count(answers.wrongValues())).append(" wrong values, ");
        page.append(Figures.count(answers.errors())).append(" wrong replies, of ");
        page.append(Figures.count(answers.valuesCompared())).append(" values compared.</p>\n");
        for (String each : answers.examples()) {
            page.append("<p class=\"bad\">").append(escape(each)).append("</p>\n");
        }
    }

    private static void figures(Figures figures, StringBuilder page) {
        page.append("<table><thead><tr>");
        for (String column : figures.columns()) {
            page.append("<th>").append(escape(column)).append("</th>");
        }
        page.append("</tr></thead><tbody>\n");
        for (List<String> row : figures.rows()) {
            page.append("<tr>");
            for (String cell : row) {
                page.append("<td>").append(escape(cell)).append("</td>");
            }
            page.append("</tr>\n");
        }
        page.append("</tbody></table>\n");
    }

    private static void picture(
            StringBuilder page,
            String title,
            String heading,
            String unit,
            Report report,
            Function<List<Timeline.Sample>, List<Chart.Point>> points,
            double before) {
        List<Chart.Line> lines = new ArrayList<>();
        for (Report.Restart each : report.restarts()) {
            lines.add(new Chart.Line(each.name(), points.apply(each.timeline())));
        }
        try {
            byte[] png = Chart.draw(heading, unit, lines, before, "before the kill");
            page.append("<img alt=\"").append(escape(title)).append("\" src=\"data:image/png;base64,");
            page.append(Base64.getEncoder().encodeToString(png)).append("\">\n");
        } catch (IOException | RuntimeException | LinkageError e) {
            // a JDK without its desktop libraries or a machine without a font; the figures are as good without
            page.append("<p class=\"bad\">No picture: ").append(escape(String.valueOf(e.getMessage())));
            page.append(". It needs a JDK that is not headless and a font: install both (Debian, Ubuntu: apt-get");
            page.append(" install fontconfig fonts-dejavu-core) and run the demo again.</p>\n");
        }
    }

    private static void targets(Report report, StringBuilder page) {
        page.append("<table class=\"words\"><thead><tr><th>what</th><th>wanted</th><th>measured</th><th></th></tr>");
        page.append("</thead><tbody>\n");
        for (Report.Target each : report.targets()) {
            page.append("<tr><td>").append(escape(each.what())).append("</td><td>").append(escape(each.wanted()));
            page.append("</td><td>").append(escape(each.measured())).append("</td><td class=\"");
            page.append(each.held() ? "good\">held" : "bad\">missed").append("</td></tr>\n");
        }
        page.append("</tbody></table>\n");
    }

    private static String reading() {
        return """
                <p>The figures of a restart count from its first reply, the times from the start of its process; what
                was read from disk before the first reply stands apart. A young JVM is slow by itself until its code is
                compiled: all servers, the one before the kill included, run with the same settings.</p>
                <p>The column to compare warmcache with is the one with the OS page cache hot: after <code>kill
                -9</code> the operating system still has the file, and where a block is cheap to copy from there, that
                is nearly as good. warmcache earns its keep where blocks are read with O_DIRECT, are decoded or come
                from afar, where the page cache dies with the container, and where a hit must not cost a system
                call.</p>
                <p>The restarts follow one another on the same file with the same sequence of requests. Each goes on
                with the writes of the one before it, and each begins after a SIGKILL.</p>
                """;
    }

    private static void words(String heading, Map<String, String> words, StringBuilder page) {
        page.append("<h2>").append(escape(heading)).append("</h2>\n<table class=\"words\"><tbody>\n");
        words.forEach((name, value) -> page.append("<tr><td>").append(escape(name)).append("</td><td>")
                .append(escape(value)).append("</td></tr>\n"));
        page.append("</tbody></table>\n");
    }

    static String escape(String text) {
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\"", "&quot;");
    }
}
