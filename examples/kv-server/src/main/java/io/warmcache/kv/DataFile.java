/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

/** The file under the store: the name that opens it through H2's file systems, and what must be closed after it. */
interface DataFile extends AutoCloseable {
    /** As H2 takes it: a path, perhaps with the scheme of a file system before it. */
    String name();

    CacheView cache();

    /** To be called after the store was closed. */
    @Override
    void close();

    /** A file that H2 reads and writes through its own file system. */
    static DataFile plain(String path) {
        return new DataFile() {
            @Override
            public String name() {
                return path;
            }

            @Override
            public CacheView cache() {
                return CacheView.NONE;
            }

            @Override
            public void close() {
                // H2 closes it with the store
            }
        };
    }
}
