/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.h2;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.CacheConfig;
import io.warmcache.CacheException;
import io.warmcache.MapOptions;
import io.warmcache.PageCache;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.util.List;
import org.h2.mvstore.MVStore;
import org.h2.store.fs.FilePath;
import org.h2.store.fs.FileUtils;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(120)
final class WarmFileSystemTest {
    @TempDir
    Path dir;

    @Test
    void isInstalledOnceAtATime() throws IOException {
        try (Warm warm = Warm.of(1 << 20)) {
            IllegalStateException told =
                    assertThrows(IllegalStateException.class, () -> WarmFileSystem.install(warm.cache()));
            assertTrue(told.getMessage().contains(warm.config().name()), told.getMessage());
            assertThrows(IllegalStateException.class,
                    () -> WarmFileSystem.open(Warm.config(1 << 20), MapOptions.DEFAULT));
            warm.restart();
            FileUtils.open(Warm.path(dir.resolve("file")), "rw").close();
        }
    }

    @Test
    void closesItsFilesAndNeverFallsThroughToDiskAfterwards() throws IOException {
        String name = Warm.path(dir.resolve("file"));
        FileChannel channel;
        try (Warm warm = Warm.of(1 << 20)) {
            channel = FileUtils.open(name, "rw");
            channel.write(ByteBuffer.allocate(1), 0);
            warm.system().close();
            warm.system().close();
            assertFalse(channel.isOpen());
            assertThrows(ClosedChannelException.class, () -> channel.read(ByteBuffer.allocate(1), 0));
            FilePath path = FilePath.get(name);
            assertTrue(assertThrows(IOException.class, () -> path.open("rw")).getMessage().contains("was closed"));
            assertThrows(CacheException.class, path::exists);
            assertThrows(CacheException.class, path::size);
            assertThrows(CacheException.class, path::delete);
            assertThrows(CacheException.class, path::createFile);
            assertThrows(CacheException.class, path::newDirectoryStream);
            assertThrows(CacheException.class, () -> path.moveTo(path, true));
            assertThrows(CacheException.class, () -> path.createTempFile(".x", false));
            assertThrows(IOException.class, path::newInputStream);
            assertThrows(IOException.class, () -> path.newOutputStream(true));
            assertThrows(CacheException.class, () -> MVStore.open(name));
            assertThrows(SQLException.class, () -> DriverManager.getConnection("jdbc:h2:" + name));
        }
        assertEquals(List.of(dir.resolve("file")), list(dir));
    }

    @Test
    void failsWhereItsCacheWasClosedUnderIt() throws IOException {
        String name = Warm.path(dir.resolve("file"));
        try (Warm warm = Warm.of(1 << 20)) {
            warm.cache().close();
            assertThrows(IOException.class, () -> FileUtils.open(name, "rw"));
        }
    }

    @Test
    void closesTheCacheThatItOpened() throws IOException {
        CacheConfig config = Warm.config(1 << 20);
        String name = Warm.path(dir.resolve("file"));
        try {
            try (WarmFileSystem system = WarmFileSystem.open(config, MapOptions.DEFAULT);
                    FileChannel channel = FileUtils.open(name, "rw")) {
                channel.write(ByteBuffer.allocate(100), 0);
                assertEquals(config.name(), system.cache().config().name());
            }
            try (WarmFileSystem system = WarmFileSystem.open(config, MapOptions.DEFAULT.withReadOnly(true))) {
                assertTrue(system.cache().recovery().warm());
                assertFalse(FileUtils.canWrite(name));
                assertThrows(IOException.class, () -> FileUtils.open(name, "rw"));
                try (FileChannel channel = FileUtils.open(name, "r")) {
                    assertEquals(100, channel.read(ByteBuffer.allocate(200), 0));
                }
            }
        } finally {
            PageCache.drop(config);
        }
    }

    @ParameterizedTest
    @CsvSource({"123, 123", "4k, 4096", "3M, 3145728", "2g, 2147483648", "' 1m ', 1048576"})
    void readsNumbersOfBytes(String text, long bytes) {
        assertEquals(bytes, WarmFileSystem.bytes(text));
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "m", "1t", "1.5g", "9999999999g", "one"})
    void refusesOtherNumbersOfBytes(String text) {
        assertThrows(IllegalArgumentException.class, () -> WarmFileSystem.bytes(text));
    }

    /** Connects to the URL given, says what came of it, and waits to be killed. */
    static final class Connect {
        private Connect() {}

        public static void main(String[] args) throws IOException {
            try (Connection connection = DriverManager.getConnection(args[0])) {
                connection.createStatement().execute("create table if not exists t(x int primary key, y varchar)");
                connection.createStatement().execute("merge into t select x, repeat('y', 500)"
                        + " from system_range(1, 1000)");
                connection.createStatement().execute("checkpoint sync");
                System.out.println("connected");
                System.in.read();
            } catch (SQLException e) {
                System.out.println(e.getMessage().replace('\n', ' '));
            }
        }
    }

    @Test
    void isKnownToConnectionsBeforeAnybodyNamesIt() throws IOException {
        try (ChildJvm child = ChildJvm.start(Connect.class, "jdbc:h2:" + Warm.path(dir.resolve("db")))) {
            String told = child.line();
            assertTrue(told.contains("not installed") && told.contains("-Dwarmcache.h2.name"), told);
        }
        assertEquals(List.of(), list(dir));
        assertFalse(Files.exists(Path.of("warm:")));
    }

    @Test
    void opensItsCacheFromSystemProperties() throws Exception {
        CacheConfig config = Warm.config(16 << 20);
        String url = "jdbc:h2:" + Warm.path(dir.resolve("db"));
        List<String> options = List.of(
                "-Dwarmcache.h2.name=" + config.name(),
                "-Dwarmcache.h2.capacity=16m",
                "-Dwarmcache.h2.pageSize=4k",
                "-Dwarmcache.h2.policy=write-through",
                "-Dwarmcache.h2.ioMode=buffered",
                "-Dwarmcache.h2.doubt=drop");
        try {
            try (ChildJvm child = ChildJvm.start(options, Connect.class, url)) {
                assertEquals("connected", child.line());
                child.kill();
                assertNull(child.line());
            }
            try (ChildJvm child = ChildJvm.start(options, Connect.class, url)) {
                assertEquals("connected", child.line());
                child.send("");
                assertEquals(0, child.waitFor(), "a cache that nobody closes keeps no process");
            }
            try (PageCache cache = PageCache.open(config)) {
                assertTrue(cache.recovery().warm(), cache.recovery().coldReason());
                assertTrue(cache.recovery().found() > 0, cache.recovery().toString());
            }
        } finally {
            PageCache.drop(config);
        }
    }

    private static List<Path> list(Path dir) throws IOException {
        try (var entries = Files.list(dir)) {
            return entries.toList();
        }
    }
}
