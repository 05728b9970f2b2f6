/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture.faults;

import java.util.List;

/**
 * One break.
 *
 * @param what in a few words
 * @param targets the pages whose frames or records it hit; none if it hit the cache as a whole
 * @param harmless why nothing could come of it; empty otherwise
 */
record Strike(String what, List<Target> targets, String harmless) {
    /** A page of a file. */
    record Target(int file, long page) {}

    static Strike at(String what, Target... targets) {
        return new Strike(what, List.of(targets), "");
    }

    static Strike harmless(String what, String why) {
        return new Strike(what, List.of(), why);
    }
}
