/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.spi;

/** What a back end's memory outlives. */
public enum FailureDomain {
    /** Nothing: frames end with the cache. */
    NONE,
    /** The death of the cache's process. */
    PROCESS,
    /** The death of the process, and a crash or reboot of its operating system on a host that lives on. */
    OS_REBOOT
}
