/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import java.io.IOException;

/** Changes that were not written yet were damaged in memory: they are lost, and were not written. */
final class DamagedPageException extends IOException {
    private static final long serialVersionUID = 1;

    DamagedPageException(CachedFile file, long page) {
        super("page " + page + " of " + file.name + " was damaged in memory before its changes were written: they are"
                + " lost, and the store has the page as it was before them");
    }
}
