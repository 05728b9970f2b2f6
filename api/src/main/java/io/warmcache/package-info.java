/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
/** The page cache as a storage engine sees it; start at {@link io.warmcache.PageCache}. */
package io.warmcache;
