/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import io.warmcache.BackingStore;
import io.warmcache.CacheConfig;
import io.warmcache.MapOptions;
import io.warmcache.PagedFile;
import io.warmcache.StoreId;
import io.warmcache.StoreVersion;
import io.warmcache.WritePolicy;
import io.warmcache.core.checksum.Checksums;
import io.warmcache.core.image.FileDisk;
import io.warmcache.core.local.LocalProvider;
import io.warmcache.spi.BackendConfig;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.Map;

/**
 * A cache on the heap's side of everything, without a background thread, and one file of it. A rule of {@link Mutation}
 * named by {@code warmcache.broken} is broken for the whole virtual machine.
 */
final class Fixture {
    static final int PAGE = 4096;

    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED;

    static {
        String broken = System.getProperty("warmcache.broken", "");
        if (!broken.isEmpty()) {
            Mutation.turnOn(Mutation.valueOf(broken));
        }
    }

    final Cache cache;
    final PagedFile file;
    final Memory store;

    /** Page {@code p} of the store is filled with {@code p}. */
    Fixture(int frames, int pages, int versionBits, WritePolicy policy) {
        CacheConfig config = CacheConfig.of("jcstress", (long) frames * PAGE)
                .withBackend("volatile")
                .withLatchTimeout(Duration.ofMinutes(1))
                .withOptions(Map.of("core.maintenance", "off"));
        store = new Memory(pages);
        try {
            cache = Cache.open(
                    config,
                    new LocalProvider(),
                    new BackendConfig(config, Checksums.byName("xxh64").orElseThrow(), Checksums.ALL),
                    versionBits,
                    FileDisk.INSTANCE);
            file = cache.map(store, MapOptions.DEFAULT.withPolicy(policy));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    void end() {
        try {
            cache.close();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    CachedFile inside() {
        return ((MappedFile) file).file();
    }

    /** The first and the last long of a page, as an optimistic reader sees them in one go. */
    static final class Seen {
        long first;
        long last;
        boolean valid;

        void read(PagedFile file, long page) {
            long stamp = file.stamp(page);
            long base = file.offset(stamp);
            MemorySegment memory = file.memory();
            first = memory.get(LONG, base);
            last = memory.get(LONG, base + PAGE - 8);
            valid = file.valid(page, stamp);
        }
    }

    /** Fills a page's first and last long with {@code value}, through a write pin. */
    void write(long page, long value) {
        try (var pin = file.pinForWrite(page)) {
            pin.dirty(0, PAGE);
            pin.segment().set(LONG, 0, value);
            pin.segment().set(LONG, PAGE - 8, value);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** A long somewhere in the frames. */
    long at(long offset) {
        return file.memory().get(LONG, offset);
    }

    /** What the store has of a page's first long. */
    long stored(long page) {
        return store.bytes.get(LONG, page * PAGE);
    }

    /** A store whose transfers are copies. */
    static final class Memory implements BackingStore {
        final MemorySegment bytes;

        Memory(int pages) {
            bytes = MemorySegment.ofArray(new byte[pages * PAGE]);
            for (int page = 0; page < pages; page++) {
                for (int at = 0; at < PAGE; at += 8) {
                    bytes.set(LONG, (long) page * PAGE + at, page);
                }
            }
        }

        @Override
        public StoreId id() {
            return new StoreId(1, 1);
        }

        @Override
        public StoreVersion version() {
            return StoreVersion.exact(1, 1);
        }

        @Override
        public long size() {
            return bytes.byteSize();
        }

        @Override
        public int read(long position, MemorySegment target) {
            MemorySegment.copy(bytes, position, target, 0, target.byteSize());
            return (int) target.byteSize();
        }

        @Override
        public int write(long position, MemorySegment source) {
            MemorySegment.copy(source, 0, bytes, position, source.byteSize());
            return (int) source.byteSize();
        }

        @Override
        public void force() {
            // nothing outlives the process
        }

        @Override
        public void truncate(long size) {
            throw new UnsupportedOperationException("no test cuts the store");
        }

        @Override
        public void close() {
            // nothing is held
        }
    }
}
