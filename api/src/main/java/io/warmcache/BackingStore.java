/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache;

import java.io.Closeable;
import java.io.IOException;
import java.lang.foreign.MemorySegment;

/**
 * Where the pages of a {@link PagedFile} come from: a plain file, a block device, a remote object, memory.
 *
 * <p>The cache calls {@code read}, {@code write} and {@code force} from many threads at once. Calls are synchronous:
 * when one returns or throws, the store must not touch the segment any more. An implementation must not let an
 * interrupt of the calling thread close the store, and must not need a lock or a page that a caller of the cache holds:
 * calls come from threads of the cache's own, too, and on behalf of a virtual thread from no other.
 */
public interface BackingStore extends Closeable {
    /** The identity; constant for the life of this object. */
    StoreId id();

    /**
     * The present version. For {@link StoreVersion.Strength#EXACT} the token changes exactly when anyone but this cache
     * changed the store; the cache's own writes leave it.
     */
    StoreVersion version() throws IOException;

    /** The present length in bytes. */
    long size() throws IOException;

    /**
     * Reads at {@code position} up to {@code target.byteSize()} bytes. May read fewer.
     *
     * @return the number of bytes read, at least 1, or -1 when {@code position} is at or past the end
     */
    int read(long position, MemorySegment target) throws IOException;

    /**
     * Writes at {@code position} up to {@code source.byteSize()} bytes, extending the store where needed. May write
     * fewer.
     *
     * @return the number of bytes written, at least 1
     */
    int write(long position, MemorySegment source) throws IOException;

    /** Makes every write that ended before this call durable. */
    void force() throws IOException;

    /** Sets the length, cutting bytes off or adding zeros. */
    void truncate(long size) throws IOException;

    /** A name for messages. */
    default String name() {
        return id().toString();
    }

    @Override
    void close() throws IOException;
}
