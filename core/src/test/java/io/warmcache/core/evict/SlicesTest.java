/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core.evict;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicIntegerArray;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What is split among threads is done once, and by nobody any more when the call has ended. */
class SlicesTest {
    private static final int COUNT = 1001;

    private final Set<Thread> threads = ConcurrentHashMap.newKeySet();

    /** Makes a number of threads that start, then some that cannot. */
    private Slices.ThreadMaker startable(int count) {
        return task -> {
            Thread thread = new Thread(task, "slices-test") {
                @Override
                public void start() {
                    if (threads.size() > count) {
                        throw new OutOfMemoryError("injected: no further thread");
                    }
                    super.start();
                }
            };
            threads.add(thread);
            return thread;
        };
    }

    private void assertAllEnded() {
        for (Thread thread : threads) {
            assertFalse(thread.isAlive());
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 2, 6})
    void everyNumberIsVisitedOnceHoweverManyThreadsCanBeHad(int startable) {
        AtomicIntegerArray visits = new AtomicIntegerArray(COUNT);
        Slices.run(
                COUNT,
                7,
                (slice, from, to) -> {
                    for (int i = from; i < to; i++) {
                        visits.incrementAndGet(i);
                    }
                },
                startable(startable));
        for (int i = 0; i < COUNT; i++) {
            assertEquals(1, visits.get(i));
        }
        assertAllEnded();
    }

    @Test
    void aFailureIsThrownWhenAllHaveEnded() {
        CountDownLatch failed = new CountDownLatch(1);
        assertThrows(
                OutOfMemoryError.class,
                () -> Slices.run(
                        COUNT,
                        3,
                        (slice, from, to) -> {
                            if (slice == 1) {
                                failed.countDown();
                                throw new OutOfMemoryError("injected");
                            }
                            try {
                                assertTrue(failed.await(60, TimeUnit.SECONDS), "nobody has slice 1");
                            } catch (InterruptedException e) {
                                throw new AssertionError(e);
                            }
                        },
                        startable(2)));
        assertAllEnded();
    }
}
