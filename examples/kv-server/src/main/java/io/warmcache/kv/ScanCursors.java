/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;

/**
 * Where SCANs stand. Keys are visited in ascending order, so a position is the last key visited; a client gets a
 * random number for it, since a key does not fit the 64 bits of a cursor. Every key that is there from the first call
 * to the last is returned, exactly once.
 *
 * <p>Positions are forgotten when the server stops and, the least recently used first, when there are too many. A
 * forgotten cursor is an error, never a silent end or a silent gap: the client begins again. Safe for use by many
 * threads.
 */
final class ScanCursors {
    private static final int MAX_POSITIONS = 65_536;
    private static final long MAX_BYTES = 32L << 20;

    private final SplittableRandom random = new SplittableRandom();
    private final Map<Long, Position> positions = new LinkedHashMap<>(16, 0.75f, true);
    private long bytes;

    private static final class Position {
        private final int db;
        private final byte[] last;

        Position(int db, byte[] last) {
            this.db = db;
            this.last = last;
        }
    }

    /** A cursor, not 0, that continues after {@code last} in database {@code db}. */
    synchronized long remember(int db, byte[] last) {
        long cursor;
        do {
            cursor = random.nextLong(1, Long.MAX_VALUE);
        } while (positions.containsKey(cursor));
        positions.put(cursor, new Position(db, last));
        bytes += last.length;
        Iterator<Position> eldest = positions.values().iterator();
        while (positions.size() > MAX_POSITIONS || (bytes > MAX_BYTES && positions.size() > 1)) {
            bytes -= eldest.next().last.length;
            eldest.remove();
        }
        return cursor;
    }

    /**
     * The last key visited; null if the cursor is not known, or not for this database. May be asked again and again.
     */
    synchronized byte @Nullable [] last(int db, long cursor) {
        Position position = positions.get(cursor);
        return position == null || position.db != db ? null : position.last;
    }
}
