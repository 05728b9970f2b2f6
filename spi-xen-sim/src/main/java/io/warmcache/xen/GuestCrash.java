/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

/**
 * The guest is dead: thrown out of whatever it was doing, and to each call it still makes afterwards. An error, since
 * nothing in the guest may handle it and go on.
 */
public final class GuestCrash extends Error {
    private static final long serialVersionUID = 1L;

    /** A crash for a stated reason. */
    public GuestCrash(String message) {
        super(message);
    }
}
