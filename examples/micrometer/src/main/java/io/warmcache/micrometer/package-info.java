/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
/** Meters of a cache for Micrometer: start at {@link io.warmcache.micrometer.CacheMeters}. */
@NullMarked
package io.warmcache.micrometer;

import org.jspecify.annotations.NullMarked;
