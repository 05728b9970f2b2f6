/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

import io.warmcache.spi.FrameState;
import java.util.Arrays;
import java.util.BitSet;

/**
 * The cache-mapping table of one domain, in the VMM's memory: for each machine frame the block it holds (device,
 * block), the block's checksum, how often the cache frame was filled, and the state. The reuse bitmap has the bit of
 * each frame that equals the disk. Guarded by the machine's lock.
 */
final class MappingTable {
    final long[] device;
    final long[] block;
    final long[] checksum;
    final int[] generation;
    /** The state of the device's write order when the frame was last found equal to it. */
    final long[] writtenAt;
    /** Written, not forced, and the guest has rebooted since. */
    final BitSet lost = new BitSet();
    final BitSet reuse = new BitSet();
    private final FrameState[] states;

    MappingTable(int frames) {
        device = new long[frames];
        block = new long[frames];
        checksum = new long[frames];
        generation = new int[frames];
        writtenAt = new long[frames];
        states = new FrameState[frames];
        Arrays.fill(states, FrameState.FREE);
    }

    FrameState state(int mfn) {
        return states[mfn];
    }

    void state(int mfn, FrameState state) {
        states[mfn] = state;
        reuse.set(mfn, state == FrameState.CLEAN || state == FrameState.WRITTEN);
        lost.clear(mfn);
    }

    /** Takes what is recorded of a frame over to another one; the first is FREE then. */
    void move(int from, int to) {
        device[to] = device[from];
        block[to] = block[from];
        checksum[to] = checksum[from];
        generation[to] = generation[from];
        writtenAt[to] = writtenAt[from];
        boolean unforced = lost.get(from);
        FrameState state = states[from];
        state(from, FrameState.FREE);
        state(to, state);
        lost.set(to, unforced);
        reuse.set(to, state != FrameState.FREE && !unforced);
    }

    /** Whether the frame's bytes are kept for the next life of the guest. */
    boolean isKept(int mfn) {
        return states[mfn] == FrameState.CLEAN;
    }
}
