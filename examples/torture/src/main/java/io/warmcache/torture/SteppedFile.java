/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture;

import io.warmcache.BackingStore;
import io.warmcache.spi.BackendFile;
import io.warmcache.spi.FileVerdict;
import java.io.IOException;

/** A file of a back end with a step before and after each call that changes something. */
final class SteppedFile implements BackendFile {
    private final BackendFile inner;
    private final Steps steps;

    SteppedFile(BackendFile inner, Steps steps) {
        this.inner = inner;
        this.steps = steps;
    }

    @Override
    public long fileId() {
        return inner.fileId();
    }

    @Override
    public BackingStore store() {
        return inner.store();
    }

    @Override
    public FileVerdict verdict() {
        return inner.verdict();
    }

    @Override
    public void accept() throws IOException {
        steps.step();
        inner.accept();
        steps.step();
    }

    @Override
    public void fill(long firstPage, int[] frames, int count, long size, long writtenMask) throws IOException {
        steps.step();
        inner.fill(firstPage, frames, count, size, writtenMask);
        steps.step();
    }

    @Override
    public int runsAtOnce() {
        return inner.runsAtOnce();
    }

    @Override
    public void fillRuns(
            int runs,
            long[] firstPages,
            int[][] frames,
            int[] counts,
            long[] writtenMasks,
            long size,
            RunFilled told)
            throws IOException {
        steps.step();
        inner.fillRuns(runs, firstPages, frames, counts, writtenMasks, size, told);
        steps.step();
    }

    @Override
    public void refill(long page, int frame, int blockMask, long size) throws IOException {
        steps.step();
        inner.refill(page, frame, blockMask, size);
        steps.step();
    }

    @Override
    public void blank(long page, int frame) {
        steps.step();
        inner.blank(page, frame);
        steps.step();
    }

    @Override
    public void writeBack(long firstPage, int[] frames, int[] blockMasks, int count, long size) throws IOException {
        steps.step();
        inner.writeBack(firstPage, frames, blockMasks, count, size);
        steps.step();
    }

    @Override
    public void seal(long page, int frame, int blockMask) {
        steps.step();
        inner.seal(page, frame, blockMask);
        steps.step();
    }

    @Override
    public void force() throws IOException {
        steps.step();
        inner.force();
        steps.step();
    }

    @Override
    public void truncate(long size) throws IOException {
        steps.step();
        inner.truncate(size);
        steps.step();
    }

    @Override
    public void settle() throws IOException {
        steps.step();
        inner.settle();
        steps.step();
    }

    @Override
    public void close() throws IOException {
        steps.step();
        inner.close();
        steps.step();
    }
}
