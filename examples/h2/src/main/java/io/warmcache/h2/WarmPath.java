/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.h2;

import io.warmcache.BusyException;
import io.warmcache.CacheException;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import org.h2.api.ErrorCode;
import org.h2.message.DbException;
import org.h2.mvstore.DataUtils;
import org.h2.store.fs.FilePath;
import org.h2.store.fs.disk.FilePathDisk;
import org.jspecify.annotations.Nullable;

/**
 * A path with the {@code warm:} prefix. What concerns names and attributes goes to H2's plain file path, none of whose
 * operations used here opens a file that exists: closing such a descriptor would drop the process's locks on the file.
 */
final class WarmPath extends FilePath {
    private static final String PREFIX = WarmFileSystem.SCHEME + ":";

    /** Another scheme, which H2's plain file path would take for a resource, a URL or a part of the name. */
    private static final Pattern OTHER_SCHEME = Pattern.compile("[a-zA-Z][a-zA-Z0-9]+:.*");

    /** Makes the other ones; is no path itself. */
    static final WarmPath ROOT = new WarmPath();

    private final FilePath base;

    private WarmPath() {
        base = this;
        name = PREFIX;
    }

    private WarmPath(FilePath base) {
        if (!(base instanceof FilePathDisk) || OTHER_SCHEME.matcher(base.name).matches()) {
            throw new IllegalArgumentException("warm: takes the path of a plain file, not " + base.name
                    + ": put other schemes before it (split:warm:...), and ./ before a relative name with a colon");
        }
        this.base = base;
        this.name = PREFIX + base.name;
    }

    @Override
    public WarmPath getPath(String path) {
        return new WarmPath(FilePath.get(path.startsWith(PREFIX) ? path.substring(PREFIX.length()) : path));
    }

    @Override
    public String getScheme() {
        return WarmFileSystem.SCHEME;
    }

    @Override
    public FilePath unwrap() {
        return base;
    }

    @Override
    public FilePath toRealPath() {
        return new WarmPath(base.toRealPath());
    }

    @Override
    public @Nullable FilePath getParent() {
        FilePath parent = base.getParent();
        return parent == null ? null : new WarmPath(parent);
    }

    @Override
    public boolean isAbsolute() {
        return base.isAbsolute();
    }

    @Override
    public long size() {
        try {
            return files().size(path());
        } catch (IOException e) {
            // What H2's plain file path answers for a file that is not there.
            return 0;
        }
    }

    @Override
    public boolean exists() {
        return plain().exists();
    }

    @Override
    public boolean isDirectory() {
        return plain().isDirectory();
    }

    @Override
    public boolean isRegularFile() {
        return plain().isRegularFile();
    }

    @Override
    public long lastModified() {
        return plain().lastModified();
    }

    @Override
    public boolean canWrite() {
        return files().writable() && base.canWrite();
    }

    @Override
    public boolean setReadOnly() {
        return plain().setReadOnly();
    }

    @Override
    public boolean createFile() {
        try {
            return files().create(path());
        } catch (IOException e) {
            // What H2's plain file path answers where no file can be created.
            return false;
        }
    }

    @Override
    public void createDirectory() {
        plain().createDirectory();
    }

    @Override
    public void delete() {
        plain().delete();
    }

    @Override
    public FilePath createTempFile(String suffix, boolean inTempDir) throws IOException {
        return new WarmPath(plain().createTempFile(suffix, inTempDir));
    }

    @Override
    public List<FilePath> newDirectoryStream() {
        List<FilePath> entries = new ArrayList<>();
        for (FilePath entry : plain().newDirectoryStream()) {
            entries.add(new WarmPath(entry));
        }
        return entries;
    }

    @Override
    public void moveTo(FilePath newName, boolean atomicReplace) {
        FilePath target = newName instanceof WarmPath warm ? warm.base : newName;
        if (!(target instanceof FilePathDisk)) {
            throw DbException.get(ErrorCode.FILE_RENAME_FAILED_2, name, newName + " (no plain file)");
        }
        files().move(base, target, atomicReplace);
    }

    @Override
    public FileChannel open(String mode) throws IOException {
        return open(WarmChannel.Mode.of(mode));
    }

    @Override
    public OutputStream newOutputStream(boolean append) throws IOException {
        Path parent = path().getParent();
        if (parent != null) {
            Files.createDirectories(parent);
        }
        WarmChannel channel = open(append ? WarmChannel.Mode.APPEND : WarmChannel.Mode.WRITE);
        if (!append) {
            channel.truncate(0);
        }
        return Channels.newOutputStream(channel);
    }

    private WarmChannel open(WarmChannel.Mode mode) throws IOException {
        try {
            return files().open(path(), mode);
        } catch (BusyException e) {
            // What H2 throws itself when it cannot have its lock: "may be already in use" is what its user has to read.
            throw DataUtils.newMVStoreException(
                    DataUtils.ERROR_FILE_LOCKED, "The file is locked: {0}: {1}", name, e.getMessage(), e);
        } catch (CacheException e) {
            throw new IOException(name + ": " + e.getMessage(), e);
        }
    }

    private Path path() {
        return Path.of(base.name);
    }

    private static WarmFiles files() {
        return WarmFileSystem.current().files();
    }

    /** The plain path, once it is certain that the scheme is in use. */
    private FilePath plain() {
        WarmFileSystem.current();
        return base;
    }
}
