/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.warmcache.BusyException;
import io.warmcache.MapOptions;
import io.warmcache.spi.FileVerdict.Kind;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.Pipe;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class OwnershipTest {
    private static final long CAPACITY = (long) Env.FRAMES * Env.PAGE;

    private Env env;

    @BeforeEach
    void open() throws Exception {
        env = new Env();
    }

    @AfterEach
    void close() throws Exception {
        env.close();
    }

    private String tryInChild() throws Exception {
        return Child.outcome(Child.start("try", env.segment().toString(), String.valueOf(CAPACITY)));
    }

    @Test
    void aSecondCacheIsToldWhoOwnsIt() throws Exception {
        ShmBackend b = env.attach();
        long me = ProcessHandle.current().pid();
        BusyException here = assertThrows(BusyException.class, () -> env.attach());
        assertTrue(here.getMessage().contains("this process (pid " + me + ")"), here.getMessage());
        String there = tryInChild();
        assertTrue(there.startsWith("busy: " + env.segment() + " is in use by process " + me), there);
        b.close();
        assertEquals("warm", tryInChild());
    }

    @Test
    void anotherDescriptorOpenedAndClosedInTheOwnerLeavesItTheOwner() throws Exception {
        ShmBackend b = env.attach();
        assertNotEquals(0, Files.readAllBytes(env.segment()).length);
        try (FileChannel c =
                FileChannel.open(env.segment(), StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            assertTrue(c.isOpen());
        }
        assertTrue(tryInChild().startsWith("busy: "));
        b.close();
    }

    @Test
    void aSecondClassLoaderIsAnOrdinarySecondCache() throws Exception {
        ShmBackend b = env.attach();
        URL[] urls = new URL[Child.classPathEntries().size()];
        for (int i = 0; i < urls.length; i++) {
            urls[i] = Child.classPathEntries().get(i).toUri().toURL();
        }
        try (URLClassLoader loader = new URLClassLoader(urls, ClassLoader.getPlatformClassLoader())) {
            Class<?> other = loader.loadClass(Child.class.getName());
            assertNotEquals(Child.class, other);
            var attach = other.getMethod("tryAttach", String.class, long.class);
            String outcome = (String) attach.invoke(null, env.segment().toString(), CAPACITY);
            assertTrue(outcome.startsWith("busy: "), outcome);
            // Nor did its attempt cost the owner the lock.
            assertTrue(tryInChild().startsWith("busy: "));
            b.close();
            assertEquals("warm", attach.invoke(null, env.segment().toString(), CAPACITY));
        }
    }

    @Test
    void anUnlinkedSegmentIsReplacedWithoutHarmToEither() throws Exception {
        ShmBackend old = env.attach();
        Files.delete(env.segment());
        ShmBackend b = env.attach();
        assertFalse(b.attachReport().warm());
        old.memory().fill((byte) 1);
        old.drop();
        assertTrue(Files.exists(env.segment()), "the new segment is not the dropped one's to remove");
        assertTrue(tryInChild().startsWith("busy: "));
        b.close();
        assertEquals("warm", tryInChild());
    }

    @Test
    void whoWaitsForAnUnlinkedSegmentGetsTheOneOfTheName() throws Exception {
        ShmBackend old = env.attach();
        CompletableFuture<ShmBackend> waiting = CompletableFuture.supplyAsync(() -> {
            try {
                return env.attach(env.config().withOwnerWait(Duration.ofSeconds(20)));
            } catch (java.io.IOException e) {
                throw new java.io.UncheckedIOException(e);
            }
        });
        Object inode = Files.getAttribute(env.segment(), "unix:ino");
        Env.await("a second descriptor of the segment", () -> descriptors(env.segment()) == 2);
        Files.delete(env.segment());
        old.close();
        ShmBackend b = waiting.get(20, TimeUnit.SECONDS);
        assertFalse(b.attachReport().warm());
        assertNotEquals(inode, Files.getAttribute(env.segment(), "unix:ino"));
        assertTrue(b.attachReport().ownerWaitNanos() > 0);
        assertTrue(tryInChild().startsWith("busy: "));
    }

    private static int descriptors(Path file) {
        int n = 0;
        try (var fds = Files.list(Path.of("/proc/self/fd"))) {
            for (Path fd : fds.toList()) {
                try {
                    n += Files.readSymbolicLink(fd).equals(file) ? 1 : 0;
                } catch (java.io.IOException e) {
                    // Closed since it was listed.
                    n += 0;
                }
            }
        } catch (java.io.IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
        return n;
    }

    @Test
    void aRestartNeedNotWaitForTheDeadProcess() throws Exception {
        Path segment = env.segments.resolve("large");
        long capacity = 256L << 20;
        Process child = Child.start("hold", segment.toString(), String.valueOf(capacity));
        Child.awaitLine(child, "attached");
        child.destroyForcibly();
        ShmBackend b = env.attach(Env.config(segment).withOwnerWait(Duration.ofSeconds(20)));
        assertTrue(b.attachReport().warm(), b.attachReport().coldReason());
        assertEquals(capacity / Env.PAGE, b.frames());
        b.drop();
        child.waitFor();
    }

    @Test
    void aStoreMappedByAnotherCacheIsRefused() throws Exception {
        Path file = env.file("data", new byte[100]);
        ShmBackend b = env.attach();
        ShmFile f = Env.map(b, file, MapOptions.DEFAULT);
        ShmBackend c = env.attach(Env.config(env.segments.resolve("other")));
        BusyException e = assertThrows(BusyException.class, () -> c.openStore(file, MapOptions.DEFAULT));
        assertTrue(e.getMessage().contains("pid " + ProcessHandle.current().pid()), e.getMessage());
        f.close();
        ShmFile g = Env.map(c, file, MapOptions.DEFAULT);
        assertEquals(Kind.NEW, g.verdict().kind());
        g.close();
    }

    /**
     * The lock belongs to the open file, which somebody else keeps after the death of who took it, as the kernel does
     * until the reads of a dead process have ended.
     */
    private static Process lockedByTheDead(Path file) throws Exception {
        assumeTrue(Files.isExecutable(Path.of("/usr/bin/flock")), "no flock, which takes a lock and ends");
        Process keeper = new ProcessBuilder(
                        "bash",
                        "-c",
                        "exec 9<>\"$1\" && /usr/bin/flock -x 9 && echo locked && read -r _",
                        "bash",
                        file.toString())
                .redirectError(ProcessBuilder.Redirect.INHERIT)
                .start();
        assertEquals("locked", keeper.inputReader().readLine());
        return keeper;
    }

    @Test
    void aFileWhoseOwnerIsDeadIsWaitedForWhileItIsLocked() throws Exception {
        Path file = env.file("data", new byte[100]);
        Process keeper = lockedByTheDead(file);
        try {
            FutureTask<Boolean> open = new FutureTask<>(() -> {
                FileStore.open(file, MapOptions.DEFAULT, TimeUnit.MINUTES.toNanos(2)).close();
                return Thread.interrupted();
            });
            Thread opener = new Thread(open, "opener");
            opener.start();
            Env.await("a wait", () -> opener.getState() == Thread.State.TIMED_WAITING || open.isDone());
            assertFalse(open.isDone());
            opener.interrupt();
            keeper.getOutputStream().close();
            assertTrue(open.get(60, TimeUnit.SECONDS), "the interrupt is pending");
        } finally {
            keeper.destroyForcibly();
        }
    }

    @Test
    void aFileThatStaysLockedByADeadProcessIsRefusedInTheEnd() throws Exception {
        Path file = env.file("data", new byte[100]);
        Process keeper = lockedByTheDead(file);
        try {
            long began = System.nanoTime();
            assertThrows(BusyException.class, () -> FileStore.open(file, MapOptions.DEFAULT, 100_000_000));
            assertTrue(System.nanoTime() - began >= 10_000_000, "was not waited for");
        } finally {
            keeper.destroyForcibly();
        }
    }

    /** As a read of the kernel's into a frame would: a successor that got the lock would find its bytes change. */
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void memoryThatCannotBeUnmappedKeepsItsLock(boolean abandoned) throws Exception {
        ShmBackend b = env.attach();
        Pipe pipe = Pipe.open();
        FutureTask<Integer> read = new FutureTask<>(
                () -> pipe.source().read(b.memory().asSlice(0, Env.PAGE).asByteBuffer()));
        Thread reader = new Thread(read, "reader");
        reader.start();
        Env.await(
                "a read of the kernel's",
                () -> Arrays.stream(reader.getStackTrace())
                        .anyMatch(each -> each.getMethodName().startsWith("read") && each.isNativeMethod()));
        if (abandoned) {
            assertThrows(IllegalStateException.class, b::abandon);
        } else {
            assertThrows(IllegalStateException.class, b::close);
        }
        assertThrows(BusyException.class, env::attach);
        pipe.sink().write(ByteBuffer.wrap(new byte[] {7}));
        assertEquals(1, read.get(60, TimeUnit.SECONDS));
        pipe.sink().close();
        pipe.source().close();
        assertThrows(BusyException.class, env::attach, "it was not unmapped");
    }

    @Test
    void aFileOfALivingProcessIsRefusedAtOnce() throws Exception {
        Path file = env.file("data", new byte[100]);
        FileStore mine = FileStore.open(file, MapOptions.DEFAULT);
        assertThrows(
                BusyException.class, () -> FileStore.open(file, MapOptions.DEFAULT, TimeUnit.DAYS.toNanos(1)));
        mine.close();
    }

    @Test
    void anEnginesOwnLockOnTheFileSurvivesIdentifyMappingAndRefusal() throws Exception {
        Path file = env.file("data", new byte[100]);
        ShmBackend b = env.attach();
        ShmBackend c = env.attach(Env.config(env.segments.resolve("other")));
        try (FileChannel engine = FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE);
                FileLock lock = engine.lock()) {
            assertTrue(lock.isValid());
            ShmFile f = Env.map(b, file, MapOptions.DEFAULT);
            f.fill(0, Env.ints(0), 1, 100, 0);
            assertEquals(b.identify(file, MapOptions.DEFAULT), f.store().id());
            assertThrows(BusyException.class, () -> c.openStore(file, MapOptions.DEFAULT));
            assertTrue(posixLocked(file), "the engine's lock is gone");
            assertThrows(BusyException.class, () -> c.openStore(file, MapOptions.DEFAULT));
            assertEquals(1, RefusedFiles.count(), "descriptors kept of a file refused twice");
            f.close();
            assertEquals(0, RefusedFiles.count(), "descriptors kept of a file that its owner has closed");
        }
    }

    @Test
    void moreFilesThanTheProcessMayHaveOpenAreRefusedWithTheMend() throws Exception {
        Process child = Child.startUnder(
                List.of("bash", "-c", "ulimit -n 160 && exec \"$@\"", "bash"),
                List.of("--enable-native-access=ALL-UNNAMED"),
                "mapAll",
                env.segment().toString(),
                env.data.toString(),
                "300");
        String refusal = Child.outcome(child);
        assertTrue(refusal.contains("file-") && refusal.contains("ulimit -n"), refusal);
    }

    private static boolean posixLocked(Path file) throws Exception {
        String inode = Files.getAttribute(file, "unix:ino").toString();
        List<String> lines = Files.readAllLines(Path.of("/proc/locks"));
        return lines.stream().anyMatch(l -> l.contains("POSIX") && l.contains(":" + inode + " "));
    }

    @Test
    void dropWipesUnderTheLockAndRemoves() throws Exception {
        ShmBackend b = env.attach();
        ShmProvider provider = new ShmProvider();
        assertThrows(BusyException.class, () -> provider.drop(Env.backendConfig(env.config())));
        b.memory().fill((byte) 1);
        b.close();
        try (FileChannel evidence = FileChannel.open(env.segment(), StandardOpenOption.READ)) {
            assertTrue(provider.drop(Env.backendConfig(env.config())));
            assertFalse(Files.exists(env.segment()));
            ByteBuffer left = ByteBuffer.allocate((int) evidence.size());
            assertEquals(left.capacity(), evidence.read(left, 0));
            for (byte x : left.array()) {
                assertEquals(0, x);
            }
        }
        assertFalse(provider.drop(Env.backendConfig(env.config())));
    }
}
