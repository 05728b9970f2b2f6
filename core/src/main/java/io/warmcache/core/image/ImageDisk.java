/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core.image;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;

/**
 * The file operations that images and hot lists need, each one whose order counts when power is lost. Safe for threads.
 * An interrupt of the calling thread is kept, and fails neither {@link #delete} nor {@link #forceDirectory}.
 */
public interface ImageDisk {
    /** A file being written from its start on. */
    interface Writer extends Closeable {
        /** Appends all that remains in the buffer. */
        void write(ByteBuffer bytes) throws IOException;

        /** Makes what was written durable. */
        void force() throws IOException;
    }

    /** A file being read; it stays readable when it is deleted. */
    interface Reader extends Closeable {
        long size() throws IOException;

        /**
         * Fills the buffer from {@code position} on.
         *
         * @throws java.io.EOFException if the file ends before
         */
        void read(ByteBuffer into, long position) throws IOException;
    }

    /** Creates an empty file that its owner alone may read, in place of one that is there; makes the directory. */
    Writer create(Path file) throws IOException;

    /**
     * Opens a regular file.
     *
     * @throws java.nio.file.NoSuchFileException if there is none
     */
    Reader open(Path file) throws IOException;

    /** Gives a file another name in the same directory, in place of what has that name. */
    void rename(Path from, Path to) throws IOException;

    /** Deletes a file; returns whether there was one. */
    boolean delete(Path file) throws IOException;

    /** Makes the names in a directory durable. */
    void forceDirectory(Path directory) throws IOException;
}
