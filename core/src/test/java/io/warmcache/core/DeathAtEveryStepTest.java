/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.warmcache.CacheConfig;
import io.warmcache.MapOptions;
import io.warmcache.PagedFile;
import io.warmcache.WritePin;
import io.warmcache.WritePolicy;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Random;
import java.util.Set;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * One thread does everything; before record changes and store operations, in the middle of all of them, it looks at
 * what a successor would make of the memory and the store as they are: every byte must be the store's.
 */
class DeathAtEveryStepTest {
    /** Held, since a logger that nobody holds forgets its level. */
    private static final Logger LOG = Logger.getLogger("io.warmcache");

    @BeforeAll
    static void logNoInjectedFailures() {
        LOG.setLevel(Level.OFF);
    }

    @AfterAll
    static void logAgain() {
        LOG.setLevel(null);
    }

    private static final int DEATHS = 200;

    @ParameterizedTest
    @CsvSource({
        "1, 4096, WRITE_THROUGH, 0",
        "2, 4096, WRITE_BACK, 0",
        "3, 16384, WRITE_THROUGH, 0.05",
        "4, 16384, WRITE_BACK, 0.05",
    })
    void theSuccessorServesWhatTheStoreHas(long seed, int pageSize, WritePolicy policy, double faults)
            throws Exception {
        System.out.println("seed " + seed);
        Run run = new Run(seed, pageSize, policy, faults);
        for (int step = 0; run.deaths < DEATHS; step++) {
            try {
                run.step();
            } catch (IOException | UncheckedIOException e) {
                if (faults == 0) {
                    throw e;
                }
            } catch (Throwable t) {
                throw new AssertionError("step " + step, t);
            }
        }
    }

    private static final class Run {
        final Random random;
        final Random deathRandom;
        final CacheConfig config;
        final MapOptions options;
        final HeapBackend.Segment segment;
        final MemoryStore store = new MemoryStore(new byte[0]);
        final Cache cache;
        final PagedFile file;
        int deaths;

        Run(long seed, int pageSize, WritePolicy policy, double faults) throws IOException {
            random = new Random(seed);
            deathRandom = new Random(-seed);
            config = CacheConfig.of("deaths", 10L * pageSize)
                    .withPageSize(pageSize)
                    .withMaxCapacity(16L * pageSize);
            options = MapOptions.DEFAULT.withPolicy(policy);
            segment = new HeapBackend.Segment(config);
            cache = segment.attach(config);
            cache.maintenance.stop(); // one thread: a state seen is a state that was
            file = cache.map(store, options);
            store.mostPerTransfer = 3000;
            store.hook = (operation, position, length) -> {
                maybeDie();
                if (faults > 0 && !operation.equals("force") && random.nextDouble() < faults) {
                    throw new IOException("injected at " + operation + " " + position);
                }
            };
            segment.step = this::maybeDie;
        }

        void step() throws IOException {
            int pageSize = file.pageSize();
            long size = file.size();
            int at = random.nextInt(20 * pageSize);
            switch (random.nextInt(13)) {
                case 0, 1, 2 -> {
                    byte[] bytes = new byte[random.nextInt(3 * pageSize)];
                    random.nextBytes(bytes);
                    file.write(at, MemorySegment.ofArray(bytes));
                }
                case 3, 4 -> {
                    long page = size == 0 ? 0 : random.nextLong((size + pageSize - 1) / pageSize);
                    WritePin pin = file.pinForWrite(page);
                    int offset = random.nextInt(pageSize);
                    int length = random.nextInt(pageSize - offset);
                    pin.dirty(offset, length);
                    maybeDie();
                    pin.segment().asSlice(offset, length).fill((byte) random.nextInt());
                    maybeDie();
                    if (random.nextInt(4) == 0) {
                        pin.abort();
                    } else {
                        pin.close();
                    }
                }
                case 5 -> {
                    try (WritePin pin = file.pinForOverwrite(size / pageSize)) {
                        pin.segment().fill((byte) random.nextInt());
                    }
                }
                case 6 -> file.truncate(random.nextInt(3) == 0 ? at : random.nextLong(size + 1));
                case 7 -> file.flush();
                case 8 -> file.force();
                case 9 -> cache.resize((8L + random.nextInt(9)) * pageSize);
                default -> file.read(at, MemorySegment.ofArray(new byte[random.nextInt(4 * pageSize)]));
            }
        }

        void maybeDie() {
            if (deathRandom.nextInt(16) == 0) {
                try {
                    die();
                } catch (IOException e) {
                    throw new AssertionError(e);
                }
            }
        }

        void die() throws IOException {
            deaths++;
            byte[] bytes = store.bytes();
            Cache successor = segment.copy(config).attach(config);
            PagedFile found = successor.map(new MemoryStore(store.id, bytes), options);
            byte[] served = new byte[bytes.length + 1];
            int n = Math.max(0, found.read(0, MemorySegment.ofArray(served)));
            assertArrayEquals(bytes, Arrays.copyOf(served, n));
            assertEquals(0, successor.stats().validationFailures());
            successor.maintenance.stop();
            assertEquals(Set.of(), successor.problems());
        }
    }
}
