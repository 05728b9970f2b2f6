/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
/**
 * The files from which a cache becomes warm when its memory is gone: images of stores' pages and the hot list. Formats
 * and file operations alone; what may be restored, and when an image must go, is decided by the cache.
 */
@org.jspecify.annotations.NullMarked
package io.warmcache.core.image;
