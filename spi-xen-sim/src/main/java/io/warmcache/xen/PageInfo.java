/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

/**
 * A copy of what the VMM knows of one machine frame.
 *
 * @param mfn the machine frame's number
 * @param owner the domain that owns it, or -1 when it is free
 * @param pfn where it appears in its owner's physical memory (M2P), or -1
 * @param readOnly how many page table entries map it read-only
 * @param writable how many page table entries map it writable
 * @param reusable whether its bit in the reuse bitmap is set: it equals the disk, and no entry may map it writable
 */
public record PageInfo(int mfn, int owner, int pfn, int readOnly, int writable, boolean reusable) {}
