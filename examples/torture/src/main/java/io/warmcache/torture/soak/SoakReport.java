/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture.soak;

import java.util.ArrayList;
import java.util.List;
import java.util.function.ToDoubleFunction;

/**
 * What a soak found, as {@code soak.json} has it.
 *
 * @param backend what kept the memory
 * @param seed of every random choice
 * @param seconds the run took
 * @param every seconds of each life
 * @param kills lives that ended by {@code kill -9}
 * @param stops lives that ended in order
 * @param operations reads, writes and others, of all lives
 * @param compared pages compared with their files after restarts
 * @param warm of these, served without a read of the file
 * @param wrong wrong values
 * @param problems what else was not as it must be
 * @param trends of each measurement, over the lives after the first two
 * @param lives the end of each life
 * @param samples all that was measured
 */
record SoakReport(
        String backend,
        long seed,
        double seconds,
        double every,
        int kills,
        int stops,
        long operations,
        long compared,
        long warm,
        long wrong,
        List<String> problems,
        List<Trend> trends,
        List<Life> lives,
        List<Sample> samples) {
    /** Lives at the beginning that fill the cache, and are no part of a trend. */
    private static final int WARM_UP = 2;

    /**
     * One look at a life.
     *
     * @param at seconds since the run began
     * @param operations a second since the sample before
     * @param resident frames that hold a page
     * @param rss bytes of memory of the process, shared ones included
     * @param anonymous bytes of memory of its own
     * @param descriptors open ones
     * @param threads of the process
     * @param shmFiles files in shared memory under the cache's name
     * @param shmBytes their length
     * @param daemonRss the same of {@code xen-simd}, 0 without it
     * @param daemonDescriptors its open descriptors
     */
    record Sample(
            double at,
            double operations,
            long resident,
            long rss,
            long anonymous,
            int descriptors,
            int threads,
            int shmFiles,
            long shmBytes,
            long daemonRss,
            int daemonDescriptors) {}

    /**
     * One life.
     *
     * @param number from 0 on
     * @param killed whether it was killed
     * @param readyAfter seconds from its start to the first operation, all pages compared
     * @param kept frames that it took over
     * @param operations a second, over all of it
     * @param last the sample at its end
     */
    record Life(int number, boolean killed, double readyAfter, long kept, double operations, Sample last) {}

    static List<Trend> trends(List<Life> lives, long frames, boolean daemon) {
        List<Life> judged = lives.subList(Math.min(WARM_UP, lives.size()), lives.size());
        double mib = 1 << 20;
        List<Trend> trends = new ArrayList<>();
        trends.add(Trend.of(
                "throughput", "operations/s", values(judged, Life::operations), 0, 0, Trend.Leak.NEVER, false));
        trends.add(Trend.of(
                "resident frames",
                "frames",
                values(judged, life -> life.last().resident()),
                frames / 50.0,
                0,
                Trend.Leak.BOTH,
                false));
        trends.add(Trend.of(
                "frames kept", "frames", values(judged, Life::kept), frames / 20.0, 0, Trend.Leak.BOTH, false));
        trends.add(Trend.of(
                "memory (RSS)", "bytes", values(judged, l -> l.last().rss()), 16 * mib, 0.1, Trend.Leak.UP, false));
        trends.add(Trend.of(
                "memory of its own",
                "bytes",
                values(judged, l -> l.last().anonymous()),
                16 * mib,
                0.1,
                Trend.Leak.UP,
                false));
        trends.add(Trend.of(
                "descriptors", "", values(judged, l -> l.last().descriptors()), 2, 0, Trend.Leak.UP, false));
        trends.add(Trend.of("threads", "", values(judged, l -> l.last().threads()), 2, 0, Trend.Leak.UP, false));
        trends.add(Trend.of(
                "files in shared memory", "", values(judged, l -> l.last().shmFiles()), 0.5, 0, Trend.Leak.UP, true));
        trends.add(Trend.of(
                "bytes in shared memory",
                "bytes",
                values(judged, l -> l.last().shmBytes()),
                4096,
                0,
                Trend.Leak.BOTH,
                true));
        if (daemon) {
            trends.add(Trend.of(
                    "memory of xen-simd",
                    "bytes",
                    values(judged, l -> l.last().daemonRss()),
                    16 * mib,
                    0.1,
                    Trend.Leak.UP,
                    false));
            trends.add(Trend.of(
                    "descriptors of xen-simd",
                    "",
                    values(judged, l -> l.last().daemonDescriptors()),
                    4,
                    0,
                    Trend.Leak.UP,
                    false));
        }
        return trends;
    }

    private static double[] values(List<Life> lives, ToDoubleFunction<Life> of) {
        return lives.stream().mapToDouble(of).toArray();
    }

    boolean good() {
        return wrong == 0 && problems.isEmpty() && trends.stream().allMatch(Trend::flat);
    }
}
