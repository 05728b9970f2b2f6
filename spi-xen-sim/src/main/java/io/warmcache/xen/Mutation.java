/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

/** Rules of the protocol that a test breaks on purpose, to see the break caught. */
enum Mutation {
    /** Validation compares each frame with a checksum of itself. */
    CHECKSUM_NOT_COMPARED,
    /** The write fault does not reach the VMM before the store: the record turns DIRTY with the next request. */
    DIRTY_AFTER_THE_BYTES,
    /** File, page and block are left out of the checksum. */
    KEY_LEFT_OUT_OF_CHECKSUM,
    /** A store is taken for unchanged whatever its version says. */
    STORE_VERSION_IGNORED,
    /** Evicting leaves the record as it was. */
    NO_FREE_ON_EVICT,
    /** A written block counts as forced at once. */
    CLEAN_BEFORE_FORCE,
    /** What was written and not forced is reused after a reboot. */
    UNFORCED_KEPT_AFTER_REBOOT,
    /** A frame that was dirty when the guest died is reused. */
    DIRTY_KEPT_AFTER_REBOOT,
    /** A frame that was being filled when the guest died is reused. */
    FILLING_KEPT_AFTER_REBOOT,
    /** Write-back leaves the old checksum in the record. */
    CHECKSUM_NOT_RENEWED,
    /** A write-back that failed is recorded like one that succeeded. */
    FAILED_WRITE_RECORDED_AS_WRITTEN,
    /** The booting guest uses frames that the VMM kept for reuse. */
    KEPT_FRAMES_NOT_RESERVED
}
