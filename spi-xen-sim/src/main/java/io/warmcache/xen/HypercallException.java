/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

/** A hypercall that the VMM refused; nothing was changed by it. */
public final class HypercallException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    /** Why, as Xen's error numbers have it. */
    public enum Reason {
        /** An argument out of range, or not in a state that allows it. */
        EINVAL,
        /** The frame is not the caller's. */
        EPERM,
        /** No machine memory is left. */
        ENOMEM,
        /** The frame or domain is in use. */
        EBUSY,
        /** There is no such domain, or it does not run. */
        ESRCH
    }

    private final Reason reason;

    HypercallException(Reason reason, String message) {
        super(reason + ": " + message);
        this.reason = reason;
    }

    /** Why it was refused. */
    public Reason reason() {
        return reason;
    }
}
