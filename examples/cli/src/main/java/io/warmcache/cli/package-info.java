/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
/** The {@code warmcache} command: looks at caches, checks them, removes them. */
@NullMarked
package io.warmcache.cli;

import org.jspecify.annotations.NullMarked;
