/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.embedding;

import java.io.Closeable;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import java.util.zip.CRC32C;

/**
 * Images of pages, commit by commit: the number of pages and a checksum, then the number and the bytes of each. What a
 * death left unfinished at the end is no commit.
 */
final class RedoLog implements Closeable {
    static final int PAGE = 4096;
    private static final int HEADER = 16;
    private static final int ENTRY = 8 + PAGE;

    private final RandomAccessFile file;

    RedoLog(Path path) throws IOException {
        file = new RandomAccessFile(path.toFile(), "rw");
    }

    /** Makes a commit durable. */
    void append(Map<Long, byte[]> pages) throws IOException {
        ByteBuffer commit = ByteBuffer.allocate(HEADER + pages.size() * ENTRY);
        commit.position(HEADER);
        pages.forEach((page, image) -> commit.putLong(page).put(image));
        commit.putLong(0, pages.size()).putLong(8, checksum(commit.array(), pages.size()));
        file.seek(file.length());
        file.write(commit.array());
        file.getFD().sync();
    }

    /** The last image of every page in the log. */
    Map<Long, byte[]> replay() throws IOException {
        Map<Long, byte[]> last = new TreeMap<>();
        long end = file.length();
        long at = 0;
        while (at + HEADER <= end) {
            file.seek(at);
            long count = file.readLong();
            long checksum = file.readLong();
            if (count < 1 || count > (end - at - HEADER) / ENTRY) {
                break;
            }
            byte[] entries = new byte[(int) count * ENTRY];
            file.readFully(entries);
            ByteBuffer commit = ByteBuffer.allocate(HEADER + entries.length);
            commit.position(HEADER).put(entries);
            if (checksum(commit.array(), (int) count) != checksum) {
                break;
            }
            commit.position(HEADER);
            for (int i = 0; i < count; i++) {
                long page = commit.getLong();
                byte[] image = new byte[PAGE];
                commit.get(image);
                last.put(page, image);
            }
            at += HEADER + entries.length;
        }
        return last;
    }

    long size() throws IOException {
        return file.length();
    }

    /** Forgets everything: the pages are durable where they belong. */
    void reset() throws IOException {
        file.setLength(0);
        file.getFD().sync();
    }

    private static long checksum(byte[] commit, int count) {
        CRC32C crc = new CRC32C();
        crc.update(count);
        crc.update(commit, HEADER, commit.length - HEADER);
        return crc.getValue() + 1; // never 0, as in a part of the file that was never written
    }

    @Override
    public void close() throws IOException {
        file.close();
    }
}
