/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.embedding;

import io.warmcache.BackingStore;
import io.warmcache.StoreId;
import io.warmcache.StoreVersion;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.UUID;

// DOC: begin store
/**
 * The data file of {@link TinyStore}, with an identity and an exact version of its own. Both lie beside it in a file of
 * 32 bytes: the identity is drawn when the store is created, the edition whenever anybody but the cache changes the
 * data, which nothing but {@link #restore} may do.
 */
final class EngineStore implements BackingStore {
    private final Path path;
    private final StoreId id;
    private final StoreVersion version;
    private final RandomAccessFile data; // unlike a FileChannel, no interrupt closes it

    private EngineStore(Path path, StoreId id, StoreVersion version, RandomAccessFile data) {
        this.path = path;
        this.id = id;
        this.version = version;
        this.data = data;
    }

    static EngineStore open(Path path) throws IOException {
        if (!Files.exists(tags(path))) {
            writeTags(path, UUID.randomUUID(), UUID.randomUUID());
        }
        ByteBuffer tags = ByteBuffer.wrap(Files.readAllBytes(tags(path)));
        StoreId id = new StoreId(tags.getLong(), tags.getLong());
        StoreVersion version = StoreVersion.exact(tags.getLong(), tags.getLong());
        return new EngineStore(path, id, version, new RandomAccessFile(path.toFile(), "rw"));
    }

    /** Replaces the data of a store that is not open. The new edition comes first: a death in between costs warmth. */
    static void restore(Path path, Path backup) throws IOException {
        ByteBuffer tags = ByteBuffer.wrap(Files.readAllBytes(tags(path)));
        writeTags(path, new UUID(tags.getLong(), tags.getLong()), UUID.randomUUID());
        Files.copy(backup, path, StandardCopyOption.REPLACE_EXISTING);
    }

    @Override
    public StoreId id() {
        return id;
    }

    @Override
    public StoreVersion version() {
        return version; // our own writes leave it
    }

    @Override
    public synchronized long size() throws IOException {
        return data.length();
    }

    @Override
    public synchronized int read(long position, MemorySegment target) throws IOException {
        byte[] bytes = new byte[(int) target.byteSize()];
        data.seek(position);
        int n = data.read(bytes);
        if (n > 0) {
            MemorySegment.copy(bytes, 0, target, ValueLayout.JAVA_BYTE, 0, n);
        }
        return n;
    }

    @Override
    public synchronized int write(long position, MemorySegment source) throws IOException {
        data.seek(position);
        data.write(source.toArray(ValueLayout.JAVA_BYTE));
        return (int) source.byteSize();
    }

    @Override
    public void force() throws IOException {
        data.getFD().sync();
    }

    @Override
    public synchronized void truncate(long size) throws IOException {
        data.setLength(size);
    }

    @Override
    public String name() {
        return path.toString();
    }

    @Override
    public void close() throws IOException {
        data.close();
    }

    private static Path tags(Path path) {
        return path.resolveSibling(path.getFileName() + ".tags");
    }

    /** Written aside and renamed, so that there is never half of it. */
    private static void writeTags(Path path, UUID id, UUID edition) throws IOException {
        ByteBuffer tags = ByteBuffer.allocate(32);
        tags.putLong(id.getMostSignificantBits()).putLong(id.getLeastSignificantBits());
        tags.putLong(edition.getMostSignificantBits()).putLong(edition.getLeastSignificantBits());
        Path aside = path.resolveSibling(path.getFileName() + ".tags.new");
        try (RandomAccessFile file = new RandomAccessFile(aside.toFile(), "rw")) {
            file.write(tags.array());
            file.getFD().sync();
        }
        Files.move(aside, tags(path), StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    }
}
// DOC: end store
