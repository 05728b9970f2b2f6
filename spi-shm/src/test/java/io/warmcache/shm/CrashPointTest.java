/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.warmcache.IoMode;
import io.warmcache.MapOptions;
import io.warmcache.StoreVersion;
import io.warmcache.spi.FileVerdict;
import io.warmcache.spi.FileVerdict.Kind;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.Random;
import java.util.TreeSet;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * At every step of every protocol the memory is copied as a death would leave it, attached, and compared with the
 * store: no record may call a frame clean or written that differs, and the file's gate must let it pass.
 */
class CrashPointTest {
    private static final int PAGE = Env.PAGE;

    private Env env;
    private final Map<Long, Path> files = new HashMap<>();
    private final TreeSet<String> steps = new TreeSet<>();
    private int checks;
    private int survivorsSeen;
    private boolean inside;
    /** How long looking took since the journal was written last, and the time before that. */
    private long lookedNanos;

    private long lookedBeforeNanos;

    @BeforeEach
    void open() throws Exception {
        env = new Env();
    }

    @AfterEach
    void close() throws Exception {
        env.close();
    }

    private void at(String step) {
        if (inside) {
            return;
        }
        inside = true;
        long start = System.nanoTime();
        if (step.equals("journal")) {
            lookedBeforeNanos = lookedNanos;
            lookedNanos = 0;
        }
        try {
            check(step);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } finally {
            inside = false;
            lookedNanos += System.nanoTime() - start;
        }
    }

    private void check(String step) throws IOException {
        steps.add(step);
        checks++;
        Path copy = env.segments.resolve("copy");
        Files.write(copy, Files.readAllBytes(env.segment()));
        Files.setPosixFilePermissions(copy, Files.getPosixFilePermissions(env.segment()));
        ShmBackend dead = env.attach(Env.config(copy));
        try {
            assertTrue(dead.attachReport().warm(), () -> step + ": " + dead.attachReport().coldReason());
            TreeSet<String> keys = new TreeSet<>();
            Env.survivors(dead).forEach((frame, found) -> {
                if (found.fileId() > 0) {
                    assertTrue(keys.add(found.fileId() + "/" + found.page()), step + ": twice in the ledger");
                }
                if (found.dropped() == null) {
                    survivorsSeen++;
                    byte[] inFrame =
                            dead.memory().asSlice((long) frame * PAGE, PAGE).toArray(ValueLayout.JAVA_BYTE);
                    assertArrayEquals(stored(found.fileId(), found.page()), inFrame, step + ", frame " + frame);
                    io.warmcache.spi.FrameRecord r = new io.warmcache.spi.FrameRecord();
                    assertTrue(dead.readRecord(frame, r));
                    for (int b = 0; b < PAGE / 4096; b++) {
                        long sum = dead.checksum().block(
                                dead.memory(),
                                (long) frame * PAGE + b * 4096L,
                                dead.incarnation(),
                                r.fileId,
                                r.page,
                                b,
                                r.generation);
                        assertEquals(sum, r.checksums[b], step + ", block " + b + " of frame " + frame);
                    }
                }
            });
            for (int i = 0; i < dead.geometry().maxFiles(); i++) {
                checkGate(step, dead, dead.geometry().slot(i));
            }
        } finally {
            dead.abandon();
        }
    }

    /** What a cold read gives: zeros past the end. */
    private byte[] stored(long fileId, long page) {
        try {
            byte[] all = Files.readAllBytes(files.get(fileId));
            int from = (int) Math.min(all.length, page * PAGE);
            return Arrays.copyOf(Arrays.copyOfRange(all, from, Math.min(all.length, from + PAGE)), PAGE);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private void checkGate(String step, ShmBackend dead, long slot) throws IOException {
        MemorySegment m = dead.segment();
        if (!StoreJournal.isUsed(m, slot, dead.incarnation())) {
            return;
        }
        StoreJournal journal = new StoreJournal(m, slot, dead.incarnation(), null);
        long fileId = StoreJournal.fileId(m, slot);
        Path file = files.get(fileId);
        if (!journal.isWritten() || file == null) {
            return;
        }
        FileStat stat = Libc.stat(file.toString(), true);
        StoreVersion now =
                new StoreVersion(StoreVersion.Strength.HEURISTIC, stat.size(), stat.mtime(), stat.ctime());
        StoreJournal.Snapshot snapshot = withoutLooking(journal.snapshot(false));
        FileVerdict verdict = StoreGate.ofFile(snapshot, now, Libc.clockOffset(), BootId.current());
        if (verdict.kind() == Kind.CHANGED && verdict.detail().startsWith("too few")) {
            // Nearly all that was written last is being written again.
            assertTrue(snapshot.ringBlocks().length < Math.min(8, snapshot.ringSize()), step);
            return;
        }
        assertNotEquals(Kind.CHANGED, verdict.kind(), () -> step + ": " + verdict.detail());
        byte[] all = Files.readAllBytes(file);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment block = arena.allocate(4096, 8);
            for (int i = 0; i < verdict.canaryBlocks().length; i++) {
                int from = (int) Math.min(all.length, verdict.canaryBlocks()[i] * 4096);
                byte[] bytes = Arrays.copyOf(Arrays.copyOfRange(all, from, Math.min(all.length, from + 4096)), 4096);
                block.copyFrom(MemorySegment.ofArray(bytes));
                long sum = dead.checksum()
                        .block(block, 0, dead.incarnation(), fileId, verdict.canaryBlocks()[i], 0, 0);
                assertEquals(
                        sum,
                        verdict.canaryChecksums()[i],
                        step + ": canary block " + verdict.canaryBlocks()[i] + " of " + file);
            }
        }
    }

    /** Without the delay, between a journalled time and the write after it, that looking at the memory is. */
    private StoreJournal.Snapshot withoutLooking(StoreJournal.Snapshot s) {
        StoreJournal.Window w = s.window();
        return new StoreJournal.Snapshot(
                s.token(),
                w.isOpen()
                        ? new StoreJournal.Window(
                                w.first(), w.last() + lookedNanos + lookedBeforeNanos, w.sizeMin(), w.sizeMax())
                        : w,
                s.forced(),
                s.forcedWindow(),
                s.clockOffset(),
                s.boot(),
                s.ringBlocks(),
                s.ringChecksums(),
                s.ringSize(),
                s.damaged());
    }

    private void change(ShmBackend b, Random random, int frame, int from, int length) {
        b.markDirty(frame);
        byte[] bytes = new byte[length];
        random.nextBytes(bytes);
        MemorySegment.copy(bytes, 0, b.memory(), ValueLayout.JAVA_BYTE, (long) frame * PAGE + from, length / 2);
        at("user.half");
        MemorySegment.copy(
                bytes,
                length / 2,
                b.memory(),
                ValueLayout.JAVA_BYTE,
                (long) frame * PAGE + from + length / 2,
                length - length / 2);
        at("user.all");
    }

    @ParameterizedTest
    @EnumSource(IoMode.class)
    void noDeathLeavesARecordThatIsNotTrue(IoMode mode) throws Exception {
        MapOptions options = MapOptions.DEFAULT.withIoMode(mode);
        Random random = new Random(11);
        Path first = env.file("first", Env.random(12, 9 * PAGE));
        Path second = env.data.resolve("second");
        ShmBackend b = env.attach(env.config(), this::at);
        ShmFile f = Env.open(b, first, options);
        files.put(f.fileId(), first);
        f.force();
        f.accept();
        f.fill(0, Env.ints(0, 1, 2, 3), 4, 9 * PAGE, 0b0010);
        boolean together = f.runsAtOnce() > 1;
        int[][] runs = {Env.ints(16, 17), Env.ints(20), Env.ints(18)};
        f.fillRuns(3, new long[] {4, 7, 6}, runs, Env.ints(2, 1, 1), new long[] {0, 1, 0}, 9 * PAGE, (run, failure) -> {
            assertNull(failure);
            at("user.told");
        });
        change(b, random, 1, 100, 5000);
        f.writeBack(0 + 1, Env.ints(1), Env.ints(0b11), 1, 9 * PAGE);
        change(b, random, 2, 5000, 100);
        change(b, random, 3, 0, 50);
        f.writeBack(2, Env.ints(2, 3), Env.ints(0b10, 0b01), 2, 9 * PAGE);
        f.force();
        for (int frame = 0; frame < 4; frame++) {
            b.forced(frame);
        }
        b.release(0);
        f.fill(8, Env.ints(0), 1, 9 * PAGE, 0);
        Env.pass(25_000_000);
        f.settle();
        at("settled");
        // The same blocks again, now that the journal starts from a token.
        change(b, random, 2, 0, PAGE);
        f.writeBack(2, Env.ints(2), Env.ints(0b11), 1, 9 * PAGE);
        b.markDirty(3);
        f.refill(3, 3, 0b11, 9 * PAGE);
        f.seal(3, 3, 0b11);
        // Cut within page 8, as the cache does: boundary dirty, cut, tail zeroed, sealed. Both its blocks were just
        // written.
        change(b, random, 0, 0, PAGE);
        f.writeBack(8, Env.ints(0), Env.ints(0b11), 1, 9 * PAGE);
        long cut = 8L * PAGE + 700;
        b.markDirty(0);
        f.truncate(cut);
        b.memory().asSlice(700, PAGE - 700).fill((byte) 0);
        at("user.cut");
        f.seal(8, 0, 0b11);
        f.blank(9, 5);
        change(b, random, 5, 0, 3000);
        f.writeBack(9, Env.ints(5), Env.ints(0b01), 1, 9L * PAGE + 3000);
        f.truncate(12L * PAGE);
        for (int i = 0; i < (mode == IoMode.AUTO ? 80 : 12); i++) {
            change(b, random, 2, i % 2 * 4096, 64);
            f.writeBack(2, Env.ints(2), Env.ints(1 << i % 2), 1, 12L * PAGE);
            if (i % 16 == 3) {
                f.force();
                Env.pass(25_000_000);
                f.settle();
            }
        }
        ShmFile g = Env.open(b, second, options);
        files.put(g.fileId(), second);
        g.force();
        g.accept();
        for (int i = 0; i < 6; i++) {
            g.blank(i, 10 + i);
            change(b, random, 10 + i, 0, PAGE);
        }
        g.writeBack(0, Env.ints(10, 11, 12, 13, 14, 15), Env.ints(3, 3, 3, 3, 3, 3), 6, 6L * PAGE);
        b.release(12);
        b.hint(13, 5);
        b.recoveryFinished();
        g.close();
        at("second closed");
        f.close();
        at("first closed");
        System.out.println(mode + ": " + checks + " deaths at " + steps.size() + " kinds of steps, " + survivorsSeen
                + " survivors compared: " + steps);
        assertEquals(together, steps.contains("fill.submitted"));
        assertTrue(steps.size() >= 20 && survivorsSeen > 500, steps::toString);
    }

    @Test
    void aDeathDuringAnAttachLosesNothing() throws Exception {
        Path file = env.file("data", Env.random(13, 4 * PAGE));
        ShmBackend b = env.attach();
        ShmFile f = Env.map(b, file, MapOptions.DEFAULT);
        files.put(f.fileId(), file);
        f.fill(0, Env.ints(0, 1, 2, 3), 4, 4 * PAGE, 0);
        Env.kill(b, f);
        for (int i = 0; i < 5; i++) {
            b = env.attach(env.config(), this::at);
            at("attached");
            f = Env.open(b, file, MapOptions.DEFAULT);
            at("opened");
            f.force();
            f.accept();
            Env.kill(b, f);
            b = env.attach();
            assertEquals(4, Env.survivors(b).size());
            Env.kill(b);
        }
    }
}
