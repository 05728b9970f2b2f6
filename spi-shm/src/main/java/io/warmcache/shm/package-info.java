/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
/** The back end whose memory is POSIX shared memory or any mappable file. */
@NullMarked
package io.warmcache.shm;

import org.jspecify.annotations.NullMarked;
