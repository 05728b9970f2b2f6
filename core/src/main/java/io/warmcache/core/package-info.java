/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
/** The cache behind the API; found through {@link java.util.ServiceLoader}, nothing here is exported. */
@NullMarked
package io.warmcache.core;

import org.jspecify.annotations.NullMarked;
