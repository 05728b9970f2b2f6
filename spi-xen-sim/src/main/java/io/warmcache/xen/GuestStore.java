/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

import io.warmcache.BackingStore;
import io.warmcache.StoreId;
import io.warmcache.StoreVersion;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;

/**
 * A store that lives in the guest, as a disk may in a driver domain: the VMM asks for its blocks over the connection
 * whose request it serves. The bytes pass through the VMM's memory, so that it knows the checksum of what it was given.
 */
final class GuestStore implements BackingStore {
    private final int handle;
    private final StoreId id;
    private final String name;

    GuestStore(int handle, StoreId id, String name) {
        this.handle = handle;
        this.id = id;
        this.name = name;
    }

    private ByteBuffer call(int kind, long one, long two) throws IOException {
        return SimdConnection.current().call(kind, handle, one, two, MemorySegment.NULL);
    }

    @Override
    public StoreId id() {
        return id;
    }

    @Override
    public String name() {
        return name;
    }

    /** An exact version or none: time stamps would have to be asked for at moments when nobody may wait for a guest. */
    @Override
    public StoreVersion version() throws IOException {
        StoreVersion version = Wire.version(call(Op.CALL_VERSION, 0, 0));
        return version.strength() == StoreVersion.Strength.EXACT ? version : StoreVersion.none();
    }

    @Override
    public long size() throws IOException {
        return call(Op.CALL_SIZE, 0, 0).getLong();
    }

    @Override
    public int read(long position, MemorySegment target) throws IOException {
        long most = Math.min(target.byteSize(), Wire.MAX_TRANSFER);
        ByteBuffer answer = call(Op.CALL_READ, position, most);
        int n = answer.getInt();
        if (n > most || n > answer.remaining()) {
            throw new Wire.ProtocolException("an answer of " + n + " bytes");
        }
        if (n > 0) {
            target.asSlice(0, n).copyFrom(MemorySegment.ofBuffer(answer.slice().limit(n)));
        }
        return n;
    }

    @Override
    public int write(long position, MemorySegment source) throws IOException {
        long most = Math.min(source.byteSize(), Wire.MAX_TRANSFER);
        return SimdConnection.current()
                .call(Op.CALL_WRITE, handle, position, most, source.asSlice(0, most))
                .getInt();
    }

    @Override
    public void force() throws IOException {
        var _ = call(Op.CALL_FORCE, 0, 0);
    }

    @Override
    public void truncate(long size) throws IOException {
        var _ = call(Op.CALL_TRUNCATE, size, 0);
    }

    @Override
    public void close() throws IOException {
        var _ = call(Op.CALL_CLOSE, 0, 0);
    }
}
