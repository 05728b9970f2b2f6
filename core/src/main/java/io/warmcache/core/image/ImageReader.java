/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core.image;

import io.warmcache.StoreId;
import io.warmcache.StoreVersion;
import io.warmcache.core.checksum.Checksums;
import io.warmcache.spi.BlockChecksum;
import java.io.Closeable;
import java.io.EOFException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import net.jpountz.lz4.LZ4Exception;
import net.jpountz.lz4.LZ4SafeDecompressor;
import org.roaringbitmap.RoaringBitmap;

/**
 * Reads one store's image. Whatever the file holds, each method gives what was written or throws a {@link
 * DamagedImageException} (or what the disk threw). For one thread.
 */
public final class ImageReader implements Closeable {
    private final ImageDisk.Reader in;
    private final ImageFormat.Header header;
    private final ImageFormat.Footer footer;
    private final long[] starts;
    private final long chunksEnd;
    private final int blocks;
    private final int chunkPages;
    private final byte[] table;
    private final LZ4SafeDecompressor decompressor = ImageFormat.LZ4.safeDecompressor();
    private final Arena arena = Arena.ofShared();
    private final MemorySegment raw;
    private byte[] rawBytes = new byte[0];
    private byte[] stored = new byte[0];

    // Of the chunk last read.
    private int chunkSize;
    private int storedLength;
    private long storedCheck;
    private long storedAt;

    /**
     * Reads header and footer; the reader is closed with this one, and when this throws.
     *
     * @throws DamagedImageException if they are not whole or of another format
     */
    public ImageReader(ImageDisk.Reader in) throws IOException {
        this.in = in;
        boolean done = false;
        try {
            long length = in.size();
            if (length < ImageFormat.HEADER + ImageFormat.FOOTER + Long.BYTES + ImageFormat.END) {
                throw new DamagedImageException("it is truncated: " + length + " bytes");
            }
            header = readHeader();
            ByteBuffer end = ImageFormat.over(read(length - ImageFormat.END, ImageFormat.END));
            long footerLength = end.getLong();
            long most = Math.min(ImageFormat.MAX_FOOTER, length - ImageFormat.HEADER - ImageFormat.END);
            if (end.getLong() != ImageFormat.END_MAGIC
                    || footerLength < ImageFormat.FOOTER + Long.BYTES
                    || footerLength > most) {
                throw new DamagedImageException("it is truncated or was never sealed: its end is missing");
            }
            chunksEnd = length - ImageFormat.END - footerLength;
            byte[] array = read(chunksEnd, (int) footerLength);
            ByteBuffer bytes = ImageFormat.over(array);
            int body = (int) footerLength - Long.BYTES;
            if (bytes.getLong(body) != ImageFormat.check(array, 0, body, header.number())
                    || bytes.getInt() != ImageFormat.FOOTER_MAGIC) {
                throw new DamagedImageException("its footer is damaged");
            }
            int voidLength = bytes.getInt();
            long pages = bytes.getLong();
            int strength = bytes.getInt();
            int chunks = bytes.getInt();
            long first = bytes.getLong();
            long second = bytes.getLong();
            long third = bytes.getLong();
            long size = bytes.getLong();
            long cut = bytes.getLong();
            if (chunks < 0 || voidLength < 0 || ImageFormat.FOOTER + 8L * chunks + voidLength != body) {
                throw new DamagedImageException("its footer contradicts itself");
            }
            starts = new long[chunks];
            for (int i = 0; i < chunks; i++) {
                starts[i] = bytes.getLong();
            }
            RoaringBitmap voids = new RoaringBitmap();
            try {
                voids.deserialize(bytes);
            } catch (IOException | RuntimeException e) {
                throw damaged("its list of void pages is damaged", e);
            }
            StoreVersion version = switch (strength) {
                case 1 -> StoreVersion.exact(first, second);
                case 2 -> new StoreVersion(StoreVersion.Strength.HEURISTIC, first, second, third);
                default -> throw new DamagedImageException("its store version is of an unknown kind: " + strength);
            };
            footer = new ImageFormat.Footer(version, size, pages, cut, voids);
            blocks = header.pageSize() / BlockChecksum.BLOCK_SIZE;
            chunkPages = ImageFormat.chunkPages(header.pageSize());
            table = new byte[ImageFormat.CHUNK_HEADER + chunkPages * ImageFormat.tableEntry(header.pageSize())];
            raw = arena.allocate((long) chunkPages * header.pageSize(), BlockChecksum.BLOCK_SIZE);
            done = true;
        } catch (EOFException e) {
            throw damaged("it became shorter while it was read", e);
        } finally {
            if (!done) {
                in.close();
                arena.close();
            }
        }
    }

    private static DamagedImageException damaged(String message, Throwable cause) {
        DamagedImageException damaged = new DamagedImageException(message);
        damaged.initCause(cause);
        return damaged;
    }

    private byte[] read(long position, int length) throws IOException {
        byte[] bytes = new byte[length];
        in.read(ByteBuffer.wrap(bytes), position);
        return bytes;
    }

    private ImageFormat.Header readHeader() throws IOException {
        byte[] array = read(0, ImageFormat.HEADER);
        ByteBuffer bytes = ImageFormat.over(array);
        if (bytes.getLong() != ImageFormat.MAGIC) {
            throw new DamagedImageException("it is no image: its magic number is another");
        }
        int format = bytes.getInt();
        if (format != ImageFormat.VERSION) {
            throw new DamagedImageException(
                    "it has format " + format + ", this version reads format " + ImageFormat.VERSION);
        }
        int pageSize = bytes.getInt();
        long number = bytes.getLong();
        StoreId store = new StoreId(bytes.getLong(), bytes.getLong());
        int algorithm = bytes.getInt();
        int zero = bytes.getInt();
        long incarnation = bytes.getLong();
        long fileId = bytes.getLong();
        long takenAt = bytes.getLong();
        int body = ImageFormat.HEADER - Long.BYTES;
        if (bytes.getLong(body) != ImageFormat.check(array, 0, body, number) || zero != 0) {
            throw new DamagedImageException("its header is damaged");
        }
        if (pageSize < 4096 || pageSize > 65536 || Integer.bitCount(pageSize) != 1) {
            throw new DamagedImageException("its page size is " + pageSize);
        }
        BlockChecksum checksum = Checksums.byId(algorithm).orElse(null);
        if (checksum == null) {
            throw new DamagedImageException("its checksum algorithm has the unknown number " + algorithm);
        }
        return new ImageFormat.Header(number, store, pageSize, checksum, incarnation, fileId, takenAt);
    }

    public StoreId store() {
        return header.store();
    }

    /** Bytes of a page. */
    public int pageSize() {
        return header.pageSize();
    }

    /** The store's version when the image was sealed. */
    public StoreVersion version() {
        return footer.version();
    }

    /** The store's length in bytes when the image was sealed. */
    public long size() {
        return footer.size();
    }

    /** When it was begun, in milliseconds of the epoch by the clock of its host. */
    public long takenAt() {
        return header.takenAt();
    }

    /** Pages in the image. */
    public long pages() {
        return footer.pages();
    }

    public int chunks() {
        return starts.length;
    }

    /** Pages of a chunk as far as the rest of the image tells: all chunks but the last are full. */
    public long pagesOf(int chunk) {
        return Math.clamp(footer.pages() - (long) chunk * chunkPages, 0, chunkPages);
    }

    /** Whether a page was changed after it was copied, so that what the image has of it is worth nothing. */
    public boolean isVoid(long page) {
        return page >= footer.cut() || footer.voids().contains((int) page);
    }

    /**
     * Reads the table of a chunk; the methods below are about this chunk.
     *
     * @return the number of its pages
     * @throws DamagedImageException if the table cannot be trusted: the pages of this chunk are lost
     */
    public int readTable(int chunk) throws IOException {
        long start = starts[chunk];
        chunkSize = 0;
        try {
            if (start < ImageFormat.HEADER || start > chunksEnd - ImageFormat.CHUNK_HEADER) {
                throw new DamagedImageException("chunk " + chunk + " lies outside");
            }
            ByteBuffer head = buffer(table, ImageFormat.CHUNK_HEADER);
            in.read(head, start);
            int pages = head.getInt(8);
            int length = head.getInt(12);
            if (head.getInt(0) != ImageFormat.CHUNK_MAGIC
                    || head.getInt(4) != chunk
                    || pages < 1
                    || pages > chunkPages
                    || length < 1
                    || length > pages * header.pageSize()) {
                throw new DamagedImageException("the head of chunk " + chunk + " is damaged");
            }
            int end = ImageFormat.CHUNK_HEADER + pages * ImageFormat.tableEntry(header.pageSize());
            if (start + end + length > chunksEnd) {
                throw new DamagedImageException("chunk " + chunk + " is longer than the image");
            }
            ByteBuffer all = buffer(table, end);
            in.read(all, start);
            long check = all.getLong(24);
            all.putLong(24, 0);
            if (check != ImageFormat.check(table, 0, end, header.number())) {
                throw new DamagedImageException("the table of chunk " + chunk + " is damaged");
            }
            storedLength = length;
            storedCheck = all.getLong(16);
            storedAt = start + end;
            chunkSize = pages;
            return pages;
        } catch (EOFException e) {
            throw damaged("chunk " + chunk + " is cut off", e);
        }
    }

    private static ByteBuffer buffer(byte[] array, int length) {
        return ByteBuffer.wrap(array, 0, length).order(ByteOrder.LITTLE_ENDIAN);
    }

    private ByteBuffer entry(int i) {
        if (i < 0 || i >= chunkSize) {
            throw new IndexOutOfBoundsException(i);
        }
        int length = ImageFormat.tableEntry(header.pageSize());
        return ByteBuffer.wrap(table, ImageFormat.CHUNK_HEADER + i * length, length)
                .slice()
                .order(ByteOrder.LITTLE_ENDIAN);
    }

    /** The number of the chunk's {@code i}th page. */
    public long page(int i) {
        return Integer.toUnsignedLong(entry(i).getInt(0));
    }

    /** The use count of the chunk's {@code i}th page; any value. */
    public int uses(int i) {
        return entry(i).getInt(8);
    }

    /**
     * Reads the pages of the chunk.
     *
     * @throws DamagedImageException if they are not what was written
     */
    public void readPages() throws IOException {
        int length = chunkSize * header.pageSize();
        if (stored.length < storedLength) {
            stored = new byte[storedLength];
        }
        if (rawBytes.length < length) {
            rawBytes = new byte[length];
        }
        try {
            in.read(ByteBuffer.wrap(stored, 0, storedLength), storedAt);
        } catch (EOFException e) {
            throw damaged("a chunk is cut off", e);
        }
        if (ImageFormat.check(stored, 0, storedLength, header.number()) != storedCheck) {
            throw new DamagedImageException("the pages of a chunk are damaged");
        }
        byte[] bytes = stored;
        if (storedLength != length) {
            try {
                if (decompressor.decompress(stored, 0, storedLength, rawBytes, 0, length) != length) {
                    throw new DamagedImageException("a chunk decompresses to too few bytes");
                }
            } catch (LZ4Exception | IndexOutOfBoundsException e) {
                throw damaged("a chunk does not decompress", e);
            }
            bytes = rawBytes;
        }
        MemorySegment.copy(MemorySegment.ofArray(bytes), 0, raw, 0, length);
    }

    /** The bytes of the chunk's {@code i}th page; valid until the next {@link #readPages}. */
    public MemorySegment bytes(int i) {
        return raw.asSlice((long) i * header.pageSize(), header.pageSize());
    }

    /**
     * Whether the bytes of the chunk's {@code i}th page are those of which the checksums were taken, when they came
     * from the store.
     */
    public boolean isIntact(int i) {
        ByteBuffer entry = entry(i);
        long page = Integer.toUnsignedLong(entry.getInt(0));
        for (int b = 0; b < blocks; b++) {
            long sum = header.algorithm()
                    .block(
                            raw,
                            (long) i * header.pageSize() + (long) b * BlockChecksum.BLOCK_SIZE,
                            header.incarnation(),
                            header.fileId(),
                            page,
                            b,
                            entry.getInt(4));
            if (sum != entry.getLong(ImageFormat.TABLE_ENTRY + b * Long.BYTES)) {
                return false;
            }
        }
        return true;
    }

    @Override
    public void close() throws IOException {
        arena.close();
        in.close();
    }
}
