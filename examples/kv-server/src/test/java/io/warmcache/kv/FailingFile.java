/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.util.concurrent.atomic.AtomicBoolean;
import org.h2.store.fs.FileBaseDefault;
import org.h2.store.fs.FilePath;
import org.h2.store.fs.FilePathWrapper;

/** A file system of H2, {@code failing:}, whose disk can be made to refuse writes or forces. H2 makes instances. */
public final class FailingFile extends FilePathWrapper {
    static final AtomicBoolean WRITES_FAIL = new AtomicBoolean();
    static final AtomicBoolean FORCES_FAIL = new AtomicBoolean();

    static {
        FilePath.register(new FailingFile());
    }

    /** The name under which {@code path} is opened through this file system, on a disk in order. */
    static String name(String path) {
        WRITES_FAIL.set(false);
        FORCES_FAIL.set(false);
        return "failing:" + path;
    }

    @Override
    public String getScheme() {
        return "failing";
    }

    @Override
    public FileChannel open(String mode) throws IOException {
        return new Channel(getBase().open(mode));
    }

    private static final class Channel extends FileBaseDefault {
        private final FileChannel file;

        Channel(FileChannel file) {
            this.file = file;
        }

        @Override
        public long size() throws IOException {
            return file.size();
        }

        @Override
        public synchronized int read(ByteBuffer target, long position) throws IOException {
            return file.read(target, position);
        }

        @Override
        public synchronized int write(ByteBuffer source, long position) throws IOException {
            if (WRITES_FAIL.get()) {
                throw new IOException("No space left on device");
            }
            return file.write(source, position);
        }

        @Override
        public void force(boolean metadata) throws IOException {
            if (FORCES_FAIL.get()) {
                throw new IOException("Input/output error");
            }
            file.force(metadata);
        }

        @Override
        protected void implTruncate(long size) throws IOException {
            file.truncate(size);
        }

        @Override
        public FileLock tryLock(long position, long size, boolean shared) throws IOException {
            return file.tryLock(position, size, shared);
        }

        @Override
        protected void implCloseChannel() throws IOException {
            file.close();
        }
    }
}
