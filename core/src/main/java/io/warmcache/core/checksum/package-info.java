/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
/** The block checksums on offer: each binds the bytes of a block to the place the block belongs to. */
@NullMarked
package io.warmcache.core.checksum;

import org.jspecify.annotations.NullMarked;
