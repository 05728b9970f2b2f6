/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture;

import io.warmcache.BackingStore;
import io.warmcache.MapOptions;
import io.warmcache.StoreId;
import io.warmcache.spi.AttachReport;
import io.warmcache.spi.BackendFile;
import io.warmcache.spi.BlockChecksum;
import io.warmcache.spi.FailureDomain;
import io.warmcache.spi.FrameBackend;
import io.warmcache.spi.FrameRecord;
import io.warmcache.spi.SurvivorVisitor;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;

/** A back end with a step before and after each call that changes something. */
final class SteppedBackend implements FrameBackend {
    private final FrameBackend inner;
    private final Steps steps;

    SteppedBackend(FrameBackend inner, Steps steps) {
        this.inner = inner;
        this.steps = steps;
    }

    @Override
    public FailureDomain domain() {
        return inner.domain();
    }

    @Override
    public AttachReport attachReport() {
        return inner.attachReport();
    }

    @Override
    public int frames() {
        return inner.frames();
    }

    @Override
    public int maxFrames() {
        return inner.maxFrames();
    }

    @Override
    public int affordableFrames() {
        return inner.affordableFrames();
    }

    @Override
    public void resize(int frames) throws IOException {
        steps.step();
        inner.resize(frames);
        steps.step();
    }

    @Override
    public boolean move(int from, int to) {
        steps.step();
        boolean moved = inner.move(from, to);
        steps.step();
        return moved;
    }

    @Override
    public int pageSize() {
        return inner.pageSize();
    }

    @Override
    public long incarnation() {
        return inner.incarnation();
    }

    @Override
    public BlockChecksum checksum() {
        return inner.checksum();
    }

    @Override
    public MemorySegment memory() {
        return inner.memory();
    }

    @Override
    public void survivors(int from, int to, SurvivorVisitor visitor) {
        inner.survivors(from, to, visitor);
    }

    @Override
    public boolean knowsFile(long fileId) {
        return inner.knowsFile(fileId);
    }

    @Override
    public StoreId identify(Path file, MapOptions options) throws IOException {
        return inner.identify(file, options);
    }

    @Override
    public BackingStore openStore(Path file, MapOptions options) throws IOException {
        return inner.openStore(file, options);
    }

    @Override
    public BackendFile openFile(BackingStore store, FileEvictor evictor) throws IOException {
        steps.step();
        BackendFile file = inner.openFile(store, evictor);
        steps.step();
        return new SteppedFile(file, steps);
    }

    @Override
    public boolean readRecord(int frame, FrameRecord into) {
        return inner.readRecord(frame, into);
    }

    @Override
    public void markDirty(int frame) {
        steps.step();
        inner.markDirty(frame);
        steps.step();
    }

    @Override
    public void release(int frame) {
        steps.step();
        inner.release(frame);
        steps.step();
    }

    @Override
    public void forced(int frame) {
        steps.step();
        inner.forced(frame);
        steps.step();
    }

    @Override
    public void hint(int frame, int hint) {
        inner.hint(frame, hint);
    }

    @Override
    public int hint(int frame) {
        return inner.hint(frame);
    }

    @Override
    public int policyWords() {
        return inner.policyWords();
    }

    @Override
    public void policyWord(int index, long word) {
        inner.policyWord(index, word);
    }

    @Override
    public long policyWord(int index) {
        return inner.policyWord(index);
    }

    @Override
    public void recoveryFinished() {
        steps.step();
        inner.recoveryFinished();
        steps.step();
    }

    @Override
    public void close() throws IOException {
        steps.step();
        inner.close();
        steps.step();
    }

    @Override
    public void abandon() throws IOException {
        steps.step();
        inner.abandon();
        steps.step();
    }

    @Override
    public void drop() throws IOException {
        inner.drop();
    }
}
