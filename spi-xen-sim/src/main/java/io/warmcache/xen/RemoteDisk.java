/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

import io.warmcache.BackingStore;
import io.warmcache.StoreId;
import io.warmcache.StoreVersion;
import java.io.IOException;
import java.lang.foreign.MemorySegment;

/** A virtual disk of a {@code xen-simd}, which does its I/O. */
final class RemoteDisk implements BackingStore {
    private final RemoteLink link;
    private final int handle;
    private final StoreId id;
    private final String name;
    private volatile boolean closed;

    RemoteDisk(RemoteLink link, int handle, StoreId id, String name) {
        this.link = link;
        this.handle = handle;
        this.id = id;
        this.name = name;
    }

    RemoteLink link() {
        return link;
    }

    int handle() {
        return handle;
    }

    /** It was closed together with the device that was connected to it. */
    void disconnected() {
        closed = true;
    }

    @Override
    public StoreId id() {
        return id;
    }

    @Override
    public String name() {
        return name;
    }

    private void requireOpen() throws IOException {
        if (closed) {
            throw new IOException(name + " is closed");
        }
    }

    @Override
    public StoreVersion version() throws IOException {
        requireOpen();
        return link.call(Op.DISK_VERSION, out -> out.putInt(handle), Wire::version);
    }

    @Override
    public long size() throws IOException {
        requireOpen();
        return link.call(Op.DISK_SIZE, out -> out.putInt(handle), in -> in.getLong());
    }

    @Override
    public int read(long position, MemorySegment target) throws IOException {
        requireOpen();
        int most = (int) Math.min(target.byteSize(), Wire.MAX_TRANSFER);
        return link.call(Op.DISK_READ, out -> out.putInt(handle).putLong(position).putInt(most), in -> {
            int n = in.getInt();
            if (n > 0) {
                target.asSlice(0, n).copyFrom(MemorySegment.ofBuffer(in.slice().limit(n)));
            }
            return n;
        });
    }

    @Override
    public int write(long position, MemorySegment source) throws IOException {
        requireOpen();
        int most = (int) Math.min(source.byteSize(), Wire.MAX_TRANSFER);
        return link.call(
                Op.DISK_WRITE,
                out -> out.putInt(handle)
                        .putLong(position)
                        .putInt(most)
                        .put(source.asSlice(0, most).asByteBuffer()),
                in -> in.getInt());
    }

    @Override
    public void force() throws IOException {
        requireOpen();
        link.call(Op.DISK_FORCE, out -> out.putInt(handle));
    }

    @Override
    public void truncate(long size) throws IOException {
        requireOpen();
        link.call(Op.DISK_TRUNCATE, out -> out.putInt(handle).putLong(size));
    }

    @Override
    public void close() throws IOException {
        if (!closed) {
            closed = true;
            link.call(Op.DISK_CLOSE, out -> out.putInt(handle));
        }
    }
}
