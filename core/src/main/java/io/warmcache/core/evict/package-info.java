/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
/** Which frame to give up when one is needed. */
@NullMarked
package io.warmcache.core.evict;

import org.jspecify.annotations.NullMarked;
