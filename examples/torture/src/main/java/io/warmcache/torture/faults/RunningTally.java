/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture.faults;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** What became of breaks of one kind in the memory of a running cache. Written to and read from JSON as it is. */
final class RunningTally {
    /** Breaks made. */
    public int injected;

    /** Of these, how many hit a page that had changes not yet written. */
    public int inDirty;

    /** The broken bytes were found, or written over, or their page was read again. */
    public int gone;

    /** They still were there when the wait for that was over. */
    public int left;

    /** Hits that returned broken bytes, for each break. */
    public List<Long> hits = new ArrayList<>();

    /** Microseconds until the bytes were gone, for each break that was. */
    public List<Long> micros = new ArrayList<>();

    /** How often the cache told that changes were lost. */
    public long told;

    /** How often an operation failed as documented, all these included. */
    public long refused;

    /** Breaks after which the file was seen to hold a block of the page that no writer wrote, if not for long. */
    public int seen;

    /** Blocks of the files that hold broken bytes afterwards. */
    public int written;

    private static long median(List<Long> values) {
        return values.isEmpty() ? 0 : values.stream().sorted().toList().get(values.size() / 2);
    }

    private static long most(List<Long> values) {
        return values.stream().mapToLong(Long::longValue).max().orElse(0);
    }

    String row() {
        return String.format(
                Locale.ROOT,
                "%d (%d dirty) | %d | %d | %d, %d | %.1f, %.1f | %d | %d | %d | %d",
                injected,
                inDirty,
                gone,
                left,
                median(hits),
                most(hits),
                median(micros) / 1000.0,
                most(micros) / 1000.0,
                told,
                refused,
                seen,
                written);
    }

    @Override
    public String toString() {
        return row();
    }
}
