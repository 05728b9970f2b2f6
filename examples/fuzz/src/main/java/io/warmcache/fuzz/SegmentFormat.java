/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.fuzz;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * The segment as {@code docs/format.md} describes it, in the bytes of a file: where its parts lie, and how a part that
 * was changed gets a checksum that matches, so that what lies behind the checksum is reached. Written from the
 * document, not from the code that it describes.
 */
final class SegmentFormat {
    static final int HEADER = 4096;
    static final int TABLE = 8192;
    static final int SLOT = 2048;
    static final int JOURNAL = 256;
    static final int JOURNAL_BYTES = 384;
    static final int RING = 1024;
    static final int HEADER_WORDS = 32;
    static final int SELF_CHECK = 8;

    static final int W_VERSION = 1;
    static final int W_CHECKSUM = 2;
    static final int W_SEQUENCE = 3;
    static final int W_PAGE_SIZE = 5;
    static final int W_ROOM = 6;
    static final int W_MAX_FILES = 7;
    static final int W_RECORD_SIZE = 8;
    static final int W_LEDGER = 9;
    static final int W_FRAMES = 10;
    static final int W_LENGTH = 11;
    static final int W_INCARNATION = 12;
    static final int W_POLICY = 22;
    static final int W_CAPACITY = 23;

    static final long FREE = 0x5A1C93E70B64D28FL;
    static final long CLEAN = 0x17F62AB9D4508E6CL;
    private static final long[] STATES = {FREE, 0xC3D84F15A6E9703BL, CLEAN, 0xE882B54E619B3DD5L, 0x2E4BD8713F97C4A2L};

    private final ByteBuffer bytes;

    SegmentFormat(byte[] bytes) {
        this.bytes = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }

    static long[] states() {
        return STATES.clone();
    }

    private static long mix(long hash, long word) {
        long h = Long.rotateLeft(hash ^ word * 0x9E3779B97F4A7C15L, 31) * 0xD6E8FEB86659FD93L;
        return h ^ h >>> 32;
    }

    private static long finish(long hash) {
        long h = (hash ^ hash >>> 33) * 0xFF51AFD7ED558CCDL;
        h = (h ^ h >>> 29) * 0xC4CEB9FE1A85EC53L;
        h ^= h >>> 32;
        return h == 0 ? 1 : h;
    }

    private long of(int offset, int words, long seed) {
        long h = mix(seed, words);
        for (int i = 0; i < words; i++) {
            h = mix(h, bytes.getLong(offset + 8 * i));
        }
        return finish(h);
    }

    long word(int offset) {
        return bytes.getLong(offset);
    }

    void word(int offset, long value) {
        bytes.putLong(offset, value);
    }

    long incarnation() {
        return word(8 * W_INCARNATION);
    }

    int pageSize() {
        return (int) word(8 * W_PAGE_SIZE);
    }

    int room() {
        return (int) word(8 * W_ROOM);
    }

    int maxFiles() {
        return (int) word(8 * W_MAX_FILES);
    }

    int recordSize() {
        return (int) word(8 * W_RECORD_SIZE);
    }

    int ledger() {
        return (int) word(8 * W_LEDGER);
    }

    int frames() {
        return (int) word(8 * W_FRAMES);
    }

    int policy() {
        return (int) word(8 * W_POLICY);
    }

    int length() {
        return (int) word(8 * W_LENGTH);
    }

    int capacity() {
        return (int) word(8 * W_CAPACITY);
    }

    int record(int frame) {
        return ledger() + frame * recordSize();
    }

    int frame(int frame) {
        return frames() + frame * pageSize();
    }

    int slot(int slot) {
        return TABLE + slot * SLOT;
    }

    /** Makes the checksum of a header copy match its words. */
    void sealHeader(int copy) {
        int base = copy * HEADER;
        long seed = mix(word(base), word(base + 8 * W_VERSION));
        word(base + 8 * W_CHECKSUM, of(base + 8 * W_SEQUENCE, HEADER_WORDS - W_SEQUENCE, seed));
    }

    void sealSlot(int base, long incarnation) {
        word(base, of(base + 8, JOURNAL / 8 - 1, mix(incarnation, 0x53)));
    }

    void sealJournal(int base, int copy, long incarnation) {
        int journal = base + JOURNAL + copy * JOURNAL_BYTES;
        long seed = mix(mix(incarnation, 0x4A), word(base + 8));
        word(journal, of(journal + 8, JOURNAL_BYTES / 8 - 1, seed));
    }

    /** Of file id, page, generation and the checksums of the blocks. */
    long selfCheck(int record, int frame, int blocks, long incarnation) {
        long h = mix(mix(incarnation, frame), word(record + 16));
        h = mix(h, word(record + 24));
        h = mix(h, bytes.getInt(record + 32));
        for (int i = 0; i < blocks; i++) {
            h = mix(h, word(record + 40 + 8 * i));
        }
        return finish(h);
    }

    void sealRecord(int record, int frame, int blocks, long incarnation) {
        word(record + SELF_CHECK, selfCheck(record, frame, blocks, incarnation));
    }

    /** Fills in what follows from page size, room and number of files. */
    void deriveGeometry(int copy) {
        int base = copy * HEADER;
        long page = word(base + 8 * W_PAGE_SIZE);
        long room = word(base + 8 * W_ROOM);
        long files = word(base + 8 * W_MAX_FILES);
        long record = up(40 + 8 * (page / 4096), 64);
        long frames = up(TABLE + files * SLOT, 4096);
        long ledger = frames + room * page;
        long policy = up(ledger + room * record, 4096);
        word(base + 8 * W_RECORD_SIZE, record);
        word(base + 8 * W_FRAMES, frames);
        word(base + 8 * W_LEDGER, ledger);
        word(base + 8 * W_POLICY, policy);
        word(base + 8 * W_LENGTH, policy + 8 * (room + room / 2 + 8));
    }

    private static long up(long value, long unit) {
        return (value + unit - 1) / unit * unit;
    }
}
