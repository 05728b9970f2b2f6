/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.h2;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.BusyException;
import io.warmcache.CacheConfig;
import io.warmcache.MapOptions;
import io.warmcache.WritePolicy;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.NonWritableChannelException;
import java.nio.channels.OverlappingFileLockException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.util.List;
import java.util.Scanner;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.IntStream;
import org.h2.api.ErrorCode;
import org.h2.mvstore.DataUtils;
import org.h2.mvstore.MVStore;
import org.h2.mvstore.MVStoreException;
import org.h2.store.fs.FilePath;
import org.h2.store.fs.FileUtils;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** H2's lock of a database: what it excludes within the process and, seen from other processes, what keeps it. */
@Timeout(180)
final class WarmLockTest extends WarmFixture {
    private static ChildJvm prober;

    WarmLockTest() {
        super(4 << 20);
    }

    @Override
    @AfterEach
    void close() throws IOException {
        super.close();
        if (prober != null) {
            prober.close();
            prober = null;
        }
    }

    /** Another process, which says of each file named to it whether it can have an exclusive lock on it. */
    static final class Prober {
        private Prober() {}

        public static void main(String[] args) throws IOException {
            try (Scanner in = new Scanner(System.in, StandardCharsets.UTF_8)) {
                while (in.hasNextLine()) {
                    boolean free;
                    try (FileChannel channel = FileChannel.open(
                                    Path.of(in.nextLine()), StandardOpenOption.READ, StandardOpenOption.WRITE);
                            FileLock lock = channel.tryLock()) {
                        free = lock != null;
                    }
                    System.out.println(free ? "free" : "locked");
                }
            }
        }
    }

    private String probe(Path path) throws IOException {
        if (prober == null) {
            prober = ChildJvm.start(Prober.class);
        }
        prober.send(path.toString());
        return prober.line();
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "warm:"})
    void excludesWithinTheProcessWhatAPlainFileExcludes(String scheme) throws IOException {
        Files.createFile(file);
        try (FileChannel first = FileUtils.open(scheme + file, "rw");
                FileChannel second = FileUtils.open(scheme + file, "rw");
                FileChannel reader = FileUtils.open(scheme + file, "r")) {
            FileLock lock = first.tryLock();
            assertTrue(lock.isValid());
            assertFalse(lock.isShared());
            assertEquals(first, lock.acquiredBy());
            assertEquals(Long.MAX_VALUE, lock.size());
            assertThrows(OverlappingFileLockException.class, first::tryLock);
            assertThrows(OverlappingFileLockException.class, second::tryLock);
            assertThrows(OverlappingFileLockException.class, () -> second.tryLock(5, 1, true));
            lock.release();
            lock.release();
            assertFalse(lock.isValid());
            FileLock left = first.tryLock(0, 10, false);
            FileLock right = second.tryLock(10, 10, false);
            assertTrue(left.isValid() && right.isValid());
            first.close();
            assertFalse(left.isValid());
            assertThrows(ClosedChannelException.class, left::release);
            assertTrue(right.isValid());
            assertThrows(NonWritableChannelException.class, reader::tryLock);
            FileLock shared = reader.tryLock(0, 10, true);
            assertTrue(shared.isShared());
            assertThrows(OverlappingFileLockException.class, () -> second.tryLock(0, 10, true));
        }
    }

    @Test
    void holdsAgainstOtherProcessesWhateverIsOpenedAndClosedHere() throws IOException {
        Path link = dir.resolve("link");
        FileChannel channel = FileUtils.open(name, "rw");
        channel.write(ByteBuffer.allocate(50_000), 0);
        assertEquals("free", probe(file));
        FileLock lock = channel.tryLock();
        assertEquals("locked", probe(file));
        Files.createLink(link, file);
        FileUtils.open(name, "rw").close();
        FileUtils.open(Warm.path(link), "r").close();
        FileUtils.size(name);
        FileUtils.canWrite(name);
        FileUtils.lastModified(name);
        FileUtils.exists(name);
        FileUtils.toRealPath(name);
        FileUtils.setReadOnly(Warm.path(link));
        FileUtils.newDirectoryStream(Warm.path(dir));
        assertFalse(FilePath.get(name).createFile());
        try (InputStream in = FileUtils.newInputStream(name)) {
            in.transferTo(new ByteArrayOutputStream());
        }
        try (FileChannel other = FileUtils.open(name, "rw")) {
            assertThrows(OverlappingFileLockException.class, other::tryLock);
            other.truncate(10);
        }
        FileUtils.move(Warm.path(link), Warm.path(dir.resolve("link2")));
        FileUtils.delete(Warm.path(dir.resolve("link2")));
        assertEquals("locked", probe(file));
        assertTrue(lock.isValid());
        lock.release();
        assertEquals("free", probe(file));
        assertNotNull(channel.tryLock());
        assertEquals("locked", probe(file));
        channel.close();
        assertEquals("free", probe(file));
    }

    @Test
    void isNotLostWhileOthersOpenAndCloseTheSameFile() throws Exception {
        Files.write(file, new byte[10_000]);
        AtomicBoolean stop = new AtomicBoolean();
        try (ExecutorService pool = Executors.newFixedThreadPool(3)) {
            List<Future<Void>> others = IntStream.range(0, 2)
                    .mapToObj(i -> (Callable<Void>) () -> {
                        while (!stop.get()) {
                            FileUtils.open(name, i == 0 ? "rw" : "r").close();
                        }
                        return null;
                    })
                    .map(pool::submit)
                    .toList();
            try {
                for (int i = 0; i < 200; i++) {
                    try (FileChannel channel = FileUtils.open(name, "rw")) {
                        FileLock lock = channel.tryLock();
                        assertEquals("locked", probe(file), "round " + i);
                        lock.release();
                    }
                }
            } finally {
                stop.set(true);
            }
            for (Future<Void> other : others) {
                other.get();
            }
        }
    }

    @Test
    void isTakenWhereTheFileHasMovedAndRefusedWhereItHasGone() throws IOException {
        try (FileChannel channel = FileUtils.open(name, "rw")) {
            FileUtils.move(name, name + "2");
            channel.tryLock();
            assertEquals("locked", probe(Path.of(file + "2")));
        }
        try (FileChannel channel = FileUtils.open(name, "rw")) {
            Files.delete(file);
            assertThrows(IOException.class, channel::tryLock);
            Files.createFile(file);
            IOException told = assertThrows(IOException.class, channel::tryLock);
            assertTrue(told.getMessage().contains("deleted or replaced"), told.getMessage());
        }
    }

    @Test
    void survivesAnInterrupt() throws IOException {
        try (FileChannel channel = FileUtils.open(name, "rw")) {
            Thread.currentThread().interrupt();
            channel.tryLock();
            assertTrue(Thread.interrupted());
            assertEquals("locked", probe(file));
        }
    }

    @Test
    void isGivenUpOnlyAfterAWriteBackFileIsWritten() throws IOException {
        warm.close();
        warm = Warm.of(Warm.config(4 << 20), MapOptions.DEFAULT.withPolicy(WritePolicy.WRITE_BACK));
        try (FileChannel channel = FileUtils.open(name, "rw")) {
            FileLock lock = channel.tryLock();
            channel.write(ByteBuffer.wrap("written".getBytes(StandardCharsets.US_ASCII)), 5_000);
            lock.release();
            assertEquals(5_007, Files.size(file));
            assertEquals("written", new String(
                    Files.readAllBytes(file), 5_000, 7, StandardCharsets.US_ASCII));
        }
    }

    @Test
    void keepsAnMvStoreToOneOpener() throws IOException {
        try (MVStore store = MVStore.open(name)) {
            store.openMap("m").put(1, "one");
            store.commit();
            for (String alias : List.of(name, Warm.path(Files.createSymbolicLink(dir.resolve("s"), file)))) {
                MVStoreException told = assertThrows(MVStoreException.class, () -> MVStore.open(alias));
                assertEquals(DataUtils.ERROR_FILE_LOCKED, told.getErrorCode());
            }
            assertEquals("locked", probe(file));
            assertEquals("one", store.openMap("m").get(1));
        }
        try (MVStore store = MVStore.open(name)) {
            assertEquals("one", store.openMap("m").get(1));
        }
        assertEquals("free", probe(file));
    }

    /** Opens the database given and says so, or says the error's code; keeps it until it is told to stop. */
    static final class Opener {
        private Opener() {}

        public static void main(String[] args) throws IOException {
            WarmFileSystem system = args.length > 1
                    ? WarmFileSystem.open(CacheConfig.of(args[1], 4 << 20), MapOptions.DEFAULT)
                    : null;
            try (Connection connection = DriverManager.getConnection(args[0])) {
                System.out.println("open");
                System.in.read();
            } catch (SQLException e) {
                System.out.println(e.getErrorCode());
            } finally {
                if (system != null) {
                    system.cache().drop();
                }
            }
        }
    }

    private static final String IN_USE = Integer.toString(ErrorCode.DATABASE_ALREADY_OPEN_1);

    @Test
    void keepsPlainH2OfAnotherProcessOutAndIsKeptOutByIt() throws Exception {
        String url = "jdbc:h2:" + Warm.path(dir.resolve("db"));
        String plain = "jdbc:h2:" + dir.resolve("db");
        try (Connection connection = DriverManager.getConnection(url)) {
            connection.createStatement().execute("create table t(x int)");
            try (ChildJvm child = ChildJvm.start(Opener.class, plain)) {
                assertEquals(IN_USE, child.line());
            }
            connection.createStatement().execute("insert into t values 1");
        }
        try (ChildJvm child = ChildJvm.start(Opener.class, plain)) {
            assertEquals("open", child.line());
            assertInUse(url);
            child.kill();
        }
        try (Connection connection = DriverManager.getConnection(url)) {
            var rows = connection.createStatement().executeQuery("select count(*) from t");
            assertTrue(rows.next());
            assertEquals(1, rows.getInt(1));
        }
    }

    @Test
    void keepsAnotherCacheOfAnotherProcessOutAndIsKeptOutByIt() throws Exception {
        String url = "jdbc:h2:" + Warm.path(dir.resolve("db"));
        String other = Warm.config(1 << 20).name();
        try (Connection connection = DriverManager.getConnection(url)) {
            connection.createStatement().execute("create table t(x int)");
            try (ChildJvm child = ChildJvm.start(Opener.class, url, other)) {
                assertEquals(IN_USE, child.line());
            }
        }
        try (ChildJvm child = ChildJvm.start(Opener.class, url, other)) {
            assertEquals("open", child.line());
            assertInUse(url);
            child.send("");
            assertEquals(0, child.waitFor());
        }
        DriverManager.getConnection(url).close();
    }

    @Test
    void aStoreThatIsBusyIsADatabaseInUse() throws IOException {
        Intercepted cache = warm.intercept();
        cache.before(method -> {
            if (method.equals("map")) {
                throw new BusyException("process 4711 has the file mapped");
            }
        });
        SQLException told = assertInUse("jdbc:h2:" + Warm.path(dir.resolve("db")));
        assertTrue(told.getCause().toString().contains("4711"), told.getCause().toString());
    }

    private static SQLException assertInUse(String url) {
        SQLException told = assertThrows(SQLException.class, () -> DriverManager.getConnection(url).close());
        assertEquals(ErrorCode.DATABASE_ALREADY_OPEN_1, told.getErrorCode(), told.toString());
        return told;
    }
}
