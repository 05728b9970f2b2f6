/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.h2;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.CacheConfig;
import io.warmcache.MapOptions;
import java.io.IOException;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.function.IntConsumer;
import org.h2.mvstore.MVMap;
import org.h2.mvstore.MVStore;

/** An MVStore workload that commits version after version, each of which is a function of its number. */
final class StoreWorkload {
    static final int VERSIONS = 16;
    private static final int COMPACT_EVERY = 8;

    private StoreWorkload() {}

    /** Runs the workload on a store; {@code committed} hears of every version that a commit has returned for. */
    static void run(String fileName, IntConsumer committed) {
        MVStore store = open(fileName);
        MVMap<Integer, byte[]> data = store.openMap("data");
        MVMap<String, Integer> meta = store.openMap("meta");
        for (int version = 1; version <= VERSIONS; version++) {
            change(version, data);
            meta.put("version", version);
            store.commit();
            committed.accept(version);
            if (version % COMPACT_EVERY == 0) {
                store.compactFile(10_000);
            }
        }
        store.close();
    }

    static MVStore open(String fileName) {
        return new MVStore.Builder()
                .fileName(fileName)
                .autoCommitDisabled()
                .pageSplitSize(2_000)
                .open();
    }

    private static void change(int version, Map<Integer, byte[]> data) {
        Random random = new Random(version);
        for (int i = 0; i < 30; i++) {
            int key = random.nextInt(60);
            if (random.nextInt(4) == 0) {
                data.remove(key);
            } else {
                byte[] value = new byte[random.nextInt(700)];
                random.nextBytes(value);
                data.put(key, value);
            }
        }
    }

    /** Requires that the store holds one version, between the two given, as a whole; 0 is the empty store. */
    static int requireVersion(String fileName, int atLeast, int atMost, String context) {
        try (MVStore store = open(fileName)) {
            MVMap<Integer, byte[]> data = store.openMap("data");
            MVMap<String, Integer> meta = store.openMap("meta");
            Integer stored = meta.get("version");
            int version = stored == null ? 0 : stored;
            assertTrue(version >= atLeast && version <= atMost,
                    () -> context + ": version " + version + ", acknowledged " + atLeast);
            TreeMap<Integer, byte[]> expected = new TreeMap<>();
            for (int v = 1; v <= version; v++) {
                change(v, expected);
            }
            assertEquals(expected.keySet(), data.keySet(), context);
            for (Map.Entry<Integer, byte[]> entry : expected.entrySet()) {
                assertArrayEquals(
                        entry.getValue(), data.get(entry.getKey()), () -> context + ": key " + entry.getKey());
            }
            return version;
        }
    }

    /** Runs the workload in a process that ends at one of its writes, and prints each version once it is committed. */
    static final class Main {
        private Main() {}

        public static void main(String[] args) throws IOException {
            CacheConfig config = CacheConfig.of(args[0], Long.parseLong(args[1]));
            WarmFileSystem system = WarmFileSystem.open(config, MapOptions.DEFAULT);
            StoppingFilePath.arm(Integer.parseInt(args[3]), StoppingFilePath.Moment.valueOf(args[4]), true);
            run("stop:warm:" + args[2], version -> {
                System.out.println(version);
                System.out.flush();
            });
            System.out.println("calls " + StoppingFilePath.calls());
            system.close();
        }
    }
}
