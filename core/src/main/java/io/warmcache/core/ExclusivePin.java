/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import io.warmcache.CacheClosedException;
import io.warmcache.CacheException;
import io.warmcache.WritePin;
import io.warmcache.WritePolicy;
import io.warmcache.spi.BackendFile;
import io.warmcache.spi.BlockChecksum;
import io.warmcache.spi.FrameRecord;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * The owner of an EXCLUSIVE word (W3 to W8). With debugging on, the user's segment is a copy: only announced blocks
 * are taken over from it, so a store that was not announced is found when the pin is closed, and one after that
 * throws.
 */
final class ExclusivePin implements WritePin {
    final CachedFile file;
    final long[] leaf;
    final int slot;
    final long page;
    final int frame;

    /** The word at the time of latching; nobody else changes it until it is published again. */
    final long word;

    /** Whether the file's extension permit is held while this pin is: then it may lengthen the file. */
    private final boolean extending;

    /** Whether the permit ends with this pin. */
    private boolean ownsPermit;

    /** The frame was zeroed and not read from the store: dirty as a whole as soon as anything is announced. */
    boolean blank;

    /** Writes of one set of pages whose records are overwritten again each time: then the memory is beyond help. */
    static final int MOST_RENEWALS = 8;

    /** Blocks that were dirty before this pin: an abort must keep their bytes. */
    private int initialDirty;

    /** Blocks announced through this pin. */
    private int announced;

    /** First byte past everything announced, from the page's start. */
    private int end;

    private byte @Nullable [] undo;
    private int undoBlocks;
    private boolean closed;
    private final @Nullable Arena debugArena;
    private final MemorySegment bytes;

    @SuppressWarnings("MustBeClosedChecker") // the arena ends with the pin
    ExclusivePin(CachedFile file, long[] leaf, int slot, long page, int frame, long word, boolean extending) {
        this.file = file;
        this.leaf = leaf;
        this.slot = slot;
        this.page = page;
        this.frame = frame;
        this.word = word;
        this.extending = extending;
        initialDirty = file.frames.dirtyBlocks[frame];
        MemorySegment inFrame = file.frames.slice(frame);
        if (file.cache.debug) {
            debugArena = Arena.ofShared();
            bytes = debugArena.allocate(file.pageSize, 8).copyFrom(inFrame);
        } else {
            debugArena = null;
            bytes = inFrame;
        }
    }

    @Override
    public long page() {
        return page;
    }

    @Override
    public MemorySegment segment() {
        checkOpen();
        return bytes;
    }

    /** The announced end, for callers that collect several pins into one write. */
    int end() {
        return end;
    }

    @Override
    public void dirty(int offset, int length) {
        checkOpen();
        Objects.checkFromIndexSize(offset, length, file.pageSize);
        if (length > 0) {
            int first = offset >>> 12;
            int last = (offset + length - 1) >>> 12;
            announce(((1 << (last - first + 1)) - 1) << first, true);
            end = Math.max(end, offset + length);
        }
    }

    /** Hands the extension permit over: it is given back with the pin. */
    void ownPermit() {
        ownsPermit = extending;
    }

    /** Announces the whole page and zeroes it. */
    void overwrite() {
        announce(file.frames.allBlocks, false);
        bytes.fill((byte) 0);
        end = file.pageSize;
    }

    /** As {@link #dirty}, for a caller that overwrites the whole range: blocks wholly in it need no verification. */
    void dirtyOverwritten(int offset, int length) {
        int first = (offset + BlockChecksum.BLOCK_SIZE - 1) >>> 12;
        int last = (offset + length) >>> 12;
        if (first < last) {
            announce(((1 << (last - first)) - 1) << first, false);
        }
        dirty(offset, length);
    }

    private void announce(int blocks, boolean verify) {
        int fresh = blocks & ~file.frames.dirtyBlocks[frame];
        if (verify) {
            verifyDirty(blocks & initialDirty & ~announced);
        }
        if (fresh != 0) {
            if (blank) {
                fresh = file.frames.allBlocks;
            } else {
                if (!Mutation.DIRTY_NOT_RECORDED.isOn()) {
                    file.backend.markDirty(frame);
                }
                if (verify && !Mutation.OLD_CHECKSUM_NOT_COMPARED.isOn()) {
                    fresh |= verify(fresh);
                }
            }
        }
        if (initialDirty != 0) {
            save((blocks | fresh) & ~undoBlocks);
        }
        file.addDirty(frame, fresh);
        announced |= blocks | fresh;
    }

    /** Blocks with changes of an earlier pin, of which this one may leave a part. */
    private void verifyDirty(int blocks) {
        UnlockSums sums = file.cache.unlockSums;
        if (sums != null && blocks != 0 && sums.mismatches(file, frame, page, blocks) != 0) {
            throw lost(new DamagedPageException(file, page));
        }
    }

    /** N4, for a page whose word this pin owns: nobody has its changes any more. */
    private UncheckedIOException lost(DamagedPageException damage) {
        file.poison(damage);
        drop();
        return new UncheckedIOException(damage.getMessage(), damage);
    }

    /** The checksums of what this pin leaves behind, for whoever writes it. */
    void takeSums() {
        UnlockSums sums = file.cache.unlockSums;
        if (sums != null) {
            if (initialDirty == 0) {
                sums.begin(frame);
            }
            int changed = announced;
            long kept = sizeAfter() - (page << file.pageShift);
            if (extending && kept < file.pageSize) {
                changed |= -1 << (int) (kept >>> 12); // zeroed, perhaps, beside what was announced
            }
            sums.take(file, frame, page, file.frames.dirtyBlocks[frame] & changed);
        }
    }

    /** Ends the pin and drops the page with all its changes. */
    void drop() {
        closed = true;
        try {
            file.giveUp(leaf, slot, page, word, frame);
        } finally {
            release();
        }
    }

    /**
     * W4. Returns further blocks that are to be written, since the store does not match the record either, or there is
     * another record now.
     */
    private int verify(int fresh) {
        FrameRecord record = new FrameRecord();
        int clean = file.frames.allBlocks & ~file.frames.dirtyBlocks[frame];
        boolean whole =
                file.backend.readRecord(frame, record) && record.fileId == file.fileId && record.page == page;
        if (whole && file.mismatches(frame, record, fresh) == 0) {
            return 0;
        }
        file.counters.validationFailures.increment();
        try {
            whole = whole && refill(clean);
            if (!whole) {
                renew(openBacking(), initialDirty & ~announced);
            }
        } catch (DamagedPageException damage) {
            throw lost(damage);
        } catch (Throwable t) {
            rescue(t);
            if (t instanceof IOException e) {
                throw new UncheckedIOException(
                        "page " + page + " of " + file.name + " was damaged in memory and could not be read again: "
                                + e.getMessage(),
                        e);
            }
            throw CachedFile.sneaky(t);
        }
        if (debugArena != null) {
            copyBlocks(file.frames.slice(frame), bytes, clean);
        }
        return whole ? file.mismatches(frame, record, clean) : clean;
    }

    /** Reads blocks again; false if the back end refuses, since the record is not what it was a moment ago. */
    private boolean refill(int blocks) throws IOException {
        try {
            openBacking().refill(page, frame, blocks, file.size);
            return true;
        } catch (IllegalStateException e) {
            if (!file.isUnrecorded(frame, page)) {
                throw e;
            }
            return false;
        }
    }

    /**
     * W7: writes the dirty blocks of pages that follow each other and whose words the caller owns. A page whose record
     * was overwritten meanwhile gets another one first.
     *
     * @return the number of blocks written
     */
    static int writeThrough(CachedFile file, List<ExclusivePin> pins, long size) throws IOException {
        ExclusivePin last = pins.getLast();
        BackendFile backing = last.openBacking();
        int[] run = new int[pins.size()];
        int[] masks = new int[pins.size()];
        int tries = 0;
        while (true) {
            int blocks = 0;
            for (int i = 0; i < run.length; i++) {
                run[i] = pins.get(i).frame;
                masks[i] = file.frames.dirtyBlocks[run[i]];
                blocks += Integer.bitCount(masks[i]);
            }
            try {
                file.writeOut(backing, pins.getFirst().page, run, masks, run.length, size);
                return blocks;
            } catch (IllegalStateException | IOException e) {
                boolean renewed = false;
                for (ExclusivePin pin : pins) {
                    if (file.isUnrecorded(e, pin.frame, pin.page)) {
                        renewed = true;
                        file.counters.validationFailures.increment();
                        pin.renew(backing, file.frames.dirtyBlocks[pin.frame]);
                    }
                }
                if (!renewed) {
                    throw e;
                }
                if (++tries == MOST_RENEWALS) {
                    throw new IOException("page " + last.page + " of " + file.name + " or one before it is not written:"
                            + " its record in memory is overwritten again and again", e);
                }
            }
        }
    }

    /**
     * Ends the pin of a page whose record was overwritten, before anything is announced, with a record of its own
     * again. What is dirty stays; as no checksum of the rest can be trusted, that is read again, and written with it.
     * If it cannot be read it stays as it is, under checksums that it does not match.
     */
    void renewRecord(BackendFile backing) throws IOException {
        closed = true;
        try {
            if (initialDirty == 0) {
                file.giveUp(leaf, slot, page, word, frame); // written meanwhile: nothing is lost with it
                return;
            }
            file.counters.validationFailures.increment();
            boolean lost = false;
            try {
                renew(backing, initialDirty);
            } catch (DamagedPageException damage) {
                lost = true;
                file.poison(damage); // first, so that nobody takes the store's older page for this one
                throw damage;
            } finally {
                if (lost) {
                    file.giveUp(leaf, slot, page, word, frame);
                } else {
                    file.publish(leaf, slot, page, residentWord());
                }
            }
        } finally {
            release();
        }
    }

    /**
     * R2 to R4, with the page latched: a record of its own again. Dirty blocks keep their bytes, all others are read
     * again and are dirty from now on.
     *
     * @param unlatched dirty blocks that a writer has left, and that are to be as it left them
     * @throws DamagedPageException if they are not, with nothing done
     */
    private void renew(BackendFile backing, int unlatched) throws IOException {
        UnlockSums sums = file.cache.unlockSums;
        MemorySegment inFrame = file.frames.slice(frame);
        MemorySegment kept = MemorySegment.ofArray(inFrame.toArray(ValueLayout.JAVA_BYTE));
        if (sums != null && sums.mismatches(file, frame, page, unlatched, kept) != 0) {
            throw new DamagedPageException(file, page);
        }
        int dirty = file.frames.dirtyBlocks[frame];
        int back = file.frames.allBlocks;
        file.backend.release(frame);
        try {
            backing.blank(page, frame);
            if (sums != null) {
                sums.begin(frame);
            }
            int clean = back & ~dirty;
            if (clean != 0) {
                backing.refill(page, frame, clean, file.size);
                file.addDirty(frame, clean);
                if (initialDirty != 0) {
                    initialDirty |= clean; // there is no checksum of them that an abort could go back to
                }
                if (sums != null) {
                    sums.take(file, frame, page, clean);
                }
            }
            back = dirty;
        } finally {
            copyBlocks(kept, inFrame, back);
            if (sums != null) {
                sums.take(file, frame, page, dirty, kept); // the generation is another one
            }
        }
    }

    /**
     * Ends the pin after its clean blocks were lost and could not be read again: the frame must go, but not before
     * blocks that were dirty already are safe.
     */
    private void rescue(Throwable cause) {
        closed = true;
        try {
            if (initialDirty != 0) {
                restore();
                int failedForces = file.sets.failedForces();
                var _ = writeThrough(file, List.of(this), file.size);
                if (!file.sets.written(page, failedForces)) {
                    file.poison(cause); // a force that failed may have lost it, and it does not stay in memory
                }
            }
        } catch (Throwable t) {
            Cache.suppress(cause, t);
            file.poison(cause);
        } finally {
            file.giveUp(leaf, slot, page, word, frame);
            release();
        }
    }

    private void save(int blocks) {
        if (blocks == 0) {
            return;
        }
        byte[] copy = undo;
        if (copy == null) {
            copy = file.cache.undoBuffers.take();
            undo = copy;
        }
        copyBlocks(file.frames.slice(frame), MemorySegment.ofArray(copy), blocks);
        undoBlocks |= blocks;
    }

    private void restore() {
        byte[] copy = undo;
        if (copy != null) {
            copyBlocks(MemorySegment.ofArray(copy), file.frames.slice(frame), undoBlocks);
        }
        file.frames.dirtyBlocks(frame, initialDirty);
    }

    private static void copyBlocks(MemorySegment from, MemorySegment to, int blocks) {
        for (int rest = blocks; rest != 0; rest &= rest - 1) {
            long offset = (long) Integer.numberOfTrailingZeros(rest) * BlockChecksum.BLOCK_SIZE;
            MemorySegment.copy(from, offset, to, offset, BlockChecksum.BLOCK_SIZE);
        }
    }

    @Override
    public void abort() {
        checkOpen();
        closed = true;
        try {
            undoChanges();
        } finally {
            release();
        }
    }

    /** Puts the page back as it was before this pin, or drops the frame. */
    private void undoChanges() {
        if (initialDirty == 0) {
            file.giveUp(leaf, slot, page, word, frame);
        } else {
            restore();
            file.publish(leaf, slot, page, residentWord());
        }
    }

    @Override
    public void close() throws IOException {
        if (closed) {
            return;
        }
        closed = true;
        try {
            takeOverDebugCopy();
            int dirty = file.frames.dirtyBlocks[frame];
            if (dirty == 0) {
                if (blank) {
                    file.giveUp(leaf, slot, page, word, frame);
                } else {
                    file.publish(leaf, slot, page, residentWord());
                }
                return;
            }
            long size = sizeAfter();
            zeroPast(size, dirty);
            if (file.options.policy() == WritePolicy.WRITE_THROUGH) {
                Events.Write event = new Events.Write();
                event.begin();
                int failedForces;
                try {
                    takeSums();
                    failedForces = file.sets.failedForces();
                    int blocks = writeThrough(file, List.of(this), size);
                    WriteBack.commit(event, file, page, blocks, "write-through");
                } catch (Throwable t) {
                    WriteBack.commit(event, file, page, Integer.bitCount(dirty), t.toString());
                    file.sets.maybeWritten(page);
                    file.writeFailed(t);
                    cutBack(t);
                    if (Mutation.FAILED_WRITE_THROUGH_STAYS.isOn()) {
                        writeLater(size);
                    } else {
                        undoChanges();
                    }
                    throw t;
                }
                writtenThrough(size, failedForces);
            } else {
                try {
                    writeLater(size);
                } catch (Throwable t) {
                    undoChanges(); // not published: out of memory, say
                    throw t;
                }
            }
        } finally {
            release();
        }
    }

    /**
     * What a caller stored past the end it announced is no part of the file, and is not written. It must not show when
     * the file grows over it: the store will have zeros there.
     */
    private void zeroPast(long size, int dirty) {
        long kept = size - (page << file.pageShift);
        if (!extending || kept >= file.pageSize) {
            return;
        }
        MemorySegment inFrame = file.frames.slice(frame);
        for (int rest = dirty; rest != 0; rest &= rest - 1) {
            long start = (long) Integer.numberOfTrailingZeros(rest) * BlockChecksum.BLOCK_SIZE;
            long from = Math.clamp(kept - start, 0, BlockChecksum.BLOCK_SIZE);
            inFrame.asSlice(start + from, BlockChecksum.BLOCK_SIZE - from).fill((byte) 0);
        }
    }

    /** The file's length once this pin's changes are in it. */
    long sizeAfter() {
        return extending ? Math.max(file.size, (page << file.pageShift) + end) : file.size;
    }

    /**
     * After a failed write: what it may have added to the store's end goes again, before the page can be loaded. Pages
     * are filled with zeros past the file's length, and the next mapping goes by the store's. A store that does not let
     * itself be cut has the length it says, as a plain file would; one that does not say poisons the file.
     */
    void cutBack(Throwable cause) {
        if (!extending || Mutation.FAILED_EXTENSION_NOT_CUT_BACK.isOn()) {
            return;
        }
        BackendFile backing = openBacking();
        try {
            if (backing.store().size() > file.size) {
                backing.truncate(file.size);
            }
        } catch (IOException | RuntimeException | Error e) {
            Cache.suppress(cause, e);
            try {
                publishSize(backing.store().size());
            } catch (IOException | RuntimeException | Error f) {
                Cache.suppress(cause, f);
                file.poison(cause);
            }
        }
    }

    /** W7, after the store has taken the bytes. */
    void writtenThrough(long size, int failedForces) {
        file.wrote(frame, page, failedForces);
        publishSize(size);
        file.publish(leaf, slot, page, residentWord());
    }

    /** W8. */
    void writeLater(long size) {
        takeSums();
        if (initialDirty == 0) { // else it is there, and nobody takes it out of a page that is latched
            file.sets.dirty(page);
        }
        file.activate();
        publishSize(size);
        file.publish(leaf, slot, page, residentWord());
        // Published: nothing from here on may fail, as the page is not this pin's any more.
        file.cache.backgroundWrites.requestIfMany(file);
    }

    /** Without the permit a length is somebody else's to publish, and the one read here may be out of date. */
    private void publishSize(long size) {
        if (extending && size > file.size) {
            file.size = size;
        }
    }

    /** Ends a pin of a collected write that was not published; no effect if it has ended itself. */
    void endUnpublished() {
        if (!closed) {
            closed = true;
            undoChanges();
            release();
        }
    }

    /** Ends a pin of a collected write that was published. */
    void done() {
        closed = true;
        release();
    }

    /** Unlatches a page that was not announced nor changed: readers need not notice. */
    void unlatchUnchanged() {
        closed = true;
        if (blank) {
            file.giveUp(leaf, slot, page, word, frame);
        } else {
            TranslationWord.set(leaf, slot, word);
            file.waiters.wake(page);
        }
        release();
    }

    private long residentWord() {
        long resident = TranslationWord.of(word, TranslationWord.RESIDENT, frame);
        int uses = TranslationWord.uses(word);
        return TranslationWord.withUses(resident, Math.min(uses + 1, TranslationWord.MAX_USE));
    }

    private void takeOverDebugCopy() {
        if (debugArena == null) {
            return;
        }
        MemorySegment inFrame = file.frames.slice(frame);
        int dirty = file.frames.dirtyBlocks[frame];
        copyBlocks(bytes, inFrame, dirty);
        if (bytes.mismatch(inFrame) >= 0) {
            long at = bytes.mismatch(inFrame);
            undoChanges();
            throw new CacheException("page " + page + " of " + file.name + " was changed at byte " + at
                    + " without dirty() being called for it: the whole change was taken back");
        }
    }

    /** The open ledger entry, which stays while a page is latched. */
    BackendFile openBacking() {
        BackendFile backing = file.backing;
        if (backing == null) {
            throw new CacheClosedException(file.name + " is closed");
        }
        return backing;
    }

    private void release() {
        byte[] copy = undo;
        if (copy != null) {
            undo = null;
            file.cache.undoBuffers.give(copy);
        }
        file.cache.pinGone(this);
        if (ownsPermit) {
            ownsPermit = false;
            file.extension.release();
        }
        if (file.cache.closing) {
            file.cache.ending.pinReleased();
        }
        if (debugArena != null && debugArena.scope().isAlive()) {
            debugArena.close(); // throws while another thread's I/O uses the segment
        }
    }

    private void checkOpen() {
        if (closed) {
            throw new CacheClosedException("the write pin of page " + page + " of " + file.name + " is closed");
        }
    }
}
