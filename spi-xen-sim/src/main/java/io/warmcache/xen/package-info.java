/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
/**
 * A Xen-like VMM inside one process: machine memory, domains, hypercalls, write tracking and a block back end that
 * keeps the cache-mapping table where no guest can write. Start at {@link io.warmcache.xen.Machine}.
 */
@NullMarked
package io.warmcache.xen;

import org.jspecify.annotations.NullMarked;
