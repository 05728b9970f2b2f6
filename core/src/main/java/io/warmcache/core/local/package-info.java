/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
/**
 * The back end {@code "volatile"}: frames in memory of this process alone, for platforms and containers without memory
 * that outlives a process. A back end like any other: it uses the API alone, and the cache knows it by name only.
 */
package io.warmcache.core.local;
