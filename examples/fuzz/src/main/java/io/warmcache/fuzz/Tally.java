/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.fuzz;

import com.fasterxml.jackson.annotation.JsonAutoDetect;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/** What came of a target's inputs so far. */
@JsonAutoDetect(fieldVisibility = JsonAutoDetect.Visibility.ANY)
final class Tally {
    long seed;
    /** The number of the next input. */
    long next;
    long mutations;
    long nanos;
    long served;
    Map<String, Long> outcomes = new TreeMap<>();
    @Nullable String failure;

    Tally() {}

    /** With what came after. */
    Tally plus(Tally more) {
        Tally sum = new Tally();
        sum.seed = seed;
        sum.next = more.next;
        sum.mutations = mutations + more.mutations;
        sum.nanos = nanos + more.nanos;
        sum.served = served + more.served;
        sum.outcomes.putAll(outcomes);
        more.outcomes.forEach((key, value) -> sum.outcomes.merge(key, value, Long::sum));
        sum.failure = more.failure;
        return sum;
    }

    long perSecond() {
        return nanos == 0 ? 0 : Math.round(mutations * 1e9 / nanos);
    }
}
