/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

import java.util.Locale;

/** When a write is acknowledged. */
enum Durability {
    /** At once; committed and forced within about a second. */
    EVERYSEC,
    /** After the commit that holds it was forced; writes that arrive meanwhile share the next commit. */
    ALWAYS;

    /** As users write it. */
    String word() {
        return name().toLowerCase(Locale.ROOT);
    }
}
