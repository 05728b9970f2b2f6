/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

/** The same, as a kernel with pages of 64 KiB has it: frames are smaller than what comes and goes. */
class ResizeWithLargePagesTest extends ResizeTest {
    @Override
    long kernelPage() {
        return 65_536;
    }
}
