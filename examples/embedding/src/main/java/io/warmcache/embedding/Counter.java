/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.embedding;

// README: begin
import io.warmcache.CacheConfig;
import io.warmcache.MapOptions;
import io.warmcache.PageCache;
import io.warmcache.PagedFile;
import io.warmcache.WritePin;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;

/** Counts its own starts in the first page of a file, and says whether the page was still in memory. */
public class Counter {
    public static void main(String[] args) throws Exception {
        CacheConfig config = CacheConfig.of(args[0], 64 << 20); // 64 MiB in /dev/shm
        try (PageCache cache = PageCache.open(config);
                PagedFile file = cache.map(Path.of(args[1]), MapOptions.DEFAULT)) {
            long starts = file.size() == 0 ? 0 : file.read(0, (memory, at) -> memory.get(ValueLayout.JAVA_LONG, at));
            try (WritePin pin = file.pinForWrite(0)) {
                pin.dirty(0, Long.BYTES); // announced before the store, so that a kill between the two is noticed
                pin.segment().set(ValueLayout.JAVA_LONG, 0, starts + 1);
            } // written to the file here
            System.out.println("start " + (starts + 1) + ", pages found in memory: " + cache.recovery().kept());
            Runtime.getRuntime().halt(137); // as a kill -9 would: nothing is closed
        }
    }
}
// README: end
