/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.h2;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.h2.mvstore.MVMap;
import org.h2.mvstore.MVStore;
import org.h2.mvstore.MVStoreException;
import org.h2.mvstore.MVStoreTool;
import org.h2.store.fs.FileUtils;
import org.h2.store.fs.encrypt.FilePathEncrypt;
import org.junit.jupiter.api.Test;

final class MvStoreTest extends WarmFixture {
    MvStoreTest() {
        super(2 << 20);
    }

    @Test
    void growsIsCutByCompactionAndKeepsItsContents() throws IOException {
        try (MVStore store = new MVStore.Builder().fileName(name).autoCommitDisabled().open()) {
            MVMap<Integer, String> map = store.openMap("map");
            for (int round = 0; round < 10; round++) {
                for (int i = 0; i < 3_000; i++) {
                    map.put(i, value(round, i));
                }
                store.commit();
            }
            long before = Files.size(file);
            assertEquals(before, FileUtils.size(name));
            for (int i = 100; i < 3_000; i++) {
                map.remove(i);
            }
            store.commit();
            store.compactFile(60_000);
            long after = Files.size(file);
            assertTrue(after < before / 4, before + " bytes became " + after);
            assertEquals(after, FileUtils.size(name));
            requireRound(map, 9, 100);
        }
        requireSameBytes();
        warm.restart();
        try (MVStore store = MVStore.open(name)) {
            requireRound(store.openMap("map"), 9, 100);
        }
        MVStoreTool.compact(name, true);
        try (MVStore store = MVStore.open(name)) {
            requireRound(store.openMap("map"), 9, 100);
        }
        try (MVStore store = MVStore.open(file.toString())) {
            requireRound(store.openMap("map"), 9, 100);
        }
        try (MVStore store = MVStore.open(name)) {
            requireRound(store.openMap("map"), 9, 100);
        }
    }

    @Test
    void keepsOldVersionsAndRollsBackToThem() throws IOException {
        try (MVStore store = new MVStore.Builder().fileName(name).autoCommitDisabled().open()) {
            store.setVersionsToKeep(100);
            MVMap<Integer, String> map = store.openMap("map");
            long[] versions = new long[50];
            for (int round = 0; round < 50; round++) {
                for (int i = 0; i < 100; i++) {
                    map.put(i, value(round, i));
                }
                versions[round] = store.commit();
            }
            for (int round : new int[] {0, 7, 30, 48}) {
                requireRound(map.openVersion(versions[round] - 1), round, 100);
            }
            store.rollbackTo(versions[30]);
            requireRound(map, 30, 100);
            store.commit();
        }
        warm.restart();
        try (MVStore store = MVStore.open(name)) {
            requireRound(store.openMap("map"), 30, 100);
        }
    }

    @Test
    void servesManyThreadsWhileItCommitsInTheBackground() throws Exception {
        long seed = System.nanoTime();
        System.out.println("seed " + seed);
        try (MVStore store = new MVStore.Builder()
                        .fileName(name)
                        .cacheSize(1)
                        .autoCommitBufferSize(64)
                        .open();
                ExecutorService pool = Executors.newFixedThreadPool(4)) {
            store.setAutoCommitDelay(5);
            MVMap<Integer, byte[]> map = store.openMap("map");
            List<Callable<Void>> work = new ArrayList<>();
            for (int t = 0; t < 4; t++) {
                int id = t;
                work.add(() -> {
                    Random random = new Random(seed + id);
                    byte[][] mine = new byte[500][];
                    for (int i = 0; i < 6_000; i++) {
                        int slot = random.nextInt(mine.length);
                        int key = slot * 4 + id;
                        if (random.nextInt(3) == 0) {
                            byte[] bytes = new byte[random.nextInt(3_000)];
                            random.nextBytes(bytes);
                            mine[slot] = bytes;
                            map.put(key, bytes);
                        } else {
                            assertArrayEquals(mine[slot], map.get(key), () -> "seed " + seed + ", key " + key);
                        }
                    }
                    return null;
                });
            }
            for (Future<Void> done : pool.invokeAll(work)) {
                done.get();
            }
            store.commit();
        }
        requireSameBytes();
    }

    @Test
    void encryptsAboveIt() throws IOException {
        MVStore.Builder builder = new MVStore.Builder().fileName(name);
        try (MVStore store = builder.encryptionKey("secret".toCharArray()).open()) {
            store.openMap("map").put(1, "one");
        }
        warm.restart();
        assertThrows(MVStoreException.class, () -> new MVStore.Builder()
                .fileName(name).encryptionKey("wrong".toCharArray()).open());
        try (MVStore store = new MVStore.Builder().fileName(name).encryptionKey("secret".toCharArray()).open()) {
            assertEquals("one", store.openMap("map").get(1));
        }
        FilePathEncrypt.register();
        String encrypted = "encrypt:pass:" + name + "2";
        try (MVStore store = MVStore.open(encrypted)) {
            store.openMap("map").put(1, "two");
        }
        warm.restart();
        try (MVStore store = MVStore.open(encrypted)) {
            assertEquals("two", store.openMap("map").get(1));
        }
    }

    @Test
    void splitsIntoFilesOfItsOwn() throws IOException {
        String split = "split:16:" + name;
        try (MVStore store = new MVStore.Builder().fileName(split).autoCommitDisabled().open()) {
            MVMap<Integer, String> map = store.openMap("map");
            for (int i = 0; i < 3_000; i++) {
                map.put(i, value(1, i));
                if (i % 500 == 0) {
                    store.commit();
                }
            }
        }
        assertEquals(1 << 16, Files.size(file));
        assertTrue(Files.exists(dir.resolve("file.1.part")));
        warm.restart();
        try (MVStore store = new MVStore.Builder().fileName(split).readOnly().open()) {
            requireRound(store.openMap("map"), 1, 3_000);
        }
        try (MVStore store = new MVStore.Builder().fileName("split:16:" + file).readOnly().open()) {
            requireRound(store.openMap("map"), 1, 3_000);
        }
        FileUtils.delete(split);
        assertTrue(Files.notExists(file));
    }

    @Test
    void runsManyStoresAtOnce() throws IOException {
        List<MVStore> stores = new ArrayList<>();
        for (int i = 0; i < 20; i++) {
            MVStore store = MVStore.open(name + i);
            store.openMap("map").put(i, value(i, i));
            stores.add(store);
        }
        for (MVStore store : stores) {
            store.close();
        }
        warm.restart();
        for (int i = 0; i < 20; i++) {
            try (MVStore store = new MVStore.Builder().fileName(name + i).readOnly().open()) {
                MVMap<Integer, String> map = store.openMap("map");
                assertEquals(value(i, i), map.get(i));
                assertNull(map.get(i + 1));
            }
        }
    }

    @Test
    void readsFromMemoryAfterARestart() throws IOException {
        try (MVStore store = MVStore.open(name)) {
            MVMap<Integer, String> map = store.openMap("map");
            for (int i = 0; i < 2_000; i++) {
                map.put(i, value(3, i));
            }
        }
        warm.restart();
        try (MVStore store = new MVStore.Builder().fileName(name).readOnly().cacheSize(0).open()) {
            long before = warm.cache().stats().bytesRead();
            requireRound(store.openMap("map"), 3, 2_000);
            assertEquals(before, warm.cache().stats().bytesRead(), "bytes read from the store");
            assertTrue(warm.cache().stats().hits() > 0);
        }
    }

    @Test
    void aCopyReadOnceLeavesInMemoryWhatWasThere() throws IOException {
        byte[] hot = new byte[1 << 20];
        Files.write(file, hot);
        Path other = Files.write(dir.resolve("other"), new byte[8 << 20]);
        try (FileChannel channel = FileUtils.open(name, "r")) {
            for (int i = 0; i < 3; i++) {
                assertArrayEquals(hot, WarmChannelModelTest.readAll(channel));
            }
            int copied = WarmFileSystem.readingOnce(() -> {
                try (FileChannel whole = FileUtils.open(Warm.path(other), "r")) {
                    return WarmChannelModelTest.readAll(whole).length;
                }
            });
            assertEquals(8 << 20, copied);
            long before = warm.cache().stats().bytesRead();
            assertArrayEquals(hot, WarmChannelModelTest.readAll(channel));
            long again = warm.cache().stats().bytesRead() - before;
            assertTrue(again <= hot.length / 4, again + " bytes had to be read again");
        }
    }

    private void requireSameBytes() throws IOException {
        try (FileChannel channel = FileUtils.open(name, "r")) {
            assertArrayEquals(Files.readAllBytes(file), WarmChannelModelTest.readAll(channel));
        }
    }

    private static String value(int round, int i) {
        return (round + " " + i + " ").repeat(20 + i % 13);
    }

    private static void requireRound(MVMap<Integer, String> map, int round, int size) {
        assertEquals(size, map.size());
        for (int i = 0; i < size; i++) {
            assertEquals(value(round, i), map.get(i));
        }
    }
}
