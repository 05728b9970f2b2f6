/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.contract;

import io.warmcache.PageCursor;
import io.warmcache.PageExplanation;
import io.warmcache.PageReader;
import io.warmcache.PagedFile;
import io.warmcache.ReadPin;
import io.warmcache.WritePin;
import io.warmcache.WritePolicy;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;

/**
 * A file whose optimistic reads are of garbage first. Stamps lead to copies of pages in a memory of the file's own, a
 * slot each: number of the slot, 1 to {@value #SLOTS}, in the stamp's lower bits, and the count of stamps above.
 */
final class CheckedFile implements PagedFile {
    private static final int SLOT_BITS = 8;
    private static final int SLOTS = (1 << SLOT_BITS) - 1;

    /** What a stamp leads to. */
    private static final class Slot {
        final long stamp;

        /** The cache's own; 0 when the copy is garbage. */
        final long real;

        final Throwable taken;
        volatile boolean validated;

        Slot(long stamp, long real, Throwable taken) {
            this.stamp = stamp;
            this.real = real;
            this.taken = taken;
        }
    }

    private final PagedFile file;
    private final int pageSize;
    private final MemorySegment copies;
    private final MemorySegment readOnly;
    private final @Nullable Slot[] slots = new @Nullable Slot[SLOTS];
    private final SplittableRandom random = new SplittableRandom(1);

    /** The page of which the thread has read garbage, and is to read again. */
    @SuppressWarnings("ThreadLocalUsage") // one for each file
    private final ThreadLocal<Long> again = ThreadLocal.withInitial(() -> -1L);

    private long count;

    /** The first stamp that was given up without having been validated. */
    private @Nullable Throwable neverValidated;

    CheckedFile(PagedFile file) {
        this.file = file;
        pageSize = file.pageSize();
        copies = Arena.ofAuto().allocate((long) SLOTS * pageSize, 8);
        readOnly = copies.asReadOnly();
    }

    static void fill(MemorySegment target, SplittableRandom garbage) {
        byte[] bytes = new byte[(int) target.byteSize()];
        garbage.nextBytes(bytes);
        MemorySegment.copy(bytes, 0, target, ValueLayout.JAVA_BYTE, 0, bytes.length);
    }

    private synchronized SplittableRandom garbage() {
        return random.split();
    }

    @Override
    public int pageSize() {
        return pageSize;
    }

    @Override
    public long size() {
        return file.size();
    }

    @Override
    public WritePolicy policy() {
        return file.policy();
    }

    @Override
    public PageCursor cursor() {
        return new CheckedCursor(file.cursor(), garbage());
    }

    @Override
    public long stamp(long page) {
        return take(page, file.stamp(page));
    }

    @Override
    public long tryStamp(long page) {
        long stamp = file.tryStamp(page);
        return stamp == 0 ? 0 : take(page, stamp);
    }

    private synchronized long take(long page, long stamp) {
        boolean isGood = again.get() == page;
        again.set(isGood ? -1L : page);
        int number = (int) (count % SLOTS);
        long mine = (++count << SLOT_BITS) | (number + 1);
        Slot before = slots[number];
        if (before != null) {
            giveUp(before);
        }
        slots[number] = new Slot(mine, isGood ? stamp : 0, new Throwable("stamp of page " + page + " taken here"));
        MemorySegment copy = copies.asSlice((long) number * pageSize, pageSize);
        if (isGood) {
            // Torn if the page is being written: then the stamp will not be valid.
            MemorySegment.copy(file.memory(), file.offset(stamp), copy, 0, pageSize);
        } else {
            fill(copy, random);
        }
        return mine;
    }

    private void giveUp(Slot slot) {
        if (!slot.validated && neverValidated == null) {
            neverValidated = slot.taken;
        }
    }

    @Override
    public boolean valid(long page, long stamp) {
        Slot slot = slot(stamp);
        if (slot == null) {
            return false;
        }
        slot.validated = true;
        return slot.real != 0 && file.valid(page, slot.real);
    }

    private synchronized @Nullable Slot slot(long stamp) {
        Slot slot = slots[number(stamp)];
        return slot == null || slot.stamp != stamp ? null : slot;
    }

    private static int number(long stamp) {
        int number = (int) (stamp & SLOTS) - 1;
        if (number < 0) {
            throw new IllegalArgumentException(stamp + " is no stamp");
        }
        return number;
    }

    @Override
    public long offset(long stamp) {
        return (long) number(stamp) * pageSize;
    }

    @Override
    public MemorySegment memory() {
        return readOnly;
    }

    @Override
    public long read(long page, PageReader reader) {
        MemorySegment noise = MemorySegment.ofArray(new long[3 * pageSize / 8]);
        fill(noise, garbage());
        try {
            reader.read(noise.asReadOnly(), pageSize);
        } catch (RuntimeException | AssertionError e) {
            // allowed: of garbage nothing else is asked than to come back
        }
        return file.read(page, reader);
    }

    @Override
    public ReadPin pin(long page) {
        return file.pin(page);
    }

    @Override
    public WritePin pinForWrite(long page) {
        return file.pinForWrite(page);
    }

    @Override
    public WritePin pinForOverwrite(long page) {
        return file.pinForOverwrite(page);
    }

    @Override
    public int read(long position, MemorySegment target) throws IOException {
        return file.read(position, target);
    }

    @Override
    public int readOnce(long position, MemorySegment target) throws IOException {
        return file.readOnce(position, target);
    }

    @Override
    public void write(long position, MemorySegment source) throws IOException {
        file.write(position, source);
    }

    @Override
    public void prefetch(long first, int pages) {
        file.prefetch(first, pages);
    }

    @Override
    public void prefetch(long[] pages) {
        file.prefetch(pages);
    }

    @Override
    public int load(long[] pages) throws IOException {
        return file.load(pages);
    }

    @Override
    public PageExplanation explain(long page) {
        return file.explain(page);
    }

    @Override
    public void flush() throws IOException {
        file.flush();
    }

    @Override
    public void force() throws IOException {
        file.force();
    }

    @Override
    public void truncate(long size) throws IOException {
        file.truncate(size);
    }

    @Override
    public void close() throws IOException {
        file.close();
        Throwable taken;
        synchronized (this) {
            for (int i = 0; i < SLOTS; i++) {
                Slot slot = slots[i];
                if (slot != null) {
                    giveUp(slot);
                    slots[i] = null;
                }
            }
            taken = neverValidated;
            neverValidated = null;
        }
        if (taken != null) {
            throw new AssertionError(
                    "a stamp was never validated: use what was read through it only once valid() has returned true",
                    taken);
        }
    }
}
