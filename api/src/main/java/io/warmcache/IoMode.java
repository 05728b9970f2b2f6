/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache;

/** How a plain file is read and written. */
public enum IoMode {
    /** Direct where the file system takes it and the length is block-aligned, else buffered. */
    AUTO,
    /** Past the operating system's page cache ({@code O_DIRECT}); refused where the file system does not take it. */
    DIRECT,
    /** Through the operating system's page cache. */
    BUFFERED
}
