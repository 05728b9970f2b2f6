/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

/**
 * Told of every step of every protocol over preserved memory, so that a test can look at the memory as a death at
 * just that point would leave it.
 */
@FunctionalInterface
interface StepHook {
    void at(String step);
}
