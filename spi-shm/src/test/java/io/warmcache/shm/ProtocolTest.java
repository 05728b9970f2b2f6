/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.DropReason;
import io.warmcache.IoMode;
import io.warmcache.MapOptions;
import io.warmcache.spi.FailureDomain;
import io.warmcache.spi.FileVerdict.Kind;
import io.warmcache.spi.FrameRecord;
import io.warmcache.spi.FrameState;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Arrays;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class ProtocolTest {
    private static final int PAGE = Env.PAGE;

    private Env env;

    @BeforeEach
    void open() throws Exception {
        env = new Env();
    }

    @AfterEach
    void close() throws Exception {
        env.close();
    }

    private static FrameState state(ShmBackend b, int frame) {
        FrameRecord r = new FrameRecord();
        b.readRecord(frame, r);
        return r.state;
    }

    private static byte[] frame(ShmBackend b, int frame) {
        return b.memory().asSlice((long) frame * PAGE, PAGE).toArray(ValueLayout.JAVA_BYTE);
    }

    private static void put(ShmBackend b, int frame, int offset, byte[] bytes) {
        MemorySegment.copy(bytes, 0, b.memory(), ValueLayout.JAVA_BYTE, (long) frame * PAGE + offset, bytes.length);
    }

    @Test
    void aNewSegmentIsColdAndEmpty() throws Exception {
        ShmBackend b = env.attach();
        assertFalse(b.attachReport().warm());
        assertEquals("there was no segment", b.attachReport().coldReason());
        assertEquals(Env.FRAMES, b.frames());
        assertEquals(PAGE, b.pageSize());
        assertEquals(FailureDomain.PROCESS, b.domain());
        assertEquals((long) Env.FRAMES * PAGE, b.memory().byteSize());
        assertTrue(Env.survivors(b).isEmpty());
        FileStat stat = Libc.stat(env.segment().toString(), false);
        assertTrue(stat.allocated() >= stat.size(), "every byte has its memory before it is touched");
        assertEquals("rw-------", PosixFilePermissions.toString(Files.getPosixFilePermissions(env.segment())));
    }

    @ParameterizedTest
    @EnumSource(IoMode.class)
    void fillReadsPagesZeroesTheRestAndSurvivesDeath(IoMode mode) throws Exception {
        byte[] content = Env.random(1, 3 * PAGE + 5000);
        Path p = env.file("data", content);
        // Longer than a clock tick: only then do the file's times tell that nothing changed.
        Env.pass(25_000_000);
        ShmBackend b = env.attach();
        b.memory().fill((byte) 0x55);
        ShmFile f = Env.map(b, p, MapOptions.DEFAULT.withIoMode(mode));
        assertEquals(Kind.NEW, f.verdict().kind());
        f.fill(0, Env.ints(7, 3, 9, 4, 20), 5, content.length, 0b00100);
        byte[] expected = Arrays.copyOf(content, 5 * PAGE);
        int[] frames = {7, 3, 9, 4, 20};
        for (int i = 0; i < 5; i++) {
            assertArrayEquals(Arrays.copyOfRange(expected, i * PAGE, (i + 1) * PAGE), frame(b, frames[i]), "page " + i);
        }
        b.hint(7, 0xABCD);
        long id = f.fileId();
        Env.kill(b, f);

        b = env.attach();
        assertTrue(b.attachReport().warm(), b.attachReport().coldReason());
        assertFalse(b.attachReport().cleanStop());
        assertEquals(1, b.attachReport().unfinishedAttaches());
        assertEquals(new Env.Found(FrameState.CLEAN, null, id, 0, 0xABCD), Env.survivors(b).get(7));
        assertEquals(new Env.Found(FrameState.WRITTEN, null, id, 2, 0), Env.survivors(b).get(9));
        assertEquals(5, Env.survivors(b).size());
        assertTrue(b.knowsFile(id));
        assertFalse(b.knowsFile(id + 1));
        FrameRecord r = new FrameRecord();
        assertTrue(b.readRecord(7, r));
        for (int block = 0; block < 2; block++) {
            long at = 7L * PAGE + block * 4096L;
            long sum = b.checksum().block(b.memory(), at, b.incarnation(), id, 0, block, r.generation);
            assertEquals(sum, r.checksums[block]);
        }
        f = Env.map(b, p, MapOptions.DEFAULT.withIoMode(mode));
        assertEquals(Kind.SAME, f.verdict().kind(), f.verdict().detail());
        assertEquals(id, f.fileId());
        f.close();
    }

    @Test
    void dirtyWriteBackForcedAndReleaseMoveTheState() throws Exception {
        byte[] content = Env.random(2, 4 * PAGE);
        Path p = env.file("data", content);
        ShmBackend b = env.attach();
        ShmFile f = Env.map(b, p, MapOptions.DEFAULT);
        f.fill(1, Env.ints(0, 1), 2, content.length, 0);
        assertEquals(FrameState.CLEAN, state(b, 0));
        b.forced(0);
        assertEquals(FrameState.CLEAN, state(b, 0));
        b.markDirty(0);
        assertEquals(FrameState.DIRTY, state(b, 0));
        byte[] change = Env.random(3, 100);
        put(b, 0, 4096 + 5, change);
        f.writeBack(1, Env.ints(0), Env.ints(0b10), 1, content.length);
        assertEquals(FrameState.WRITTEN, state(b, 0));
        System.arraycopy(change, 0, content, PAGE + 4096 + 5, change.length);
        assertArrayEquals(content, Files.readAllBytes(p));
        f.force();
        b.forced(0);
        assertEquals(FrameState.CLEAN, state(b, 0));
        b.release(0);
        assertEquals(FrameState.FREE, state(b, 0));
        b.forced(0);
        assertEquals(FrameState.FREE, state(b, 0));
        FrameRecord r = new FrameRecord();
        assertTrue(b.readRecord(1, r));
        assertEquals(2, r.page);
        f.close();
    }

    @Test
    void aFilledFrameCannotBeFilledAgain() throws Exception {
        Path p = env.file("data", new byte[PAGE]);
        ShmBackend b = env.attach();
        ShmFile f = Env.map(b, p, MapOptions.DEFAULT);
        f.fill(0, Env.ints(0), 1, PAGE, 0);
        assertThrows(IllegalStateException.class, () -> f.fill(1, Env.ints(0), 1, PAGE, 0));
        assertThrows(IllegalStateException.class, () -> f.blank(1, 0));
        assertThrows(IllegalStateException.class, () -> f.writeBack(0, Env.ints(0), Env.ints(1), 1, PAGE));
        assertThrows(IllegalStateException.class, () -> f.seal(0, 0, 1));
        b.markDirty(0);
        assertThrows(IllegalStateException.class, () -> f.seal(1, 0, 1));
        f.seal(0, 0, 1);
        assertThrows(IllegalStateException.class, b::close);
        f.close();
        f.close();
        assertThrows(IllegalStateException.class, () -> f.fill(0, Env.ints(5), 1, PAGE, 0));
    }

    @Test
    void aFileMappedReadOnlyIsReadAndNotWritten() throws Exception {
        Path p = env.file("data", Env.random(14, PAGE));
        ShmBackend b = env.attach();
        ShmFile f = Env.map(b, p, MapOptions.DEFAULT.withReadOnly(true));
        f.fill(0, Env.ints(0), 1, PAGE, 0);
        b.markDirty(0);
        String said = assertThrows(IOException.class, () -> f.writeBack(0, Env.ints(0), Env.ints(1), 1, PAGE))
                .getMessage();
        assertTrue(said.endsWith("is mapped read-only"), said);
        assertThrows(IOException.class, () -> f.truncate(1));
        assertEquals(FrameState.DIRTY, state(b, 0));
        f.close();
    }

    @Test
    void aFrameThatDoesNotExistIsRefused() throws Exception {
        Path p = env.file("data", new byte[PAGE]);
        ShmBackend b = env.attach();
        ShmFile f = Env.map(b, p, MapOptions.DEFAULT);
        for (int frame : new int[] {-1, Env.FRAMES, Integer.MAX_VALUE}) {
            assertThrows(IndexOutOfBoundsException.class, () -> f.fill(0, Env.ints(frame), 1, PAGE, 0));
            assertThrows(IndexOutOfBoundsException.class, () -> f.blank(0, frame));
            assertThrows(IndexOutOfBoundsException.class, () -> b.markDirty(frame));
            assertThrows(IndexOutOfBoundsException.class, () -> b.release(frame));
        }
        f.close();
    }

    @Test
    void generationsRiseWithEveryFillAndNotWithWriteBack() throws Exception {
        Path p = env.file("data", new byte[PAGE]);
        ShmBackend b = env.attach();
        ShmFile f = Env.map(b, p, MapOptions.DEFAULT);
        FrameRecord r = new FrameRecord();
        int before = -1;
        for (int i = 0; i < 3; i++) {
            f.fill(0, Env.ints(0), 1, PAGE, 0);
            assertTrue(b.readRecord(0, r));
            assertTrue(r.generation > before);
            before = r.generation;
            b.markDirty(0);
            f.writeBack(0, Env.ints(0), Env.ints(1), 1, PAGE);
            assertTrue(b.readRecord(0, r));
            assertEquals(before, r.generation);
            b.release(0);
        }
        f.close();
    }

    @ParameterizedTest
    @EnumSource(IoMode.class)
    void blankPagesExtendTheFileToItsLengthAndNoFurther(IoMode mode) throws Exception {
        Path p = env.data.resolve("new");
        ShmBackend b = env.attach();
        ShmFile f = Env.map(b, p, MapOptions.DEFAULT.withIoMode(mode));
        assertEquals(0, f.store().size());
        byte[] content = Env.random(4, 2 * PAGE + 5000);
        for (int i = 0; i < 3; i++) {
            f.blank(i, i);
            assertEquals(FrameState.DIRTY, state(b, i));
            put(b, i, 0, Arrays.copyOfRange(content, i * PAGE, Math.min(content.length, (i + 1) * PAGE)));
        }
        f.writeBack(0, Env.ints(0, 1, 2), Env.ints(3, 3, 3), 3, content.length);
        assertArrayEquals(content, Files.readAllBytes(p));
        assertEquals(content.length, f.store().size());
        assertEquals(FrameState.WRITTEN, state(b, 2));
        f.close();
        b.close();

        b = env.attach();
        assertTrue(b.attachReport().cleanStop());
        assertEquals(3, Env.survivors(b).size());
        f = Env.map(b, p, MapOptions.DEFAULT.withIoMode(mode));
        assertEquals(Kind.SAME, f.verdict().kind(), f.verdict().detail());
        f.close();
    }

    @ParameterizedTest
    @EnumSource(IoMode.class)
    void aHoleOfUnwrittenPagesReadsAsZeros(IoMode mode) throws Exception {
        Path p = env.file("data", Env.random(5, 4096));
        ShmBackend b = env.attach();
        ShmFile f = Env.map(b, p, MapOptions.DEFAULT.withIoMode(mode));
        f.blank(3, 0);
        put(b, 0, 4096, Env.random(6, 4096));
        f.writeBack(3, Env.ints(0), Env.ints(2), 1, 4L * PAGE);
        assertEquals(4L * PAGE, Files.size(p));
        b.memory().asSlice(PAGE).fill((byte) 1);
        f.fill(0, Env.ints(1, 2, 3), 3, 4L * PAGE, 0);
        assertArrayEquals(Files.readAllBytes(p), concat(frame(b, 1), frame(b, 2), frame(b, 3), frame(b, 0)));
        f.close();
    }

    private static byte[] concat(byte[]... parts) {
        byte[] all = new byte[parts.length * PAGE];
        for (int i = 0; i < parts.length; i++) {
            System.arraycopy(parts[i], 0, all, i * PAGE, PAGE);
        }
        return all;
    }

    @Test
    void refillReadsSingleBlocksAndLeavesTheRecord() throws Exception {
        byte[] content = Env.random(7, PAGE);
        Path p = env.file("data", content);
        ShmBackend b = env.attach();
        ShmFile f = Env.map(b, p, MapOptions.DEFAULT);
        f.fill(0, Env.ints(2), 1, PAGE, 0);
        b.markDirty(2);
        put(b, 2, 0, new byte[PAGE]);
        f.refill(0, 2, 0b10, PAGE);
        byte[] expected = content.clone();
        Arrays.fill(expected, 0, 4096, (byte) 0);
        assertArrayEquals(expected, frame(b, 2));
        f.refill(0, 2, 0b01, 3000);
        System.arraycopy(content, 0, expected, 0, 3000);
        assertArrayEquals(expected, frame(b, 2));
        assertEquals(FrameState.DIRTY, state(b, 2));
        f.close();
    }

    @ParameterizedTest
    @EnumSource(IoMode.class)
    void truncateCutsAndGrowsAcrossAlignments(IoMode mode) throws Exception {
        byte[] content = Env.random(8, 4 * PAGE);
        Path p = env.file("data", content);
        ShmBackend b = env.attach();
        ShmFile f = Env.map(b, p, MapOptions.DEFAULT.withIoMode(mode));
        for (int size : new int[] {3 * PAGE, 2 * PAGE + 77, 2 * PAGE, 0, 4096, 5000, 3 * PAGE}) {
            f.truncate(size);
            content = Arrays.copyOf(content, size);
            assertArrayEquals(content, Files.readAllBytes(p));
            assertEquals(size, f.store().size());
            int last = Math.max(0, (size - 1) / PAGE);
            f.fill(last, Env.ints(0), 1, size, 0);
            byte[] tail = Arrays.copyOfRange(content, Math.min(size, last * PAGE), size);
            assertArrayEquals(Arrays.copyOf(tail, PAGE), frame(b, 0));
            if (size > 0) {
                b.markDirty(0);
                byte[] one = {(byte) size};
                put(b, 0, 0, one);
                f.writeBack(last, Env.ints(0), Env.ints(1), 1, size);
                content[last * PAGE] = one[0];
                assertArrayEquals(content, Files.readAllBytes(p));
            }
            b.release(0);
        }
        f.close();
    }

    @Test
    void framesInFlightAreDroppedWithTheirReason() throws Exception {
        byte[] content = Env.random(9, 4 * PAGE);
        Path p = env.file("data", content);
        ShmBackend b = env.attach();
        ShmFile f = Env.map(b, p, MapOptions.DEFAULT);
        f.fill(0, Env.ints(0, 1), 2, content.length, 0);
        b.markDirty(1);
        b.ledger().begin(2, f.fileId(), 2);
        f.fill(3, Env.ints(3), 1, content.length, 0);
        b.release(3);
        long id = f.fileId();
        Env.kill(b, f);
        b = env.attach();
        assertEquals(new Env.Found(FrameState.CLEAN, null, id, 0, 0), Env.survivors(b).get(0));
        assertEquals(new Env.Found(null, DropReason.DIRTY, id, 1, 0), Env.survivors(b).get(1));
        assertEquals(new Env.Found(null, DropReason.FILLING, id, 2, 0), Env.survivors(b).get(2));
        assertEquals(3, Env.survivors(b).size());
    }

    @Test
    void theTableForgetsTheLeastRecentlyOpenedAndRefusesWhenAllAreOpen() throws Exception {
        ShmBackend b = env.attach();
        ShmFile[] files = new ShmFile[7];
        for (int i = 0; i < 6; i++) {
            files[i] = Env.map(b, env.file("f" + i, new byte[10]), MapOptions.DEFAULT);
        }
        Path seventh = env.file("f6", new byte[10]);
        var store = b.openStore(seventh, MapOptions.DEFAULT);
        assertTrue(assertThrows(IOException.class, () -> Env.open(b, store)).getMessage().contains("maxFiles"));
        files[1].close();
        files[4].close();
        files[1] = Env.map(b, env.data.resolve("f1"), MapOptions.DEFAULT);
        files[1].close();
        long[] forgotten = new long[1];
        files[6] = (ShmFile) b.openFile(store, id -> forgotten[0] = id);
        assertEquals(files[4].fileId(), forgotten[0]);
        assertFalse(b.knowsFile(files[4].fileId()));
        assertTrue(b.knowsFile(files[1].fileId()));
        assertEquals(7, files[6].fileId());
        files[6].accept();
        for (int i : new int[] {0, 2, 3, 5, 6}) {
            files[i].close();
        }
        b.close();
        ShmBackend c = env.attach();
        assertTrue(c.knowsFile(7));
        assertFalse(c.knowsFile(5));
        ShmFile again = (ShmFile) c.openFile(c.openStore(env.data.resolve("f4"), MapOptions.DEFAULT), id -> {});
        assertEquals(8, again.fileId());
        assertEquals(Kind.NEW, again.verdict().kind());
        again.close();
    }

    @Test
    void unfinishedAttachesAreCountedUntilRecoveryEndsOrTheStopIsClean() throws Exception {
        for (int i = 0; i < 4; i++) {
            ShmBackend b = env.attach();
            assertEquals(i, b.attachReport().unfinishedAttaches());
            Env.kill(b);
        }
        ShmBackend cold = env.attach(env.config().withMaxUnfinishedAttaches(3));
        assertEquals("the last 4 attaches died before their recovery ended", cold.attachReport().coldReason());
        Env.kill(cold);
        ShmBackend b = env.attach();
        assertTrue(b.attachReport().warm());
        assertEquals(1, b.attachReport().unfinishedAttaches());
        b.recoveryFinished();
        Env.kill(b);
        b = env.attach();
        assertEquals(0, b.attachReport().unfinishedAttaches());
        b.close();
        b = env.attach();
        assertEquals(0, b.attachReport().unfinishedAttaches());
        assertTrue(b.attachReport().cleanStop());
        b.drop();
        assertFalse(Files.exists(env.segment()));
    }

    @Test
    void theInspectorCountsWithoutOwning() throws Exception {
        Path p = env.file("data", Env.random(10, 4 * PAGE));
        ShmBackend b = env.attach();
        ShmFile f = Env.map(b, p, MapOptions.DEFAULT);
        f.fill(0, Env.ints(0, 1, 2, 3), 4, 4 * PAGE, 0b1);
        b.markDirty(3);
        ShmInspector.Contents c = ShmInspector.inspect(env.config());
        assertEquals(Env.FRAMES, c.frames());
        assertEquals(2, c.count(FrameState.CLEAN));
        assertEquals(1, c.count(FrameState.WRITTEN));
        assertEquals(1, c.count(FrameState.DIRTY));
        assertEquals(Env.FRAMES - 4, c.count(FrameState.FREE));
        assertEquals(0, c.damaged());
        assertEquals(ProcessHandle.current().pid(), c.lastOwner());
        f.close();
        b.close();
        assertTrue(ShmInspector.inspect(env.config()).cleanStop());
    }
}
