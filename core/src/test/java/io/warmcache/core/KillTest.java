/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.CacheConfig;
import io.warmcache.IoMode;
import io.warmcache.MapOptions;
import io.warmcache.PageCache;
import io.warmcache.PagedFile;
import io.warmcache.RecoveryReport;
import io.warmcache.WritePolicy;
import java.io.BufferedReader;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * {@code kill -9} of a process that writes (and resizes its cache) at random moments, and a restart at once: every
 * page then read equals the store's bytes, and is a write that was begun and is no older than the last one
 * acknowledged. {@code -Dwarmcache.kills=N} kills more often.
 */
class KillTest {
    private static final int KILLS = Integer.getInteger("warmcache.kills", 3);

    @TempDir
    Path dir;

    @ParameterizedTest
    @Timeout(600)
    @CsvSource({
        "21, 4096, WRITE_THROUGH, DIRECT, false",
        "22, 16384, WRITE_THROUGH, BUFFERED, true",
        "23, 4096, WRITE_BACK, AUTO, true",
    })
    void whatIsReadAfterAKillIsWhatTheStoreHolds(
            long seed, int pageSize, WritePolicy policy, IoMode mode, boolean resize) throws Exception {
        System.out.println("seed " + seed);
        String name = "kill-test-" + ProcessHandle.current().pid() + "-" + seed;
        CacheConfig config = KillVictim.config(name, pageSize);
        Path data = dir.resolve("data");
        Path account = dir.resolve("account");
        Files.write(account, new byte[KillVictim.PAGES * 16]);
        Random random = new Random(seed);
        int kept = 0;
        try {
            for (int kill = 0; kill < KILLS; kill++) {
                Process victim = start(name, data, account, pageSize, policy, mode, seed * 1000 + kill, resize);
                try (BufferedReader out = victim.inputReader()) {
                    String line = out.readLine();
                    assertTrue(line != null && line.startsWith("READY"), "the victim said " + line);
                    awaitWrites(account, random.nextInt(3000));
                } finally {
                    victim.destroyForcibly();
                }
                CacheConfig next = resize
                        ? config.withCapacity((long) KillVictim.FRAMES / 2 * (1 + random.nextInt(3)) * pageSize)
                        : config;
                kept += check(next, data, account, policy, mode);
                assertTrue(victim.waitFor(1, TimeUnit.MINUTES));
            }
            assertTrue(kept > 0, "no frame was ever kept");
        } finally {
            PageCache.drop(config);
        }
    }

    private static Process start(
            String name,
            Path data,
            Path account,
            int pageSize,
            WritePolicy policy,
            IoMode mode,
            long seed,
            boolean resize)
            throws IOException {
        return new ProcessBuilder(List.of(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "--enable-native-access=ALL-UNNAMED",
                        "-XX:+UseSerialGC",
                        "-XX:TieredStopAtLevel=1",
                        "-cp",
                        System.getProperty("java.class.path"),
                        KillVictim.class.getName(),
                        name,
                        data.toString(),
                        account.toString(),
                        "" + pageSize,
                        policy.toString(),
                        mode.toString(),
                        "" + seed,
                        "" + resize))
                .redirectError(ProcessBuilder.Redirect.INHERIT)
                .start();
    }

    private static long[] account(Path account) throws IOException {
        long[] words = new long[KillVictim.PAGES * 2];
        ByteBuffer.wrap(Files.readAllBytes(account)).order(ByteOrder.nativeOrder()).asLongBuffer().get(words);
        return words;
    }

    private static void awaitWrites(Path account, int more) throws IOException {
        long until = Arrays.stream(account(account)).sum() + 2L * more;
        long deadline = System.nanoTime() + TimeUnit.MINUTES.toNanos(1);
        while (Arrays.stream(account(account)).sum() < until) {
            assertTrue(System.nanoTime() < deadline, "the victim makes no progress");
            Thread.onSpinWait();
        }
    }

    /** Returns how many frames were kept. */
    private static int check(CacheConfig config, Path data, Path account, WritePolicy policy, IoMode mode)
            throws IOException {
        try (PageCache cache = PageCache.open(config)) {
            PagedFile file = cache.map(data, MapOptions.DEFAULT.withPolicy(policy).withIoMode(mode));
            RecoveryReport report = cache.recovery();
            System.out.println(report);
            byte[] store = Files.readAllBytes(data);
            assertEquals(store.length, file.size());
            byte[] served = new byte[store.length];
            for (int done = 0; done < served.length; ) {
                done += file.read(done, MemorySegment.ofArray(served).asSlice(done));
            }
            assertArrayEquals(store, served);
            // The victim is dead and owned nothing any more when the cache opened, so its account is final.
            long[] counts = account(account);
            int pageSize = config.pageSize();
            for (int page = 0; page < store.length / pageSize; page++) {
                checkPage(page, served, pageSize, counts, policy);
            }
            ((Cache) cache).maintenance.stop(); // nobody else is to be at work for this
            assertEquals(Set.of(), ((Cache) cache).problems());
            return report.kept();
        }
    }

    private static void checkPage(int page, byte[] bytes, int pageSize, long[] counts, WritePolicy policy) {
        MemorySegment segment = MemorySegment.ofArray(bytes).asSlice((long) page * pageSize, pageSize);
        long first = segment.get(ValueLayout.JAVA_LONG_UNALIGNED, 0);
        long begun = counts[page * 2];
        long acknowledged = counts[page * 2 + 1];
        for (int at = 0; at < pageSize; at += 8) {
            long word = segment.get(ValueLayout.JAVA_LONG_UNALIGNED, at);
            long count = word & ((1L << 40) - 1);
            assertTrue(word == 0 || word >>> 40 == page + 1, "page " + page + " holds page " + ((word >>> 40) - 1));
            assertTrue(count <= begun, "page " + page + " holds write " + count + " of " + begun);
            if (policy == WritePolicy.WRITE_THROUGH) {
                assertTrue(
                        count >= acknowledged,
                        "page " + page + " holds write " + count + ", but " + acknowledged + " was acknowledged");
            }
            if (begun == acknowledged && policy == WritePolicy.WRITE_THROUGH) {
                assertEquals(first, word, "page " + page + " is torn though no write of it was under way");
            }
        }
    }
}
