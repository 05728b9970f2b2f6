/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.embedding;

import io.warmcache.CacheConfig;
import io.warmcache.CacheException;
import io.warmcache.MapOptions;
import io.warmcache.PageCache;
import io.warmcache.PagedFile;
import io.warmcache.RecoveryReport;
import io.warmcache.WritePin;
import io.warmcache.WritePolicy;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.OptionalLong;

/**
 * A durable map of longs to longs in a hash file of 4 KiB pages with a redo log: about as small as a storage engine can
 * be that loses nothing it acknowledged. One writer, any number of readers; a reader may see a commit of several pages
 * in part.
 *
 * <p>Page: the number of its entries, then key and value of each. A full page goes on in the next one.
 */
public final class TinyStore implements AutoCloseable {
    private static final int PAGE = RedoLog.PAGE;
    private static final int PAGES = 1024;
    private static final int ENTRIES = (PAGE - 8) / 16;
    private static final long CHECKPOINT = 4L << 20;
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private final PageCache cache;
    private final PagedFile file;
    private final RedoLog log;
    private final Map<Long, Long> pending = new LinkedHashMap<>();

    private TinyStore(PageCache cache, PagedFile file, RedoLog log) {
        this.cache = cache;
        this.file = file;
        this.log = log;
    }

    // DOC: begin open
    /** Opens or creates the store {@code path}, cached under {@code name}. */
    public static TinyStore open(String name, Path path) throws IOException {
        PageCache cache = PageCache.open(CacheConfig.of(name, 8 << 20));
        try {
            PagedFile file = cache.map(
                    EngineStore.open(path), MapOptions.DEFAULT.withPolicy(WritePolicy.WRITE_BACK));
            if (file.size() == 0) {
                file.truncate((long) PAGES * PAGE);
            }
            TinyStore store = new TinyStore(cache, file, new RedoLog(path.resolveSibling(path.getFileName() + ".log")));
            store.recover();
            return store;
        } catch (Throwable t) {
            cache.close();
            throw t;
        }
    }

    /** What a cold start would do, byte for byte: the cache makes it faster and changes nothing else in it. */
    private void recover() throws IOException {
        for (Map.Entry<Long, byte[]> page : log.replay().entrySet()) {
            write(page.getKey(), page.getValue());
        }
        checkpoint();
    }

    /** Pages first, and durable, then the log that could rebuild them goes. */
    private void checkpoint() throws IOException {
        file.force();
        log.reset();
    }
    // DOC: end open

    // DOC: begin read
    /** The value of a key. */
    public OptionalLong get(long key) {
        for (long page = bucket(key), looked = 0; looked < PAGES; page = (page + 1) % PAGES, looked++) {
            long slot = file.read(page, (memory, at) -> find(memory, at, key));
            if (slot >= 0) {
                // Entries never move, so it still lies where it was found.
                return OptionalLong.of(file.read(page, (memory, at) -> memory.get(LONG, at + 16 + 16 * slot)));
            }
            if (slot == NOT_FULL) {
                return OptionalLong.empty();
            }
        }
        return OptionalLong.empty();
    }

    private static final long NOT_FULL = -1;
    private static final long FULL = -2;

    /** May run on a page that is just being changed: bounded over garbage, its result used only if it was none. */
    private static long find(MemorySegment memory, long at, long key) {
        long count = Math.clamp(memory.get(LONG, at), 0, ENTRIES);
        for (long slot = 0; slot < count; slot++) {
            if (memory.get(LONG, at + 8 + 16 * slot) == key) {
                return slot;
            }
        }
        return count == ENTRIES ? FULL : NOT_FULL;
    }
    // DOC: end read

    /** Sets the value of a key with the next {@link #commit}. */
    public synchronized void put(long key, long value) {
        pending.put(key, value);
    }

    // DOC: begin write
    /** Makes every put so far durable, or none of them. */
    public synchronized void commit() throws IOException {
        Map<Long, byte[]> images = new HashMap<>();
        for (Map.Entry<Long, Long> entry : pending.entrySet()) {
            place(images, entry.getKey(), entry.getValue());
        }
        pending.clear();
        if (images.isEmpty()) {
            return;
        }
        log.append(images); // durable from here on
        for (Map.Entry<Long, byte[]> image : images.entrySet()) {
            write(image.getKey(), image.getValue());
        }
        if (log.size() > CHECKPOINT) {
            checkpoint();
        }
    }

    /** Puts a page into the cache, which writes it to the store later: the log has it. */
    private void write(long page, byte[] image) throws IOException {
        try (WritePin pin = file.pinForOverwrite(page)) { // starts as zeros, announced as dirty, not read
            MemorySegment.copy(image, 0, pin.segment(), ValueLayout.JAVA_BYTE, 0, PAGE);
        }
    }
    // DOC: end write

    private void place(Map<Long, byte[]> images, long key, long value) throws IOException {
        for (long page = bucket(key), looked = 0; looked < PAGES; page = (page + 1) % PAGES, looked++) {
            byte[] known = images.get(page);
            byte[] image = known == null ? copy(page) : known;
            ByteBuffer entries = ByteBuffer.wrap(image).order(ByteOrder.LITTLE_ENDIAN);
            long slot = find(MemorySegment.ofArray(image), 0, key);
            if (slot == FULL) {
                continue;
            }
            if (slot == NOT_FULL) {
                slot = entries.getLong(0);
                entries.putLong(0, slot + 1);
            }
            entries.putLong(8 + 16 * (int) slot, key).putLong(16 + 16 * (int) slot, value);
            images.put(page, image);
            return;
        }
        throw new CacheException("the store is full: it holds " + PAGES * ENTRIES + " entries");
    }

    private byte[] copy(long page) throws IOException {
        byte[] image = new byte[PAGE];
        var _ = file.read(page * PAGE, MemorySegment.ofArray(image));
        return image;
    }

    private static long bucket(long key) {
        return Math.floorMod((key * 0x9E3779B97F4A7C15L) >>> 17, PAGES);
    }

    /** What the cache found when it was opened. */
    public RecoveryReport recovery() {
        return cache.recovery();
    }

    /** Pages read from the file since the store was opened. */
    public long misses() {
        return cache.stats().misses();
    }

    @Override
    public synchronized void close() throws IOException {
        try (cache;
                log) {
            checkpoint();
        }
    }
}
