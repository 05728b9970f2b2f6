/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

import io.warmcache.BackingStore;
import io.warmcache.StoreVersion;
import io.warmcache.spi.FrameState;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A virtual disk connected to a guest of another process, which writes to its frames when it likes and may ask for
 * anything. So bytes pass through memory that only the VMM has, and what is recorded of a block is the checksum of what
 * went to or came from the disk; a frame is in one request at a time; and no two frames are recorded for one page.
 */
final class HostedFile extends GuestFile {
    private static final ThreadLocal<Bounce> BOUNCE = ThreadLocal.withInitial(Bounce::new);

    /** The largest page number that a guest may name: a file of 2^56 bytes. */
    private static final long MAX_PAGE = 1L << 40;

    /** With the machine's lock held. */
    HostedFile(GuestBackend guest, Device device, BackingStore store, StoreVersion version, boolean fresh) {
        super(guest, device, store, version, fresh);
    }

    /** Memory of one thread for a run of pages, aligned for direct I/O. */
    private static final class Bounce {
        private MemorySegment memory = MemorySegment.NULL;

        @SuppressWarnings("MustBeClosedChecker") // freed with the thread
        MemorySegment get(long bytes) {
            if (memory.byteSize() < bytes) {
                memory = Arena.ofAuto().allocate(bytes, BLOCK);
            }
            return memory.asSlice(0, bytes);
        }
    }

    private void checkRun(long firstPage, int[] frames, int count) {
        if (count < 1 || count > MAX_RUN || count > frames.length || firstPage < 0 || firstPage > MAX_PAGE) {
            throw new IllegalArgumentException(count + " pages from " + firstPage + " on");
        }
        for (int i = 0; i < count; i++) {
            guest.requireFrame(frames[i]);
            for (int j = 0; j < i; j++) {
                if (frames[i] == frames[j]) {
                    throw new IllegalArgumentException("frame " + frames[i] + " twice in one run");
                }
            }
        }
    }

    /** With the machine's lock held: takes the frames for this request. */
    private void claim(int[] frames, int count) {
        for (int i = 0; i < count; i++) {
            guest.requireFrame(frames[i]); // still: a resize may have taken it since the request came
            if (guest.busy.get(frames[i])) {
                throw new IllegalStateException("frame " + frames[i] + " is in another request");
            }
        }
        for (int i = 0; i < count; i++) {
            guest.busy.set(frames[i]);
        }
    }

    private void unclaim(int[] frames, int count) {
        synchronized (machine) {
            for (int i = 0; i < count; i++) {
                guest.busy.clear(frames[i]);
            }
        }
    }

    /** With the machine's lock held: claims FREE frames and records them FILLING. */
    private void beginRun(long firstPage, int[] frames, int count) {
        for (int i = 0; i < count; i++) {
            if (guest.state(frames[i]) != FrameState.FREE) {
                throw new IllegalStateException(
                        "frame " + frames[i] + " is " + guest.state(frames[i]) + ", not FREE");
            }
            Integer other = device.frameOf.get(firstPage + i);
            if (other != null && guest.busy.get(other)) {
                throw new IllegalStateException("page " + (firstPage + i) + " is in another request");
            }
        }
        claim(frames, count);
        boolean done = false;
        try {
            for (int i = 0; i < count; i++) {
                Integer other = device.frameOf.get(firstPage + i);
                if (other != null) {
                    guest.free(device, firstPage + i, other);
                }
                begin(firstPage + i, frames[i]);
                device.frameOf.put(firstPage + i, frames[i]);
            }
            done = true;
        } finally {
            if (!done) {
                unclaim(frames, count);
            }
        }
    }

    private MemorySegment frame(int frame, int b) {
        return domain.frame(guest.mfn(frame, b));
    }

    private long sum(MemorySegment bytes, long offset, long page, int b, int generation) {
        return guest.checksum().block(bytes, offset, domain.incarnation(), device.id, page, b, generation);
    }

    /** Reads a range of the disk, in whole blocks, with zeros for what lies past the end. */
    private void readAll(long position, MemorySegment into, long wanted) throws IOException {
        domain.stepWithin("disk.read");
        long done = 0;
        long asked = (wanted + BLOCK - 1) / BLOCK * BLOCK;
        while (done < wanted) {
            int n = store.read(position + done, into.asSlice(done, asked - done));
            if (n < 0) {
                break;
            }
            done += progress(n, asked - done, "read");
        }
        into.asSlice(Math.min(done, wanted)).fill((byte) 0);
    }

    @Override
    public void fill(long firstPage, int[] frames, int count, long size, long writtenMask) throws IOException {
        request("fill", () -> {
            requireAccepted();
            checkRun(firstPage, frames, count);
            synchronized (machine) {
                beginRun(firstPage, frames, count);
            }
            try {
                long bytes = (long) count * guest.pageSize();
                long position = firstPage * guest.pageSize();
                MemorySegment bounce = BOUNCE.get().get(bytes);
                readAll(position, bounce, Math.clamp(size - position, 0, bytes));
                long[] sums = new long[count * blocks];
                for (int k = 0; k < sums.length; k++) {
                    MemorySegment target = frame(frames[k / blocks], k % blocks);
                    MemorySegment.copy(bounce, (long) k * BLOCK, target, 0, BLOCK);
                    int generation = table.generation[guest.mfn(frames[k / blocks], k % blocks)];
                    sums[k] = sum(bounce, (long) k * BLOCK, firstPage + k / blocks, k % blocks, generation);
                }
                domain.stepWithin("fill.record");
                synchronized (machine) {
                    for (int i = 0; i < count; i++) {
                        for (int b = 0; b < blocks; b++) {
                            table.checksum[guest.mfn(frames[i], b)] = sums[i * blocks + b];
                        }
                        publish(frames[i], (writtenMask >>> i & 1) != 0 ? FrameState.WRITTEN : FrameState.CLEAN);
                    }
                }
            } finally {
                unclaim(frames, count);
            }
        });
    }

    @Override
    public void refill(long page, int frame, int blockMask, long size) throws IOException {
        int[] one = {frame};
        request("refill", () -> {
            checkRun(page, one, 1);
            synchronized (machine) {
                require(page, frame, FrameState.DIRTY, FrameState.FILLING);
                claim(one, 1);
            }
            try {
                read(page, frame, blockMask, size);
            } finally {
                unclaim(one, 1);
            }
        });
    }

    /** Reads through memory of the VMM: the store may have none but its own to read into. */
    @Override
    void read(long page, int frame, int mask, long size) throws IOException {
        MemorySegment bounce = BOUNCE.get().get(BLOCK);
        for (int b = 0; b < blocks; b++) {
            if ((mask >>> b & 1) != 0) {
                long position = (page * blocks + b) * BLOCK;
                readAll(position, bounce, Math.clamp(size - position, 0, BLOCK));
                frame(frame, b).copyFrom(bounce);
            }
        }
    }

    @Override
    public void blank(long page, int frame) {
        int[] one = {frame};
        update("blank", () -> {
            requireAccepted();
            checkRun(page, one, 1);
            synchronized (machine) {
                beginRun(page, one, 1);
                try {
                    for (int b = 0; b < blocks; b++) {
                        frame(frame, b).fill((byte) 0);
                        domain.dirtied(guest.mfn(frame, b));
                    }
                } finally {
                    unclaim(one, 1);
                }
            }
        });
    }

    @Override
    public void writeBack(long firstPage, int[] frames, int[] blockMasks, int count, long size) throws IOException {
        writeBack(firstPage, frames, blockMasks, count, size, null);
    }

    @Override
    public void writeBackVerified(
            long firstPage, int[] frames, int[] blockMasks, int count, long size, long[] sums) throws IOException {
        writeBack(firstPage, frames, blockMasks, count, size, sums);
    }

    private void writeBack(
            long firstPage, int[] frames, int[] blockMasks, int count, long size, long @Nullable [] expected)
            throws IOException {
        request("write_back", () -> {
            requireAccepted();
            checkRun(firstPage, frames, count);
            synchronized (machine) {
                for (int i = 0; i < count; i++) {
                    require(firstPage + i, frames[i], FrameState.DIRTY, FrameState.DIRTY);
                }
                claim(frames, count);
            }
            try {
                write(firstPage, frames, blockMasks, count, size, expected);
            } finally {
                unclaim(frames, count);
            }
        });
    }

    private void write(
            long firstPage, int[] frames, int[] masks, int count, long size, long @Nullable [] expected)
            throws IOException {
        MemorySegment bounce = BOUNCE.get().get((long) count * guest.pageSize());
        long[] sums = new long[count * blocks];
        for (int k = 0; k < sums.length; k++) {
            if ((masks[k / blocks] >>> k % blocks & 1) != 0) {
                int generation = table.generation[guest.mfn(frames[k / blocks], k % blocks)];
                MemorySegment.copy(frame(frames[k / blocks], k % blocks), 0, bounce, (long) k * BLOCK, BLOCK);
                sums[k] = sum(bounce, (long) k * BLOCK, firstPage + k / blocks, k % blocks, generation);
                if (expected != null && sums[k] != expected[k]) {
                    throw new IOException("page " + (firstPage + k / blocks)
                            + " is not what was to be written: nothing was written");
                }
            }
        }
        writeBegins();
        try {
            for (int k = 0; k < sums.length; ) {
                int end = k;
                while (end < sums.length && sums[end] != 0) {
                    end++;
                }
                if (end > k) {
                    writeRun(firstPage * blocks + k, bounce.asSlice((long) k * BLOCK, (long) (end - k) * BLOCK), size);
                }
                k = end + 1;
            }
        } finally {
            // Also after a failure: no frame but these, which stay DIRTY, is recorded for what may be half written.
            writeEnds(true);
        }
        domain.stepWithin("write_back.record");
        synchronized (machine) {
            for (int i = 0; i < count; i++) {
                for (int b = 0; b < blocks; b++) {
                    if (sums[i * blocks + b] != 0) {
                        table.checksum[guest.mfn(frames[i], b)] = sums[i * blocks + b];
                    }
                }
                publish(frames[i], FrameState.WRITTEN);
            }
        }
    }

    /** Blocks that lie together to the disk, as far as they lie within the size. */
    private void writeRun(long block, MemorySegment source, long size) throws IOException {
        long position = block * BLOCK;
        long wanted = Math.clamp(size - position, 0, source.byteSize());
        int count = (int) ((wanted + BLOCK - 1) / BLOCK);
        if (count == 0) {
            return;
        }
        domain.stepWithin("disk.write");
        synchronized (machine) {
            for (int b = 0; b < count; b++) {
                device.ring.remove(block + b);
            }
        }
        long done = 0;
        while (done < wanted) {
            done += progress(store.write(position + done, source.asSlice(done, wanted - done)), wanted - done, "write");
        }
        if (heuristic) {
            for (int b = Math.max(0, count - Device.RING); b < count; b++) {
                long sum = sum(source, (long) b * BLOCK, block + b, 0, 0);
                synchronized (machine) {
                    device.remember(block + b, sum);
                }
            }
        }
    }

    @Override
    public void seal(long page, int frame, int blockMask) {
        guest.requireFrame(frame);
        super.seal(page, frame, blockMask);
    }

    /** Also forgets what is recorded of pages wholly cut off, which the guest has released before. */
    @Override
    public void truncate(long size) throws IOException {
        super.truncate(size);
        synchronized (machine) {
            for (Map.Entry<Long, Integer> each : List.copyOf(device.frameOf.entrySet())) {
                if (each.getKey() * guest.pageSize() >= size && !guest.busy.get(each.getValue())) {
                    guest.free(device, each.getKey(), each.getValue());
                }
            }
        }
    }
}
