/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.h2;

import io.warmcache.MapOptions;
import io.warmcache.PagedFile;
import io.warmcache.WritePolicy;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Objects;
import java.util.Queue;
import java.util.Set;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.locks.Lock;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import org.jspecify.annotations.Nullable;

/**
 * One open file, whatever its names and however many its channels: one mapping, and one descriptor for locks.
 *
 * <p>The operating system drops all of a process's locks on a file when the process closes <em>any</em> descriptor of
 * it. So locks are taken through a descriptor of their own that is closed with the last channel, and whoever opens
 * the file again waits until that has been done.
 */
final class WarmFile {
    /**
     * Descriptors that were opened on another file than was meant, kept because closing one might drop a lock on that
     * file.
     */
    private static final Queue<FileChannel> STRAYS = new ConcurrentLinkedQueue<>();

    private final WarmFiles files;
    private final Object key;

    /** Guards what follows; held while the file is mapped and while it is closed. */
    private final ReentrantLock state = new ReentrantLock();

    private Path path;
    private int channels;
    private boolean retired;
    private boolean readOnly;
    private @Nullable PagedFile mapping;
    private @Nullable FileChannel lockChannel;

    /** Shared by writes within the file, exclusive for what moves its end, so that an append knows where that is. */
    private final ReadWriteLock end = new ReentrantReadWriteLock();

    WarmFile(WarmFiles files, Object key, Path path) {
        this.files = files;
        this.key = key;
        this.path = path;
    }

    Object key() {
        return key;
    }

    /** The file's name when it was opened or last renamed. */
    Path path() {
        state.lock();
        try {
            return path;
        } finally {
            state.unlock();
        }
    }

    void renamed(Path target) {
        state.lock();
        try {
            path = target;
        } finally {
            state.unlock();
        }
    }

    /**
     * Opens the file, or counts one more channel on it.
     *
     * @return whether it did; if not, {@code openPath} has come to mean another file, or this object has had its day
     */
    boolean acquire(Path openPath, boolean write) throws IOException {
        state.lock();
        try {
            if (retired) {
                return false;
            }
            if (mapping == null && !map(openPath, write)) {
                return false;
            }
            if (write && readOnly) {
                throw new AccessDeniedException(openPath.toString(), null, "it is open as a read-only file");
            }
            channels++;
            return true;
        } finally {
            state.unlock();
        }
    }

    private boolean map(Path openPath, boolean write) throws IOException {
        boolean done = false;
        PagedFile mapped = null;
        try {
            MapOptions options = files.options();
            readOnly = options.readOnly() || !Files.isWritable(openPath);
            if (write && readOnly) {
                throw new AccessDeniedException(openPath.toString());
            }
            mapped = files.cache().map(openPath, options.withCreate(false).withReadOnly(readOnly));
            done = key.equals(WarmFiles.key(openPath));
            if (done) {
                path = openPath;
                mapping = mapped;
            }
            return done;
        } finally {
            if (!done) {
                retire();
                if (mapped != null) {
                    mapped.close();
                }
            }
        }
    }

    /** Gives one channel back; the last one closes the file. */
    void release() throws IOException {
        state.lock();
        try {
            if (--channels > 0) {
                return;
            }
            Cleanup cleanup = new Cleanup();
            PagedFile mapped = mapping;
            if (mapped != null) {
                cleanup.run(mapped::close);
            }
            FileChannel locks = lockChannel;
            if (locks != null) {
                cleanup.run(locks::close);
            }
            retire();
            cleanup.throwFirst();
        } finally {
            state.unlock();
        }
    }

    private void retire() {
        retired = true;
        files.forget(this);
    }

    /** The length, or null when the file is not open any more. */
    @Nullable Long sizeIfOpen() {
        state.lock();
        try {
            return mapping == null || retired ? null : mapping.size();
        } finally {
            state.unlock();
        }
    }

    long size() {
        return pages().size();
    }

    int read(long position, MemorySegment target) throws IOException {
        PagedFile mapped = pages();
        return WarmFileSystem.isReadingOnce() ? mapped.readOnce(position, target) : mapped.read(position, target);
    }

    void write(long position, MemorySegment source) throws IOException {
        PagedFile mapped = pages();
        Lock within = end.readLock();
        within.lock();
        try {
            if (position + source.byteSize() <= mapped.size()) {
                mapped.write(position, source);
                return;
            }
        } finally {
            within.unlock();
        }
        atEnd(() -> mapped.write(position, source));
    }

    void append(MemorySegment source) throws IOException {
        PagedFile mapped = pages();
        atEnd(() -> mapped.write(mapped.size(), source));
    }

    /** Cuts the file to {@code size}; a file that is no longer stays as it is. */
    void truncate(long size) throws IOException {
        PagedFile mapped = pages();
        atEnd(() -> {
            if (size < mapped.size()) {
                mapped.truncate(size);
            }
        });
    }

    private void atEnd(Cleanup.Step step) throws IOException {
        Lock moving = end.writeLock();
        moving.lock();
        try {
            step.run();
        } finally {
            moving.unlock();
        }
    }

    void force() throws IOException {
        pages().force();
    }

    /** Writes what a write-back mapping still keeps, before another process may be let in. */
    void flush() throws IOException {
        PagedFile mapped = pages();
        if (mapped.policy() == WritePolicy.WRITE_BACK) {
            mapped.flush();
        }
    }

    /** Tries to lock a range for this process; null if another process has it. */
    @Nullable FileLock tryLock(long position, long size, boolean shared) throws IOException {
        return files.withNames(() -> {
            state.lock();
            try {
                return lockChannel().tryLock(position, size, shared);
            } finally {
                state.unlock();
            }
        });
    }

    private FileChannel lockChannel() throws IOException {
        FileChannel open = lockChannel;
        if (open == null) {
            requireSameFile();
            open = FileChannel.open(
                    path,
                    readOnly
                            ? Set.<OpenOption>of(StandardOpenOption.READ)
                            : Set.<OpenOption>of(StandardOpenOption.READ, StandardOpenOption.WRITE));
            try {
                requireSameFile();
            } catch (IOException e) {
                STRAYS.add(open);
                throw e;
            }
            lockChannel = open;
        }
        return open;
    }

    private void requireSameFile() throws IOException {
        if (!key.equals(WarmFiles.key(path))) {
            throw new FileSystemException(
                    path.toString(), null, "cannot be locked: it was deleted or replaced since it was opened");
        }
    }

    private PagedFile pages() {
        return Objects.requireNonNull(mapping, "a channel exists only while its file is mapped");
    }
}
