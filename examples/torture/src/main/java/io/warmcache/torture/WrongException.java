/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture;

/** Something was served, or lost, that must not have been. */
final class WrongException extends RuntimeException {
    private static final long serialVersionUID = 1;

    WrongException(String message) {
        super(message);
    }
}
