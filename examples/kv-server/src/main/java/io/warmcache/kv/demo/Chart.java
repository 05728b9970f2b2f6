/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv.demo;

import java.awt.BasicStroke;
import java.awt.Color;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.knowm.xchart.ChartEncoder;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.XYSeries;
import org.knowm.xchart.style.Styler;
import org.knowm.xchart.style.markers.SeriesMarkers;

/** Pictures of the restarts over time. */
final class Chart {
    private static final int WIDTH = 1200;
    private static final int HEIGHT = 460;
    private static final List<Color> COLORS =
            List.of(new Color(0xC62828), new Color(0x1565C0), new Color(0x2E7D32), new Color(0x8E24AA));

    private Chart() {}

    /** A value at a moment, both as the axes have them. */
    record Point(double x, double y) {}

    /** A named line. */
    record Line(String name, List<Point> points) {}

    /**
     * Draws lines over time.
     *
     * @param level a dashed line across, named {@code levelName}
     * @return a PNG
     * @throws IOException if it cannot be drawn
     * @throws RuntimeException if this machine has no fonts
     */
    static byte[] draw(String title, String yTitle, List<Line> lines, double level, String levelName)
            throws IOException {
        XYChart chart = new XYChartBuilder()
                .width(WIDTH)
                .height(HEIGHT)
                .title(title)
                .xAxisTitle("seconds since the process was started")
                .yAxisTitle(yTitle)
                .build();
        chart.getStyler()
                .setLegendPosition(Styler.LegendPosition.OutsideS)
                .setLegendLayout(Styler.LegendLayout.Horizontal)
                .setChartBackgroundColor(Color.WHITE)
                .setPlotBorderVisible(false)
                .setChartTitleBoxVisible(false);
        chart.getStyler().setYAxisMin(0.0).setXAxisMin(0.0).setMarkerSize(0);
        double end = 1;
        for (Line line : lines) {
            for (Point point : line.points) {
                end = Math.max(end, point.x);
            }
        }
        chart.getStyler().setXAxisMax(end);
        XYSeries across = chart.addSeries(levelName, new double[] {0, end}, new double[] {level, level});
        across.setMarker(SeriesMarkers.NONE);
        across.setLineColor(Color.GRAY);
        float[] dashes = {6, 4};
        across.setLineStyle(new BasicStroke(1.5f, BasicStroke.CAP_BUTT, BasicStroke.JOIN_ROUND, 1, dashes, 0));
        for (int i = 0; i < lines.size(); i++) {
            Line line = lines.get(i);
            if (line.points.isEmpty()) {
                continue;
            }
            XYSeries series = chart.addSeries(
                    line.name,
                    line.points.stream().mapToDouble(Point::x).toArray(),
                    line.points.stream().mapToDouble(Point::y).toArray());
            series.setMarker(SeriesMarkers.NONE);
            series.setLineColor(COLORS.get(i % COLORS.size()));
            series.setLineWidth(2);
        }
        return ChartEncoder.getBytes(chart, "png");
    }

    /** Requests a second between samples about half a second apart. */
    static List<Point> throughput(List<Timeline.Sample> samples) {
        List<Point> points = new ArrayList<>();
        each(samples, (a, b) -> points.add(
                new Point(b.seconds(), (b.requests() - a.requests()) / (b.seconds() - a.seconds()))));
        return points;
    }

    /** Hits in per cent of accesses between samples about half a second apart. */
    static List<Point> hitRatio(List<Timeline.Sample> samples) {
        List<Point> points = new ArrayList<>();
        each(samples, (a, b) -> {
            double hits = b.hits() - a.hits();
            double accesses = hits + b.misses() - a.misses();
            if (accesses > 0) {
                points.add(new Point(b.seconds(), 100 * hits / accesses));
            }
        });
        return points;
    }

    private interface Step {
        void between(Timeline.Sample a, Timeline.Sample b);
    }

    private static void each(List<Timeline.Sample> samples, Step step) {
        int from = 0;
        for (int to = 1; to < samples.size(); to++) {
            while (samples.get(to).seconds() - samples.get(from + 1).seconds() >= 0.4 && from + 1 < to) {
                from++;
            }
            if (samples.get(to).seconds() > samples.get(from).seconds()) {
                step.between(samples.get(from), samples.get(to));
            }
        }
    }
}
