/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.fuzz;

/** An input did what no input may. */
final class Finding extends Exception {
    private static final long serialVersionUID = 1L;

    Finding(String message) {
        super(message);
    }
}
