/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

/**
 * Told before every hypercall and every step of a block request, on the thread that makes it. It may
 * {@linkplain Domain#crash crash} the domain; the request under way is then drained, unless the hook throws
 * {@link GuestCrash} as well, which tears the request down where it stands.
 */
@FunctionalInterface
public interface StepHook {
    /** Called before the step. */
    void before(Domain domain, String step);
}
