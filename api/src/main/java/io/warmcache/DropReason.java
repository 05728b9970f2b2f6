/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache;

/** Why a frame found in memory was not reused. */
public enum DropReason {
    /** It was being filled when the owner died. */
    FILLING,
    /** It held changes that had not been written to the store when the owner died. */
    DIRTY,
    /** Its write had not been forced before the operating system went down, or forcing it failed. */
    UNFORCED,
    /** The record kept of it was damaged or half-written. */
    RECORD_DAMAGED,
    /** The same page was recorded for more than one frame. */
    DUPLICATE,
    /** It belongs to a file the ledger does not know. */
    UNKNOWN_FILE,
    /** The file's store was changed, replaced or cannot be shown to be unchanged. */
    STORE_CHANGED,
    /** The page lies past the present end of the store. */
    PAST_END,
    /** Its bytes do not match the recorded checksums. */
    CHECKSUM,
    /** Its bytes differ from the store's (found by verification against the store). */
    DIFFERS,
    /** Too few frames in the new, smaller capacity. */
    CAPACITY
}
