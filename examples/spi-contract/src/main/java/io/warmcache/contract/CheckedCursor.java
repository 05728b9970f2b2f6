/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.contract;

import io.warmcache.PageCursor;
import java.lang.foreign.MemorySegment;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;

/** Reads garbage first after every seek, and remembers where what was not validated was read. */
final class CheckedCursor implements PageCursor {
    private final PageCursor cursor;
    private final SplittableRandom garbage;

    /** Whether what is read now is garbage. */
    private boolean first;

    /** The first read since the last validation. */
    private @Nullable Throwable unvalidated;

    CheckedCursor(PageCursor cursor, SplittableRandom garbage) {
        this.cursor = cursor;
        this.garbage = garbage;
    }

    @Override
    public void seek(long page) {
        requireValidated();
        first = true;
        cursor.seek(page);
    }

    @Override
    public long page() {
        return cursor.page();
    }

    private void requireValidated() {
        Throwable read = unvalidated;
        if (read != null) {
            unvalidated = null;
            throw new AssertionError(
                    "what was read from page " + cursor.page() + " was never validated: use it only once"
                            + " shouldRetry() has returned false",
                    read);
        }
    }

    private void reads() {
        if (unvalidated == null) {
            unvalidated = new Throwable("read here");
        }
    }

    @Override
    public byte getByte(int offset) {
        byte value = cursor.getByte(offset);
        reads();
        return first ? (byte) garbage.nextInt() : value;
    }

    @Override
    public short getShort(int offset) {
        short value = cursor.getShort(offset);
        reads();
        return first ? (short) garbage.nextInt() : value;
    }

    @Override
    public int getInt(int offset) {
        int value = cursor.getInt(offset);
        reads();
        return first ? garbage.nextInt() : value;
    }

    @Override
    public long getLong(int offset) {
        long value = cursor.getLong(offset);
        reads();
        return first ? garbage.nextLong() : value;
    }

    @Override
    public void copyTo(int offset, MemorySegment target, long targetOffset, int length) {
        cursor.copyTo(offset, target, targetOffset, length);
        reads();
        if (first) {
            CheckedFile.fill(target.asSlice(targetOffset, length), garbage);
        }
    }

    @Override
    public void copyTo(int offset, byte[] target, int targetIndex, int length) {
        cursor.copyTo(offset, target, targetIndex, length);
        reads();
        if (first) {
            CheckedFile.fill(MemorySegment.ofArray(target).asSlice(targetIndex, length), garbage);
        }
    }

    @Override
    public boolean shouldRetry() {
        boolean disturbed = cursor.shouldRetry();
        boolean wasFirst = first && unvalidated != null;
        unvalidated = null;
        first &= !wasFirst;
        return disturbed || wasFirst;
    }

    @Override
    public void close() {
        cursor.close();
        requireValidated();
    }
}
