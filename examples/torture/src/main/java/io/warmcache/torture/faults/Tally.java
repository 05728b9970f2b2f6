/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture.faults;

import java.util.Map;
import java.util.TreeMap;

/** What became of the breaks of one kind. Written to and read from JSON as it is. */
final class Tally {
    /** Breaks made. */
    public int injected;

    /** The frame was dropped, or the cache started cold; or the caller was told. */
    public int detected;

    /** Nothing could come of it, or nothing did: what was kept equals the store. */
    public int harmless;

    /** Pages served otherwise than the store had them when the file was mapped. */
    public int servedWrong;

    /** Pages that were as the store had them, and the store not as the load had written it. */
    public int unlikeOracle;

    /** Restarts. */
    public int restarts;

    /** Lives whose remains decayed. */
    public int decayed;

    /** How often each reason was given. */
    public Map<String, Integer> reasons = new TreeMap<>();

    /** What was broken how often. */
    public Map<String, Integer> variants = new TreeMap<>();

    void reason(String reason, int count) {
        if (count > 0) {
            reasons.merge(reason, count, Integer::sum);
        }
    }

    @Override
    public String toString() {
        return injected + " injected, " + detected + " detected, " + harmless + " harmless, " + servedWrong
                + " served wrong, " + unlikeOracle + " unlike the oracle, " + restarts + " restarts, " + reasons;
    }
}
