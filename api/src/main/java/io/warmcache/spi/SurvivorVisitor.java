/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.spi;

import io.warmcache.DropReason;

/** Receives what a ledger holds at attach; see {@link FrameBackend#survivors}. */
public interface SurvivorVisitor {
    /**
     * A record that is whole and says its frame equalled the store: {@code CLEAN}, or {@code WRITTEN} where that may
     * still be accepted.
     *
     * @param hint what {@link FrameBackend#hint} last left there; any value
     */
    void survivor(int frame, long fileId, long page, FrameState state, int hint);

    /**
     * A record that is not {@code FREE} and cannot be reused.
     *
     * @param fileId the file, or 0 when the record is too damaged to say
     * @param page the page, or -1 when the record is too damaged to say
     */
    void dropped(int frame, DropReason reason, long fileId, long page);
}
