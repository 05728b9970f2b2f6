/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture.soak;

import java.util.List;
import java.util.Locale;
import java.util.function.ToDoubleFunction;

/** A panel for each measurement over the time of the run, with a line where a life ended, as SVG. */
final class SoakPicture {
    private static final int WIDTH = 960;
    private static final int LEFT = 150;
    private static final int RIGHT = 20;
    private static final int PANEL = 92;
    private static final int GAP = 26;
    private static final int TOP = 64;

    private final SoakReport report;
    private final StringBuilder svg = new StringBuilder();
    private final double end;

    private SoakPicture(SoakReport report) {
        this.report = report;
        end = Math.max(1e-3, report.seconds());
    }

    private record Panel(String title, double unit, ToDoubleFunction<SoakReport.Sample> of) {}

    private static final double MIB = 1 << 20;

    private static final List<Panel> PANELS = List.of(
            new Panel("operations/s", 1, SoakReport.Sample::operations),
            new Panel("resident frames", 1, SoakReport.Sample::resident),
            new Panel("memory, MiB", MIB, SoakReport.Sample::rss),
            new Panel("of its own, MiB", MIB, SoakReport.Sample::anonymous),
            new Panel("descriptors", 1, SoakReport.Sample::descriptors),
            new Panel("threads", 1, SoakReport.Sample::threads),
            new Panel("shared files", 1, SoakReport.Sample::shmFiles),
            new Panel("shared, MiB", MIB, SoakReport.Sample::shmBytes));

    static String of(SoakReport report) {
        SoakPicture picture = new SoakPicture(report);
        picture.draw();
        return picture.svg.toString();
    }

    private void say(String line) {
        svg.append(line).append('\n');
    }

    private double x(double seconds) {
        return LEFT + seconds / end * (WIDTH - LEFT - RIGHT);
    }

    private void draw() {
        int height = TOP + PANELS.size() * (PANEL + GAP) + 24;
        say(String.format(
                Locale.ROOT,
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\""
                        + " font-family=\"sans-serif\" font-size=\"12\">",
                WIDTH, height, WIDTH, height));
        say(String.format(Locale.ROOT, "<rect width=\"%d\" height=\"%d\" fill=\"#ffffff\"/>", WIDTH, height));
        say(String.format(
                Locale.ROOT,
                "<text x=\"%d\" y=\"24\" font-size=\"16\" fill=\"#1a1a1a\">Soak of %.0f minutes on %s: %d kills, %d"
                        + " stops, %,d operations, %d wrong values</text>",
                20,
                report.seconds() / 60,
                report.backend(),
                report.kills(),
                report.stops(),
                report.operations(),
                report.wrong()));
        say(String.format(
                Locale.ROOT,
                "<text x=\"20\" y=\"44\" fill=\"#555555\">A line where a life ended: <tspan fill=\"#c0392b\">kill"
                        + " -9</tspan>, <tspan fill=\"#7f8c8d\">in order</tspan>. After each, %,d pages in all were"
                        + " compared with their files, %,d of them without a read.</text>",
                report.compared(), report.warm()));
        int top = TOP;
        for (Panel panel : PANELS) {
            panel(panel, top);
            top += PANEL + GAP;
        }
        for (int i = 0; i <= 6; i++) {
            double seconds = end * i / 6;
            say(String.format(
                    Locale.ROOT,
                    "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\" fill=\"#555555\">%.1f min</text>",
                    x(seconds), top - 8, seconds / 60));
        }
        say("</svg>");
    }

    private void panel(Panel panel, int top) {
        double most = 0;
        for (SoakReport.Sample sample : report.samples()) {
            most = Math.max(most, panel.of.applyAsDouble(sample) / panel.unit);
        }
        double scale = most == 0 ? 0 : PANEL / (most * 1.1);
        say(String.format(
                Locale.ROOT,
                "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"#f7f7f7\" stroke=\"#cccccc\"/>",
                LEFT, top, WIDTH - LEFT - RIGHT, PANEL));
        for (SoakReport.Life life : report.lives()) {
            double at = x(life.last().at());
            say(String.format(
                    Locale.ROOT,
                    "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\" stroke=\"%s\" stroke-width=\"0.7\"/>",
                    at, at, top, top + PANEL, life.killed() ? "#e6b0aa" : "#d5d8dc"));
        }
        StringBuilder points = new StringBuilder();
        for (SoakReport.Sample sample : report.samples()) {
            double y = top + PANEL - panel.of.applyAsDouble(sample) / panel.unit * scale;
            points.append(String.format(Locale.ROOT, "%.1f,%.1f ", x(sample.at()), y));
        }
        say(String.format(
                Locale.ROOT,
                "<polyline points=\"%s\" fill=\"none\" stroke=\"#1f5fa8\" stroke-width=\"1.2\"/>",
                points.toString().strip()));
        say(String.format(Locale.ROOT, "<text x=\"20\" y=\"%d\" fill=\"#1a1a1a\">%s</text>", top + 16, panel.title));
        say(String.format(
                Locale.ROOT,
                "<text x=\"%d\" y=\"%d\" text-anchor=\"end\" fill=\"#555555\">%,.1f</text>",
                LEFT - 6, top + 16, most * 1.1));
        say(String.format(
                Locale.ROOT,
                "<text x=\"%d\" y=\"%d\" text-anchor=\"end\" fill=\"#555555\">0</text>",
                LEFT - 6, top + PANEL));
    }
}
