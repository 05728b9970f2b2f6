/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture.faults;

import io.warmcache.spi.FrameState;
import io.warmcache.torture.faults.MemoryFaults.Frame;
import io.warmcache.torture.faults.Remains.Entry;
import io.warmcache.torture.faults.Strike.Target;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/** Breaks the frames of a cache that is being read and written, one at a time, and waits until the break is gone. */
final class Running {
    static final List<Kind> KINDS =
            List.of(Kind.BIT_FLIPS, Kind.RECORD_FLIPS, Kind.WILD_STORE, Kind.OFF_BY_ONE, Kind.COPY_OVERRUN);

    private static final long PATIENCE = TimeUnit.SECONDS.toNanos(20);

    private Running() {}

    /**
     * Adds breaks to a tally, of each of the kinds in turn.
     *
     * @param count how many it is to hold
     * @param deadline when to end before, as of {@link System#nanoTime}
     */
    static void run(
            boolean xen,
            List<Kind> kinds,
            int count,
            boolean paranoid,
            long seed,
            RunningTally tally,
            long deadline)
            throws IOException, InterruptedException {
        int salt = kinds.getFirst().number * 31 ^ (paranoid ? 7 : 0);
        Random random = new Random(seed ^ salt ^ (long) tally.injected << 20);
        Map<String, String> options =
                Map.of("end", "serve", "policy", "WRITE_BACK", "paranoid", paranoid ? "on" : "off");
        try (Lab lab = new Lab(xen, 20, 8, 8192, null);
                Child child = lab.start(random.nextLong(), options, false)) {
            child.await("READY");
            MemorySegment hits = Serving.tally(lab.data);
            MemoryFaults faults = new MemoryFaults(lab.data, random);
            try (Remains m = lab.remains()) {
                while (tally.injected < count && child.isAlive() && System.nanoTime() - deadline < 0) {
                    Kind kind = kinds.get(tally.injected % kinds.size());
                    strike(kind, faults, m, lab.data, hits, tally, random);
                }
            }
            if (!child.isAlive()) {
                child.await("the end of the campaign");
            }
            child.kill();
            lab.awaitOff();
            tally.told += Serving.poisoned(lab.data, hits);
            tally.refused += Serving.refused(lab.data, hits);
            tally.written += broken(lab.data);
        }
    }

    private static void strike(
            Kind kind,
            MemoryFaults faults,
            Remains m,
            Dataset data,
            MemorySegment hits,
            RunningTally tally,
            Random random)
            throws IOException {
        Frame frame = choose(faults, m, random.nextInt(3) == 0, random);
        if (frame == null) {
            return;
        }
        int page = data.number(frame.page().file(), frame.page().page());
        byte[] before = bytes(m, frame.number());
        long wrong = Serving.wrong(hits, page);
        long start = System.nanoTime();
        Strike strike = kind == Kind.RECORD_FLIPS
                ? record(frame, m, random)
                : faults.strike(kind, frame, m);
        byte[] after = bytes(m, frame.number());
        byte[] record = m.recordOf(frame.number());
        tally.injected++;
        if (frame.entry().state() == FrameState.DIRTY) {
            tally.inDirty++;
        }
        Map<Integer, Byte> struck = new HashMap<>();
        for (int i = 0; i < before.length; i++) {
            if (before[i] != after[i]) {
                struck.put(i, after[i]);
            }
        }
        boolean gone = struck.isEmpty() && strike.targets().isEmpty();
        boolean written = false;
        while (!gone && System.nanoTime() - start < PATIENCE) {
            Entry now = m.entry(frame.number());
            if (now.state() == FrameState.FREE || struck.isEmpty()) {
                // A record: given up, or made anew.
                gone = now.state() == FrameState.FREE || !Arrays.equals(record, m.recordOf(frame.number()));
            } else {
                gone = now.page() != frame.entry().page()
                        || now.fileId() != frame.entry().fileId()
                        || now.generation() != frame.entry().generation()
                        || struck.entrySet().stream()
                                .allMatch(e -> m.get((long) frame.number() * m.pageSize() + e.getKey())
                                        != e.getValue());
            }
            LockSupport.parkNanos(20_000); // the machine has few processors, and the cache needs one
            // Also once it is gone: what damaged bytes were written over with may have been they, in the store.
            written |= !struck.isEmpty() && isBroken(data, frame.page());
        }
        tally.seen += written ? 1 : 0;
        if (gone) {
            tally.gone++;
            tally.micros.add((System.nanoTime() - start) / 1000);
        } else {
            tally.left++;
        }
        tally.hits.add(Serving.wrong(hits, page) - wrong);
    }

    private static Strike record(Frame frame, Remains m, Random random) {
        return m.flipRecord(frame.number(), 1 + random.nextInt(64), random)
                ? Strike.at("record", frame.page())
                : Strike.harmless("record", "hint or padding");
    }

    /** A frame in use, one with changes not yet written if there is any and that is wanted. */
    private static @org.jspecify.annotations.Nullable Frame choose(
            MemoryFaults faults, Remains m, boolean dirty, Random random) {
        if (dirty) {
            for (int tries = 0; tries < 10_000; tries++) {
                int f = random.nextInt(m.frames());
                Entry entry = m.entry(f);
                Target target = faults.page(m, f);
                if (entry.state() == FrameState.DIRTY && target != null) {
                    return new Frame(f, target, entry);
                }
            }
        }
        List<Frame> frames = faults.frames(m);
        return frames.isEmpty() ? null : frames.getFirst();
    }

    private static byte[] bytes(Remains m, int frame) {
        byte[] bytes = new byte[m.pageSize()];
        for (int i = 0; i < bytes.length; i++) {
            bytes[i] = m.get((long) frame * bytes.length + i);
        }
        return bytes;
    }

    /** Whether the store's page has a block that no writer wrote; one that is being written is looked at again. */
    private static boolean isBroken(Dataset data, Target page) throws IOException {
        byte[] before = new byte[0];
        for (int look = 0; look < 4; look++) {
            byte[] now = new byte[data.pageSize()];
            try (RandomAccessFile file = new RandomAccessFile(data.file(page.file()).toFile(), "r")) {
                file.seek(page.page() * data.pageSize());
                int n = Math.max(0, file.read(now));
                if (broken(data, page.file(), page.page(), MemorySegment.ofArray(now).asSlice(0, n)) == 0) {
                    return false;
                }
            }
            if (look > 0 && !Arrays.equals(before, now)) {
                return false; // the next look is at another write
            }
            before = now;
            LockSupport.parkNanos(300_000);
        }
        return true;
    }

    private static int broken(Dataset data, int f, long page, MemorySegment bytes) {
        int broken = 0;
        for (long block = 0; block + Dataset.BLOCK <= bytes.byteSize(); block += Dataset.BLOCK) {
            boolean good = true;
            long word = bytes.get(ValueLayout.JAVA_LONG_UNALIGNED, block);
            for (long at = block; at < block + Dataset.BLOCK; at += Long.BYTES) {
                good &= bytes.get(ValueLayout.JAVA_LONG_UNALIGNED, at) == word;
            }
            broken += good && data.mayHold(word, f, page, block) ? 0 : 1;
        }
        return broken;
    }

    /** Blocks that are no write of their page. */
    private static int broken(Dataset data) throws IOException {
        int broken = 0;
        for (int f = 0; f < data.files(); f++) {
            MemorySegment bytes = MemorySegment.ofArray(Files.readAllBytes(data.file(f)));
            for (long at = 0; at < bytes.byteSize(); at += data.pageSize()) {
                long length = Math.min(data.pageSize(), bytes.byteSize() - at);
                broken += broken(data, f, at / data.pageSize(), bytes.asSlice(at, length));
            }
        }
        return broken;
    }
}
