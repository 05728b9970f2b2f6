/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
/** Breaks what a dead cache left in memory, in every way a fault model lists, and tells what became of each break. */
@NullMarked
package io.warmcache.torture.faults;

import org.jspecify.annotations.NullMarked;
