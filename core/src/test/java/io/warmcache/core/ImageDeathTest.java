/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.CacheConfig;
import io.warmcache.MapOptions;
import io.warmcache.PagedFile;
import io.warmcache.StoreId;
import io.warmcache.WarmUpOptions;
import io.warmcache.WritePin;
import io.warmcache.WritePolicy;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * One thread reads, writes, takes checkpoints and restores them; before operations of the store, of the images' disk
 * and of the ledger it loses power, or dies, and looks at what a successor makes of it: every byte must be the
 * store's. The store's version never changes, so nothing but the rule of the images keeps old bytes out.
 */
class ImageDeathTest {
    private static final int PAGE = 65536;
    private static final int FRAMES = 24;
    private static final int DEATHS = Integer.getInteger("warmcache.deaths", 40);
    private static final Path DIRECTORY = Path.of("/images");

    @ParameterizedTest
    @CsvSource({"11, WRITE_THROUGH, false", "12, WRITE_BACK, false", "13, WRITE_THROUGH, true", "14, WRITE_BACK, true"})
    void theSuccessorServesWhatTheStoreHas(long seed, WritePolicy policy, boolean imageAtClose) throws Exception {
        System.out.println("seed " + seed);
        Run run = new Run(seed, policy, imageAtClose);
        for (int step = 0; run.deaths < DEATHS; step++) {
            try {
                run.step();
            } catch (Throwable t) {
                throw new AssertionError("step " + step + ", death " + run.deaths, t);
            }
        }
        System.out.println(run.deaths + " deaths, " + run.images + " with an image, " + run.restored
                + " pages restored");
        assertTrue(run.restored > DEATHS / 10, () -> run.restored + " pages restored in " + run.deaths + " deaths");
    }

    private static final class Run {
        final Random random;
        final Random deathRandom;
        final CacheConfig config;
        final MapOptions options;
        HeapDisk disk = new HeapDisk();
        FragileStore store = new FragileStore(new StoreId(1, 2), new byte[0]);
        HeapBackend.Segment segment;
        Cache cache;
        PagedFile file;
        int deaths;
        int images;
        long restored;
        boolean inDeath;

        Run(long seed, WritePolicy policy, boolean imageAtClose) throws IOException {
            random = new Random(seed);
            deathRandom = new Random(-seed);
            config = CacheConfig.of("deaths", (long) FRAMES * PAGE)
                    .withPageSize(PAGE)
                    .withOptions(Map.of("core.maintenance", "off"))
                    .withWarmUp(WarmUpOptions.in(DIRECTORY)
                            .withImageAtClose(imageAtClose)
                            .withCheckpointRate(0)
                            .withWarmUpRate(0));
            options = MapOptions.DEFAULT.withPolicy(policy);
            segment = new HeapBackend.Segment(config);
            open();
        }

        void open() throws IOException {
            cache = segment.attach(config, Cache.VERSION_BITS, disk);
            file = cache.map(store, options);
            store.hook = (operation, position, length) -> maybeDie(operation.equals("write") ? 12 : 24);
            disk.hook = (operation, path) -> maybeDie(operation.equals("read") ? 40 : 4);
            segment.step = () -> maybeDie(60);
        }

        void step() throws IOException {
            long size = file.size();
            int at = random.nextInt(20 * PAGE);
            switch (random.nextInt(16)) {
                case 0, 1 -> write(at, random.nextInt(2 * PAGE));
                case 2 -> {
                    long page = size == 0 ? 0 : random.nextLong((size + PAGE - 1) / PAGE);
                    WritePin pin = file.pinForWrite(page);
                    int offset = random.nextInt(PAGE);
                    int length = random.nextInt(PAGE - offset);
                    pin.dirty(offset, length);
                    pin.segment().asSlice(offset, length).fill((byte) random.nextInt());
                    if (random.nextInt(4) == 0) {
                        pin.abort();
                    } else {
                        pin.close();
                    }
                }
                case 3 -> file.truncate(random.nextInt(3) == 0 ? at : random.nextLong(size + 1));
                case 4 -> file.flush();
                case 5 -> file.force();
                case 6, 7, 8 -> checkpoint();
                case 9 -> cache.images.runQueued();
                case 10 -> reopen(random.nextInt(3));
                default -> file.read(at, MemorySegment.ofArray(new byte[random.nextInt(6 * PAGE)]));
            }
        }

        void write(int at, int length) throws IOException {
            byte[] bytes = new byte[length];
            Arrays.fill(bytes, (byte) random.nextInt());
            file.write(at, MemorySegment.ofArray(bytes));
        }

        /** With writes between the chunks, and one after the seal. */
        void checkpoint() {
            boolean writing = random.nextBoolean();
            new CheckpointRun(cache.images, DIRECTORY, progress -> {
                try {
                    if (writing && random.nextInt(3) == 0) {
                        write(random.nextInt(20 * PAGE), random.nextInt(PAGE));
                    } else if (writing && random.nextInt(6) == 0) {
                        file.truncate(random.nextLong(file.size() + 1));
                    }
                } catch (IOException e) {
                    throw new AssertionError(e);
                }
            }).run();
        }

        void reopen(int how) throws IOException {
            if (how == 0) {
                file.close();
                file = cache.map(store, options);
                return;
            }
            if (how == 1) {
                cache.close();
            } else {
                file.force();
                cache.close();
                segment = new HeapBackend.Segment(config);
            }
            open();
        }

        void maybeDie(int odds) {
            if (!inDeath && deathRandom.nextInt(odds) == 0) {
                inDeath = true;
                try {
                    die();
                } catch (IOException e) {
                    throw new AssertionError(e);
                } finally {
                    inDeath = false;
                }
            }
        }

        void die() throws IOException {
            deaths++;
            boolean kill = deathRandom.nextInt(4) == 0;
            HeapDisk left = kill ? disk.afterKill() : disk.afterPowerLoss(deathRandom);
            FragileStore found = kill ? store.afterKill() : store.afterPowerLoss(deathRandom);
            HeapBackend.Segment memory = kill ? segment.copy(config) : new HeapBackend.Segment(config);
            check(left, found, memory, 0);
        }

        /** A successor's life: it looks at everything, writes, and loses power in turn. */
        void check(HeapDisk left, FragileStore found, HeapBackend.Segment memory, int depth) throws IOException {
            boolean image = left.has(Images.imageOf(DIRECTORY, found.id));
            images += image ? 1 : 0;
            Cache successor = memory.attach(config, Cache.VERSION_BITS, left);
            PagedFile served = successor.map(found, options);
            if (deathRandom.nextInt(4) > 0) {
                successor.images.runQueued();
            }
            restored += successor.images.restored.sum();
            assertSame(served, found, successor);
            if (depth < 2 && deathRandom.nextInt(2) == 0) {
                boolean[] again = {false};
                Runnable later = () -> {
                    if (!again[0] && deathRandom.nextInt(3) == 0) {
                        again[0] = true;
                        try {
                            check(
                                    left.afterPowerLoss(deathRandom),
                                    found.afterPowerLoss(deathRandom),
                                    new HeapBackend.Segment(config),
                                    depth + 1);
                        } catch (IOException e) {
                            throw new AssertionError(e);
                        }
                    }
                };
                left.hook = (operation, path) -> later.run();
                found.hook = (operation, position, length) -> later.run();
                byte[] bytes = new byte[deathRandom.nextInt(3 * PAGE) + 1];
                deathRandom.nextBytes(bytes);
                served.write(deathRandom.nextInt(10 * PAGE), MemorySegment.ofArray(bytes));
                successor.images.runQueued();
                successor.flush();
                assertSame(served, found, successor);
            }
        }

        void assertSame(PagedFile served, FragileStore found, Cache successor) throws IOException {
            byte[] bytes = found.bytes();
            byte[] read = new byte[bytes.length + 1];
            int n = Math.max(0, served.read(0, MemorySegment.ofArray(read)));
            assertArrayEquals(bytes, Arrays.copyOf(read, n));
            assertEquals(0, successor.stats().validationFailures());
            assertEquals(Set.of(), successor.problems());
            assertEquals(Set.of(), Set.copyOf(successor.images.status().problems()));
        }
    }
}
