/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core.image;

import io.warmcache.StoreId;
import io.warmcache.StoreVersion;
import io.warmcache.spi.BlockChecksum;
import io.warmcache.spi.FrameRecord;
import java.io.Closeable;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.security.SecureRandom;
import java.util.Arrays;
import net.jpountz.lz4.LZ4Compressor;
import org.roaringbitmap.RoaringBitmap;

/** Writes one store's image: pages in the order they are to be restored, then {@link #finish}. For one thread. */
public final class ImageWriter implements Closeable {
    private static final SecureRandom RANDOM = new SecureRandom();

    private final ImageDisk.Writer out;
    private final long number = RANDOM.nextLong();
    private final int pageSize;
    private final int blocks;
    private final int chunkPages;
    private final LZ4Compressor compressor = ImageFormat.LZ4.fastCompressor();
    private final byte[] raw;
    private final byte[] stored;
    private final byte[] tableBytes;
    private final ByteBuffer table;
    private long[] starts = new long[64];
    private int chunks;
    private int inChunk;
    private long pages;
    private long position;

    /** Begins an image; the writer is closed with this one. */
    public ImageWriter(
            ImageDisk.Writer out,
            StoreId store,
            int pageSize,
            BlockChecksum algorithm,
            long incarnation,
            long fileId,
            long takenAt)
            throws IOException {
        this.out = out;
        this.pageSize = pageSize;
        blocks = pageSize / BlockChecksum.BLOCK_SIZE;
        chunkPages = ImageFormat.chunkPages(pageSize);
        raw = new byte[chunkPages * pageSize];
        stored = new byte[compressor.maxCompressedLength(raw.length)];
        tableBytes = new byte[ImageFormat.CHUNK_HEADER + chunkPages * ImageFormat.tableEntry(pageSize)];
        table = ImageFormat.over(tableBytes);
        byte[] headerBytes = new byte[ImageFormat.HEADER];
        ByteBuffer header = ImageFormat.over(headerBytes);
        header.putLong(ImageFormat.MAGIC).putInt(ImageFormat.VERSION).putInt(pageSize).putLong(number);
        header.putLong(store.high()).putLong(store.low()).putInt(algorithm.algorithmId()).putInt(0);
        header.putLong(incarnation).putLong(fileId).putLong(takenAt).putLong(0).putLong(0);
        header.putLong(ImageFormat.check(headerBytes, 0, ImageFormat.HEADER - Long.BYTES, number));
        write(header.flip());
        table.position(ImageFormat.CHUNK_HEADER);
    }

    private void write(ByteBuffer bytes) throws IOException {
        position += bytes.remaining();
        out.write(bytes);
    }

    /**
     * Adds a page.
     *
     * @param record its ledger record: generation and checksums of all blocks
     * @param uses its use count
     * @param bytes its content
     * @return whether a chunk was written with it
     */
    public boolean add(long page, FrameRecord record, int uses, MemorySegment bytes) throws IOException {
        MemorySegment.copy(bytes, 0, MemorySegment.ofArray(raw), (long) inChunk * pageSize, pageSize);
        table.putInt((int) page).putInt(record.generation).putInt(uses).putInt(0);
        for (int b = 0; b < blocks; b++) {
            table.putLong(record.checksums[b]);
        }
        inChunk++;
        pages++;
        if (inChunk < chunkPages) {
            return false;
        }
        endChunk();
        return true;
    }

    private void endChunk() throws IOException {
        if (inChunk == 0) {
            return;
        }
        int rawLength = inChunk * pageSize;
        int length = compressor.compress(raw, 0, rawLength, stored, 0);
        byte[] bytes = stored;
        if (length >= rawLength) {
            length = rawLength;
            bytes = raw;
        }
        int end = table.position();
        table.putInt(0, ImageFormat.CHUNK_MAGIC).putInt(4, chunks).putInt(8, inChunk).putInt(12, length);
        table.putLong(16, ImageFormat.check(bytes, 0, length, number));
        table.putLong(24, 0);
        table.putLong(24, ImageFormat.check(tableBytes, 0, end, number));
        if (chunks == starts.length) {
            starts = Arrays.copyOf(starts, 2 * chunks);
        }
        starts[chunks++] = position;
        write(table.flip());
        write(ByteBuffer.wrap(bytes, 0, length));
        table.clear().position(ImageFormat.CHUNK_HEADER);
        inChunk = 0;
    }

    /** Pages added. */
    public long pages() {
        return pages;
    }

    /** Bytes written. */
    public long length() {
        return position;
    }

    /** Writes what was added, and makes it durable. */
    public void force() throws IOException {
        endChunk();
        out.force();
    }

    /**
     * Completes the image and makes it durable.
     *
     * @param version the store's version as it will be compared
     * @param size the store's length
     * @param cut pages from here on are void
     * @param voids pages that are void
     */
    public void finish(StoreVersion version, long size, long cut, RoaringBitmap voids) throws IOException {
        endChunk();
        voids.runOptimize();
        int voidLength = voids.serializedSizeInBytes();
        int length = ImageFormat.FOOTER + chunks * Long.BYTES + voidLength + Long.BYTES;
        byte[] footerBytes = new byte[length + ImageFormat.END];
        ByteBuffer footer = ImageFormat.over(footerBytes);
        footer.putInt(ImageFormat.FOOTER_MAGIC).putInt(voidLength).putLong(pages);
        footer.putInt(strengthCode(version.strength())).putInt(chunks);
        footer.putLong(version.first()).putLong(version.second()).putLong(version.third());
        footer.putLong(size).putLong(cut);
        for (int i = 0; i < chunks; i++) {
            footer.putLong(starts[i]);
        }
        voids.serialize(footer);
        footer.putLong(ImageFormat.check(footerBytes, 0, length - Long.BYTES, number));
        footer.putLong(length).putLong(ImageFormat.END_MAGIC);
        write(footer.flip());
        out.force();
    }

    private static int strengthCode(StoreVersion.Strength strength) {
        return switch (strength) {
            case EXACT -> 1;
            case HEURISTIC -> 2;
            case NONE -> throw new IllegalArgumentException("a store without a version has no image");
        };
    }

    @Override
    public void close() throws IOException {
        out.close();
    }
}
