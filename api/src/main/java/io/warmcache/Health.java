/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache;

import java.util.List;

/**
 * Whether the cache and its files work.
 *
 * @param healthy whether there is nothing in {@code problems}
 * @param problems one sentence each: what does not work, since which error, and what mends it
 */
public record Health(boolean healthy, List<String> problems) {
    public Health {
        problems = List.copyOf(problems);
    }
}
