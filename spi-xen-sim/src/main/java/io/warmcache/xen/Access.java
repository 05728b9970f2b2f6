/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

/** What an entry of a guest's page table lets the guest do. */
public enum Access {
    /** Not mapped. */
    NONE,
    /** Mapped read-only: the first store faults into the VMM. */
    READ,
    /** Mapped writable. */
    WRITE
}
