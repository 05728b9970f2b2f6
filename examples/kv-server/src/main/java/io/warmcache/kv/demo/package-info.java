/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
/**
 * The demo: kills the server under load, restarts it in four ways, and compares every answer with what was
 * acknowledged.
 */
@NullMarked
package io.warmcache.kv.demo;

import org.jspecify.annotations.NullMarked;
