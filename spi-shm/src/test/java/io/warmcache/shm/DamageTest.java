/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.CacheConfig;
import io.warmcache.DropReason;
import io.warmcache.MapOptions;
import io.warmcache.StoreId;
import io.warmcache.spi.BackendConfig;
import io.warmcache.spi.FileVerdict;
import io.warmcache.spi.FrameRecord;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.UUID;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/**
 * Segments that were truncated, grown, zeroed, flipped or formatted otherwise: cold or fewer frames, and nothing else.
 */
class DamageTest {
    private static final int PAGE = 4096;
    private static final int FRAMES = 10;

    private Env env;
    private Path file;
    private byte[] good;
    private Map<Integer, Env.Found> found;

    @BeforeEach
    void open() throws Exception {
        env = new Env();
        file = env.file("data", Env.random(40, 8 * PAGE));
        ShmBackend b = env.attach(config());
        ShmFile f = Env.map(b, file, Env.BUFFERED);
        f.fill(0, Env.ints(0, 1, 2, 3, 4, 5), 6, 8 * PAGE, 0b10);
        b.markDirty(3);
        b.markDirty(4);
        b.memory().set(java.lang.foreign.ValueLayout.JAVA_BYTE, 3 * PAGE, (byte) 1);
        f.writeBack(3, Env.ints(3), Env.ints(1), 1, 8 * PAGE);
        f.seal(4, 4, 1);
        b.markDirty(5);
        f.store().close();
        found = Env.survivors(b);
        good = Files.readAllBytes(env.segment());
        b.abandon();
    }

    @AfterEach
    void close() throws Exception {
        env.close();
    }

    private CacheConfig config() {
        return CacheConfig.of(env.segment().toString(), (long) FRAMES * PAGE)
                .withMaxFiles(3)
                .withMaxUnfinishedAttaches(0)
                .withOptions(Map.of(ShmBackend.OPTION_CGROUP_CHECK, "off"))
                .withOwnerWait(java.time.Duration.ofMillis(200));
    }

    private void write(byte[] bytes) throws IOException {
        Files.write(env.segment(), bytes);
    }

    private String coldReason() throws IOException {
        ShmBackend b = env.attach(config());
        assertTrue(Env.survivors(b).isEmpty() || b.attachReport().warm());
        String reason = b.attachReport().coldReason();
        assertEquals(b.attachReport().warm(), reason.isEmpty());
        b.memory().fill((byte) 3);
        b.close();
        ShmBackend again = env.attach(config());
        assertTrue(again.attachReport().warm(), again.attachReport().coldReason());
        again.close();
        return reason;
    }

    @Test
    void theSegmentAsItWasIsWarm() throws Exception {
        write(good);
        assertEquals("", coldReason());
        assertEquals(6, found.size());
    }

    @Test
    void aTruncatedOrGrownSegmentIsCold() throws Exception {
        Geometry g = Geometry.of(config());
        assertEquals(good.length, g.fileLength(4096));
        int inLedger = (int) g.ledgerOffset() + 70;
        int inFrames = (int) g.framesOffset() + 1;
        for (int length : new int[] {1, 100, 4095, 4096, 8191, 8192, 9000, inLedger, inFrames, good.length - 1}) {
            write(Arrays.copyOf(good, length));
            String reason = coldReason();
            // Cut within the first page, both copies are short; after it, the header says how long it was.
            assertTrue(reason.contains("truncated") || (length < 4096 && !reason.isEmpty()), length + ": " + reason);
        }
        write(new byte[0]);
        assertEquals("there was no segment", coldReason());
        for (int more : new int[] {1, 4096, 1 << 20}) {
            write(Arrays.copyOf(good, good.length + more));
            assertTrue(coldReason().contains("grown"));
        }
    }

    /** Found by examples/fuzz: counting on from a slot's number overflowed, and left a header that no one reads. */
    @Test
    void aFileNumberThatNoFileHasLeavesNoHeaderThatCannotBeRead() throws Exception {
        for (long number : new long[] {Long.MAX_VALUE, Long.MAX_VALUE - 1, StoreJournal.MAX_FILE_ID + 1}) {
            write(good);
            ShmBackend b = env.attach(config());
            StoreJournal.create(
                    b.segment(), b.geometry().slot(2), b.incarnation(), number, new StoreId(7, 7),
                    StoreJournal.KIND_ENGINE, 0, "x");
            b.abandon();
            for (int life = 0; life < 2; life++) {
                b = env.attach(config());
                assertTrue(b.attachReport().warm(), b.attachReport().coldReason());
                assertFalse(b.knowsFile(number));
                Env.map(b, file, Env.BUFFERED).close();
                b.close();
            }
        }
    }

    @Test
    void aZeroedSegmentIsCold() throws Exception {
        write(new byte[good.length]);
        assertEquals("the header is zeroed", coldReason());
        byte[] headerless = good.clone();
        Arrays.fill(headerless, 0, 8192, (byte) 0);
        write(headerless);
        assertEquals("the header is zeroed", coldReason());
    }

    @Test
    void aPunchedSegmentKeepsWhatIsWhole() throws Exception {
        write(good);
        Geometry g = Geometry.of(config());
        String segment = env.segment().toString();
        int fd = Libc.open(segment, Libc.O_RDWR, 0);
        Libc.punch(fd, g.framesOffset() + 2 * PAGE, (FRAMES - 2) * PAGE, segment);
        Libc.close(fd);
        ShmBackend b = env.attach(config());
        assertTrue(b.attachReport().warm());
        assertEquals(found, Env.survivors(b));
        FrameRecord r = new FrameRecord();
        for (int frame = 0; frame < 6; frame++) {
            assertTrue(b.readRecord(frame, r));
            assertEquals(frame < 2 || frame == 5, checksumMatches(b, frame, r) || frame == 5, "frame " + frame);
        }
        b.abandon();
        try (RandomAccessFile f = new RandomAccessFile(env.segment().toFile(), "rw")) {
            f.setLength(g.ledgerOffset());
            f.setLength(good.length);
        }
        b = env.attach(config());
        assertTrue(b.attachReport().warm());
        Map<Integer, Env.Found> holes = Env.survivors(b);
        assertEquals(FRAMES, holes.size());
        holes.values().forEach(h -> assertEquals(DropReason.RECORD_DAMAGED, h.dropped()));
        for (int frame = 0; frame < FRAMES; frame++) {
            b.release(frame);
        }
        assertTrue(Env.survivors(b).isEmpty());
    }

    private static boolean checksumMatches(ShmBackend b, int frame, FrameRecord r) {
        return b.checksum().block(b.memory(), (long) frame * PAGE, b.incarnation(), r.fileId, r.page, 0, r.generation)
                == r.checksums[0];
    }

    @Test
    void anotherGeometryAlgorithmOrVersionIsColdAndSaysWhich() throws Exception {
        write(good);
        ShmBackend b = env.attach(
                CacheConfig.of(env.segment().toString(), 16 * PAGE).withMaxFiles(3).withPageSize(8192));
        assertEquals("the segment has pages of 4096 bytes, the configuration says 8192", b.attachReport().coldReason());
        b.close();
        write(good);
        b = env.attach(CacheConfig.of(env.segment().toString(), 12 * PAGE).withMaxFiles(3));
        assertTrue(b.attachReport().warm(), "another capacity is no other geometry");
        assertEquals(12, b.frames());
        assertEquals(found, Env.survivors(b));
        b.close();
        write(good);
        b = env.attach(config().withMaxFiles(4));
        assertEquals("the segment knows up to 3 files, the configuration says 4", b.attachReport().coldReason());
        b.close();

        write(good);
        TestChecksum other = new TestChecksum(78);
        BackendConfig unknown = new BackendConfig(config(), other, List.of(other));
        ShmBackend c = ShmBackend.attach(unknown, MemoryBudget.ofThisProcess(), null);
        assertEquals("the segment's checksum algorithm 77 is not known", c.attachReport().coldReason());
        c.close();
        write(good);
        BackendConfig known = new BackendConfig(config(), other, List.of(other, TestChecksum.INSTANCE));
        c = ShmBackend.attach(known, MemoryBudget.ofThisProcess(), null);
        assertTrue(c.attachReport().warm());
        assertEquals(TestChecksum.INSTANCE, c.checksum());
        c.close();
    }

    @Test
    void aRebootIsColdUnlessTheMemoryIsSaidToOutliveIt() throws Exception {
        CacheConfig survives = config().withOptions(Map.of(ShmBackend.OPTION_DOMAIN, "os-reboot"));
        write(good);
        setBoot(new UUID(7, 8));
        String reason = coldReason();
        assertTrue(reason.startsWith("the operating system was restarted"), reason);
        write(good);
        setBoot(new UUID(7, 8));
        for (int i = 0; i < 2; i++) {
            // A second attach before recovery ended drops what was not forced just as the first did.
            ShmBackend b = env.attach(survives);
            assertTrue(b.attachReport().warm());
            Map<Integer, Env.Found> s = Env.survivors(b);
            assertEquals(io.warmcache.spi.FrameState.CLEAN, s.get(0).state());
            assertEquals(DropReason.UNFORCED, s.get(1).dropped());
            assertEquals(DropReason.UNFORCED, s.get(3).dropped());
            assertEquals(1, s.get(1).page());
            if (i == 1) {
                b.recoveryFinished();
            }
            b.abandon();
        }
        ShmBackend b = env.attach(survives);
        assertEquals(found, Env.survivors(b));
        b.close();
    }

    private void setBoot(UUID boot) throws IOException {
        try (var arena = java.lang.foreign.Arena.ofConfined();
                var channel = java.nio.channels.FileChannel.open(
                        env.segment(),
                        java.nio.file.StandardOpenOption.READ,
                        java.nio.file.StandardOpenOption.WRITE)) {
            var m = channel.map(java.nio.channels.FileChannel.MapMode.READ_WRITE, 0, 8192, arena);
            Header h = Header.read(m, Format.CURRENT).header();
            h.boot = boot;
            h.write(m);
        }
    }

    @Test
    void everyFlippedBitOfOneHeaderCopyIsSurvivedByTheOther() throws Exception {
        for (int copy = 0; copy < 2; copy++) {
            for (int bit = 0; bit < Header.WORDS * 64; bit++) {
                byte[] bytes = good.clone();
                bytes[copy * 4096 + bit / 8] ^= (byte) (1 << bit % 8);
                write(bytes);
                ShmBackend b = env.attach(config());
                assertTrue(b.attachReport().warm(), "bit " + bit + " of copy " + copy);
                assertFalse(b.attachReport().cleanStop());
                if (bit % 64 == 0) {
                    assertEquals(found, Env.survivors(b));
                }
                b.abandon();
            }
        }
    }

    @Test
    void everyBitFlippedInBothHeaderCopiesIsCold() throws Exception {
        for (int bit = 0; bit < Header.WORDS * 64; bit++) {
            byte[] bytes = good.clone();
            for (int copy = 0; copy < 2; copy++) {
                bytes[copy * 4096 + bit / 8] ^= (byte) (1 << bit % 8);
            }
            write(bytes);
            ShmBackend b = env.attach(config());
            assertFalse(b.attachReport().warm(), "bit " + bit);
            assertEquals("both copies of the header are damaged", b.attachReport().coldReason(), "bit " + bit);
            assertTrue(Env.survivors(b).isEmpty());
            b.abandon();
        }
    }

    @Test
    void anotherFormatVersionIsNamed() throws Exception {
        write(good);
        try (RandomAccessFile f = new RandomAccessFile(env.segment().toFile(), "rw")) {
            for (int copy = 0; copy < 2; copy++) {
                byte[] words = Arrays.copyOfRange(good, copy * 4096, copy * 4096 + Header.WORDS * 8);
                java.nio.ByteBuffer b = java.nio.ByteBuffer.wrap(words).order(java.nio.ByteOrder.LITTLE_ENDIAN);
                b.putLong(8, 99);
                long h = WordHash.mix(WordHash.mix(Header.MAGIC, 99), Header.WORDS - 3);
                for (int w = 3; w < Header.WORDS; w++) {
                    h = WordHash.mix(h, b.getLong(8 * w));
                }
                b.putLong(16, WordHash.finish(h));
                f.seek(copy * 4096L);
                f.write(words);
            }
        }
        assertEquals("the segment has format version 99, this library reads " + Format.VERSION, coldReason());
    }

    @Test
    void noFlippedBitsAnywhereMakeAWrongRecordOrAnError() throws Exception {
        long seed = System.nanoTime();
        System.out.println("seed " + seed);
        Random random = new Random(seed);
        Geometry g = Geometry.of(config());
        int framesStart = (int) g.framesOffset();
        int damaged = 0;
        int changed = 0;
        for (int round = 0; round < 3000; round++) {
            byte[] bytes = good.clone();
            int flips = 1 + random.nextInt(8);
            for (int i = 0; i < flips; i++) {
                int at =
                        switch (random.nextInt(4)) {
                            case 0 -> random.nextInt(Header.WORDS * 8) + 4096 * random.nextInt(2);
                            case 1 -> (int) Geometry.TABLE_OFFSET + random.nextInt(StoreJournal.SLOT_SIZE);
                            case 2 -> (int) g.ledgerOffset() + random.nextInt(FRAMES * g.recordSize());
                            default -> random.nextInt(framesStart);
                        };
                if (random.nextInt(10) == 0) {
                    // A torn or cleared word instead.
                    Arrays.fill(bytes, at & ~7, (at & ~7) + 8, (byte) (random.nextBoolean() ? 0 : 255));
                } else {
                    bytes[at] ^= (byte) (1 << random.nextInt(8));
                }
            }
            write(bytes);
            ShmBackend b = env.attach(config());
            FrameRecord r = new FrameRecord();
            for (Map.Entry<Integer, Env.Found> e : Env.survivors(b).entrySet()) {
                Env.Found f = e.getValue();
                Env.Found was = found.get(e.getKey());
                if (f.dropped() != null) {
                    damaged++;
                    assertTrue(
                            f.dropped() == DropReason.RECORD_DAMAGED
                                    || Set.of(DropReason.DIRTY, DropReason.FILLING).contains(f.dropped()),
                            () -> "round: " + f);
                } else {
                    assertEquals(was.state(), f.state(), "round " + round);
                    assertEquals(was.fileId(), f.fileId());
                    assertEquals(was.page(), f.page());
                    assertTrue(b.readRecord(e.getKey(), r));
                    assertTrue(checksumMatches(b, e.getKey(), r));
                }
            }
            if (round % 4 == 0) {
                ShmFile f = Env.open(b, file, MapOptions.DEFAULT.withIoMode(io.warmcache.IoMode.BUFFERED));
                // Whatever became of the journal, it does not call this file the same: a write was under way.
                assertNotEquals(FileVerdict.Kind.SAME, f.verdict().kind());
                changed += f.verdict().kind() == FileVerdict.Kind.CHANGED ? 1 : 0;
                f.accept();
                f.fill(7, Env.ints(freeFrame(b)), 1, 8 * PAGE, 0);
                f.store().close();
            }
            b.abandon();
        }
        System.out.println(damaged + " records dropped, " + changed + " files");
        assertTrue(damaged > 100 && changed > 0);
    }

    private static int freeFrame(ShmBackend b) {
        for (int frame = 6; frame < FRAMES; frame++) {
            b.release(frame);
        }
        return 7;
    }

    @Test
    void statesAreFarFromEachOtherAndFromNothing() {
        long[] states = {Ledger.FREE, Ledger.FILLING, Ledger.CLEAN, Ledger.WRITTEN, Ledger.DIRTY, 0, -1};
        for (int i = 0; i < states.length; i++) {
            for (int j = 0; j < i; j++) {
                assertTrue(Long.bitCount(states[i] ^ states[j]) >= 16, i + " and " + j);
            }
        }
    }

    @Test
    void framesStayOutOfCoreDumps() throws Exception {
        ShmBackend b = env.attach(config());
        List<String> lines = Files.readAllLines(Path.of("/proc/self/smaps"));
        int at = 0;
        while (!lines.get(at).endsWith(env.segment().toString())) {
            at++;
        }
        while (!lines.get(at).startsWith("VmFlags:")) {
            at++;
        }
        assertTrue(lines.get(at).contains(" dd"), lines.get(at));
        b.close();
    }
}
