/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core.evict;

import com.github.benmanes.caffeine.cache.Cache;
import com.github.benmanes.caffeine.cache.Caffeine;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.zip.GZIPInputStream;

/**
 * Replays page traces through the policy, and through least recently used and Caffeine beside it. A trace is a gzip
 * file of little-endian 32-bit page numbers. Arguments: a file and cache sizes in pages, then the next file and its
 * sizes.
 */
final class TraceReplay {
    private TraceReplay() {}

    public static void main(String[] arguments) throws IOException {
        int[] trace = null;
        String name = "";
        System.out.printf(
                "%-24s %8s %12s %12s %7s %7s %8s%n",
                "trace", "pages", "hits", "accesses", "ratio", "lru", "caffeine");
        for (String argument : arguments) {
            if (!argument.matches("[0-9]+")) {
                name = Path.of(argument).getFileName().toString();
                trace = read(Path.of(argument));
                continue;
            }
            if (trace == null) {
                throw new IllegalArgumentException("name a trace before its cache sizes");
            }
            int frames = Integer.parseInt(argument);
            Replay replay = new Replay(frames);
            for (int page : trace) {
                replay.access(page);
            }
            replay.policy.check();
            System.out.printf(
                    "%-24s %8d %12d %12d %7.2f %7.2f %8.2f%n",
                    name,
                    frames,
                    replay.hits,
                    replay.accesses,
                    100 * replay.ratio(),
                    100.0 * leastRecentlyUsed(trace, frames) / trace.length,
                    100.0 * caffeine(trace, frames) / trace.length);
        }
    }

    private static int[] read(Path file) throws IOException {
        try (InputStream in = new GZIPInputStream(Files.newInputStream(file))) {
            ByteBuffer bytes = ByteBuffer.wrap(in.readAllBytes()).order(ByteOrder.LITTLE_ENDIAN);
            int[] pages = new int[bytes.remaining() / Integer.BYTES];
            bytes.asIntBuffer().get(pages);
            return pages;
        }
    }

    private static long leastRecentlyUsed(int[] trace, int frames) {
        Map<Integer, Boolean> cache = new LinkedHashMap<>(16, 0.75f, true);
        long hits = 0;
        for (int page : trace) {
            if (cache.put(page, true) != null) {
                hits++;
            } else if (cache.size() > frames) {
                cache.remove(cache.keySet().iterator().next());
            }
        }
        return hits;
    }

    private static long caffeine(int[] trace, int frames) {
        Cache<Integer, Boolean> cache = Caffeine.newBuilder()
                .maximumSize(frames)
                .initialCapacity(frames)
                .executor(Runnable::run)
                .build();
        long hits = 0;
        for (int page : trace) {
            if (cache.getIfPresent(page) != null) {
                hits++;
            } else {
                cache.put(page, true);
            }
        }
        return hits;
    }
}
