/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

import java.nio.ByteBuffer;
import org.h2.mvstore.DataUtils;
import org.h2.mvstore.WriteBuffer;
import org.h2.mvstore.type.BasicDataType;

/** Values as MVStore keeps them: the moment of death, the length, the bytes. */
final class EntryType extends BasicDataType<Entry> {
    /** An {@link Entry}, the header of its array, and the references to both on a 64-bit JVM. */
    private static final int ENTRY_OVERHEAD = 48;

    @Override
    public int getMemory(Entry entry) {
        return ENTRY_OVERHEAD + entry.value().length;
    }

    @Override
    public boolean isMemoryEstimationAllowed() {
        return false;
    }

    @Override
    public void write(WriteBuffer buffer, Entry entry) {
        buffer.putVarLong(entry.expireAt()).putVarInt(entry.value().length).put(entry.value());
    }

    @Override
    public Entry read(ByteBuffer buffer) {
        long expireAt = DataUtils.readVarLong(buffer);
        byte[] value = new byte[DataUtils.readVarInt(buffer)];
        buffer.get(value);
        return new Entry(value, expireAt);
    }

    @Override
    public Entry[] createStorage(int size) {
        return new Entry[size];
    }
}
