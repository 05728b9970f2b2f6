/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
/** Benchmarks. */
@NullMarked
package io.warmcache.jmh;

import org.jspecify.annotations.NullMarked;
