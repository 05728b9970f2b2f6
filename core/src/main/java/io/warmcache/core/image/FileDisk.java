/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core.image;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedByInterruptException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Set;

/** The operating system's files. */
public final class FileDisk implements ImageDisk {
    /** There is but one. */
    public static final FileDisk INSTANCE = new FileDisk();

    private FileDisk() {}

    /** Something to be done on a channel, which an interrupt would close. */
    private interface Io<T> {
        T run() throws IOException;
    }

    private static <T> T uninterrupted(Io<T> io) throws IOException {
        boolean interrupted = Thread.interrupted();
        try {
            return io.run();
        } finally {
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    private static boolean isPosix(Path file) {
        return file.getFileSystem().supportedFileAttributeViews().contains("posix");
    }

    /** Images hold the stores' bytes: nobody else's business, whatever the umask. */
    private static FileAttribute<?>[] ownersAlone(Path file, String mode) {
        return isPosix(file)
                ? new FileAttribute<?>[] {PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString(mode))}
                : new FileAttribute<?>[0];
    }

    @Override
    public Writer create(Path file) throws IOException {
        Path directory = file.toAbsolutePath().getParent();
        if (directory != null) {
            Files.createDirectories(directory, ownersAlone(directory, "rwx------"));
        }
        Files.deleteIfExists(file); // it may be a link, or have another mode
        Set<OpenOption> options =
                Set.of(StandardOpenOption.WRITE, StandardOpenOption.CREATE_NEW, LinkOption.NOFOLLOW_LINKS);
        FileChannel channel = FileChannel.open(file, options, ownersAlone(file, "rw-------"));
        return new Writer() {
            @Override
            public void write(ByteBuffer bytes) throws IOException {
                uninterrupted(() -> {
                    while (bytes.hasRemaining()) {
                        channel.write(bytes);
                    }
                    return bytes;
                });
            }

            @Override
            public void force() throws IOException {
                uninterrupted(() -> {
                    channel.force(true);
                    return channel;
                });
            }

            @Override
            public void close() throws IOException {
                channel.close();
            }
        };
    }

    @Override
    public Reader open(Path file) throws IOException {
        var attributes = Files.readAttributes(file, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS);
        if (!attributes.isRegularFile()) {
            throw new IOException(file + " is no regular file: remove it");
        }
        FileChannel channel = FileChannel.open(file, StandardOpenOption.READ, LinkOption.NOFOLLOW_LINKS);
        return new Reader() {
            @Override
            public long size() throws IOException {
                return channel.size();
            }

            @Override
            public void read(ByteBuffer into, long position) throws IOException {
                uninterrupted(() -> {
                    long at = position;
                    while (into.hasRemaining()) {
                        int n = channel.read(into, at);
                        if (n < 0) {
                            throw new EOFException(file + " ends at " + at);
                        }
                        at += n;
                    }
                    return into;
                });
            }

            @Override
            public void close() throws IOException {
                channel.close();
            }
        };
    }

    @Override
    public void rename(Path from, Path to) throws IOException {
        Files.move(from, to, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    }

    @Override
    public boolean delete(Path file) throws IOException {
        return Files.deleteIfExists(file);
    }

    @Override
    public void forceDirectory(Path directory) throws IOException {
        if (!isPosix(directory)) {
            return; // such a system gives no handle to a directory's names
        }
        boolean interrupted = Thread.interrupted();
        try {
            while (true) {
                try (FileChannel channel = FileChannel.open(directory, StandardOpenOption.READ)) {
                    channel.force(true);
                    return;
                } catch (ClosedByInterruptException e) {
                    interrupted |= Thread.interrupted(); // a write of somebody's store waits for this: again
                }
            }
        } finally {
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }
}
