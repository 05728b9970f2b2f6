/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache;

/** When the content checksum of a frame found in memory is compared. */
public enum Validation {
    /** At the frame's first touch; a background scrub does the rest. The default. */
    LAZY,
    /** All frames of a file while it is mapped. */
    EAGER
}
