/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv.demo;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.OptionalLong;
import org.junit.jupiter.api.Test;

class PreflightTest {
    private static String refusal(long cache, OptionalLong free) {
        return assertThrows(Preflight.Failed.class, () -> Preflight.requireSharedMemory(cache, free)).getMessage();
    }

    @Test
    void tooLittleSharedMemoryIsSaidWithBothSizesAndTheMend() {
        String told = refusal(512 * Sizes.MIB, OptionalLong.of(64 * Sizes.MIB));
        assertTrue(told.contains("532 MiB") && told.contains("64.0 MiB"), told);
        assertTrue(told.contains("--shm-size=532m") && told.contains("--cache"), told);
    }

    @Test
    void noSharedMemoryIsSaidWithTheMount() {
        String told = refusal(8 * Sizes.MIB, OptionalLong.empty());
        assertTrue(told.contains("mount -t tmpfs -o size=12m tmpfs /dev/shm"), told);
    }

    @Test
    void enoughSharedMemoryIsEnough() {
        assertDoesNotThrow(() ->
                Preflight.requireSharedMemory(512 * Sizes.MIB, OptionalLong.of(532 * Sizes.MIB)));
    }
}
