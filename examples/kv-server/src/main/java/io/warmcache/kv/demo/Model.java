/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv.demo;

import java.nio.charset.StandardCharsets;

/**
 * What each version of each key is, and the command that makes it: class files that are set and, every few versions,
 * deleted; counters that are incremented; logs that are appended to. Version 0 is absence.
 */
final class Model {
    enum Kind {
        BLOB,
        COUNTER,
        LOG
    }

    /** A log is emptied at every multiple of this many versions. */
    static final int LOG_ENTRIES = 128;

    private static final int LOG_ENTRY_BYTES = 16;

    private final Blobs blobs;
    private final int counters;
    private final int logs;
    private final int deleteOneIn;

    /**
     * @param counters keys after the class files that are counters
     * @param logs keys after those that are logs
     * @param deleteOneIn of so many versions of a class file, from its second on, about one is a deletion; 0 for none
     */
    Model(Blobs blobs, int counters, int logs, int deleteOneIn) {
        this.blobs = blobs;
        this.counters = counters;
        this.logs = logs;
        this.deleteOneIn = deleteOneIn;
    }

    int keys() {
        return blobs.count() + counters + logs;
    }

    Blobs blobs() {
        return blobs;
    }

    Kind kind(int key) {
        if (key < blobs.count()) {
            return Kind.BLOB;
        }
        return key < blobs.count() + counters ? Kind.COUNTER : Kind.LOG;
    }

    /** Whether a write of this key makes its next state from the one before. */
    boolean builds(int key) {
        return key >= blobs.count();
    }

    byte[] name(int key) {
        return switch (kind(key)) {
            case BLOB -> blobs.name(key);
            case COUNTER -> ("counter:" + (key - blobs.count())).getBytes(StandardCharsets.US_ASCII);
            case LOG -> ("log:" + (key - blobs.count() - counters)).getBytes(StandardCharsets.US_ASCII);
        };
    }

    String nameText(int key) {
        return new String(name(key), StandardCharsets.UTF_8);
    }

    /** Whether a key in this version is not there. */
    boolean absent(int key, int version) {
        if (version == 0) {
            return true;
        }
        return deleteOneIn > 0
                && version > 1
                && kind(key) == Kind.BLOB
                && Long.remainderUnsigned(Mix.mix(key, version, deleteOneIn), deleteOneIn) == 0;
    }

    /** Bytes of the value of this version, about; for progress. */
    int valueBytes(int key, int version) {
        return kind(key) == Kind.BLOB ? blobs.valueBytes(key, version) : LOG_ENTRY_BYTES;
    }

    /** Appends the command that takes a key to {@code version}. */
    void writeCommand(int key, int version, CommandBuffer out) {
        switch (kind(key)) {
            case COUNTER -> out.command(2).string("INCR").string(name(key));
            case LOG -> {
                if (version % LOG_ENTRIES == 0) {
                    out.command(3).string("SET").string(name(key)).string("");
                } else {
                    out.command(3).string("APPEND").string(name(key)).string(logEntry(key, version));
                }
            }
            case BLOB -> {
                if (absent(key, version)) {
                    out.command(2).string("DEL").string(name(key));
                } else {
                    out.command(3).string("SET").string(name(key));
                    int length = blobs.valueBytes(key, version);
                    int at = out.beginString(length);
                    blobs.writeValue(key, version, out.array(), at);
                    out.endString(length);
                }
            }
        }
    }

    /** Whether this is how the server answers the command that took a key to {@code version}. */
    boolean acknowledges(int key, int version, Reply reply) {
        return switch (kind(key)) {
            case COUNTER -> reply.kind() == Reply.Kind.INTEGER && reply.number() == version;
            case LOG -> version % LOG_ENTRIES == 0
                    ? reply.isOk()
                    : reply.kind() == Reply.Kind.INTEGER && reply.number() == logBytes(version);
            case BLOB -> absent(key, version)
                    ? reply.kind() == Reply.Kind.INTEGER && (reply.number() == 0 || reply.number() == 1)
                    : reply.isOk();
        };
    }

    /**
     * Which of the allowed versions a reply to GET holds, byte for byte.
     *
     * @return -1 for none of them
     */
    int identify(int key, Reply reply, Oracle.Allowed allowed) {
        if (reply.kind() != Reply.Kind.NIL && reply.kind() != Reply.Kind.BULK) {
            return -1;
        }
        if (reply.kind() == Reply.Kind.BULK && kind(key) == Kind.BLOB) {
            int claimed = blobs.claimedVersion(key, reply.buffer(), reply.offset(), reply.length());
            return allowed.contains(claimed) && is(key, claimed, reply) ? claimed : -1;
        }
        for (int version = allowed.last(); version >= allowed.first(); version--) {
            if (is(key, version, reply)) {
                return version;
            }
        }
        return is(key, allowed.floor(), reply) ? allowed.floor() : -1;
    }

    private boolean is(int key, int version, Reply reply) {
        if (absent(key, version) || reply.kind() == Reply.Kind.NIL) {
            return absent(key, version) && reply.kind() == Reply.Kind.NIL;
        }
        return switch (kind(key)) {
            case BLOB -> blobs.matches(key, version, reply.buffer(), reply.offset(), reply.length());
            case COUNTER -> reply.text().equals(Integer.toString(version));
            case LOG -> reply.text().equals(log(key, version));
        };
    }

    private static int logBytes(int version) {
        return version % LOG_ENTRIES * LOG_ENTRY_BYTES;
    }

    private static String logEntry(int key, int version) {
        return String.format("%016x", Mix.mix(key, version, LOG_ENTRIES));
    }

    private static String log(int key, int version) {
        StringBuilder text = new StringBuilder();
        for (int i = version - version % LOG_ENTRIES + 1; i <= version; i++) {
            text.append(logEntry(key, i));
        }
        return text.toString();
    }

    /** What a reply holds, for a person who has to find out why it is wrong. */
    String describe(int key, Reply reply) {
        if (reply.kind() != Reply.Kind.BULK) {
            return reply.text();
        }
        if (kind(key) != Kind.BLOB) {
            return "'" + (reply.length() > 80 ? reply.text().substring(0, 80) + "..." : reply.text()) + "'";
        }
        int claimed = blobs.claimedVersion(key, reply.buffer(), reply.offset(), reply.length());
        if (claimed < 0) {
            return reply.length() + " bytes that are no value of this key";
        }
        boolean whole = blobs.matches(key, claimed, reply.buffer(), reply.offset(), reply.length());
        return (whole ? "all of version " : "a damaged version ") + claimed + ", " + reply.length() + " bytes";
    }
}
