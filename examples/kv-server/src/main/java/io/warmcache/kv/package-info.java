/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
/** A Redis-compatible key-value server that comes back warm. */
@NullMarked
package io.warmcache.kv;

import org.jspecify.annotations.NullMarked;
