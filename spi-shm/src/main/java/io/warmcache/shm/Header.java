/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import java.lang.foreign.MemorySegment;
import java.lang.invoke.VarHandle;
import java.util.UUID;
import org.jspecify.annotations.Nullable;

/**
 * The header of a segment, kept in two copies of 4 KiB each, of which the first {@value #WORDS} words are used. The
 * first three words are the same in every {@link Format}.
 *
 * <pre>
 *  word  what
 *  0     magic
 *  1     format version; written last, 0 while the copy is being written
 *  2     checksum of the words 3 to 31, seeded with magic and version
 *  3     sequence, raised at every change
 *  4     algorithm of the block checksums
 *  5     bytes of a page
 *  6     frames there is room for
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
 *  23    frames that exist
 *  24    the room that the segment is getting, or had before the one it has; 0 unless that is under way
 *  25    compatible features
 *  26    incompatible features
 * </pre>
 * A change writes copy A, then copy B. A death in between leaves at least one copy whole.
 */
final class Header {
    static final int WORDS = 32;
    /** {@code "warmcach"} in ASCII. */
    static final long MAGIC = 0x68636163_6D726177L;

    /** More bits of a damaged magic than this are not taken for one. */
    private static final int MAGIC_DISTANCE = 16;

    static final int W_MAGIC = 0;
    static final int W_VERSION = 1;
    static final int W_CHECKSUM = 2;
    static final int W_SEQUENCE = 3;
    static final int W_ALGORITHM = 4;
    static final int W_PAGE_SIZE = 5;
    static final int W_ROOM = 6;
    static final int W_MAX_FILES = 7;
    static final int W_RECORD_SIZE = 8;
    static final int W_LEDGER_OFFSET = 9;
    static final int W_FRAMES_OFFSET = 10;
    static final int W_LENGTH = 11;
    static final int W_INCARNATION = 12;
    static final int W_BOOT = 13;
    static final int W_PID = 15;
    static final int W_START = 16;
    static final int W_EPOCH = 17;
    static final int W_UNFINISHED = 18;
    static final int W_CLEAN = 19;
    static final int W_NEXT_FILE_ID = 20;
    static final int W_PID_NAMESPACE = 21;
    static final int W_POLICY_OFFSET = 22;
    static final int W_CAPACITY = 23;
    static final int W_OTHER_ROOM = 24;
    static final int W_COMPATIBLE = 25;
    static final int W_INCOMPATIBLE = 26;

    /** What reads and writes it; the copy read may be of an older version. */
    final Format format;

    long sequence;
    long algorithm;
    Geometry geometry;
    /** Frames that exist, of those there is room for. */
    int capacity;
    /** The room of the unfinished change of room; 0 if there is none. */
    int otherRoom;
    /** As found; what is written are those that this format keeps up. */
    long compatible;

    long incompatible;
    long incarnation;
    UUID boot;
    long pid;
    long startMillis;
    long epoch;
    long unfinished;
    boolean clean;
    long nextFileId;
    long pidNamespace;

    Header(Format format, Geometry geometry, int capacity, long algorithm, long incarnation, UUID boot) {
        this.format = format;
        this.geometry = geometry;
        this.capacity = capacity;
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
    static Reading read(MemorySegment bytes, Format format) {
        Header a = readCopy(bytes, 0, format);
        Header b = readCopy(bytes, Geometry.HEADER_SIZE, format);
        if (a != null && b != null) {
            return new Reading(a.sequence >= b.sequence ? a : b, 2, "");
        }
        if (a != null || b != null) {
            return new Reading(a != null ? a : b, 1, "");
        }
        return new Reading(null, 0, problem(bytes, format));
    }

    private static String problem(MemorySegment bytes, Format format) {
        if (isZero(bytes)) {
            return "the header is zeroed";
        }
        long version = 0;
        for (long copy = 0; copy <= Geometry.HEADER_SIZE; copy += Geometry.HEADER_SIZE) {
            long v = bytes.get(Layout.LONG, copy + 8 * W_VERSION);
            boolean isHeader = bytes.get(Layout.LONG, copy) == MAGIC && v != 0 && checksumMatches(bytes, copy, v);
            if (isHeader && !format.reads(v)) {
                version = v;
            }
        }
        return version != 0
                ? "the segment has format version " + version + ", this library reads " + format.range()
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
        if (w[W_PAGE_SIZE] < 4096 || w[W_PAGE_SIZE] > 65536 || Long.bitCount(w[W_PAGE_SIZE]) != 1
                || w[W_ROOM] < 1 || w[W_ROOM] > Geometry.MAX_FRAMES
                || w[W_MAX_FILES] < 1 || w[W_MAX_FILES] > 1 << 20) {
            return null;
        }
        Geometry g = Geometry.at(
                (int) w[W_PAGE_SIZE], (int) w[W_ROOM], (int) w[W_MAX_FILES], w[W_FRAMES_OFFSET]);
        return g.isPlausible()
                        && w[W_RECORD_SIZE] == g.recordSize()
                        && w[W_LEDGER_OFFSET] == g.ledgerOffset()
                        && w[W_POLICY_OFFSET] == g.policyOffset()
                        && w[W_LENGTH] == g.length()
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
        return WordHash.of(m, base + 8 * W_SEQUENCE, WORDS - W_SEQUENCE, WordHash.mix(MAGIC, version));
    }

    private static @Nullable Header readCopy(MemorySegment m, long base, Format format) {
        long version = m.get(Layout.LONG, base + 8 * W_VERSION);
        if (m.get(Layout.LONG, base) != MAGIC
                || !format.reads(version)
                || !checksumMatches(m, base, version)) {
            return null;
        }
        long[] w = words(m, base);
        Geometry g = geometry(w);
        if (g == null || w[W_INCARNATION] == 0
                || w[W_NEXT_FILE_ID] < 1 || w[W_NEXT_FILE_ID] > StoreJournal.MAX_FILE_ID + 1
                || w[W_CAPACITY] < 1 || w[W_CAPACITY] > g.frames()
                || w[W_OTHER_ROOM] < 0 || w[W_OTHER_ROOM] > Geometry.MAX_FRAMES) {
            return null;
        }
        Header h = new Header(
                format, g, (int) w[W_CAPACITY], w[W_ALGORITHM], w[W_INCARNATION], new UUID(w[W_BOOT], w[W_BOOT + 1]));
        h.sequence = w[W_SEQUENCE];
        h.pid = w[W_PID];
        h.startMillis = w[W_START];
        h.epoch = w[W_EPOCH];
        h.unfinished = w[W_UNFINISHED];
        h.clean = w[W_CLEAN] == 1;
        h.nextFileId = w[W_NEXT_FILE_ID];
        h.pidNamespace = w[W_PID_NAMESPACE];
        h.otherRoom = (int) w[W_OTHER_ROOM];
        h.compatible = w[W_COMPATIBLE];
        h.incompatible = w[W_INCOMPATIBLE];
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
        compatible &= format.compatible();
        long[] w = new long[WORDS];
        w[W_MAGIC] = MAGIC;
        w[W_SEQUENCE] = sequence;
        w[W_ALGORITHM] = algorithm;
        w[W_PAGE_SIZE] = geometry.pageSize();
        w[W_ROOM] = geometry.frames();
        w[W_MAX_FILES] = geometry.maxFiles();
        w[W_RECORD_SIZE] = geometry.recordSize();
        w[W_LEDGER_OFFSET] = geometry.ledgerOffset();
        w[W_FRAMES_OFFSET] = geometry.framesOffset();
        w[W_LENGTH] = geometry.length();
        w[W_INCARNATION] = incarnation;
        w[W_BOOT] = boot.getMostSignificantBits();
        w[W_BOOT + 1] = boot.getLeastSignificantBits();
        w[W_PID] = pid;
        w[W_START] = startMillis;
        w[W_EPOCH] = epoch;
        w[W_UNFINISHED] = unfinished;
        w[W_CLEAN] = clean ? 1 : 0;
        w[W_NEXT_FILE_ID] = nextFileId;
        w[W_PID_NAMESPACE] = pidNamespace;
        w[W_POLICY_OFFSET] = geometry.policyOffset();
        w[W_CAPACITY] = capacity;
        w[W_OTHER_ROOM] = otherRoom;
        w[W_COMPATIBLE] = compatible;
        w[W_INCOMPATIBLE] = incompatible;
        writeCopy(m, 0, w);
        writeCopy(m, Geometry.HEADER_SIZE, w);
    }

    private void writeCopy(MemorySegment m, long base, long[] w) {
        Layout.LONG_VAR.setRelease(m, base + 8L * W_VERSION, 0L);
        VarHandle.fullFence();
        m.set(Layout.LONG, base, w[0]);
        MemorySegment.copy(w, W_SEQUENCE, m, Layout.LONG, base + 8 * W_SEQUENCE, WORDS - W_SEQUENCE);
        m.set(Layout.LONG, base + 8 * W_CHECKSUM, checksum(m, base, format.version()));
        Layout.LONG_VAR.setRelease(m, base + 8L * W_VERSION, format.version());
        VarHandle.fullFence();
    }
}
