/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.MapOptions;
import io.warmcache.StoreVersion;
import io.warmcache.spi.FileVerdict;
import io.warmcache.spi.FileVerdict.Kind;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Arrays;
import java.util.UUID;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What the plain-file gate says after things were done to a file while nobody had it mapped. */
class GateTest {
    private static final int PAGE = Env.PAGE;
    private static final int SIZE = 6 * PAGE;
    /** Longer than a clock tick, so that the next change is stamped later. */
    private static final long TICK = 25_000_000;

    private Env env;
    private Path file;
    private byte[] content;

    @BeforeEach
    void open() throws Exception {
        env = new Env();
        content = Env.random(20, SIZE);
        file = env.file("data", content);
        Env.pass(TICK);
    }

    @AfterEach
    void close() throws Exception {
        env.close();
    }

    private interface Action {
        void run() throws IOException;
    }

    private void mapAndDie(boolean write, boolean settle) throws IOException {
        Files.deleteIfExists(env.segment());
        ShmBackend b = env.attach();
        ShmFile f = Env.map(b, file, MapOptions.DEFAULT);
        f.fill(0, Env.ints(0, 1, 2), 3, SIZE, 0);
        if (write) {
            for (int i = 0; i < 3; i++) {
                b.markDirty(i);
                b.memory().asSlice((long) i * PAGE, 100).fill((byte) (i + 1));
                f.writeBack(i, Env.ints(i), Env.ints(1), 1, SIZE);
            }
        }
        if (settle) {
            Env.pass(TICK);
            f.settle();
        }
        content = Files.readAllBytes(file);
        Env.kill(b, f);
    }

    /** Maps the file, settled, does something to it while it is mapped, closes it in order, and maps it again. */
    private FileVerdict mapped(Action action) throws IOException {
        ShmBackend b = env.attach();
        ShmFile f = Env.map(b, file, MapOptions.DEFAULT);
        b.release(0);
        f.fill(0, Env.ints(0), 1, SIZE, 0);
        b.markDirty(0);
        f.writeBack(0, Env.ints(0), Env.ints(1), 1, SIZE);
        Env.pass(TICK);
        f.settle();
        Env.pass(TICK);
        action.run();
        f.close();
        b.close();
        return verdict();
    }

    /** As a database does that compacts into another file and renames that. */
    @Test
    void aFileRenamedWhileMappedIsTheSame() throws Exception {
        Path renamed = env.data.resolve("renamed");
        assertEquals(Kind.SAME, mapped(() -> {
            Files.move(file, renamed);
            file = renamed;
        }).kind());
        assertEquals(Kind.SAME, mapped(() -> {
            Files.createLink(env.data.resolve("link"), file);
            Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-------"));
        }).kind());
    }

    /** Its change time moves, and nothing tells that from a change whose modification time was put back. */
    @Test
    void aFileRenamedWhileDownIsDropped() throws Exception {
        FileVerdict verdict = after(true, true, () -> {
            Files.move(file, env.data.resolve("renamed"));
            file = env.data.resolve("renamed");
        });
        assertEquals(Kind.CHANGED, verdict.kind());
        assertTrue(verdict.detail().contains("change time"), verdict.detail());
    }

    @Test
    void aFileThatAnotherProgramWroteWhileMappedIsDropped() throws Exception {
        assertEquals(Kind.CHANGED, mapped(() -> poke(PAGE + 7)).kind());
    }

    private FileVerdict verdict() throws IOException {
        ShmBackend b = env.attach();
        ShmFile f = Env.open(b, file, MapOptions.DEFAULT);
        FileVerdict v = f.verdict();
        f.close();
        b.close();
        return v;
    }

    private FileVerdict after(boolean write, boolean settle, Action action) throws IOException {
        mapAndDie(write, settle);
        Env.pass(TICK);
        action.run();
        return verdict();
    }

    private void poke(long at) throws IOException {
        try (RandomAccessFile f = new RandomAccessFile(file.toFile(), "rw")) {
            f.seek(at);
            int old = f.read();
            f.seek(at);
            f.write(old ^ 1);
        }
    }

    @Test
    void anUntouchedFileIsTheSame() throws Exception {
        assertEquals(Kind.SAME, after(false, true, () -> {}).kind());
    }

    @Test
    void aFileWrittenSettledAndUntouchedIsTheSame() throws Exception {
        assertEquals(Kind.SAME, after(true, true, () -> {}).kind());
    }

    @Test
    void aFileReadWhileDownIsTheSame() throws Exception {
        assertEquals(Kind.SAME, after(true, true, () -> Files.readAllBytes(file)).kind());
    }

    @Test
    void aFileOfADeadWriterIsProbedByWhatWasWrittenLast() throws Exception {
        FileVerdict v = after(true, false, () -> {});
        assertEquals(Kind.PROBE, v.kind(), v.detail());
        assertArrayEquals(new long[] {0, 2, 4}, Arrays.stream(v.canaryBlocks()).sorted().toArray());
        ShmBackend b = env.attach();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment block = arena.allocate(4096, 8);
            for (int i = 0; i < 3; i++) {
                int from = (int) v.canaryBlocks()[i] * 4096;
                block.copyFrom(MemorySegment.ofArray(Arrays.copyOfRange(content, from, from + 4096)));
                assertEquals(
                        b.checksum().block(block, 0, b.incarnation(), 1, v.canaryBlocks()[i], 0, 0),
                        v.canaryChecksums()[i]);
            }
        }
    }

    /** The ring has no checksum: found by examples/fuzz, as an error of the read of such a block. */
    @Test
    void aRingWithBlocksThatNoFileHasIsDamaged() throws Exception {
        for (long block : new long[] {-2, Long.MIN_VALUE, Long.MAX_VALUE, 1L << 51, 1L << 60, 1L << 40}) {
            mapAndDie(true, false);
            byte[] segment = Files.readAllBytes(env.segment());
            int ring = (int) Geometry.TABLE_OFFSET + 1024;
            ByteBuffer.wrap(segment).order(ByteOrder.LITTLE_ENDIAN).putLong(ring + 16, block);
            Files.write(env.segment(), segment);
            FileVerdict v = verdict();
            assertEquals(Kind.CHANGED, v.kind(), block + ": " + v.detail());
            assertTrue(v.detail().contains("damaged"), v.detail());
        }
    }

    @Test
    void aChangeInPlaceWithItsTimePutBackIsSeen() throws Exception {
        for (boolean write : new boolean[] {false, true}) {
            for (boolean settle : new boolean[] {true, false}) {
                FileVerdict v = after(write, settle, () -> {
                    FileTime mtime = Files.getLastModifiedTime(file);
                    poke(5000);
                    Files.setLastModifiedTime(file, mtime);
                    assertEquals(mtime, Files.getLastModifiedTime(file));
                });
                assertEquals(Kind.CHANGED, v.kind(), v.detail());
            }
        }
    }

    @Test
    void aChangeInPlaceAfterTheDeathIsSeen() throws Exception {
        assertEquals(Kind.CHANGED, after(false, true, () -> poke(5000)).kind());
        FileVerdict v = after(true, false, () -> {
            Env.pass(60_000_000);
            poke(5000);
        });
        assertEquals(Kind.CHANGED, v.kind(), v.detail());
    }

    @Test
    void aFileTruncatedOrExtendedIsSeen() throws Exception {
        for (boolean settle : new boolean[] {true, false}) {
            for (long size : new long[] {SIZE - 1, 0, SIZE + 1, SIZE + PAGE}) {
                Files.write(file, content);
                FileVerdict v = after(true, settle, () -> {
                    try (RandomAccessFile f = new RandomAccessFile(file.toFile(), "rw")) {
                        f.setLength(size);
                    }
                });
                assertEquals(Kind.CHANGED, v.kind(), v.detail());
            }
        }
    }

    @Test
    void aFileReplacedByRenameIsAnother() throws Exception {
        FileVerdict v = after(true, true, () -> {
            Path other = Files.write(env.data.resolve("other"), content);
            Files.setLastModifiedTime(other, Files.getLastModifiedTime(file));
            Files.move(other, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        });
        assertEquals(Kind.NEW, v.kind(), v.detail());
    }

    @Test
    void aFileDeletedAndCreatedAgainIsAnother() throws Exception {
        for (boolean settle : new boolean[] {true, false}) {
            Object inode = Files.getAttribute(file, "unix:ino");
            FileVerdict v = after(true, settle, () -> {
                FileTime mtime = Files.getLastModifiedTime(file);
                Files.delete(file);
                Files.write(file, content);
                Files.setLastModifiedTime(file, mtime);
            });
            System.out.println("inode " + inode + ", then " + Files.getAttribute(file, "unix:ino"));
            assertEquals(Kind.NEW, v.kind(), v.detail());
        }
    }

    @Test
    void aFileRestoredFromACopyIsSeen() throws Exception {
        Path backup = Files.copy(file, env.data.resolve("backup"));
        for (boolean settle : new boolean[] {true, false}) {
            FileVerdict inPlace = after(true, settle, () -> {
                Env.pass(60_000_000);
                try (var out = Files.newOutputStream(file, java.nio.file.StandardOpenOption.WRITE)) {
                    Files.copy(backup, out);
                }
            });
            assertEquals(Kind.CHANGED, inPlace.kind(), inPlace.detail());
            FileVerdict preserved = after(true, settle, () -> Files.copy(
                    backup, file, StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.COPY_ATTRIBUTES));
            assertNotEquals(Kind.SAME, preserved.kind(), preserved.detail());
            assertNotEquals(Kind.PROBE, preserved.kind(), preserved.detail());
        }
    }

    @Test
    void aFileMappedOrSettledRightAfterAChangeIsNotTakenForSettled() throws Exception {
        ShmBackend b = env.attach();
        // Mapping may take longer than a tick, but not every time.
        Env.await("a mapping within a tick of a change", () -> {
            try {
                poke(1);
                ShmFile f = Env.open(b, file, MapOptions.DEFAULT);
                f.accept();
                f.store().close();
                b.fileClosed(f);
                ShmFile again = Env.open(b, file, MapOptions.DEFAULT);
                again.close();
                return again.verdict().kind() == Kind.PROBE;
            } catch (IOException e) {
                throw new java.io.UncheckedIOException(e);
            }
        });
        Env.pass(TICK);
        ShmFile f = Env.map(b, file, MapOptions.DEFAULT);
        f.fill(0, Env.ints(0), 1, SIZE, 0);
        write(b, f, 0);
        f.settle();
        Env.kill(b, f);
        assertEquals(Kind.PROBE, verdict().kind(), "settled within the tick of the write");
    }

    @Test
    void aChangeWhileTheFileIsBeingMappedIsAnError() throws Exception {
        ShmBackend b = env.attach();
        ShmFile f = Env.open(b, file, MapOptions.DEFAULT);
        poke(1);
        f.force();
        IOException e = assertThrows(IOException.class, f::accept);
        assertTrue(e.getMessage().contains("while it was being mapped"), e.getMessage());
        f.close();
        b.close();
        assertEquals(Kind.CHANGED, verdict().kind());
    }

    @Test
    void anotherGenerationOfTheInodeIsAnotherFile() throws Exception {
        ShmBackend b = env.attach();
        ShmFile f = Env.map(b, file, MapOptions.DEFAULT);
        f.close();
        ShmFile same = Env.open(b, file, MapOptions.DEFAULT);
        assertEquals(Kind.SAME, same.verdict().kind());
        same.close();
        long slot = b.geometry().slot(f.slot());
        StoreJournal.create(
                b.segment(), slot, b.incarnation(), 1, f.store().id(), StoreJournal.KIND_FILE, 12345, "data");
        FileStat stat = Libc.stat(file.toString(), true);
        new StoreJournal(b.segment(), slot, b.incarnation(), null)
                .accept(
                        version(stat.size(), stat.mtime(), stat.ctime()),
                        true,
                        true,
                        1,
                        Libc.clockOffset(),
                        BootId.current(),
                        1);
        ShmFile other = Env.open(b, file, MapOptions.DEFAULT);
        assertEquals(Kind.CHANGED, other.verdict().kind());
        other.close();
    }

    /** What the gate would say of the mapped file had the operating system just been restarted. */
    private FileVerdict afterReboot(ShmBackend b, ShmFile f) throws IOException {
        StoreJournal journal = new StoreJournal(b.segment(), b.geometry().slot(f.slot()), b.incarnation(), null);
        FileStat stat = Libc.stat(file.toString(), true);
        return StoreGate.ofFile(
                journal.snapshot(true), version(stat.size(), stat.mtime(), stat.ctime()), 0, new UUID(3, 3));
    }

    private static void write(ShmBackend b, ShmFile f, int page) throws IOException {
        b.markDirty(page);
        b.memory().set(java.lang.foreign.ValueLayout.JAVA_BYTE, (long) page * PAGE, (byte) 77);
        f.writeBack(page, Env.ints(page), Env.ints(1), 1, SIZE);
    }

    @Test
    void theForcedVersionAndTheForcedBlocksAreWhatARebootLeaves() throws Exception {
        ShmBackend b = env.attach();
        ShmFile f = Env.open(b, file, MapOptions.DEFAULT);
        f.accept();
        f.fill(0, Env.ints(0, 1, 2, 3), 4, SIZE, 0);
        assertEquals(Kind.CHANGED, afterReboot(b, f).kind(), "never forced");
        write(b, f, 0);
        write(b, f, 1);
        f.force();
        FileVerdict forced = afterReboot(b, f);
        assertEquals(Kind.PROBE, forced.kind(), forced.detail());
        assertArrayEquals(new long[] {0, 2}, Arrays.stream(forced.canaryBlocks()).sorted().toArray());
        write(b, f, 1);
        write(b, f, 2);
        FileVerdict since = afterReboot(b, f);
        assertEquals(Kind.PROBE, since.kind(), since.detail());
        assertArrayEquals(new long[] {0}, since.canaryBlocks(), "what was not forced is not compared");
        f.force();
        Env.pass(TICK);
        f.settle();
        assertEquals(Kind.SAME, afterReboot(b, f).kind());
        Env.pass(60_000_000);
        poke(5000);
        assertEquals(Kind.CHANGED, afterReboot(b, f).kind());
        f.close();
    }

    @Test
    void linksAndSymlinksAreTheSameFileAndTouchNoDescriptorToTell() throws Exception {
        ShmBackend b = env.attach();
        Path hard = Files.createLink(env.data.resolve("hard"), file);
        Path soft = Files.createSymbolicLink(env.data.resolve("soft"), file);
        assertEquals(b.identify(file, MapOptions.DEFAULT), b.identify(hard, MapOptions.DEFAULT));
        assertEquals(b.identify(file, MapOptions.DEFAULT), b.identify(soft, MapOptions.DEFAULT));
        ShmFile f = Env.map(b, soft, MapOptions.DEFAULT);
        assertEquals(b.identify(file, MapOptions.DEFAULT), f.store().id());
        f.close();
        Path other = env.file("other", content);
        assertNotEquals(b.identify(file, MapOptions.DEFAULT), b.identify(other, MapOptions.DEFAULT));
    }

    // The decision by itself, at its edges

    private static final UUID BOOT = new UUID(1, 2);
    private static final long T = 1_800_000_000_000_000_000L;
    private static final long MS = 1_000_000;

    private static StoreVersion version(long size, long mtime, long ctime) {
        return new StoreVersion(StoreVersion.Strength.HEURISTIC, size, mtime, ctime);
    }

    private static StoreJournal.Snapshot open(long[] ring, int ringSize) {
        return new StoreJournal.Snapshot(
                version(100, T - 500 * MS, T - 400 * MS),
                new StoreJournal.Window(T, T + 10 * MS, 100, 200),
                StoreVersion.none(),
                StoreJournal.Window.NONE,
                7_000_000_000L,
                BOOT,
                ring,
                new long[ring.length],
                ringSize,
                false);
    }

    private static Kind judge(StoreVersion now, long offset, int compared, int ringSize) {
        return StoreGate.ofFile(open(new long[compared], ringSize), now, offset, BOOT).kind();
    }

    @Test
    void theOpenIntentWindowIsAsWideAsStampsCanStray() {
        long offset = 7_000_000_000L;
        for (long[] c : new long[][] {
            {T - 20 * MS, 1}, {T - 20 * MS - 1, 0}, {T, 1}, {T + 60 * MS, 1}, {T + 60 * MS + 1, 0}, {T - 400 * MS, 1}
        }) {
            assertEquals(c[1] == 1 ? Kind.PROBE : Kind.CHANGED, judge(version(150, c[0], c[0]), offset, 0, 0));
        }
        assertEquals(Kind.PROBE, judge(version(100, T, T), offset, 0, 0));
        assertEquals(Kind.PROBE, judge(version(200, T, T), offset, 0, 0));
        assertEquals(Kind.CHANGED, judge(version(99, T, T), offset, 0, 0));
        assertEquals(Kind.CHANGED, judge(version(201, T, T), offset, 0, 0));
        assertEquals(Kind.CHANGED, judge(version(150, T - 1, T), offset, 0, 0));
        assertEquals(Kind.PROBE, judge(version(100, T - 500 * MS, T - 400 * MS), offset, 0, 0), "not written at all");
    }

    @Test
    void aClockThatWasSetMakesTimesWorthless() {
        StoreVersion now = version(150, T, T);
        assertEquals(Kind.PROBE, judge(now, 7_999_999_999L, 0, 0));
        assertEquals(Kind.CHANGED, judge(now, 8_000_000_000L, 0, 0));
        assertEquals(Kind.CHANGED, judge(now, 6_000_000_000L, 0, 0));
    }

    @Test
    void aCanaryTooSmallIsNone() {
        StoreVersion now = version(150, T, T);
        assertEquals(Kind.PROBE, judge(now, 7_000_000_000L, 8, 64));
        assertEquals(Kind.CHANGED, judge(now, 7_000_000_000L, 7, 64));
        assertEquals(Kind.PROBE, judge(now, 7_000_000_000L, 3, 3));
        assertEquals(Kind.CHANGED, judge(now, 7_000_000_000L, 2, 3));
    }

    @Test
    void afterARebootOnlyWhatWasForcedCounts() {
        UUID later = new UUID(1, 3);
        StoreVersion token = version(100, T, T);
        StoreVersion other = version(100, T + MS, T + MS);
        StoreJournal.Window none = StoreJournal.Window.NONE;
        StoreJournal.Window window = new StoreJournal.Window(T, T + 10 * MS, 100, 100);
        assertEquals(Kind.CHANGED, rebooted(token, none, StoreVersion.none(), none, token, later));
        assertEquals(Kind.SAME, rebooted(token, none, token, none, token, later));
        assertEquals(Kind.CHANGED, rebooted(token, none, token, none, other, later));
        assertEquals(Kind.PROBE, rebooted(token, window, token, window, token, later));
        assertEquals(Kind.PROBE, rebooted(token, window, token, window, other, later));
        assertEquals(Kind.PROBE, rebooted(other, none, token, window, token, later), "settled, but not forced");
        assertEquals(Kind.CHANGED, rebooted(other, none, token, none, other, later), "never forced at that version");
        assertEquals(
                Kind.CHANGED, rebooted(token, window, token, window, version(100, T + 70 * MS, T + 70 * MS), later));
    }

    private static Kind rebooted(
            StoreVersion token,
            StoreJournal.Window window,
            StoreVersion forced,
            StoreJournal.Window forcedWindow,
            StoreVersion now,
            UUID boot) {
        return StoreGate.ofFile(
                        new StoreJournal.Snapshot(
                                token, window, forced, forcedWindow, 0, BOOT, new long[0], new long[0], 0, false),
                        now,
                        99_000_000_000L,
                        boot)
                .kind();
    }

    @Test
    void aStoreWithoutTimesAndADamagedJournalAreNeverTrusted() {
        StoreJournal.Snapshot s = open(new long[0], 0);
        assertEquals(Kind.CHANGED, StoreGate.ofFile(s, StoreVersion.none(), 7_000_000_000L, BOOT).kind());
        StoreJournal.Snapshot damaged = new StoreJournal.Snapshot(
                s.token(), s.window(), s.forced(), s.forcedWindow(), 0, BOOT, new long[0], new long[0], 0, true);
        FileVerdict v = StoreGate.ofFile(damaged, s.token(), 0, BOOT);
        assertEquals(Kind.CHANGED, v.kind());
        assertTrue(v.detail().contains("damaged"));
    }
}
