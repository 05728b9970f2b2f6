/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
/** The soak: one cache under load for an hour, restarted again and again, and nothing that grows. */
@NullMarked
package io.warmcache.torture.soak;

import org.jspecify.annotations.NullMarked;
