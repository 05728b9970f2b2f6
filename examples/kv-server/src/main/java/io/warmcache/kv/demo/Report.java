/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv.demo;

import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * All figures of a run, as {@code report.json} has them. Sizes in bytes, times in seconds, ratios from 0 to 1.
 *
 * @param when the run ended, ISO 8601
 * @param machine what it ran on
 * @param settings what was asked for and chosen
 * @param before the server that was killed
 * @param restarts in their order
 * @param targets what is promised of the warm restart, and whether it held
 * @param answers what was compared
 */
record Report(
        String when,
        Map<String, String> machine,
        Map<String, String> settings,
        Before before,
        List<Restart> restarts,
        List<Target> targets,
        Answers answers) {

    /**
     * The server that was killed under load.
     *
     * @param keys in the store
     * @param dataBytes of all values
     * @param fileBytes of the data file at the kill
     * @param rates over the last seconds before the kill
     * @param reusableFrames records CLEAN or WRITTEN that the demo itself counted in the memory after the kill
     * @param recordsByState records in the memory after the kill
     * @param timeline of its load, from the end of the loading on
     */
    record Before(
            int keys,
            long dataBytes,
            long fileBytes,
            Timeline.Rates rates,
            long reusableFrames,
            Map<String, Long> recordsByState,
            List<Timeline.Sample> timeline) {}

    /**
     * One restart.
     *
     * @param name for the table
     * @param meaning in a sentence
     * @param io {@code direct} or {@code buffered}
     * @param firstReplySeconds from the start of the process to its first reply
     * @param cacheReadySeconds of these, for attaching to the memory
     * @param warm whether it took frames over
     * @param coldReason why not
     * @param framesFound in the memory
     * @param framesKept of them, at the end of the run
     * @param framesDropped by reason
     * @param firstSecond from the first reply on
     * @param firstRequests the first 10,000 from the first reply on
     * @param lastSeconds the last five before the load ended
     * @param throughput95Seconds from the start of the process to 95 % of the throughput before the kill; null if not
     *     reached
     * @param hitRatio95Seconds from the start of the process to 95 % of the hit ratio before the kill; null if not
     *     reached
     * @param attachDiskReadBytes read from disk before the first reply
     * @param valuesCompared every key at least once
     * @param wrongValues of them
     * @param timeline of its load
     */
    record Restart(
            String name,
            String meaning,
            String io,
            double firstReplySeconds,
            double cacheReadySeconds,
            boolean warm,
            String coldReason,
            long framesFound,
            long framesKept,
            Map<String, Long> framesDropped,
            Timeline.Rates firstSecond,
            Timeline.Rates firstRequests,
            Timeline.Rates lastSeconds,
            @Nullable Double throughput95Seconds,
            @Nullable Double hitRatio95Seconds,
            long attachDiskReadBytes,
            long valuesCompared,
            long wrongValues,
            List<Timeline.Sample> timeline) {}

    /** Something promised, and what came of it. */
    record Target(String what, String wanted, String measured, boolean held) {}

    /**
     * What all answers together were worth.
     *
     * @param valuesCompared values read and compared with the oracle, byte for byte
     * @param writesAcknowledged by the servers
     * @param wrongValues values that the oracle does not allow
     * @param errors error replies, and replies of a kind that the request does not have
     * @param examples the first of what was wrong
     */
    record Answers(
            long valuesCompared, long writesAcknowledged, long wrongValues, long errors, List<String> examples) {
        static Answers of(Tally tally) {
            return new Answers(
                    tally.reads(), tally.writes(), tally.wrongValues(), tally.errors(), tally.examples());
        }

        boolean right() {
            return wrongValues == 0 && errors == 0;
        }
    }
}
