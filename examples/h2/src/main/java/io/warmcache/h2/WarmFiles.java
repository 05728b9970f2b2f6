/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.h2;

import io.warmcache.CacheClosedException;
import io.warmcache.CacheException;
import io.warmcache.MapOptions;
import io.warmcache.PageCache;
import io.warmcache.PagedFile;
import java.io.IOException;
import java.nio.file.AtomicMoveNotSupportedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import org.h2.api.ErrorCode;
import org.h2.message.DbException;
import org.h2.store.fs.FilePath;
import org.jspecify.annotations.Nullable;

/** The open files of one file system, by identity: every name of a file leads to one {@link WarmFile}. */
final class WarmFiles {
    /** Bounded, but not by a few: threads that open and close one file in turn each meet the other's last close. */
    private static final int ATTEMPTS = 10_000;

    private static final System.Logger LOG = System.getLogger("io.warmcache.h2");

    private final PageCache cache;
    private final MapOptions options;
    private final Map<Object, WarmFile> files = new ConcurrentHashMap<>();
    private final Set<WarmChannel> channels = ConcurrentHashMap.newKeySet();

    /** Shared by those who go from a path to an open file; exclusive for what changes where a path leads. */
    private final ReadWriteLock names = new ReentrantReadWriteLock();

    private volatile boolean closed;

    WarmFiles(PageCache cache, MapOptions options) {
        this.cache = cache;
        this.options = options;
    }

    PageCache cache() {
        return cache;
    }

    MapOptions options() {
        return options;
    }

    boolean writable() {
        return !options.readOnly();
    }

    WarmChannel open(Path path, WarmChannel.Mode mode) throws IOException {
        for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
            if (mode.writes() && writable() && key(path) == null) {
                create(path);
            }
            WarmChannel channel = withNames(() -> {
                if (closed) {
                    throw new CacheClosedException("the warm: file system was closed while " + path + " was opened");
                }
                Object key = key(path);
                if (key == null) {
                    throw new NoSuchFileException(path.toString());
                }
                if (Files.isDirectory(path)) {
                    throw new FileSystemException(path.toString(), null, "is a directory");
                }
                WarmFile file = files.computeIfAbsent(key, identity -> new WarmFile(this, identity, path));
                if (!file.acquire(path, mode.writes())) {
                    return null;
                }
                WarmChannel opened = new WarmChannel(file, mode, channels::remove);
                channels.add(opened);
                return opened;
            });
            if (channel != null) {
                return channel;
            }
        }
        throw new FileSystemException(path.toString(), null, "other files kept taking this name while it was opened");
    }

    /**
     * Creates an empty file unless there is one. Nobody else opens it meanwhile: he could lock it, and closing the
     * descriptor that created it would drop that lock.
     */
    boolean create(Path path) throws IOException {
        names.writeLock().lock();
        try {
            Files.createFile(path);
            return true;
        } catch (FileAlreadyExistsException e) {
            if (key(path) == null) {
                throw new NoSuchFileException(path.toString(), null, "a symbolic link to no file");
            }
            return false;
        } finally {
            names.writeLock().unlock();
        }
    }

    /** The length: of an open file as its channels see it, of another one as the disk has it. */
    long size(Path path) throws IOException {
        Object key = key(path);
        WarmFile file = key == null ? null : files.get(key);
        Long mapped = file == null ? null : file.sizeIfOpen();
        return mapped != null ? mapped : Files.size(path);
    }

    /**
     * Renames without opening a file that is open already, so that it keeps its mapping and its locks. One that is not
     * is mapped for that moment: renamed between two mappings, it would look as if somebody had changed it, and lose
     * its pages.
     */
    void move(FilePath from, FilePath to, boolean atomicReplace) {
        Path source = Path.of(from.name);
        Path target = Path.of(to.name);
        names.writeLock().lock();
        try {
            Object key = key(source);
            if (key == null) {
                throw DbException.get(ErrorCode.FILE_RENAME_FAILED_2, source + " (not found)", target.toString());
            }
            if (!atomicReplace && Files.exists(target)) {
                throw new FileAlreadyExistsException(target.toString());
            }
            WarmFile file = files.get(key);
            PagedFile mapped = file == null ? mapped(source) : null;
            try {
                Files.move(source, target, StandardCopyOption.ATOMIC_MOVE);
            } catch (AtomicMoveNotSupportedException e) {
                if (file != null) {
                    throw new IOException("it is open, and an open file can only be renamed within its file system", e);
                }
                from.moveTo(to, atomicReplace);
            } finally {
                close(mapped);
            }
            if (file != null) {
                file.renamed(target);
            }
        } catch (FileAlreadyExistsException e) {
            throw DbException.get(ErrorCode.FILE_RENAME_FAILED_2, e, source.toString(), target + " (exists)");
        } catch (IOException e) {
            throw DbException.get(
                    ErrorCode.FILE_RENAME_FAILED_2, e, source.toString(), target + " (" + e.getMessage() + ")");
        } finally {
            names.writeLock().unlock();
        }
    }

    /** Null if the file cannot be mapped: then it has no pages in memory that its new name could cost. */
    private @Nullable PagedFile mapped(Path file) {
        if (!writable() || !Files.isRegularFile(file) || !Files.isWritable(file)) {
            return null;
        }
        try {
            return cache.map(file, options.withCreate(false));
        } catch (IOException | CacheException e) {
            LOG.log(System.Logger.Level.DEBUG, () -> file + " will be cold under its new name", e);
            return null;
        }
    }

    private static void close(@Nullable PagedFile mapped) {
        if (mapped != null) {
            try {
                mapped.close();
            } catch (IOException | CacheException e) {
                LOG.log(System.Logger.Level.DEBUG, "a renamed file will be cold", e); // nothing of it was dirty
            }
        }
    }

    /** Runs {@code body} while no path is made to lead elsewhere by this process. */
    <T extends @Nullable Object> T withNames(IoCall<T> body) throws IOException {
        names.readLock().lock();
        try {
            return body.call();
        } finally {
            names.readLock().unlock();
        }
    }

    void forget(WarmFile file) {
        files.remove(file.key(), file);
    }

    boolean isClosed() {
        return closed;
    }

    /** Lets no further file be opened; returns false if that was so already. */
    boolean markClosed() {
        names.writeLock().lock();
        try {
            boolean first = !closed;
            closed = true;
            return first;
        } finally {
            names.writeLock().unlock();
        }
    }

    void closeChannels() throws IOException {
        Cleanup cleanup = new Cleanup();
        for (WarmChannel channel : channels) {
            cleanup.run(channel::close);
        }
        cleanup.throwFirst();
    }

    /** What tells files apart whatever their names, or null where there is no file; read without opening it. */
    static @Nullable Object key(Path path) throws IOException {
        try {
            BasicFileAttributes attributes = Files.readAttributes(path, BasicFileAttributes.class);
            Object key = attributes.fileKey();
            return key != null ? key : path.toRealPath();
        } catch (NoSuchFileException e) {
            return null;
        }
    }

    /** A piece of work that may fail to read or write. */
    interface IoCall<T extends @Nullable Object> {
        T call() throws IOException;
    }
}
