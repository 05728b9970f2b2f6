/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture;

import io.warmcache.IoMode;
import io.warmcache.MapOptions;
import io.warmcache.PageCache;
import io.warmcache.PagedFile;
import io.warmcache.StoreId;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import org.jspecify.annotations.Nullable;

/** A file in use by a victim. */
final class Slot {
    final int index;
    final SlotSpec spec;
    final Path path;

    /** The second name, if there is one. */
    final Path link;

    /** Shared by writers and flushers, exclusive for what changes the file as a whole. Readers take none. */
    final ReentrantReadWriteLock lock = new ReentrantReadWriteLock();

    /** Odd while the file is changed as a whole: what readers find then is not compared. */
    final AtomicInteger sequence = new AtomicInteger();

    private final AtomicIntegerArray writing = new AtomicIntegerArray(Journal.UNITS);
    private final PageCache cache;
    private final Journal journal;
    private final long salt;
    private volatile @Nullable PagedFile file;
    private volatile @Nullable PagedFile alias;
    private volatile @Nullable TortureStore store;
    private volatile TortureStore.Fault fault = TortureStore.Fault.NONE;

    /** Set when nothing more is to be done with it in this life, after a failure that was asked for. */
    volatile boolean given;

    Slot(int index, PageCache cache, Journal journal, LifePlan plan) {
        this.index = index;
        this.cache = cache;
        this.journal = journal;
        spec = SlotSpec.ALL.get(index);
        path = path(spec, plan.directory());
        link = path.resolveSibling(path.getFileName() + ".link");
        salt = plan.number("salt");
    }

    static Path path(SlotSpec spec, Path directory) {
        return (spec.small() ? directory.resolve("small") : directory.resolve("data")).resolve(spec.name());
    }

    void map() throws IOException {
        if (journal.recreating(index) && !Files.exists(path)) {
            // deleted, by us or by one who was killed then
            Files.deleteIfExists(link);
            journal.reset(index);
            Journal.fence();
        }
        MapOptions options = MapOptions.DEFAULT.withPolicy(spec.policy()).withIoMode(spec.mode());
        if (spec.custom()) {
            TortureStore own = new TortureStore(
                    path, new StoreId(salt, (long) index << 32 | journal.generation(index)));
            own.fault(fault);
            store = own;
            file = cache.map(own, options.withIoMode(IoMode.AUTO));
        } else {
            file = cache.map(path, options);
        }
        if (spec.linked()) {
            if (!Files.exists(link)) {
                Files.createLink(link, path);
            }
            alias = cache.map(link, options);
        }
    }

    void close() throws IOException {
        PagedFile second = alias;
        if (second != null) {
            second.close();
        }
        file().close();
    }

    /** What goes wrong with the store from now on, if it is one that can. */
    void fault(TortureStore.Fault value) {
        fault = value;
        TortureStore own = store;
        if (own != null) {
            own.fault(value);
        }
    }

    /** Deletes the file and makes a new one. */
    void recreate() throws IOException {
        journal.recreating(index, true);
        Journal.fence();
        close();
        Files.delete(path);
        map();
        Journal.fence();
        journal.recreating(index, false);
    }

    PagedFile file() {
        PagedFile mapped = file;
        if (mapped == null) {
            throw new IllegalStateException(spec.name() + " is not mapped");
        }
        return mapped;
    }

    /** One of the two names' mappings. */
    PagedFile file(boolean second) {
        PagedFile other = alias;
        return second && other != null ? other : file();
    }

    /** Whether nobody else writes these units; then they are the caller's until {@link #unlock}. */
    boolean tryLock(int first, int last) {
        for (int unit = first; unit <= last; unit++) {
            if (!writing.compareAndSet(unit, 0, 1)) {
                unlock(first, unit - 1);
                return false;
            }
        }
        return true;
    }

    void unlock(int first, int last) {
        for (int unit = first; unit <= last; unit++) {
            writing.set(unit, 0);
        }
    }
}
