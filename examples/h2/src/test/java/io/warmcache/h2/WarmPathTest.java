/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.h2;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.warmcache.CacheConfig;
import io.warmcache.MapOptions;
import io.warmcache.WritePolicy;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.h2.message.DbException;
import org.h2.store.fs.FilePath;
import org.h2.store.fs.FileUtils;
import org.junit.jupiter.api.Test;

final class WarmPathTest extends WarmFixture {
    WarmPathTest() {
        super(1 << 20);
    }

    @Test
    void keepsItsSchemeOnEveryPathItLeadsTo() throws IOException {
        FilePath path = FilePath.get(name);
        assertEquals(name, path.toString());
        assertEquals("file", path.getName());
        assertEquals("warm", path.getScheme());
        assertEquals(Warm.path(dir), path.getParent().toString());
        assertEquals(file.toString(), path.unwrap().toString());
        assertNull(FilePath.get("warm:/").getParent());
        assertTrue(path.isAbsolute());
        assertFalse(FilePath.get("warm:file").isAbsolute());
        Path link = Files.createSymbolicLink(dir.resolve("link"), dir.resolve("file"));
        Files.createFile(file);
        assertEquals(Warm.path(file.toRealPath()), FilePath.get(Warm.path(link)).toRealPath().toString());
        List<String> listed = FilePath.get(Warm.path(dir)).newDirectoryStream().stream()
                .map(FilePath::toString)
                .sorted()
                .toList();
        assertEquals(List.of(Warm.path(file.toRealPath()), Warm.path(dir.toRealPath().resolve("link"))), listed);
        assertEquals(Warm.path(Path.of(System.getProperty("user.home"))), FilePath.get("warm:~").toString());
        assertEquals(file.toString(), FilePath.get("warm:file:" + file).unwrap().toString());
        assertEquals(file.toString(), FilePath.get("warm:nio:" + file).unwrap().toString());
    }

    @Test
    void takesPlainFilesOnly() {
        for (String other : List.of("memFS:x", "split:/x", "classpath:x", "encrypt:pass:/x", "zip:/x.zip!/x")) {
            IllegalArgumentException told =
                    assertThrows(IllegalArgumentException.class, () -> FilePath.get("warm:" + other));
            assertTrue(told.getMessage().contains("plain file"), told.getMessage());
        }
        assertEquals("warm:./odd:name", FilePath.get("warm:./odd:name").toString());
    }

    @Test
    void answersWhatThePlainFilePathAnswers() throws IOException {
        for (Path path : List.of(file, dir, dir.resolve("none/none"), dir.resolve("none"))) {
            if (path.equals(file)) {
                Files.write(path, new byte[] {1, 2});
            }
            FilePath plain = FilePath.get(path.toString());
            FilePath tested = FilePath.get(Warm.path(path));
            assertEquals(plain.exists(), tested.exists(), path.toString());
            assertEquals(plain.isDirectory(), tested.isDirectory(), path.toString());
            assertEquals(plain.isRegularFile(), tested.isRegularFile(), path.toString());
            assertEquals(plain.canWrite(), tested.canWrite(), path.toString());
            assertEquals(plain.lastModified(), tested.lastModified(), path.toString());
            assertEquals(plain.size(), tested.size(), path.toString());
        }
        assertFalse(FilePath.get(name).createFile());
        assertTrue(FilePath.get(name + "2").createFile());
        assertFalse(FilePath.get(Warm.path(dir.resolve("none/file"))).createFile());
        FileUtils.createDirectories(Warm.path(dir.resolve("a/b")));
        assertTrue(Files.isDirectory(dir.resolve("a/b")));
        FileUtils.deleteRecursive(Warm.path(dir.resolve("a")), false);
        assertFalse(Files.exists(dir.resolve("a")));
        FileUtils.delete(Warm.path(dir.resolve("none")));
    }

    @Test
    void createsTemporaryFilesInItsScheme() throws IOException {
        for (boolean inTempDir : new boolean[] {false, true}) {
            String temp = FileUtils.createTempFile(name, ".tmp", inTempDir);
            assertTrue(temp.startsWith("warm:/"), temp);
            assertTrue(FileUtils.exists(temp));
            FileUtils.delete(temp);
        }
    }

    @Test
    void keepsADeletedFileUntilItIsClosed() throws IOException {
        try (FileChannel channel = FileUtils.open(name, "rw")) {
            channel.write(ByteBuffer.wrap(new byte[] {1, 2, 3}), 0);
            FileUtils.delete(name);
            assertFalse(FileUtils.exists(name));
            assertEquals(0, FileUtils.size(name));
            channel.write(ByteBuffer.wrap(new byte[] {4}), 3);
            assertArrayEquals(new byte[] {1, 2, 3, 4}, WarmChannelModelTest.readAll(channel));
            try (FileChannel other = FileUtils.open(name, "rw")) {
                assertEquals(0, other.size());
                other.write(ByteBuffer.wrap(new byte[] {9}), 0);
                assertArrayEquals(new byte[] {1, 2, 3, 4}, WarmChannelModelTest.readAll(channel));
            }
        }
        assertArrayEquals(new byte[] {9}, Files.readAllBytes(file));
    }

    @Test
    void servesANewFileUnderADeletedOnesName() throws IOException {
        for (byte i = 0; i < 50; i++) {
            try (FileChannel channel = FileUtils.open(name, "rw")) {
                assertEquals(0, channel.size());
                byte[] bytes = new byte[5_000 - i];
                Arrays.fill(bytes, i);
                channel.write(ByteBuffer.wrap(bytes), 0);
                assertArrayEquals(bytes, WarmChannelModelTest.readAll(channel));
            }
            FileUtils.delete(name);
        }
    }

    @Test
    void knowsTheLengthOfAnOpenFileBeforeItIsWritten() throws IOException {
        warm.close();
        CacheConfig config = Warm.config(1 << 20);
        warm = Warm.of(config, MapOptions.DEFAULT.withPolicy(WritePolicy.WRITE_BACK));
        try (FileChannel channel = FileUtils.open(name, "rw")) {
            channel.write(ByteBuffer.allocate(10_000), 0);
            assertEquals(10_000, FileUtils.size(name));
        }
        assertEquals(10_000, FileUtils.size(name));
        assertEquals(10_000, Files.size(file));
    }

    @Test
    void movesOpenFilesAndReplacesThem() throws IOException {
        Path target = dir.resolve("target");
        try (FileChannel source = FileUtils.open(name, "rw");
                FileChannel replaced = FileUtils.open(Warm.path(target), "rw")) {
            source.write(ByteBuffer.wrap(new byte[] {1}), 0);
            replaced.write(ByteBuffer.wrap(new byte[] {2, 2}), 0);
            assertThrows(DbException.class, () -> FileUtils.move(name, Warm.path(target)));
            FileUtils.moveAtomicReplace(name, Warm.path(target));
            assertFalse(FileUtils.exists(name));
            source.write(ByteBuffer.wrap(new byte[] {3}), 1);
            assertArrayEquals(new byte[] {2, 2}, WarmChannelModelTest.readAll(replaced));
            try (FileChannel again = FileUtils.open(Warm.path(target), "rw")) {
                assertArrayEquals(new byte[] {1, 3}, WarmChannelModelTest.readAll(again));
                source.tryLock().release();
            }
            FileUtils.move(Warm.path(target), name);
        }
        assertArrayEquals(new byte[] {1, 3}, Files.readAllBytes(file));
        assertThrows(DbException.class, () -> FileUtils.move(Warm.path(target), name));
        assertThrows(DbException.class, () -> FilePath.get(name).moveTo(FilePath.get("memFS:x"), true));
        FilePath.get(name).moveTo(FilePath.get(target.toString()), false);
        assertTrue(Files.exists(target));
        FileUtils.move(Warm.path(dir), Warm.path(Path.of(dir + "-moved")));
        FileUtils.move(Warm.path(Path.of(dir + "-moved")), Warm.path(dir));
    }

    @Test
    void refusesToMoveAnOpenFileToAnotherFileSystem() throws IOException {
        Path elsewhere = Path.of("/dev/shm");
        assumeTrue(Files.isWritable(elsewhere)
                && !Files.getFileStore(elsewhere).equals(Files.getFileStore(dir)));
        Path target = Files.createTempDirectory(elsewhere, "warmcache-h2").resolve("file");
        try {
            try (FileChannel channel = FileUtils.open(name, "rw")) {
                channel.write(ByteBuffer.wrap(new byte[] {5}), 0);
                DbException told = assertThrows(DbException.class, () -> FileUtils.move(name, Warm.path(target)));
                assertTrue(told.getMessage().contains("it is open"), told.toString());
            }
            FileUtils.move(name, Warm.path(target));
            try (FileChannel channel = FileUtils.open(Warm.path(target), "r")) {
                assertArrayEquals(new byte[] {5}, WarmChannelModelTest.readAll(channel));
            }
        } finally {
            Files.deleteIfExists(target);
            Files.delete(target.getParent());
        }
    }

    @Test
    void writesStreamsFromTheStartOrFromTheEnd() throws IOException {
        Path deep = dir.resolve("a/b/file");
        FilePath path = FilePath.get(Warm.path(deep));
        try (OutputStream out = path.newOutputStream(false)) {
            out.write(new byte[] {1, 2, 3});
        }
        try (OutputStream out = path.newOutputStream(true)) {
            out.write(4);
            out.write(new byte[] {0, 5, 6}, 1, 2);
        }
        assertArrayEquals(new byte[] {1, 2, 3, 4, 5, 6}, Files.readAllBytes(deep));
        try (OutputStream out = path.newOutputStream(false)) {
            out.write(7);
        }
        assertArrayEquals(new byte[] {7}, Files.readAllBytes(deep));
    }
}
