/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.CacheConfig;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** The option moves memory, if the kernel can; what is in it stays, with and without, from one owner to the next. */
class HugePagesTest {
    private static final long CAPACITY = 8L << 20;

    private static CacheConfig config(Env env, String value) {
        return CacheConfig.of(env.segment().toString(), CAPACITY)
                .withMaxUnfinishedAttaches(0)
                .withOptions(Map.of(ShmBackend.OPTION_HUGE_PAGES, value));
    }

    @Test
    void framesKeepTheirBytes() throws Exception {
        try (Env env = new Env()) {
            int owner = 0;
            for (String value : new String[] {"collapse", "off", "collapse"}) {
                ShmBackend b = env.attach(config(env, value));
                assertEquals(owner > 0, b.attachReport().warm());
                MemorySegment memory = b.memory();
                assertTrue(memory.byteSize() >= CAPACITY);
                for (long at = 0; at < CAPACITY; at += 4096) {
                    if (owner > 0) {
                        assertEquals(at + owner - 1, memory.get(ValueLayout.JAVA_LONG, at));
                    }
                    memory.set(ValueLayout.JAVA_LONG, at, at + owner);
                }
                b.close();
                owner++;
            }
        }
    }

    @Test
    void anotherValueIsRefused() throws Exception {
        try (Env env = new Env()) {
            CacheConfig wrong = config(env, "always");
            String said = assertThrows(IllegalArgumentException.class, () -> env.attach(wrong))
                    .getMessage();
            assertTrue(said.contains("must be off or collapse"), said);
        }
    }
}
