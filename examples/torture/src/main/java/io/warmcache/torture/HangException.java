/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture;

/** A process that made no progress for longer than anything may take. */
final class HangException extends Exception {
    private static final long serialVersionUID = 1;

    private final String what;

    HangException(String what) {
        super(what);
        this.what = what;
    }

    String what() {
        return what;
    }
}
