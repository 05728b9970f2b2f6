/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static io.warmcache.core.Bench.pages;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.CacheConfig;
import io.warmcache.WritePolicy;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** An attach counts as unfinished until every frame that it found was looked at. */
class RecoveryFinishedTest {
    @Test
    void aFrameThatIsOwnedWhileTheScrubPassesIsLookedAtLater() throws Exception {
        CacheConfig config = Bench.small(16).withOptions(Map.of("core.maintenance", "off"));
        Bench bench = new Bench(config, WritePolicy.WRITE_THROUGH, pages(1, 8));
        for (int page = 0; page < 8; page++) {
            bench.first(page);
        }
        bench.die();
        HeapBackend backend = (HeapBackend) bench.cache.backend;
        long[] leaf = bench.inside().index.leaf(3);
        long word = bench.word(3);
        assertEquals(TranslationWord.UNVERIFIED, TranslationWord.state(word));
        // As a canary does, or a first touch.
        TranslationWord.set(leaf, 3, TranslationWord.withState(word, TranslationWord.LOADING));
        assertTrue(bench.cache.recovery.scrub(1000), "there is more to do");
        assertFalse(backend.recoveryFinished);
        assertEquals(1, bench.cache.recovery().unvalidated());
        TranslationWord.set(leaf, 3, word);
        assertFalse(bench.cache.recovery.scrub(1000));
        assertTrue(backend.recoveryFinished);
        assertEquals(0, bench.cache.recovery().unvalidated());
        bench.assertSound();
        bench.cache.close();
    }
}
