/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture;

import io.warmcache.CacheClosedException;
import io.warmcache.CacheException;
import io.warmcache.FilePoisonedException;
import io.warmcache.PageCache;
import io.warmcache.PageCursor;
import io.warmcache.PagedFile;
import io.warmcache.ReadPin;
import io.warmcache.WritePin;
import io.warmcache.WritePolicy;
import io.warmcache.torture.Journal.Field;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.locks.LockSupport;

/** One thread of the load. */
final class Worker implements Runnable {
    private final PageCache cache;
    private final List<Slot> slots;
    private final Journal journal;
    private final long salt;
    private final SplittableRandom random;
    private final Victim victim;
    private final int pageSize;
    private final int unitsPerPage;
    private final long[] words;

    Worker(Victim victim, PageCache cache, List<Slot> slots, Journal journal, LifePlan plan, int number) {
        this.victim = victim;
        this.cache = cache;
        this.slots = slots;
        this.journal = journal;
        salt = plan.number("salt");
        random = new SplittableRandom(plan.number("seed") * 31 + number);
        pageSize = plan.pageSize();
        unitsPerPage = pageSize / Content.UNIT;
        words = new long[4 * pageSize / Long.BYTES];
    }

    @Override
    public void run() {
        try {
            while (!victim.stopping()) {
                Slot slot = slots.get(random.nextInt(slots.size()));
                if (!slot.given) {
                    step(slot);
                    journal.progressed(slot.index);
                }
            }
        } catch (Throwable t) {
            victim.failed(t);
        }
    }

    private void step(Slot slot) throws IOException {
        int sequence = slot.sequence.get();
        try {
            int what = random.nextInt(1000);
            if (what < 500) {
                read(slot, sequence);
            } else if (what < 900) {
                write(slot);
            } else if (what < 930) {
                flush(slot, false);
            } else if (what < 940) {
                flush(slot, true);
            } else if (what < 970) {
                prefetch(slot);
            } else if (what < 985) {
                explain(slot);
            } else if (what < 994) {
                truncate(slot);
            } else {
                rarely(slot);
            }
        } catch (CacheClosedException e) {
            // the file was mapped anew, or the cache is being closed
            if (isUnchanged(slot, sequence) && !victim.stopping()) {
                throw e;
            }
        } catch (FilePoisonedException e) {
            victim.expected(slot, e);
            slot.given = true;
        } catch (IOException | UncheckedIOException e) {
            victim.expected(slot, e);
        }
    }

    private void rarely(Slot slot) throws IOException {
        switch (random.nextInt(12)) {
            case 0 -> {
                replace(slot, true);
                populate(slot);
            }
            case 1, 2 -> replace(slot, false);
            case 3, 4 -> resize();
            case 5 -> flushAll();
            default -> flush(slot, true);
        }
    }

    /** Gives an empty file something to read. */
    void populate(Slot slot) throws IOException {
        slot.lock.readLock().lock();
        try {
            int units = Journal.UNITS / 4 + random.nextInt(Journal.UNITS / 2);
            int atOnce = words.length / Content.WORDS;
            for (int first = 0; first < units && !slot.given; first += atOnce) {
                int last = Math.min(units, first + atOnce) - 1;
                if (slot.tryLock(first, last)) {
                    try {
                        write(slot, slot.file(), 0, first, last, 0);
                    } finally {
                        slot.unlock(first, last);
                    }
                }
            }
        } finally {
            slot.lock.readLock().unlock();
        }
    }

    /** Whether nobody changed the file as a whole since. */
    private static boolean isUnchanged(Slot slot, int sequence) {
        return (sequence & 1) == 0 && slot.sequence.get() == sequence;
    }

    private int units(long size) {
        return (int) ((size + Content.UNIT - 1) / Content.UNIT);
    }

    private long pages(long size) {
        return (size + pageSize - 1) / pageSize;
    }

    /** A page, one of a few half of the time. */
    private long somePage(long pages) {
        return random.nextLong(random.nextBoolean() ? pages : (pages + 3) / 4);
    }

    // ---- reading

    private void read(Slot slot, int sequence) throws IOException {
        PagedFile file = slot.file(random.nextInt(3) == 0);
        long size = file.size();
        if (size == 0) {
            return;
        }
        long page = somePage(pages(size));
        // the units of the page that are whole; one cut by the end of the file is the parent's to compare
        int first = (int) (page * unitsPerPage);
        int last = (int) Math.min(first + unitsPerPage, size / Content.UNIT) - 1;
        if (last < first) {
            return;
        }
        int unit = first + random.nextInt(last - first + 1);
        int until = random.nextInt(4) == 0 ? last : unit;
        int[] acked = new int[until - unit + 1];
        for (int u = unit; u <= until; u++) {
            acked[u - unit] = journal.get(slot.index, u, Field.ACKED);
        }
        Journal.fence();
        try {
            copy(file, page, unit - first, acked.length);
        } catch (IndexOutOfBoundsException e) {
            if (isUnchanged(slot, sequence)) {
                throw e;
            }
            return;
        }
        Journal.fence();
        for (int u = unit; u <= until; u++) {
            compare(slot, sequence, u, acked[u - unit], (u - unit) * Content.WORDS);
        }
    }

    /** Copies units of a page, in one of the ways there are. */
    private void copy(PagedFile file, long page, int first, int count) throws IOException {
        int offset = first * Content.UNIT;
        int length = count * Content.UNIT;
        MemorySegment target = MemorySegment.ofArray(words);
        switch (random.nextInt(6)) {
            case 0 -> {
                try (PageCursor cursor = file.cursor()) {
                    cursor.seek(page);
                    do {
                        cursor.copyTo(offset, target, 0, length);
                    } while (cursor.shouldRetry());
                }
            }
            case 1 -> {
                try (ReadPin pin = file.pin(page)) {
                    if (random.nextInt(8) == 0) {
                        LockSupport.parkNanos(1000);
                    }
                    copyWords(pin.segment(), offset, length);
                }
            }
            case 2 -> {
                for (int attempt = 0; attempt < 1000; attempt++) {
                    long stamp = file.stamp(page);
                    copyWords(file.memory(), file.offset(stamp) + offset, length);
                    if (file.valid(page, stamp)) {
                        return;
                    }
                }
                readFully(file, page, offset, target.asSlice(0, length));
            }
            case 3 -> {
                long stamp = file.tryStamp(page);
                if (stamp != 0) {
                    copyWords(file.memory(), file.offset(stamp) + offset, length);
                    if (file.valid(page, stamp)) {
                        return;
                    }
                }
                readFully(file, page, offset, target.asSlice(0, length));
            }
            case 4 -> {
                int done = file.readOnce(page * pageSize + offset, target.asSlice(0, length));
                if (done < length) {
                    throw new IndexOutOfBoundsException("read " + done + " of " + length + " bytes");
                }
            }
            default -> readFully(file, page, offset, target.asSlice(0, length));
        }
    }

    private void readFully(PagedFile file, long page, int offset, MemorySegment target) throws IOException {
        int done = file.read(page * pageSize + offset, target);
        if (done < target.byteSize()) {
            throw new IndexOutOfBoundsException("read " + done + " of " + target.byteSize() + " bytes");
        }
    }

    private void copyWords(MemorySegment source, long offset, int length) {
        MemorySegment.copy(source, ValueLayout.JAVA_LONG, offset, words, 0, length / Long.BYTES);
    }

    /** Compares what was read of a unit with what may be there. */
    private void compare(Slot slot, int sequence, int unit, int acked, int at) {
        if (!isUnchanged(slot, sequence)) {
            return;
        }
        int begun = journal.get(slot.index, unit, Field.BEGUN);
        int base = journal.get(slot.index, unit, Field.BASE);
        int cut = journal.get(slot.index, unit, Field.BASE_CUT);
        int lo = journal.get(slot.index, unit, Field.LO);
        int version = Content.version(words, at);
        boolean right = version > lo
                && version >= acked
                && version <= begun
                && Content.matches(words, at, salt, unit, version, Content.UNIT, Content.UNIT);
        if (!right) {
            right = acked == base && Content.matches(words, at, salt, unit, base, cut, Content.UNIT);
        }
        Journal.fence();
        if (slot.sequence.get() != sequence) {
            return;
        }
        if (!right) {
            throw new WrongException("live read: unit " + unit + " of " + slot.spec.name() + " has version " + version
                    + " or none, base " + base + " cut " + cut + ", lo " + lo + ", acknowledged " + acked + ", begun "
                    + begun + ", word 1 " + Long.toHexString(words[at + 1]));
        }
        if (slot.spec.policy() == WritePolicy.WRITE_THROUGH && version > acked && random.nextInt(4) == 0) {
            seen(slot, sequence, unit, version);
        }
    }

    /** What a reader of a write-through file has seen no kill may take back. */
    private void seen(Slot slot, int sequence, int unit, int version) {
        if (slot.lock.readLock().tryLock()) {
            try {
                if (isUnchanged(slot, sequence) && slot.tryLock(unit, unit)) {
                    if (journal.get(slot.index, unit, Field.LO) < version) {
                        raise(slot, unit, version);
                    }
                    slot.unlock(unit, unit);
                }
            } finally {
                slot.lock.readLock().unlock();
            }
        }
    }

    private void raise(Slot slot, int unit, int version) {
        if (journal.get(slot.index, unit, Field.FLOOR) < version) {
            journal.set(slot.index, unit, Field.FLOOR, version);
        }
    }

    // ---- writing

    private void write(Slot slot) throws IOException {
        if (!slot.lock.readLock().tryLock()) {
            return;
        }
        try {
            PagedFile file = slot.file(random.nextInt(3) == 0);
            long pages = pages(file.size());
            long most = Journal.UNITS / unitsPerPage;
            // a file grows by being written past its end, a page at a time or with a gap
            long page = Math.min(most - 1, random.nextInt(6) == 0 ? pages : somePage(pages + 1));
            int first = (int) (page * unitsPerPage) + random.nextInt(unitsPerPage);
            int last = first + random.nextInt(unitsPerPage - first % unitsPerPage);
            int how = random.nextInt(10);
            if (how < 3) {
                first += random.nextInt(8) == 0 ? random.nextInt(16) : 0;
                last = first + random.nextInt(random.nextInt(4) == 0 ? words.length / Content.WORDS : unitsPerPage);
            } else if (how == 3) {
                first = (int) (page * unitsPerPage);
                last = first + unitsPerPage - 1;
            }
            last = Math.min(last, Journal.UNITS - 1);
            if (first > last || !slot.tryLock(first, last)) {
                return;
            }
            try {
                if (how == 4) {
                    abort(file, page, first, last);
                } else {
                    write(slot, file, page, first, last, how);
                }
            } finally {
                slot.unlock(first, last);
            }
        } finally {
            slot.lock.readLock().unlock();
        }
    }

    private void write(Slot slot, PagedFile file, long page, int first, int last, int how) throws IOException {
        for (int unit = first; unit <= last; unit++) {
            int version = journal.get(slot.index, unit, Field.BEGUN) + 1;
            journal.set(slot.index, unit, Field.BEGUN, version);
            Content.fill(words, (unit - first) * Content.WORDS, salt, unit, version);
        }
        long end = (last + 1L) * Content.UNIT;
        synchronized (slot) {
            journal.sizeMax(slot.index, Math.max(journal.sizeMax(slot.index), end));
        }
        Journal.fence();
        MemorySegment source = MemorySegment.ofArray(words).asSlice(0, (last - first + 1L) * Content.UNIT);
        if (how < 3) {
            file.write((long) first * Content.UNIT, source);
        } else {
            int offset = first % unitsPerPage * Content.UNIT;
            try (WritePin pin = how == 3 ? file.pinForOverwrite(page) : file.pinForWrite(page)) {
                pin.dirty(offset, (int) source.byteSize());
                MemorySegment.copy(source, 0, pin.segment(), offset, source.byteSize());
            }
        }
        Journal.fence();
        boolean through = slot.spec.policy() == WritePolicy.WRITE_THROUGH;
        for (int unit = first; unit <= last; unit++) {
            int version = journal.get(slot.index, unit, Field.BEGUN);
            journal.set(slot.index, unit, Field.ACKED, version);
            if (through) {
                raise(slot, unit, version);
            }
        }
        if (through) {
            synchronized (slot) {
                journal.sizeFloor(slot.index, Math.max(journal.sizeFloor(slot.index), end));
            }
        }
    }

    /** Writes what nobody may ever see, and takes it back. */
    private void abort(PagedFile file, long page, int first, int last) {
        for (int unit = first; unit <= last; unit++) {
            Content.fill(words, (unit - first) * Content.WORDS, salt, unit, Content.NEVER);
        }
        MemorySegment source = MemorySegment.ofArray(words).asSlice(0, (last - first + 1L) * Content.UNIT);
        int offset = first % unitsPerPage * Content.UNIT;
        WritePin pin = file.pinForWrite(page);
        try {
            pin.dirty(offset, (int) source.byteSize());
            MemorySegment.copy(source, 0, pin.segment(), offset, source.byteSize());
        } finally {
            pin.abort();
        }
    }

    // ---- the file as a whole

    private void flush(Slot slot, boolean force) throws IOException {
        if (!slot.lock.readLock().tryLock()) {
            return;
        }
        try {
            PagedFile file = slot.file();
            long size = file.size();
            int[] acked = acked(slot, size);
            if (force) {
                file.force();
            } else {
                file.flush();
            }
            flushed(slot, acked, size);
        } finally {
            slot.lock.readLock().unlock();
        }
    }

    private int[] acked(Slot slot, long size) {
        int[] acked = new int[Math.min(Journal.UNITS, units(size))];
        for (int unit = 0; unit < acked.length; unit++) {
            acked[unit] = journal.get(slot.index, unit, Field.ACKED);
        }
        Journal.fence();
        return acked;
    }

    /** What was acknowledged before is in the store now. */
    private void flushed(Slot slot, int[] acked, long size) {
        Journal.fence();
        for (int unit = 0; unit < acked.length; unit++) {
            raise(slot, unit, acked[unit]);
        }
        synchronized (slot) {
            journal.sizeFloor(slot.index, Math.max(journal.sizeFloor(slot.index), size));
        }
    }

    private void flushAll() throws IOException {
        try {
            cache.flush();
        } catch (CacheClosedException e) {
            throw e;
        } catch (IOException | CacheException e) {
            victim.expectedOfAny(e);
        }
    }

    private void prefetch(Slot slot) {
        PagedFile file = slot.file();
        file.prefetch(random.nextInt(Journal.UNITS / unitsPerPage), 1 + random.nextInt(32));
    }

    private void explain(Slot slot) {
        victim.checkHealth(cache);
        PagedFile file = slot.file();
        long pages = file.pages();
        if (pages > 0 && file.explain(somePage(pages)).toString().isEmpty()) {
            throw new WrongException("a page cannot be explained");
        }
    }

    private void resize() throws IOException {
        long most = cache.config().maxCapacity();
        if (most > 0) {
            long least = cache.config().capacity() / 2;
            try {
                cache.resize(least + random.nextLong(most - least + 1));
            } catch (CacheException e) {
                victim.expectedOfAny(e);
            }
        }
    }

    private void truncate(Slot slot) throws IOException {
        if (!slot.lock.writeLock().tryLock()) {
            return;
        }
        slot.sequence.incrementAndGet();
        try {
            PagedFile file = slot.file();
            long old = file.size();
            // mostly near the end, since what is cut off is not there to be found by the next life
            long least = random.nextInt(12) == 0 ? 0 : Math.max(0, old - 8L * pageSize);
            long most = Math.min(old + 2L * pageSize, (long) Journal.UNITS * Content.UNIT);
            long size = least + random.nextLong(most - least + 1);
            size -= switch (random.nextInt(4)) {
                case 0 -> size % Content.UNIT;
                case 1, 2 -> size % pageSize;
                default -> 0;
            };
            int boundary = (int) (size / Content.UNIT);
            if (boundary < Journal.UNITS && isUnclear(slot, boundary)) {
                // a write of it failed, and what the store has of it is not known
                size -= size % Content.UNIT;
            }
            journal.pending(slot.index, size);
            Journal.fence();
            file.truncate(size);
            Journal.fence();
            journal.truncated(slot.index, size, old);
        } catch (IOException | RuntimeException e) {
            // which length it has, the parent will see
            slot.given = true;
            throw e;
        } finally {
            slot.sequence.incrementAndGet();
            slot.lock.writeLock().unlock();
        }
    }

    /** Whether a write of the unit was begun after all that is known, and not acknowledged. */
    private boolean isUnclear(Slot slot, int unit) {
        int begun = journal.get(slot.index, unit, Field.BEGUN);
        return begun > journal.get(slot.index, unit, Field.LO) && begun != journal.get(slot.index, unit, Field.ACKED);
    }

    /** Unmaps the file and maps it again, or a new one of its name. */
    private void replace(Slot slot, boolean recreate) throws IOException {
        if (!slot.lock.writeLock().tryLock()) {
            return;
        }
        slot.sequence.incrementAndGet();
        boolean done = false;
        try {
            if (recreate) {
                slot.recreate();
            } else {
                long size = slot.file().size();
                int[] acked = acked(slot, size);
                slot.close();
                flushed(slot, acked, size);
                slot.map();
            }
            done = true;
        } finally {
            if (!done) {
                slot.given = true;
            }
            slot.sequence.incrementAndGet();
            slot.lock.writeLock().unlock();
        }
    }
}
