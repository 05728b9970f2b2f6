/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.jmh;

import java.io.IOException;
import java.io.PrintStream;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.BrokenBarrierException;
import java.util.concurrent.CyclicBarrier;

/**
 * The forms of {@link HitBenchmark} against each other by turns, some milliseconds each, so that a machine that is
 * faster or slower now than a minute ago is so for all of them: the ratio of each to the bare array, by pairs, with the
 * 95 % interval of its mean. Time is the processor's that the thread had, so that what else runs on the machine costs
 * no more than its share of the caches. Prints a row a form and leaves all times in a JSON file.
 */
final class HitPairs {
    private static final String USAGE =
            """
            usage: hits [--access uniform|zipf|one] [--dependent|--scan] [--threads N] [--pages N] [--pairs N]
                        [--huge] [--json FILE]
              uniform, 1 thread, 65536 pages and 20 pairs if not given; --dependent: the next page depends on the value;
              --scan: pages copied one after the other, by one call each or for many; --huge: frames in huge pages
            """;

    /** Pairs before those that count. */
    private static final int WARM_UP = 5;

    /** A pair is the median of so many turns of each form: one that was disturbed does not count. */
    private static final int TURNS = 5;

    /** Accesses of a turn: enough that its own data, not that of the turn before, is what the caches hold. */
    private static final int SLICE = 1 << 16;

    private final HitBenchmark benchmark = new HitBenchmark();
    private final HitBenchmark.Pages pages;
    private final int threads;
    private final int pairs;
    private final Map<String, HitBenchmark.Form> forms;
    private final CyclicBarrier barrier;

    /** By form: nanoseconds an access of each turn, the mean of the threads'. */
    private final Map<String, double[]> times = new TreeMap<>();

    private final Map<String, Double> allocated = new TreeMap<>();

    private HitPairs(HitBenchmark.Pages pages, int threads, Map<String, HitBenchmark.Form> forms, int pairs) {
        this.pages = pages;
        this.threads = threads;
        this.pairs = pairs;
        this.forms = forms;
        barrier = new CyclicBarrier(threads);
        forms.keySet().forEach(name -> {
            times.put(name, new double[pairs]);
            allocated.put(name, 0.0);
        });
    }

    public static void main(String[] arguments) throws IOException, InterruptedException {
        String access = "uniform";
        int threads = 1;
        int frames = 65_536;
        int pairs = 20;
        String kind = "";
        boolean huge = false;
        Path json = null;
        List<String> rest = new ArrayList<>(List.of(arguments));
        while (!rest.isEmpty()) {
            String option = rest.remove(0);
            if (option.equals("--dependent") || option.equals("--scan")) {
                kind = option.substring(2);
                continue;
            }
            if (option.equals("--huge")) {
                huge = true;
                continue;
            }
            if (rest.isEmpty()) {
                System.err.print(USAGE);
                System.exit(2);
            }
            String value = rest.remove(0);
            switch (option) {
                case "--access" -> access = value;
                case "--threads" -> threads = Integer.parseInt(value);
                case "--pages" -> frames = Integer.parseInt(value);
                case "--pairs" -> pairs = Math.max(Ratios.LEAST_PAIRS, Integer.parseInt(value));
                case "--json" -> json = Path.of(value);
                default -> {
                    System.err.print(USAGE);
                    System.exit(2);
                }
            }
        }
        HitBenchmark.Pages pages = new HitBenchmark.Pages(frames, access, huge);
        pages.setUp();
        try {
            Map<String, HitBenchmark.Form> forms =
                    kind.equals("scan") ? HitBenchmark.scans() : HitBenchmark.forms(kind.equals("dependent"));
            HitPairs measured = new HitPairs(pages, threads, forms, pairs);
            measured.run();
            String title = access + ", " + frames + " pages" + (huge ? " in huge pages" : "") + ", " + threads
                    + (threads == 1 ? " thread" : " threads")
                    + (kind.isEmpty() ? "" : ", " + kind);
            measured.print(title, System.out);
            if (json != null) {
                Files.writeString(json, Ratios.json(title, "nanosPerAccess", measured.times, measured.allocated));
            }
        } finally {
            pages.tearDown();
        }
    }

    private void run() throws InterruptedException {
        List<Throwable> failures = new ArrayList<>();
        List<Thread> all = new ArrayList<>();
        for (int i = 0; i < threads; i++) {
            int number = i;
            Thread thread = new Thread(() -> turns(number), "hits-" + i);
            thread.setUncaughtExceptionHandler((t, e) -> {
                synchronized (failures) {
                    failures.add(e);
                }
                barrier.reset();
            });
            thread.start();
            all.add(thread);
        }
        for (Thread thread : all) {
            thread.join();
        }
        if (!failures.isEmpty()) {
            throw new IllegalStateException("a thread failed", failures.get(0));
        }
    }

    private void turns(int number) {
        var bean = (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
        HitBenchmark.Reader reader = new HitBenchmark.Reader();
        reader.setUp(pages);
        long sum = 0;
        for (int pair = -WARM_UP; pair < pairs; pair++) {
            double[][] time = new double[forms.size()][TURNS];
            double[] bytes = new double[forms.size()];
            for (int turn = 0; turn < TURNS; turn++) {
                int i = 0;
                for (HitBenchmark.Form form : forms.values()) {
                    meet();
                    long before = bean.getCurrentThreadAllocatedBytes();
                    long start = bean.getCurrentThreadCpuTime();
                    sum += form.run(benchmark, pages, reader, SLICE);
                    time[i][turn] = (double) (bean.getCurrentThreadCpuTime() - start) / SLICE;
                    bytes[i++] += bean.getCurrentThreadAllocatedBytes() - before;
                }
            }
            int i = 0;
            for (String form : forms.keySet()) {
                synchronized (times) {
                    double[] of = times.get(form);
                    if (pair >= 0 && of != null) {
                        of[pair] += Ratios.median(time[i]) / threads;
                        allocated.merge(form, bytes[i] / SLICE / TURNS / pairs / threads, Double::sum);
                    }
                }
                i++;
            }
        }
        if (sum != 0 || number < 0) {
            throw new IllegalStateException("the file should be zeros");
        }
    }

    private void meet() {
        try {
            barrier.await();
        } catch (InterruptedException | BrokenBarrierException e) {
            throw new IllegalStateException(e);
        }
    }

    private void print(String title, PrintStream out) {
        out.println(title + ", " + pairs + " pairs");
        out.println("| form | ns, median | x array, mean ± 95 % | median | B/access |");
        out.println("|---|---:|---:|---:|---:|");
        double[] floor = times.getOrDefault("array", new double[pairs]);
        for (String form : forms.keySet()) {
            double[] of = times.getOrDefault(form, new double[pairs]);
            Ratios ratios = new Ratios(of, floor);
            out.printf(
                    Locale.ROOT,
                    "| %s | %.1f | %.2f ± %.2f | %.2f | %.2f |%n",
                    form,
                    Ratios.median(of),
                    ratios.mean(),
                    ratios.interval(),
                    ratios.median(),
                    allocated.getOrDefault(form, 0.0));
        }
    }
}
