/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
/**
 * The {@code warm:} file system for H2: databases ({@code jdbc:h2:warm:/path/db}) and MVStores ({@code
 * warm:/path/file}) whose files are read and written through a {@link io.warmcache.PageCache}, and so find their
 * working set in memory after a restart. Start at {@link io.warmcache.h2.WarmFileSystem}.
 *
 * <p>A channel behaves as one of a plain file does: any position and length, appends, truncation, many threads, many
 * channels of one file under any of its names. What differs: an interrupt does not close it, and an I/O mode or a
 * second process that the cache refuses is refused here.
 */
@NullMarked
package io.warmcache.h2;

import org.jspecify.annotations.NullMarked;
