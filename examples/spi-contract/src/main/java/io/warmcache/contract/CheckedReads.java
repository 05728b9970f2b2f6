/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.contract;

import io.warmcache.PageCache;
import io.warmcache.PagedFile;

/**
 * For the tests of an engine: fails reads that are made without validation, which otherwise go wrong only when another
 * thread happens to write or evict the page.
 *
 * <p>What is read optimistically from a checked file is garbage the first time, every time: by a {@link
 * io.warmcache.PageCursor} until {@code shouldRetry()} has returned true once for the page, through a stamp until
 * {@code valid()} has returned false once for it; a {@link io.warmcache.PageReader} is run on a page of garbage first,
 * and what it returns or throws is dropped. So an engine that uses what it has read before it was validated, or does
 * not read again, computes nonsense at once, and one that does not bound its loops and lengths shows it. Reads that
 * were never validated at all are thrown as an {@link AssertionError}, with the place that read as its cause, by the
 * cursor's next {@code seek} or its {@code close}, and for stamps by the {@code close} of the file.
 *
 * <p>Everything else goes to the cache as it is. To run an engine that opens its cache itself on a checked one, name
 * {@link CheckedProvider} in the test folder {@code META-INF/services/io.warmcache.spi.PageCacheProvider}.
 */
public final class CheckedReads {
    private CheckedReads() {}

    /** A cache whose files are checked. Safe for use by many threads, as the cache is. */
    public static PageCache of(PageCache cache) {
        return new CheckedCache(cache);
    }

    /** A checked file. */
    public static PagedFile of(PagedFile file) {
        return new CheckedFile(file);
    }
}
