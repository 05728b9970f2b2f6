/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.warmcache.CacheConfig;
import io.warmcache.DropReason;
import io.warmcache.spi.FrameRecord;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.Map;
import java.util.TreeSet;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Segments whose number of frames changes, mapped and between two owners, and deaths at each step of that. */
class ResizeTest {
    private static final int PAGE = Env.PAGE;

    private Env env;
    private Path file;
    private byte[] content;
    private final TreeSet<String> steps = new TreeSet<>();
    private int deaths;
    private int survivorsSeen;

    @BeforeEach
    void open() throws Exception {
        env = new Env();
        env.kernelPage = kernelPage();
        content = Env.random(71, 40 * PAGE);
        file = env.file("data", content);
    }

    /** Memory comes and goes by pages of the kernel; those of some have 16 or 64 KiB. */
    long kernelPage() {
        return 4096;
    }

    @AfterEach
    void close() throws Exception {
        env.close();
    }

    private static CacheConfig frames(Path segment, int capacity, int most) {
        return Env.config(segment)
                .withCapacity((long) capacity * PAGE)
                .withMaxCapacity((long) most * PAGE);
    }

    private CacheConfig frames(int capacity, int most) {
        return frames(env.segment(), capacity, most);
    }

    private long allocated() throws IOException {
        return Libc.stat(env.segment().toString(), false).allocated();
    }

    /** The memory that a cache of so many frames takes has been taken, and no more. */
    private void assertBacked(ShmBackend b, int capacity) throws IOException {
        assertBacked("", b, capacity, allocated());
    }

    /** Where pages are but assumed to be large the kernel allocates by its own: only no more than that can be told. */
    private void assertBacked(String what, ShmBackend b, int capacity, long allocated) {
        long most = b.geometry().backed(capacity, kernelPage());
        boolean known = kernelPage() == Libc.pageSize();
        assertTrue(
                known ? allocated == most : allocated <= most,
                () -> what + ": " + allocated + " bytes are allocated, not " + most);
    }

    /** The end of what is taken back: what shares a page of the kernel with the ledger stays. */
    private long goneTo(ShmBackend b) {
        Geometry g = b.geometry();
        return Math.min(b.memory().byteSize(), g.holeEnd(kernelPage()) - g.framesOffset());
    }

    /** The first byte behind so many frames that is taken back. */
    private long gone(ShmBackend b, int frames) {
        return b.geometry().holeStart(frames, kernelPage()) - b.geometry().framesOffset();
    }

    private static void fill(ShmFile f, int firstPage, int firstFrame, int count) throws IOException {
        for (int i = 0; i < count; i++) {
            f.fill(firstPage + i, Env.ints(firstFrame + i), 1, 40L * PAGE, 0);
        }
    }

    /** Every survivor holds what its record and the file say. */
    private void assertTrueRecords(String what, ShmBackend b) {
        FrameRecord r = new FrameRecord();
        TreeSet<Long> pages = new TreeSet<>();
        Env.survivors(b).forEach((frame, found) -> {
            if (found.fileId() > 0) {
                assertTrue(pages.add(found.page()), what + ": twice in the ledger");
            }
            if (found.dropped() != null) {
                assertTrue(found.dropped() == DropReason.FILLING, what + ": " + found);
                return;
            }
            survivorsSeen++;
            int at = (int) found.page() * PAGE;
            assertArrayEquals(
                    Arrays.copyOfRange(content, at, at + PAGE),
                    b.memory().asSlice((long) frame * PAGE, PAGE).toArray(ValueLayout.JAVA_BYTE),
                    what);
            assertTrue(b.readRecord(frame, r), what);
            for (int block = 0; block < PAGE / 4096; block++) {
                assertEquals(
                        b.checksum().block(
                                b.memory(),
                                (long) frame * PAGE + block * 4096L,
                                b.incarnation(),
                                r.fileId,
                                r.page,
                                block,
                                r.generation),
                        r.checksums[block],
                        what);
            }
        });
        for (long at = gone(b, b.frames()); at < goneTo(b); at += 4096) {
            // Raises no signal either.
            assertEquals(0, b.memory().get(ValueLayout.JAVA_BYTE, at), what);
        }
    }

    @Test
    void shrinkingGivesMemoryBackAndGrowingTakesIt() throws Exception {
        ShmBackend b = env.attach(frames(16, 32));
        assertEquals(16, b.frames());
        assertEquals(32, b.maxFrames());
        assertBacked(b, 16);
        ShmFile f = Env.map(b, file, Env.BUFFERED);
        fill(f, 0, 0, 16);
        for (int frame = 10; frame < 16; frame++) {
            b.release(frame);
        }
        b.resize(10);
        assertEquals(10, b.frames());
        assertBacked(b, 10);
        for (long at = gone(b, 10); at < goneTo(b); at += 512) {
            assertEquals(0, b.memory().get(ValueLayout.JAVA_BYTE, at));
        }
        assertBacked(b, 10);
        assertTrueRecords("shrunk", b);
        b.resize(32);
        assertBacked(b, 32);
        fill(f, 10, 10, 22);
        assertEquals(32, Env.survivors(b).size());
        assertTrueRecords("grown", b);
        f.close();
        b.close();
    }

    @Test
    void droppingTakesNoMemoryForFramesThatDoNotExist() throws Exception {
        ShmBackend b = env.attach(frames(16, 4000));
        b.memory().asSlice(0, 16L * PAGE).fill((byte) 5);
        int evidence = Libc.open(env.segment().toString(), Libc.O_RDONLY, 0);
        try {
            assertTrue(Libc.fstat(evidence, "evidence").allocated() > 0);
            b.drop();
            assertEquals(0, Libc.fstat(evidence, "evidence").allocated());
        } finally {
            Libc.close(evidence);
        }
        assertFalse(Files.exists(env.segment()));
    }

    @Test
    void aFrameInUseIsNotTakenAway() throws Exception {
        ShmBackend b = env.attach(frames(16, 32));
        ShmFile f = Env.map(b, file, Env.BUFFERED);
        fill(f, 0, 12, 1);
        IllegalStateException e = assertThrows(IllegalStateException.class, () -> b.resize(8));
        assertEquals("frame 12 is CLEAN, not FREE", e.getMessage());
        assertTrueRecords("refused", b);
        assertTrue(b.move(12, 3));
        assertEquals(3, Env.survivors(b).keySet().iterator().next());
        assertThrows(IllegalStateException.class, () -> b.move(12, 4));
        b.resize(8);
        assertTrueRecords("moved", b);
        assertThrows(IllegalArgumentException.class, () -> b.resize(33));
        assertThrows(IllegalArgumentException.class, () -> b.resize(0));
        f.close();
    }

    @Test
    void aDamagedRecordIsNotMoved() throws Exception {
        ShmBackend b = env.attach(frames(16, 16));
        ShmFile f = Env.map(b, file, Env.BUFFERED);
        fill(f, 0, 12, 1);
        b.segment().set(Layout.LONG, b.geometry().record(12) + Ledger.CHECKSUMS, 1);
        assertFalse(b.move(12, 3));
        assertEquals(Ledger.FREE, b.ledger().stateWord(3));
        b.segment().set(Layout.LONG, b.geometry().record(12), 0x1234);
        assertFalse(b.move(12, 3), "a state that is none");
        b.release(12);
        fill(f, 1, 13, 1);
        b.segment().set(Layout.LONG, b.geometry().record(3), 0x1234);
        assertTrue(b.move(13, 3), "a frame whose state is none holds nothing");
        b.segment().set(Layout.LONG, b.geometry().record(13), 0x1234);
        b.resize(8);
        assertTrueRecords("moved", b);
        f.close();
    }

    @Test
    void anotherRoomKeepsEveryFrame() throws Exception {
        ShmBackend b = env.attach(frames(16, 16));
        ShmFile f = Env.map(b, file, Env.BUFFERED);
        fill(f, 0, 0, 16);
        f.close();
        b.close();
        Map<Integer, Env.Found> found = null;
        for (int[] config : new int[][] {{16, 64}, {16, 16}, {16, 17}, {16, 200}, {16, 1000}, {16, 300}, {16, 16}}) {
            b = env.attach(frames(config[0], config[1]));
            assertTrue(b.attachReport().warm(), b.attachReport().coldReason());
            assertTrue(b.attachReport().cleanStop());
            assertTrue(b.maxFrames() >= config[1]);
            assertTrue(b.maxFrames() <= config[1] + 1, "a room of " + b.maxFrames() + " for " + config[1]);
            assertEquals(Files.size(env.segment()), b.geometry().fileLength(kernelPage()));
            assertBacked(b, 16);
            assertEquals(16, b.frames());
            if (found == null) {
                found = Env.survivors(b);
            }
            assertEquals(16, found.size());
            assertEquals(found, Env.survivors(b));
            assertTrueRecords("room " + config[1], b);
            b.close();
        }
    }

    @Test
    void aSmallerCapacityLeavesFramesForTheCacheToMoveAndTheNextAttachTrims() throws Exception {
        ShmBackend b = env.attach(frames(40, 40));
        ShmFile f = Env.map(b, file, Env.BUFFERED);
        fill(f, 0, 0, 40);
        f.close();
        b.close();
        b = env.attach(frames(16, 16));
        assertEquals(40, b.frames());
        assertEquals(40, b.maxFrames());
        for (int frame = 8; frame < 32; frame++) {
            b.release(frame);
        }
        for (int frame = 32; frame < 40; frame++) {
            assertTrue(b.move(frame, frame - 24));
        }
        b.resize(16);
        assertBacked(b, 16);
        b.close();
        b = env.attach(frames(16, 16));
        assertEquals(16, b.frames());
        assertEquals(16, b.maxFrames());
        assertEquals(16, Env.survivors(b).size());
        assertBacked(b, 16);
        assertEquals(Files.size(env.segment()), b.geometry().fileLength(kernelPage()));
        assertTrueRecords("trimmed", b);
        b.close();
    }

    /** Looks at the segment as a death at this step leaves it, attached at each of several capacities. */
    private void at(String step) {
        if (step.startsWith("begin") || step.startsWith("fill") || step.startsWith("journal")) {
            return; // of other protocols
        }
        steps.add(step);
        try {
            for (int[] config : new int[][] {{8, 8}, {24, 24}, {40, 64}}) {
                deaths++;
                Path copy = env.segments.resolve("copy");
                Files.write(copy, Files.readAllBytes(env.segment()));
                Files.setPosixFilePermissions(copy, Files.getPosixFilePermissions(env.segment()));
                String what = step + " opened at " + config[0];
                for (int again = 0; again < 2; again++) {
                    ShmBackend dead = env.attach(frames(copy, config[0], config[1]));
                    assertTrue(dead.attachReport().warm(), () -> what + ": " + dead.attachReport().coldReason());
                    assertTrue(dead.frames() >= config[0] && dead.maxFrames() >= config[1], what);
                    assertBacked(what, dead, dead.frames(), Libc.stat(copy.toString(), false).allocated());
                    assertTrueRecords(what, dead);
                    dead.abandon();
                }
                Files.delete(copy);
            }
        } catch (IOException e) {
            throw new AssertionError(step, e);
        }
    }

    @Test
    void aDeathAtAnyStepIsWarmAtAnyCapacityAndNoRecordIsFalse() throws Exception {
        ShmBackend b = env.attach(frames(24, 24), this::at);
        ShmFile f = Env.map(b, file, Env.BUFFERED);
        fill(f, 0, 0, 24);
        for (int frame = 4; frame < 20; frame++) {
            b.release(frame);
        }
        for (int frame = 20; frame < 24; frame++) {
            assertTrue(b.move(frame, frame - 16));
        }
        b.resize(8);
        b.resize(20);
        fill(f, 30, 8, 8);
        f.close();
        Env.kill(b);
        // Larger room, and frames in it.
        b = env.attach(frames(40, 60), this::at);
        assertEquals(40, b.frames());
        f = Env.map(b, file, Env.BUFFERED);
        assertEquals(16, Env.survivors(b).size());
        fill(f, 4, 24, 16);
        b.resize(60);
        for (int frame = 16; frame < 40; frame++) {
            b.release(frame);
        }
        b.resize(16);
        f.close();
        b.close();
        // A room trimmed, and one only a little larger.
        b = env.attach(frames(16, 16), this::at);
        assertEquals(16, b.maxFrames());
        assertEquals(16, Env.survivors(b).size());
        b.close();
        b = env.attach(frames(17, 17), this::at);
        assertEquals(17, b.frames());
        assertEquals(16, Env.survivors(b).size());
        b.close();
        System.out.println(deaths + " deaths at " + steps.size() + " kinds of steps, " + survivorsSeen
                + " survivors compared: " + steps);
        assertTrue(steps.containsAll(java.util.List.of(
                "shrink.zeros", "shrink.header", "shrink.punched", "grow.allocated", "grow.mapped", "grow.free",
                "grow.header", "move.filling", "move.copied", "room.intended", "room.longer", "room.allocated",
                "room.copied", "room.switched", "room.punched", "room.cut", "attach.published")));
        assertTrue(survivorsSeen > 1000);
    }

    /** Whether the kernel now refuses to punch holes into the segment, as it does into a file that is only to grow. */
    private boolean appendOnly(boolean only) {
        try {
            return new ProcessBuilder("chattr", only ? "+a" : "-a", env.segment().toString())
                            .inheritIO()
                            .start()
                            .waitFor()
                    == 0;
        } catch (IOException | InterruptedException e) {
            System.out.println("no chattr: " + e);
            return false;
        }
    }

    @Test
    void memoryThatCannotBeGivenBackStaysUntilTheNextAttachAndNothingElseSuffers() throws Exception {
        ShmBackend b = env.attach(frames(40, 40));
        ShmFile f = Env.map(b, file, Env.BUFFERED);
        fill(f, 0, 0, 40);
        for (int frame = 8; frame < 40; frame++) {
            b.release(frame);
        }
        assumeTrue(appendOnly(true), "making a hole fail takes root, chattr and a kernel from 6.0 on");
        try {
            b.resize(8);
            assertEquals(8, b.frames());
            assertBacked(b, 40);
            assertTrueRecords("shrunk, not punched", b);
            IOException e = assertThrows(IOException.class, () -> b.resize(24), "nor is such a file mapped");
            assertEquals(1, e.getSuppressed().length);
            assertEquals(8, b.frames());
            assertTrueRecords("not grown", b);
        } finally {
            appendOnly(false);
        }
        b.resize(24);
        fill(f, 20, 20, 4);
        assertTrueRecords("grown again over what had stayed", b);
        for (int frame = 20; frame < 24; frame++) {
            b.release(frame);
        }
        assumeTrue(appendOnly(true));
        try {
            b.resize(8);
            assertBacked(b, 40);
        } finally {
            appendOnly(false);
        }
        f.close();
        b.close();
        ShmBackend next = env.attach(frames(8, 40));
        assertTrue(next.attachReport().warm(), next.attachReport().coldReason());
        assertBacked(next, 8);
        assertEquals(8, Env.survivors(next).size());
        assertTrueRecords("given back by the next attach", next);
        next.close();
    }

    @Test
    void onAFullFileSystemGoneFramesStayReadableAndGrowingIsRefusedWithTheSizes() throws Exception {
        Path mount = Files.createDirectory(env.data.resolve("mount"));
        assumeTrue(
                new ProcessBuilder("mount", "-t", "tmpfs", "-o", "size=4m,mode=700", "none", mount.toString())
                                .start()
                                .waitFor()
                        == 0,
                "mounting takes root");
        try {
            Path segment = mount.resolve("segment");
            ShmBackend b = env.attach(frames(segment, 128, 128));
            MemorySegment frames = b.memory();
            frames.fill((byte) 7);
            b.resize(16);
            try (FileChannel filler = FileChannel.open(
                    mount.resolve("filler"), StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
                assertThrows(IOException.class, () -> {
                    while (true) {
                        filler.write(ByteBuffer.allocate(4096));
                    }
                });
            }
            // An optimistic reader with an old stamp may come here: a hole of a file would raise a signal now.
            for (long at = gone(b, 16); at < goneTo(b); at += 1024) {
                assertEquals(0, frames.get(ValueLayout.JAVA_BYTE, at));
            }
            assertEquals(7, frames.get(ValueLayout.JAVA_BYTE, 16L * PAGE - 1));
            IOException e = assertThrows(IOException.class, () -> b.resize(128));
            assertTrue(e.getMessage().contains("free of 4 MiB, the cache needs 1"), e.getMessage());
            assertEquals(16, b.frames());
            b.close();
            e = assertThrows(IOException.class, () -> env.attach(frames(segment, 128, 128)));
            assertTrue(e.getMessage().contains("free of 4 MiB, the cache needs 1"), e.getMessage());
            ShmBackend again = env.attach(frames(segment, 16, 128));
            assertTrue(again.attachReport().warm(), again.attachReport().coldReason());
            assertEquals(7, again.memory().get(ValueLayout.JAVA_BYTE, 0));
            again.close();
        } finally {
            assertEquals(0, new ProcessBuilder("umount", "-l", mount.toString()).start().waitFor());
        }
    }
}
