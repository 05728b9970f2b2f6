/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture.faults;

import io.warmcache.spi.FrameState;
import io.warmcache.xen.BreakableSimd;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.util.Random;

/** A domain's memory, and the records of it that the VMM keeps where no guest can reach them. */
final class XenRemains implements Remains {
    private static final int BLOCK = 4096;

    private final BreakableSimd simd;
    private final String domain;
    private final int frames;
    private final int pageSize;
    private final int blocks;

    XenRemains(BreakableSimd simd, String domain, int frames, int pageSize) {
        this.simd = simd;
        this.domain = domain;
        this.frames = frames;
        this.pageSize = pageSize;
        blocks = pageSize / BLOCK;
    }

    @Override
    public int frames() {
        return frames;
    }

    @Override
    public int pageSize() {
        return pageSize;
    }

    private BreakableSimd.Entry block(int frame, int block) {
        return simd.entry(domain, frame * blocks + block);
    }

    private void block(int frame, int block, BreakableSimd.Entry entry) {
        simd.enter(domain, frame * blocks + block, entry);
    }

    @Override
    public Entry entry(int frame) {
        BreakableSimd.Entry first = block(frame, 0);
        return new Entry(first.state(), first.device(), first.block() / blocks, first.generation());
    }

    @Override
    public byte[] recordOf(int frame) {
        ByteBuffer record = ByteBuffer.allocate(blocks * 28);
        for (int b = 0; b < blocks; b++) {
            BreakableSimd.Entry e = block(frame, b);
            record.putLong(e.device()).putLong(e.block()).putLong(e.checksum()).putInt(e.generation());
        }
        return record.array();
    }

    @Override
    public byte get(long at) {
        return simd.frame(domain, (int) (at / BLOCK)).get(ValueLayout.JAVA_BYTE, at % BLOCK);
    }

    @Override
    public void put(long at, byte value) {
        simd.frame(domain, (int) (at / BLOCK)).set(ValueLayout.JAVA_BYTE, at % BLOCK, value);
    }

    @Override
    public boolean flipRecord(int frame, int bits, Random random) {
        // Of each of a page's blocks: device, block, checksum and generation.
        int each = 3 * 64 + 32;
        for (int bit : Draw.distinct(random, bits, each * blocks)) {
            BreakableSimd.Entry e = block(frame, bit / each);
            int in = bit % each;
            long flipped = 1L << (in % 64);
            block(frame, bit / each, switch (in / 64) {
                case 0 -> new BreakableSimd.Entry(
                        e.device() ^ flipped, e.block(), e.checksum(), e.generation(), e.state());
                case 1 -> new BreakableSimd.Entry(
                        e.device(), e.block() ^ flipped, e.checksum(), e.generation(), e.state());
                case 2 -> new BreakableSimd.Entry(
                        e.device(), e.block(), e.checksum() ^ flipped, e.generation(), e.state());
                default -> new BreakableSimd.Entry(
                        e.device(), e.block(), e.checksum(), e.generation() ^ (int) flipped, e.state());
            });
        }
        return true;
    }

    @Override
    public boolean storeIntoRecord(int frame, Random random) {
        int b = random.nextInt(blocks);
        BreakableSimd.Entry e = block(frame, b);
        long wild = random.nextLong();
        block(frame, b, switch (random.nextInt(4)) {
            case 0 -> new BreakableSimd.Entry(wild, e.block(), e.checksum(), e.generation(), e.state());
            case 1 -> new BreakableSimd.Entry(e.device(), wild, e.checksum(), e.generation(), e.state());
            case 2 -> new BreakableSimd.Entry(e.device(), e.block(), wild, e.generation(), e.state());
            default -> new BreakableSimd.Entry(e.device(), e.block(), e.checksum(), (int) wild, e.state());
        });
        return !e.equals(block(frame, b));
    }

    @Override
    public void swapRecords(int a, int b, boolean valid) {
        for (int i = 0; i < blocks; i++) {
            BreakableSimd.Entry first = block(a, i);
            block(a, i, block(b, i));
            block(b, i, first);
        }
    }

    @Override
    public void rekey(int frame, long fileId, long page) {
        for (int i = 0; i < blocks; i++) {
            BreakableSimd.Entry e = block(frame, i);
            block(frame, i, new BreakableSimd.Entry(
                    fileId, page * blocks + i, e.checksum(), e.generation(), e.state()));
        }
    }

    @Override
    public void uninitialise(int frame, Random random) {
        FrameState state = random.nextBoolean() ? FrameState.CLEAN : FrameState.WRITTEN;
        boolean keyed = random.nextBoolean();
        for (int i = 0; i < blocks; i++) {
            BreakableSimd.Entry e = block(frame, i);
            block(frame, i, keyed
                    ? new BreakableSimd.Entry(e.device(), e.block(), random.nextLong(), random.nextInt(), state)
                    : new BreakableSimd.Entry(
                            random.nextLong(), random.nextLong(), random.nextLong(), random.nextInt(), state));
        }
    }

    @Override
    public void tear(int frame, int donor) {
        for (int i = blocks / 2; i < blocks; i++) {
            block(frame, i, block(donor, i));
        }
    }

    @Override
    public void close() {}
}
