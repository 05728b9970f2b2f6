/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
/** The {@code warm:} file system for H2 and MVStore. */
@NullMarked
package io.warmcache.h2;

import org.jspecify.annotations.NullMarked;
