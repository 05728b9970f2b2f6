/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import io.warmcache.StoreId;
import io.warmcache.StoreVersion;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.UUID;
import org.jspecify.annotations.Nullable;

/**
 * One slot of the file table: which store a file id stands for, the version at which its frames equal it, and what
 * was being written since.
 *
 * <pre>
 *  offset  bytes    what
 *  0       256      the store, written once:
 *                     0 checksum of the rest, 0 in a free slot; 8 file id; 16, 24 store id; 32 kind
 *                     (1 plain file, 2 engine's); 40 inode generation; 48 bytes of the name;
 *                     56 name in UTF-8, at most 200 bytes
 *  256     384      the journal, copy 0
 *  640     384      the journal, copy 1
 *  1024    64 * 16  ring of the last blocks written: block number (-1: none), its checksum
 * </pre>
 * A journal copy holds the words named {@code J_*} below. A change writes the older copy, its checksum last, so that
 * a death leaves either what was before or what is after, never a mixture. Intents are journalled before the store is
 * written and outcomes after it, so "what was before" is true in both cases.
 *
 * <p>Times are nanoseconds of the epoch's clock. All methods that change the slot exclude each other.
 */
final class StoreJournal {
    static final int SLOT_SIZE = 2048;
    static final int RING = 64;
    /** No file gets as high a number by counting from 1: what names a higher one is damaged, and none overflows. */
    static final long MAX_FILE_ID = 0x3FFF_FFFF_0000_0000L;
    /** Writes that may be under way at once. */
    static final int MAX_IN_FLIGHT = 16;

    static final long KIND_FILE = 1;
    static final long KIND_ENGINE = 2;

    private static final int STATIC_WORDS = 32;
    private static final int O_FILE_ID = 8;
    private static final int O_ID_HIGH = 16;
    private static final int O_ID_LOW = 24;
    private static final int O_KIND = 32;
    private static final int O_INODE_GENERATION = 40;
    private static final int O_NAME_LENGTH = 48;
    private static final int O_NAME = 56;
    private static final int MAX_NAME = 200;

    private static final int O_JOURNAL = 256;
    private static final int JOURNAL_WORDS = 48;
    private static final int O_RING = 1024;

    /** Word 0 is the checksum of the others. */
    private static final int J_SEQUENCE = 1;
    /** The version at which nothing had been written for a while: strength and three words. */
    private static final int J_TOKEN = 2;
    /** The writes since: first and last time, least and greatest length; all 0 if there were none. */
    private static final int J_WINDOW = 6;
    /** The version that was forced last, and the writes since. */
    private static final int J_FORCED = 10;

    private static final int J_FORCED_WINDOW = 14;
    private static final int J_CLOCK_OFFSET = 18;
    private static final int J_BOOT = 19;
    /** When the file was opened last, in opens; the least is forgotten first. */
    private static final int J_OPENED = 21;
    /** The number of the first ring entry that counts, of the first to be written, and of the first not forced. */
    private static final int J_RING_START = 22;

    private static final int J_RING_END = 23;
    private static final int J_RING_FORCED = 24;
    /**
     * Ranges being written: block number in the upper 40 bits, count in the lower 24 (all ones: to the end); 0 if
     * none.
     */
    private static final int J_IN_FLIGHT = 25;

    private static final int TO_THE_END = 0xFFFFFF;
    /** Bits of the number of a block. */
    private static final int BLOCK_BITS = 40;

    /** A span of writes; {@code first} is 0 if there were none. */
    record Window(long first, long last, long sizeMin, long sizeMax) {
        static final Window NONE = new Window(0, 0, 0, 0);

        boolean isOpen() {
            return first != 0;
        }
    }

    /**
     * What a slot says, read once.
     *
     * @param ringBlocks blocks written last, the latest entry of each block, none with a write in flight
     * @param ringChecksums their checksums
     * @param ringSize how many blocks the ring holds, those with a write in flight included
     * @param damaged whether the ring holds what no owner wrote
     */
    @SuppressWarnings("ArrayRecordComponent") // read once by the gate, never compared or kept
    record Snapshot(
            StoreVersion token,
            Window window,
            StoreVersion forced,
            Window forcedWindow,
            long clockOffset,
            UUID boot,
            long[] ringBlocks,
            long[] ringChecksums,
            int ringSize,
            boolean damaged) {}

    private final MemorySegment memory;
    private final long base;
    private final @Nullable StepHook hook;

    /** The newest copy, as it was or will be written. */
    private final long[] words = new long[JOURNAL_WORDS];

    private final long seed;

    /** What was written since the force under way began. */
    private Window sinceForceBegan = Window.NONE;

    private long ringAtForce;

    StoreJournal(MemorySegment memory, long base, long incarnation, @Nullable StepHook hook) {
        this.memory = memory;
        this.base = base;
        this.hook = hook;
        this.seed = journalSeed(incarnation, memory.get(Layout.LONG, base + O_FILE_ID));
        load();
    }

    private static long journalSeed(long incarnation, long fileId) {
        return WordHash.mix(WordHash.mix(incarnation, 0x4A), fileId);
    }

    private void step(String name) {
        if (hook != null) {
            hook.at(name);
        }
    }

    // The slot's constant part

    static boolean isUsed(MemorySegment m, long base, long incarnation) {
        return m.get(Layout.LONG, base) == staticChecksum(m, base, incarnation)
                && m.get(Layout.LONG, base + O_FILE_ID) > 0
                && m.get(Layout.LONG, base + O_FILE_ID) <= MAX_FILE_ID;
    }

    private static long staticChecksum(MemorySegment m, long base, long incarnation) {
        return WordHash.of(m, base + 8, STATIC_WORDS - 1, WordHash.mix(incarnation, 0x53));
    }

    static long fileId(MemorySegment m, long base) {
        return m.get(Layout.LONG, base + O_FILE_ID);
    }

    static StoreId storeId(MemorySegment m, long base) {
        return new StoreId(m.get(Layout.LONG, base + O_ID_HIGH), m.get(Layout.LONG, base + O_ID_LOW));
    }

    static String name(MemorySegment m, long base) {
        int length = Math.clamp(m.get(Layout.LONG, base + O_NAME_LENGTH), 0, MAX_NAME);
        return new String(m.asSlice(base + O_NAME, length).toArray(ValueLayout.JAVA_BYTE), StandardCharsets.UTF_8);
    }

    long kind() {
        return memory.get(Layout.LONG, base + O_KIND);
    }

    long inodeGeneration() {
        return memory.get(Layout.LONG, base + O_INODE_GENERATION);
    }

    /** Frees a slot, ordered before every later store. */
    static void clear(MemorySegment m, long base) {
        Layout.LONG_VAR.setRelease(m, base, 0L);
        VarHandle.fullFence();
    }

    /** Fills a free slot for a store without any version; it counts once this returns. */
    static void create(
            MemorySegment m,
            long base,
            long incarnation,
            long fileId,
            StoreId id,
            long kind,
            long generation,
            String name) {
        clear(m, base);
        m.asSlice(base, SLOT_SIZE).fill((byte) 0);
        VarHandle.storeStoreFence();
        m.set(Layout.LONG, base + O_FILE_ID, fileId);
        m.set(Layout.LONG, base + O_ID_HIGH, id.high());
        m.set(Layout.LONG, base + O_ID_LOW, id.low());
        m.set(Layout.LONG, base + O_KIND, kind);
        m.set(Layout.LONG, base + O_INODE_GENERATION, generation);
        byte[] bytes = name.getBytes(StandardCharsets.UTF_8);
        int length = Math.min(bytes.length, MAX_NAME);
        m.set(Layout.LONG, base + O_NAME_LENGTH, length);
        MemorySegment.copy(bytes, bytes.length - length, m, ValueLayout.JAVA_BYTE, base + O_NAME, length);
        Layout.LONG_VAR.setRelease(m, base, staticChecksum(m, base, incarnation));
        VarHandle.fullFence();
    }

    // The journal

    private void load() {
        long best = -1;
        for (long copy = 0; copy < 2; copy++) {
            long at = journal(copy);
            long sequence = memory.get(Layout.LONG, at + 8 * J_SEQUENCE);
            if (sequence > best && (sequence & 1) == copy && memory.get(Layout.LONG, at) == journalChecksum(at)) {
                best = sequence;
                MemorySegment.copy(memory, Layout.LONG, at, words, 0, JOURNAL_WORDS);
            }
        }
    }

    private long journal(long sequence) {
        return base + O_JOURNAL + 8L * JOURNAL_WORDS * (sequence & 1);
    }

    private long journalChecksum(long at) {
        return WordHash.of(memory, at + 8, JOURNAL_WORDS - 1, seed);
    }

    private void write() {
        step("journal");
        words[J_SEQUENCE]++;
        long at = journal(words[J_SEQUENCE]);
        Layout.LONG_VAR.setRelease(memory, at, 0L);
        VarHandle.storeStoreFence();
        MemorySegment.copy(words, 1, memory, Layout.LONG, at + 8, JOURNAL_WORDS - 1);
        step("journal.words");
        Layout.LONG_VAR.setRelease(memory, at, journalChecksum(at));
        VarHandle.storeStoreFence();
        step("journal.done");
    }

    /** Whether there is any whole journal; not so before the first {@link #accept}. */
    synchronized boolean isWritten() {
        return words[J_SEQUENCE] > 0;
    }

    synchronized UUID boot() {
        return new UUID(words[J_BOOT], words[J_BOOT + 1]);
    }

    synchronized long opened() {
        return words[J_OPENED];
    }

    private StoreVersion version(int at) {
        return switch ((int) words[at]) {
            case 1 -> new StoreVersion(StoreVersion.Strength.EXACT, words[at + 1], words[at + 2], words[at + 3]);
            case 2 -> new StoreVersion(StoreVersion.Strength.HEURISTIC, words[at + 1], words[at + 2], words[at + 3]);
            default -> StoreVersion.none();
        };
    }

    private void version(int at, StoreVersion version) {
        words[at] = switch (version.strength()) {
            case EXACT -> 1;
            case HEURISTIC -> 2;
            case NONE -> 0;
        };
        words[at + 1] = version.first();
        words[at + 2] = version.second();
        words[at + 3] = version.third();
    }

    private Window window(int at) {
        return new Window(words[at], words[at + 1], words[at + 2], words[at + 3]);
    }

    private void window(int at, Window window) {
        words[at] = window.first();
        words[at + 1] = window.last();
        words[at + 2] = window.sizeMin();
        words[at + 3] = window.sizeMax();
    }

    private static Window widen(Window w, long first, long last, long sizeMin, long sizeMax) {
        return w.isOpen()
                ? new Window(
                        Math.min(w.first, first),
                        Math.max(w.last, last),
                        Math.min(w.sizeMin, sizeMin),
                        Math.max(w.sizeMax, sizeMax))
                : new Window(first, last, sizeMin, sizeMax);
    }

    /**
     * Reads the slot as a new owner does.
     *
     * @param forcedOnly leaves out of the ring every block written after the last force
     */
    synchronized Snapshot snapshot(boolean forcedOnly) {
        long end = words[J_RING_END];
        long from = Math.max(words[J_RING_START], end - RING);
        long forced = forcedOnly ? words[J_RING_FORCED] : end;
        long[] blocks = new long[RING];
        long[] checksums = new long[RING];
        boolean damaged = from < 0 || from > end || forced > end;
        int distinct = 0;
        int n = 0;
        for (long i = end - 1; i >= from && !damaged; i--) {
            long at = base + O_RING + (i & RING - 1) * 16;
            long block = memory.get(Layout.LONG, at);
            if (block == -1 || contains(blocks, RING - distinct, block)) {
                continue;
            }
            long checksum = memory.get(Layout.LONG, at + 8);
            // No block of a store has a number that its intent could not name, and few have one that can be read.
            damaged = block >>> BLOCK_BITS != 0 || checksum == 0;
            // Blocks seen are collected from the array's end, those to compare at its start.
            distinct++;
            blocks[RING - distinct] = block;
            checksums[RING - distinct] = i < forced ? checksum : 0;
        }
        int seen = distinct;
        long[] kept = new long[seen];
        long[] keptChecksums = new long[seen];
        int counted = 0;
        for (int i = RING - 1; i >= RING - seen; i--) {
            if (checksums[i] == 0) {
                continue;
            }
            counted++;
            if (!inFlight(blocks[i])) {
                kept[n] = blocks[i];
                keptChecksums[n] = checksums[i];
                n++;
            }
        }
        return new Snapshot(
                version(J_TOKEN),
                window(J_WINDOW),
                version(J_FORCED),
                window(J_FORCED_WINDOW),
                words[J_CLOCK_OFFSET],
                boot(),
                Arrays.copyOf(kept, n),
                Arrays.copyOf(keptChecksums, n),
                counted,
                damaged);
    }

    private static boolean contains(long[] blocks, int from, long block) {
        for (int i = from; i < blocks.length; i++) {
            if (blocks[i] == block) {
                return true;
            }
        }
        return false;
    }

    private boolean inFlight(long block) {
        for (int i = 0; i < MAX_IN_FLIGHT; i++) {
            long range = words[J_IN_FLIGHT + i];
            long first = range >>> 24;
            long count = range & TO_THE_END;
            if (count != 0 && block >= first && (count == TO_THE_END || block < first + count)) {
                return true;
            }
        }
        return false;
    }

    /**
     * Starts anew from the store's present version, forgetting every write before.
     *
     * @param settled whether nothing had been written for long enough for {@code version} to show any later write; if
     *     not, the journal counts as written to until {@link #settle}
     * @param forced whether the store has been forced at this version
     */
    synchronized void accept(
            StoreVersion version, boolean settled, boolean forced, long now, long clockOffset, UUID boot, long opened) {
        long sequence = words[J_SEQUENCE];
        long ringEnd = words[J_RING_END];
        Arrays.fill(words, 0);
        words[J_SEQUENCE] = sequence;
        version(J_TOKEN, version);
        if (!settled) {
            window(J_WINDOW, new Window(now, now, version.first(), version.first()));
        }
        version(J_FORCED, forced ? version : StoreVersion.none());
        words[J_CLOCK_OFFSET] = clockOffset;
        words[J_BOOT] = boot.getMostSignificantBits();
        words[J_BOOT + 1] = boot.getLeastSignificantBits();
        words[J_OPENED] = opened;
        words[J_RING_START] = ringEnd;
        words[J_RING_END] = ringEnd;
        words[J_RING_FORCED] = ringEnd;
        write();
    }

    /**
     * Journals that {@code count} blocks from {@code firstBlock} on are about to be written.
     *
     * @param count 0 for all blocks to the end
     * @param sizeMin the least length the store may have until {@link #end}
     * @param sizeMax the greatest
     * @return the number of the intent
     */
    synchronized int begin(long firstBlock, int count, long sizeMin, long sizeMax, long now) {
        int slot = 0;
        while (words[J_IN_FLIGHT + slot] != 0) {
            slot++;
            if (slot == MAX_IN_FLIGHT) {
                throw new IllegalStateException("more than " + MAX_IN_FLIGHT + " writes of one store at once");
            }
        }
        words[J_IN_FLIGHT + slot] = firstBlock << 24 | (count == 0 ? TO_THE_END : count);
        if (words[J_WINDOW] == 0) {
            words[J_CLOCK_OFFSET] = Libc.clockOffset();
        }
        widen(now, now, sizeMin, sizeMax);
        write();
        // The write itself is a system call or a foreign store's business: not before the intent.
        VarHandle.fullFence();
        return slot;
    }

    private void widen(long first, long last, long sizeMin, long sizeMax) {
        window(J_WINDOW, widen(window(J_WINDOW), first, last, sizeMin, sizeMax));
        window(J_FORCED_WINDOW, widen(window(J_FORCED_WINDOW), first, last, sizeMin, sizeMax));
        sinceForceBegan = widen(sinceForceBegan, first, last, sizeMin, sizeMax);
    }

    /** Journals that another system call of the same intent follows, which may have waited since {@link #begin}. */
    synchronized void extend(long now) {
        words[J_WINDOW + 1] = Math.max(words[J_WINDOW + 1], now);
        words[J_FORCED_WINDOW + 1] = Math.max(words[J_FORCED_WINDOW + 1], now);
        sinceForceBegan = widen(sinceForceBegan, now, now, sinceForceBegan.sizeMin, sinceForceBegan.sizeMax);
        write();
    }

    /**
     * Journals that the write is over.
     *
     * @param written whether all of it succeeded; if not, nothing is known of its blocks
     * @param checksums those of the blocks, from {@code from} on, for the ring; null if none are known
     */
    synchronized void end(int slot, boolean written, long @Nullable [] checksums, int from, long now) {
        long range = words[J_IN_FLIGHT + slot];
        long first = range >>> 24;
        int count = (int) (range & TO_THE_END);
        words[J_WINDOW + 1] = Math.max(words[J_WINDOW + 1], now);
        words[J_FORCED_WINDOW + 1] = Math.max(words[J_FORCED_WINDOW + 1], now);
        if (sinceForceBegan.isOpen()) {
            sinceForceBegan = widen(sinceForceBegan, now, now, sinceForceBegan.sizeMin, sinceForceBegan.sizeMax);
        }
        if (written && checksums != null) {
            for (int i = Math.max(0, count - RING); i < count; i++) {
                ring(words[J_RING_END]++, first + i, checksums[from + i]);
            }
        } else {
            forget(first, count);
        }
        step("end.ring");
        words[J_IN_FLIGHT + slot] = 0;
        write();
    }

    /** Still in flight by the journal, so that half an entry is not compared. */
    private void ring(long index, long block, long checksum) {
        long at = base + O_RING + (index & RING - 1) * 16;
        Layout.LONG_VAR.setRelease(memory, at, -1L);
        Layout.LONG_VAR.setRelease(memory, at + 8, checksum);
        Layout.LONG_VAR.setRelease(memory, at, block);
    }

    private void forget(long first, int count) {
        for (int i = 0; i < RING; i++) {
            long at = base + O_RING + i * 16L;
            long block = memory.get(Layout.LONG, at);
            if (block >= first && (count == TO_THE_END || block < first + count)) {
                Layout.LONG_VAR.setRelease(memory, at, -1L);
            }
        }
    }

    /** The version taken last. */
    synchronized StoreVersion token() {
        return version(J_TOKEN);
    }

    /** Whether anything was written since the token was taken. */
    synchronized boolean isOpen() {
        return words[J_WINDOW] != 0;
    }

    /** Takes the token of a store that has been quiet. The caller excludes writers. */
    synchronized void settle(StoreVersion version, long clockOffset) {
        version(J_TOKEN, version);
        window(J_WINDOW, Window.NONE);
        words[J_CLOCK_OFFSET] = clockOffset;
        write();
    }

    /**
     * Journals a force that is about to begin. The caller excludes writers, and other forces until {@link
     * #forceEnded}.
     */
    synchronized void forceBegins() {
        sinceForceBegan = Window.NONE;
        ringAtForce = words[J_RING_END];
    }

    /** Journals that all that was written before {@link #forceBegins}, at {@code version}, is durable. */
    synchronized void forceEnded(StoreVersion version) {
        version(J_FORCED, version);
        window(J_FORCED_WINDOW, sinceForceBegan);
        words[J_RING_FORCED] = ringAtForce;
        write();
    }
}
