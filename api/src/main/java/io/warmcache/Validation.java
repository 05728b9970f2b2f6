/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache;

/** When the content checksum of a frame found in memory is compared. */
public enum Validation {
    /** At the frame's first touch; a background scrub does the rest. The default. */
    LAZY,
    /**
     * All frames of a file while it is mapped, on as many threads as the option {@code core.validationThreads} says: as
     * there are processors, if it is not given. When {@code map} returns, all of them that are good can be read
     * without a further check, and the process has them in its page table.
     */
    EAGER
}
