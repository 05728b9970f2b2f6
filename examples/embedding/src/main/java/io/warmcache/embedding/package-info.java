/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
/** The embedding example of the README. */
@NullMarked
package io.warmcache.embedding;

import org.jspecify.annotations.NullMarked;
