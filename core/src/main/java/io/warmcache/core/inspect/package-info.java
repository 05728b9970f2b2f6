/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
/** For tools: what a directory of images and hot lists holds. An engine needs nothing of it. */
@NullMarked
package io.warmcache.core.inspect;

import org.jspecify.annotations.NullMarked;
