/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
/** Measurements that fill a segment by its descriptors instead of through a cache. */
@org.jspecify.annotations.NullMarked
package io.warmcache.shm;
