/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture.faults;

import io.warmcache.spi.FrameState;
import java.io.IOException;
import java.util.Random;
import org.jspecify.annotations.Nullable;

/** The frames of a cache and the records kept of them, as one who may write to all of it sees them. */
interface Remains extends AutoCloseable {
    int frames();

    int pageSize();

    /**
     * One record.
     *
     * @param state null where it is none
     */
    record Entry(@Nullable FrameState state, long fileId, long page, int generation) {}

    Entry entry(int frame);

    /** All of a record that counts, but its state. */
    byte[] recordOf(int frame);

    /** One byte of the frames, taken as one range of memory. */
    byte get(long at);

    void put(long at, byte value);

    /** Flips bits of a record; returns whether any of them counts: the rest are hints and padding. */
    boolean flipRecord(int frame, int bits, Random random);

    /** Stores 8 random bytes to a record; returns whether they change anything that counts. */
    boolean storeIntoRecord(int frame, Random random);

    /** Two records change places; {@code valid}: each then as if it had been written where it is. */
    void swapRecords(int a, int b, boolean valid);

    /** The record names another page, and is otherwise valid. */
    void rekey(int frame, long fileId, long page);

    /** The record holds what nobody wrote, and says that it is good. */
    void uninitialise(int frame, Random random);

    /** Half of the record is another one's. */
    void tear(int frame, int donor);

    @Override
    void close() throws IOException;
}
