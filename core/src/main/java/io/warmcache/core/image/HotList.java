/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core.image;

import io.warmcache.StoreId;
import java.io.EOFException;
import java.io.IOException;
import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.roaringbitmap.RoaringBitmap;

/**
 * Which pages of which stores were in memory, by classes of heat. Its file is replaced as a whole:
 *
 * <pre>
 * 0 magic 8, 8 format 4, 12 files 4; a file: store identity 16, length of its name 4, name in UTF-8, four lengths and
 * RoaringBitmaps; check of all before 8
 * </pre>
 */
public final class HotList {
    /** Classes of heat, 0 the hottest. */
    public static final int CLASSES = 4;

    private static final long MAGIC = 0x3154_4f48_434d_5257L; // "WRMCHOT1"
    private static final int VERSION = 1;
    private static final int MAX_LENGTH = 1 << 30;

    private HotList() {}

    /**
     * One store's pages.
     *
     * @param name the store's name, for a store whose identity changed with its host
     * @param classes its pages by class
     */
    public record Entry(StoreId store, String name, List<RoaringBitmap> classes) {
        public Entry {
            classes = List.copyOf(classes);
        }
    }

    /** Replaces a hot list durably: when this returns or power is lost before, the file is the old or the new one. */
    public static void write(ImageDisk disk, Path file, List<Entry> entries) throws IOException {
        long length = 16 + Long.BYTES;
        List<byte[]> names = new ArrayList<>();
        for (Entry entry : entries) {
            byte[] name = entry.name().getBytes(StandardCharsets.UTF_8);
            names.add(name);
            length += 20 + name.length;
            for (RoaringBitmap pages : entry.classes()) {
                pages.runOptimize();
                length += 4 + pages.serializedSizeInBytes();
            }
        }
        if (length > MAX_LENGTH) {
            throw new IOException("the hot list would be " + length + " bytes long: the limit is " + MAX_LENGTH);
        }
        byte[] array = new byte[(int) length];
        ByteBuffer bytes = ImageFormat.over(array);
        bytes.putLong(MAGIC).putInt(VERSION).putInt(entries.size());
        for (int i = 0; i < entries.size(); i++) {
            Entry entry = entries.get(i);
            bytes.putLong(entry.store().high()).putLong(entry.store().low());
            bytes.putInt(names.get(i).length).put(names.get(i));
            for (RoaringBitmap pages : entry.classes()) {
                bytes.putInt(pages.serializedSizeInBytes());
                pages.serialize(bytes);
            }
        }
        bytes.putLong(ImageFormat.check(array, 0, bytes.position(), MAGIC));
        Path temporary = file.resolveSibling(file.getFileName() + ".tmp");
        try (ImageDisk.Writer out = disk.create(temporary)) {
            out.write(bytes.flip());
            out.force();
        }
        disk.rename(temporary, file);
        Path directory = file.toAbsolutePath().getParent();
        if (directory != null) {
            disk.forceDirectory(directory);
        }
    }

    /**
     * Reads a hot list.
     *
     * @throws java.nio.file.NoSuchFileException if there is none
     * @throws DamagedImageException if it cannot be trusted
     */
    public static List<Entry> read(ImageDisk disk, Path file) throws IOException {
        byte[] array;
        try (ImageDisk.Reader in = disk.open(file)) {
            long length = in.size();
            if (length < 16 + Long.BYTES || length > MAX_LENGTH) {
                throw new DamagedImageException("it is " + length + " bytes long");
            }
            array = new byte[(int) length];
            in.read(ByteBuffer.wrap(array), 0);
        } catch (EOFException e) {
            throw damaged("it became shorter while it was read", e);
        }
        ByteBuffer bytes = ImageFormat.over(array);
        int body = array.length - Long.BYTES;
        if (bytes.getLong() != MAGIC) {
            throw new DamagedImageException("it is no hot list: its magic number is another");
        }
        int version = bytes.getInt();
        if (version != VERSION) {
            throw new DamagedImageException("it has format " + version + ", this version reads format " + VERSION);
        }
        if (bytes.getLong(body) != ImageFormat.check(array, 0, body, MAGIC)) {
            throw new DamagedImageException("it is damaged: its check does not match");
        }
        try {
            int files = bytes.getInt();
            List<Entry> entries = new ArrayList<>();
            for (int i = 0; i < files; i++) {
                StoreId store = new StoreId(bytes.getLong(), bytes.getLong());
                byte[] name = new byte[bounded(bytes)];
                bytes.get(name);
                List<RoaringBitmap> classes = new ArrayList<>();
                for (int c = 0; c < CLASSES; c++) {
                    int length = bounded(bytes);
                    RoaringBitmap pages = new RoaringBitmap();
                    pages.deserialize(bytes.slice(bytes.position(), length).order(bytes.order()));
                    bytes.position(bytes.position() + length);
                    classes.add(pages);
                }
                entries.add(new Entry(store, new String(name, StandardCharsets.UTF_8), classes));
            }
            return entries;
        } catch (IOException | RuntimeException e) { // RoaringBitmap's own refusals, and what it does not refuse
            throw damaged("it contradicts itself", e);
        }
    }

    private static int bounded(ByteBuffer bytes) {
        int length = bytes.getInt();
        if (length < 0 || length > bytes.remaining()) {
            throw new BufferUnderflowException();
        }
        return length;
    }

    private static DamagedImageException damaged(String message, Throwable cause) {
        DamagedImageException damaged = new DamagedImageException(message);
        damaged.initCause(cause);
        return damaged;
    }
}
