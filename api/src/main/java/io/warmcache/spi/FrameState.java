/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.spi;

/** The state of a frame's record in the ledger; {@code docs/internals.md} has the transitions. */
public enum FrameState {
    /** Holds nothing. */
    FREE,
    /** Bytes of a page are on their way into it. */
    FILLING,
    /** Equals the store, and the store has been forced since. */
    CLEAN,
    /** Equals the store, but what was written has not been forced. */
    WRITTEN,
    /** May differ from the store. */
    DIRTY
}
