/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import java.lang.foreign.MemorySegment;
import java.lang.invoke.VarHandle;
import java.util.UUID;
import org.jspecify.annotations.Nullable;

/**
 * The header of a segment, kept in two copies of 4 KiB each, of which the first {@value #WORDS} words are used.
 *
 * <pre>
 *  word  what
 *  0     magic
 *  1     format version; written last, 0 while the copy is being written
 *  2     checksum of the words 3 to 31, seeded with magic and version
 *  3     sequence, raised at every change
 *  4     algorithm of the block checksums
 *  5     bytes of a page
 *  6     frames
 *  7     slots of the file table
 *  8     bytes of a ledger record
 *  9     offset of the ledger
 *  10    offset of the frames
 *  11    length of the segment
 *  12    incarnation: random, of this formatting, never 0; part of every other checksum
 *  13,14 boot id of the operating system under which the last recovery ended
 *  15    pid of the last owner, for messages alone
 *  16    start of its attach, milliseconds since the epoch, for messages alone
 *  17    attach epoch: how often the segment was attached
 *  18    attaches in a row that have not ended their recovery
 *  19    1 if the last owner detached in order
 *  20    the file id to be given out next
 *  21    pid namespace of the last owner (its inode number, 0 if not known), for messages alone
 *  22    offset of the policy's words
 * </pre>
 * A change writes copy A, then copy B. A death in between leaves at least one copy whole.
 */
final class Header {
    static final int WORDS = 32;
    /** {@code "warmcach"} in ASCII. */
    static final long MAGIC = 0x68636163_6D726177L;

    static final long VERSION = 2;

    /** More bits of a damaged magic than this are not taken for one. */
    private static final int MAGIC_DISTANCE = 16;

    private static final int W_VERSION = 1;
    private static final int W_CHECKSUM = 2;
    private static final int W_FIRST = 3;

    long sequence;
    long algorithm;
    Geometry geometry;
    long incarnation;
    UUID boot;
    long pid;
    long startMillis;
    long epoch;
    long unfinished;
    boolean clean;
    long nextFileId;
    long pidNamespace;

    Header(Geometry geometry, long algorithm, long incarnation, UUID boot) {
        this.geometry = geometry;
        this.algorithm = algorithm;
        this.incarnation = incarnation;
        this.boot = boot;
        this.nextFileId = 1;
    }

    /**
     * What reading the two copies gave.
     *
     * @param header the newer whole copy, or null
     * @param whole how many copies are whole
     * @param problem why there is none, one sentence; empty if there is
     */
    record Reading(@Nullable Header header, int whole, String problem) {}

    /** Reads the header from the first {@code 2 * Geometry.HEADER_SIZE} bytes of a segment, whatever they are. */
    static Reading read(MemorySegment bytes) {
        Header a = readCopy(bytes, 0);
        Header b = readCopy(bytes, Geometry.HEADER_SIZE);
        if (a != null && b != null) {
            return new Reading(a.sequence >= b.sequence ? a : b, 2, "");
        }
        if (a != null || b != null) {
            return new Reading(a != null ? a : b, 1, "");
        }
        return new Reading(null, 0, problem(bytes));
    }

    private static String problem(MemorySegment bytes) {
        if (isZero(bytes)) {
            return "the header is zeroed";
        }
        long version = 0;
        for (long copy = 0; copy <= Geometry.HEADER_SIZE; copy += Geometry.HEADER_SIZE) {
            long v = bytes.get(Layout.LONG, copy + 8 * W_VERSION);
            if (bytes.get(Layout.LONG, copy) == MAGIC && v != 0 && v != VERSION && checksumMatches(bytes, copy, v)) {
                version = v;
            }
        }
        return version != 0
                ? "the segment has format version " + version + ", this library reads " + VERSION
                : "both copies of the header are damaged";
    }

    /**
     * Whether these bytes may be overwritten: they are a header, however damaged or cut short, or zeros. Anything
     * else is somebody's file.
     *
     * @param size bytes that the file has
     */
    static boolean resembles(MemorySegment bytes, long size) {
        if (size < 8) {
            long mask = (1L << (8 * size)) - 1;
            return (bytes.get(Layout.LONG, 0) & mask) == (MAGIC & mask) || isZero(bytes);
        }
        return resemblesCopy(bytes, 0) || resemblesCopy(bytes, Geometry.HEADER_SIZE) || isZero(bytes);
    }

    private static boolean resemblesCopy(MemorySegment bytes, long base) {
        return Long.bitCount(bytes.get(Layout.LONG, base) ^ MAGIC) <= MAGIC_DISTANCE
                || geometry(words(bytes, base)) != null;
    }

    private static long[] words(MemorySegment m, long base) {
        long[] w = new long[WORDS];
        MemorySegment.copy(m, Layout.LONG, base, w, 0, WORDS);
        return w;
    }

    /** The geometry that a copy tells, if it is possible and its parts agree. */
    private static @Nullable Geometry geometry(long[] w) {
        if (w[5] < 4096 || w[5] > 65536 || Long.bitCount(w[5]) != 1 || w[6] < 1 || w[6] > 1 << 24 || w[7] < 1
                || w[7] > 1 << 20) {
            return null;
        }
        Geometry g = Geometry.of((int) w[5], (int) w[6], (int) w[7]);
        return w[8] == g.recordSize()
                        && w[9] == g.ledgerOffset()
                        && w[10] == g.framesOffset()
                        && w[11] == g.length()
                        && w[22] == g.policyOffset()
                ? g
                : null;
    }

    private static boolean isZero(MemorySegment bytes) {
        for (long i = 0; i < bytes.byteSize(); i += 8) {
            if (bytes.get(Layout.LONG, i) != 0) {
                return false;
            }
        }
        return true;
    }

    private static boolean checksumMatches(MemorySegment m, long base, long version) {
        return m.get(Layout.LONG, base + 8 * W_CHECKSUM) == checksum(m, base, version);
    }

    private static long checksum(MemorySegment m, long base, long version) {
        return WordHash.of(m, base + 8 * W_FIRST, WORDS - W_FIRST, WordHash.mix(MAGIC, version));
    }

    private static @Nullable Header readCopy(MemorySegment m, long base) {
        if (m.get(Layout.LONG, base) != MAGIC
                || m.get(Layout.LONG, base + 8 * W_VERSION) != VERSION
                || !checksumMatches(m, base, VERSION)) {
            return null;
        }
        long[] w = words(m, base);
        Geometry g = geometry(w);
        if (g == null || w[12] == 0 || w[20] < 1) {
            return null;
        }
        Header h = new Header(g, w[4], w[12], new UUID(w[13], w[14]));
        h.sequence = w[3];
        h.pid = w[15];
        h.startMillis = w[16];
        h.epoch = w[17];
        h.unfinished = w[18];
        h.clean = w[19] == 1;
        h.nextFileId = w[20];
        h.pidNamespace = w[21];
        return h;
    }

    /** Makes both copies unreadable, ordered before every later store. */
    static void invalidate(MemorySegment m) {
        Layout.LONG_VAR.setRelease(m, 8L * W_VERSION, 0L);
        Layout.LONG_VAR.setRelease(m, Geometry.HEADER_SIZE + 8L * W_VERSION, 0L);
        VarHandle.fullFence();
    }

    /** Publishes this header, after every store made before. */
    void write(MemorySegment m) {
        sequence++;
        long[] w = new long[WORDS];
        w[0] = MAGIC;
        w[3] = sequence;
        w[4] = algorithm;
        w[5] = geometry.pageSize();
        w[6] = geometry.frames();
        w[7] = geometry.maxFiles();
        w[8] = geometry.recordSize();
        w[9] = geometry.ledgerOffset();
        w[10] = geometry.framesOffset();
        w[11] = geometry.length();
        w[12] = incarnation;
        w[13] = boot.getMostSignificantBits();
        w[14] = boot.getLeastSignificantBits();
        w[15] = pid;
        w[16] = startMillis;
        w[17] = epoch;
        w[18] = unfinished;
        w[19] = clean ? 1 : 0;
        w[20] = nextFileId;
        w[21] = pidNamespace;
        w[22] = geometry.policyOffset();
        writeCopy(m, 0, w);
        writeCopy(m, Geometry.HEADER_SIZE, w);
    }

    private static void writeCopy(MemorySegment m, long base, long[] w) {
        Layout.LONG_VAR.setRelease(m, base + 8L * W_VERSION, 0L);
        VarHandle.fullFence();
        m.set(Layout.LONG, base, w[0]);
        MemorySegment.copy(w, W_FIRST, m, Layout.LONG, base + 8 * W_FIRST, WORDS - W_FIRST);
        m.set(Layout.LONG, base + 8 * W_CHECKSUM, checksum(m, base, VERSION));
        Layout.LONG_VAR.setRelease(m, base + 8L * W_VERSION, VERSION);
        VarHandle.fullFence();
    }
}
