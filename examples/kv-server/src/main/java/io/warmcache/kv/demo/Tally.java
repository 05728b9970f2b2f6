/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv.demo;

import java.util.ArrayList;
import java.util.List;

/** What the answers were worth, counted over a whole run. For one thread. */
final class Tally {
    private static final int EXAMPLES = 20;

    private long reads;
    private long writes;
    private long wrongValues;
    private long errors;
    private final List<String> examples = new ArrayList<>();

    void read() {
        reads++;
    }

    void write() {
        writes++;
    }

    /** A read found what it must not. */
    void wrongValue(String what) {
        wrongValues++;
        example(what);
    }

    /** An answer was an error, or not of the kind that the request has. */
    void error(String what) {
        errors++;
        example(what);
    }

    private void example(String what) {
        if (examples.size() < EXAMPLES) {
            examples.add(what);
        }
    }

    /** Values compared with the oracle. */
    long reads() {
        return reads;
    }

    /** Writes acknowledged. */
    long writes() {
        return writes;
    }

    long wrongValues() {
        return wrongValues;
    }

    long errors() {
        return errors;
    }

    /** The first of what went wrong, one sentence each. */
    List<String> examples() {
        return List.copyOf(examples);
    }
}
