/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

import java.util.Arrays;
import java.util.concurrent.atomic.AtomicLongArray;
import java.util.concurrent.locks.ReentrantLock;
import java.util.concurrent.locks.StampedLock;
import org.jspecify.annotations.Nullable;

/**
 * Who may write when, and which commit a write is part of.
 *
 * <p>A write enters the gate shared and locks the stripes of its keys, so a read-modify-write of a key is atomic and
 * other keys go on in parallel. A commit closes the gate while MVStore takes the roots of its maps, one after the
 * other: no write is cut in half by it, neither a key and its place in the expiry index nor the keys of one MSET.
 *
 * <p>Every write carries a <em>ticket</em>: the number of the commit that will hold it. A stripe remembers the newest
 * ticket of its keys, raised before the first change, so whoever has seen a value can tell which commit makes it
 * durable.
 */
final class WriteGate {
    private static final int STRIPES = 1024;

    private final StampedLock gate = new StampedLock();
    private final ReentrantLock[] stripes = new ReentrantLock[STRIPES];
    private final AtomicLongArray stripeTickets = new AtomicLongArray(STRIPES);

    /** The ticket of writes that enter now; changed only while the gate is closed. */
    private long epoch = 1;
    /** The newest ticket under which something was changed at all. */
    private volatile long newestTicket;
    /** The newest ticket under which keys were changed that nobody named. */
    private volatile long wholesaleTicket;
    /** The stamp of the closed gate while a snapshot is taken, else 0. */
    private volatile long snapshotStamp;

    WriteGate() {
        Arrays.setAll(stripes, i -> new ReentrantLock());
    }

    /** Enters to change one key of database {@code db}. Waits for writers of the same stripe and for a snapshot. */
    Scope enter(int db, byte[] key) {
        long stamp = gate.readLock();
        int stripe = stripeOf(db, key);
        stripes[stripe].lock();
        return new Scope(stamp, stripe, null);
    }

    /** Enters to change several keys of database {@code db} as one. */
    Scope enter(int db, Iterable<byte[]> keys) {
        int[] wanted = new int[16];
        int count = 0;
        for (byte[] key : keys) {
            if (count == wanted.length) {
                wanted = distinct(wanted, count);
                count = wanted.length;
                wanted = Arrays.copyOf(wanted, Math.max(16, 2 * count));
            }
            wanted[count++] = stripeOf(db, key);
        }
        int[] chosen = distinct(wanted, count);
        long stamp = gate.readLock();
        // in ascending order, as everybody does: no two writers can wait for each other
        for (int stripe : chosen) {
            stripes[stripe].lock();
        }
        return new Scope(stamp, -1, chosen);
    }

    /** Enters alone, to change any key. */
    Scope enterAlone() {
        return new Scope(gate.writeLock(), -1, null);
    }

    /** The ticket of the newest change to the key's stripe; 0 if there was none. */
    long ticketOf(int db, byte[] key) {
        return Math.max(stripeTickets.get(stripeOf(db, key)), wholesaleTicket);
    }

    /** The ticket of the newest change; 0 if there was none. */
    long newestTicket() {
        return newestTicket;
    }

    /** Closes the gate, waits for those inside, and starts a new epoch. Returns the ticket that the snapshot covers. */
    long beginSnapshot() {
        long stamp = gate.writeLock();
        long covered = epoch;
        epoch = covered + 1;
        snapshotStamp = stamp;
        return covered;
    }

    /** Opens the gate if {@link #beginSnapshot} closed it; else does nothing. Only the committing thread calls it. */
    void endSnapshot() {
        long stamp = snapshotStamp;
        if (stamp != 0) {
            snapshotStamp = 0;
            gate.unlockWrite(stamp);
        }
    }

    private static int stripeOf(int db, byte[] key) {
        int hash = (Arrays.hashCode(key) * 31 + db) * 0x9E3779B1;
        return hash >>> (Integer.SIZE - Integer.numberOfTrailingZeros(STRIPES));
    }

    private static int[] distinct(int[] values, int count) {
        return Arrays.stream(values, 0, count).sorted().distinct().toArray();
    }

    /** The right to change some keys, until closed. For the thread that entered. */
    final class Scope implements AutoCloseable {
        private final long stamp;
        private final int stripe;
        private final int @Nullable [] several;
        private long ticket;

        private Scope(long stamp, int stripe, int @Nullable [] several) {
            this.stamp = stamp;
            this.stripe = stripe;
            this.several = several;
        }

        /** To be called before a change is made: whoever sees the change must find its ticket. */
        void changing() {
            if (ticket != 0) {
                return;
            }
            ticket = epoch;
            if (stripe >= 0) {
                stripeTickets.set(stripe, ticket);
            } else if (several != null) {
                for (int each : several) {
                    stripeTickets.set(each, ticket);
                }
            } else {
                wholesaleTicket = ticket;
            }
            if (newestTicket != ticket) {
                newestTicket = ticket;
            }
        }

        /** The ticket of the changes made so far; 0 if there were none. */
        long ticket() {
            return ticket;
        }

        @Override
        public void close() {
            if (stripe >= 0) {
                stripes[stripe].unlock();
            } else if (several != null) {
                for (int each : several) {
                    stripes[each].unlock();
                }
            }
            gate.unlock(stamp);
        }
    }
}
