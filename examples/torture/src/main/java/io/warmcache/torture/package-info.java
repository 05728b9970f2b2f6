/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
/** A parent that drives child JVMs under mixed load, kills them, restarts them at once and compares every byte. */
@NullMarked
package io.warmcache.torture;

import org.jspecify.annotations.NullMarked;
