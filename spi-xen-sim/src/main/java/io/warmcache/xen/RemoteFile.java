/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

import io.warmcache.BackingStore;
import io.warmcache.CacheException;
import io.warmcache.spi.BackendFile;
import io.warmcache.spi.FileVerdict;
import io.warmcache.spi.FrameState;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Objects;

/** A device that is connected to this guest by its {@code xen-simd}: each verb is one block request. */
final class RemoteFile implements BackendFile {
    private final RemoteBackend backend;
    private final RemoteLink link;
    private final BackingStore store;
    private final int handle;
    private final long fileId;
    private final FileVerdict verdict;
    private volatile boolean closed;

    RemoteFile(RemoteBackend backend, BackingStore store, int handle, long fileId, FileVerdict verdict) {
        this.backend = backend;
        link = backend.link();
        this.store = store;
        this.handle = handle;
        this.fileId = fileId;
        this.verdict = verdict;
    }

    @Override
    public long fileId() {
        return fileId;
    }

    @Override
    public BackingStore store() {
        return store;
    }

    @Override
    public FileVerdict verdict() {
        return verdict;
    }

    private void requireOpen() {
        if (closed) {
            throw new IllegalStateException(store.name() + " is closed");
        }
    }

    @Override
    public void accept() throws IOException {
        requireOpen();
        link.call(Op.ACCEPT, out -> out.putInt(handle));
    }

    @Override
    public void fill(long firstPage, int[] frames, int count, long size, long writtenMask) throws IOException {
        Objects.checkIndex(count, MAX_RUN + 1);
        requireOpen();
        for (int i = 0; i < count; i++) {
            backend.require(frames[i], FrameState.FREE, FrameState.FREE);
        }
        boolean asked = false;
        try {
            var _ = link.call(
                    Op.FILL,
                    out -> {
                        out.putInt(handle).putLong(firstPage).putLong(size).putLong(writtenMask).putInt(count);
                        for (int i = 0; i < count; i++) {
                            out.putInt(frames[i]).putInt(0);
                        }
                    },
                    in -> {
                        for (int i = 0; i < count; i++) {
                            FrameState state = (writtenMask >>> i & 1) != 0 ? FrameState.WRITTEN : FrameState.CLEAN;
                            backend.copy(frames[i], fileId, firstPage + i, state, in);
                        }
                        return true;
                    });
            asked = true;
        } catch (IllegalStateException e) {
            asked = true; // refused before anything was recorded
            throw e;
        } finally {
            for (int i = 0; i < count && !asked; i++) {
                backend.state(frames[i], FrameState.FILLING);
            }
        }
    }

    @Override
    public void refill(long page, int frame, int blockMask, long size) throws IOException {
        requireOpen();
        try {
            link.call(
                    Op.REFILL,
                    out -> out.putInt(handle).putLong(page).putInt(frame).putInt(blockMask).putLong(size));
        } catch (IllegalStateException e) {
            backend.recordsAgain(new int[] {frame}, 1, e);
            throw e;
        }
    }

    /** A request for one frame that declares no {@link IOException}. */
    private void update(int op, int frame, RemoteLink.Fields fields, RemoteLink.Answer<Boolean> answer) {
        requireOpen();
        try {
            var _ = link.call(op, fields, answer);
        } catch (IllegalStateException e) {
            backend.recordsAgain(new int[] {frame}, 1, e);
            throw e;
        } catch (IOException e) {
            throw new CacheException(String.valueOf(e.getMessage()), e);
        }
    }

    private boolean copy(int frame, long page, FrameState state, ByteBuffer in) {
        backend.copy(frame, fileId, page, state, in);
        return true;
    }

    @Override
    public void blank(long page, int frame) {
        update(
                Op.BLANK,
                frame,
                out -> out.putInt(handle).putLong(page).putInt(frame),
                in -> copy(frame, page, FrameState.DIRTY, in));
    }

    @Override
    public void writeBack(long firstPage, int[] frames, int[] blockMasks, int count, long size) throws IOException {
        Objects.checkIndex(count, MAX_RUN + 1);
        writeBack(Op.WRITE_BACK, firstPage, frames, blockMasks, count, size, new long[0]);
    }

    @Override
    public void writeBackVerified(
            long firstPage, int[] frames, int[] blockMasks, int count, long size, long[] sums) throws IOException {
        Objects.checkIndex(count, MAX_RUN + 1);
        writeBack(Op.WRITE_BACK_VERIFIED, firstPage, frames, blockMasks, count, size, sums);
    }

    private void writeBack(
            int op, long firstPage, int[] frames, int[] blockMasks, int count, long size, long[] sums)
            throws IOException {
        requireOpen();
        for (int i = 0; i < count; i++) {
            backend.require(frames[i], FrameState.DIRTY, FrameState.DIRTY);
        }
        try {
            var _ = link.call(
                    op,
                    out -> {
                        out.putInt(handle).putLong(firstPage).putLong(size).putLong(0).putInt(count);
                        for (int i = 0; i < count; i++) {
                            out.putInt(frames[i]).putInt(blockMasks[i]);
                        }
                        for (long sum : sums) {
                            out.putLong(sum);
                        }
                    },
                    in -> {
                        for (int i = 0; i < count; i++) {
                            var _ = copy(frames[i], firstPage + i, FrameState.WRITTEN, in);
                        }
                        return true;
                    });
        } catch (IllegalStateException e) {
            backend.recordsAgain(frames, count, e);
            throw e;
        } catch (IOException e) {
            if (op == Op.WRITE_BACK_VERIFIED) {
                backend.recordsAgain(frames, count, e); // a checksum is over the record's generation, too
            }
            throw e;
        }
    }

    @Override
    public void seal(long page, int frame, int blockMask) {
        update(
                Op.SEAL,
                frame,
                out -> out.putInt(handle).putLong(page).putInt(frame).putInt(blockMask),
                in -> copy(frame, page, FrameState.WRITTEN, in));
    }

    @Override
    public void force() throws IOException {
        requireOpen();
        link.call(Op.FORCE, out -> out.putInt(handle));
    }

    @Override
    public void truncate(long size) throws IOException {
        requireOpen();
        link.call(Op.TRUNCATE, out -> out.putInt(handle).putLong(size));
    }

    @Override
    public void settle() throws IOException {
        requireOpen();
        link.call(Op.SETTLE, out -> out.putInt(handle));
    }

    @Override
    public void close() throws IOException {
        if (closed) {
            return;
        }
        closed = true;
        try {
            link.call(Op.DISCONNECT, out -> out.putInt(handle));
        } finally {
            backend.disconnected(this, store);
        }
    }
}
