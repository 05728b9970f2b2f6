/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.h2;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.util.concurrent.atomic.AtomicInteger;
import org.h2.store.fs.FileBaseDefault;
import org.h2.store.fs.FilePath;
import org.h2.store.fs.FilePathWrapper;

/**
 * H2 file system {@code stop:} over another one, which counts the writes and truncations and stops at a given one:
 * ends the process there without any clean-up, or fails that one and every later one.
 */
public final class StoppingFilePath extends FilePathWrapper {
    /** How a process that stopped ends. */
    static final int EXIT_CODE = 86;

    private static final AtomicInteger CALLS = new AtomicInteger();
    private static volatile int stopAt;
    private static volatile Moment moment = Moment.BEFORE;
    private static volatile boolean kill;

    /** Called by H2. */
    public StoppingFilePath() {}

    /** Where within a write to stop. */
    enum Moment {
        BEFORE,
        /** After the first part of the bytes. */
        WITHIN,
        AFTER
    }

    /** Counts from 1 again; {@code at} 0 never stops. */
    static void arm(int at, Moment when, boolean killProcess) {
        FilePath.register(new StoppingFilePath());
        CALLS.set(0);
        moment = when;
        kill = killProcess;
        stopAt = at;
    }

    /** Writes and truncations since {@link #arm}. */
    static int calls() {
        return CALLS.get();
    }

    @Override
    public String getScheme() {
        return "stop";
    }

    @Override
    public FileChannel open(String mode) throws IOException {
        return new Channel(super.open(mode));
    }

    private static void stop() throws IOException {
        if (kill) {
            Runtime.getRuntime().halt(EXIT_CODE);
        }
        throw new IOException("stopped at call " + stopAt);
    }

    private static final class Channel extends FileBaseDefault {
        private final FileChannel base;

        Channel(FileChannel base) {
            this.base = base;
        }

        @Override
        public synchronized int write(ByteBuffer src, long position) throws IOException {
            int call = CALLS.incrementAndGet();
            int at = stopAt;
            if (at == 0 || call < at) {
                return base.write(src, position);
            }
            if (call == at && moment == Moment.WITHIN) {
                base.write(src.slice(src.position(), src.remaining() * 2 / 3), position);
            } else if (call == at && moment == Moment.AFTER) {
                base.write(src.slice(), position);
            }
            stop();
            return 0;
        }

        @Override
        protected void implTruncate(long size) throws IOException {
            int call = CALLS.incrementAndGet();
            int at = stopAt;
            if (at != 0 && call >= at && (call > at || moment == Moment.BEFORE)) {
                stop();
            }
            base.truncate(size);
            if (call == at) {
                stop();
            }
        }

        @Override
        public synchronized int read(ByteBuffer dst, long position) throws IOException {
            return base.read(dst, position);
        }

        @Override
        public long size() throws IOException {
            return base.size();
        }

        @Override
        public void force(boolean metaData) throws IOException {
            base.force(metaData);
        }

        @Override
        public FileLock tryLock(long position, long size, boolean shared) throws IOException {
            return base.tryLock(position, size, shared);
        }

        @Override
        protected void implCloseChannel() throws IOException {
            base.close();
        }
    }
}
