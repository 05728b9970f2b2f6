/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

import io.warmcache.StoreVersion;
import io.warmcache.spi.FileVerdict;
import io.warmcache.spi.FileVerdict.Kind;
import java.util.UUID;

/** Decides what may be done with a file's frames, from its journal and the store's present version. */
final class StoreGate {
    /** File time stamps lag the clock by at most this many nanoseconds: two ticks of the slowest timer, 100 Hz. */
    static final long STAMP_LAG = 20_000_000;

    /** How long after the last journalled time the stamp of a write under way may be taken. */
    private static final long STAMP_DELAY = 50_000_000;

    private static final long CLOCK_STEP = 1_000_000_000;

    private StoreGate() {}

    /** The verdict on an engine's own store. */
    static FileVerdict ofEngine(StoreJournal.Snapshot journal, StoreVersion now) {
        if (now.strength() == StoreVersion.Strength.NONE) {
            return changed("the store has no version");
        }
        if (journal.window().isOpen()) {
            return changed("the owner died while writing, and the store's version moves with every write");
        }
        return journal.token().provesUnchanged(now)
                ? new FileVerdict(Kind.SAME, "the store's version is unchanged")
                : changed("the store's version changed");
    }

    /**
     * The verdict on a plain file.
     *
     * @param now its length and times
     * @param clockOffset from boot to the epoch's clock, nanoseconds
     */
    static FileVerdict ofFile(StoreJournal.Snapshot journal, StoreVersion now, long clockOffset, UUID boot) {
        if (now.strength() == StoreVersion.Strength.NONE) {
            return changed("the file system keeps no times that could show a change");
        }
        if (journal.damaged()) {
            return changed("the record of its last writes is damaged");
        }
        boolean rebooted = !journal.boot().equals(boot);
        boolean settled = !journal.window().isOpen();
        if (rebooted) {
            return afterReboot(journal, now, settled);
        }
        if (settled) {
            return journal.token().provesUnchanged(now)
                    ? new FileVerdict(Kind.SAME, "length and times are as the cache left them")
                    : changed(difference(journal.token(), now));
        }
        if (Math.abs(clockOffset - journal.clockOffset()) >= CLOCK_STEP) {
            return changed("the clock was set while the file was open");
        }
        return probe(journal, journal.token(), journal.window(), now, "the owner died while the file was changing");
    }

    private static FileVerdict afterReboot(StoreJournal.Snapshot journal, StoreVersion now, boolean settled) {
        StoreVersion forced = journal.forced();
        if (forced.strength() == StoreVersion.Strength.NONE) {
            return changed("nothing had been forced before the operating system went down");
        }
        boolean quiet = settled && !journal.forcedWindow().isOpen() && forced.equals(journal.token());
        if (quiet) {
            return forced.provesUnchanged(now)
                    ? new FileVerdict(Kind.SAME, "length and times are as they were forced")
                    : changed(difference(forced, now));
        }
        return probe(journal, forced, journal.forcedWindow(), now, "the operating system went down later");
    }

    private static FileVerdict probe(
            StoreJournal.Snapshot journal,
            StoreVersion base,
            StoreJournal.Window window,
            StoreVersion now,
            String why) {
        if (!base.provesUnchanged(now)) {
            if (!window.isOpen()) {
                return changed(difference(base, now));
            }
            long size = now.first();
            if (size < window.sizeMin() || size > window.sizeMax()) {
                return changed("its length is " + size + ", the cache was writing lengths from " + window.sizeMin()
                        + " to " + window.sizeMax());
            }
            long mtime = now.second();
            long ctime = now.third();
            if (mtime != ctime) {
                return changed("it was changed by another program: its modification and change times differ");
            }
            boolean within = ctime >= window.first() - STAMP_LAG && ctime <= window.last() + STAMP_DELAY;
            if (!within && ctime != base.third()) {
                return changed("it was changed at another time than the cache wrote to it");
            }
        }
        int needed = Math.min(8, journal.ringSize());
        if (journal.ringBlocks().length < needed) {
            return changed("too few of the blocks written last can be compared");
        }
        return new FileVerdict(Kind.PROBE, why, journal.ringBlocks(), journal.ringChecksums());
    }

    private static FileVerdict changed(String detail) {
        return new FileVerdict(Kind.CHANGED, detail);
    }

    private static String difference(StoreVersion recorded, StoreVersion now) {
        if (recorded.strength() == StoreVersion.Strength.NONE) {
            return "no version of it was recorded";
        }
        if (recorded.first() != now.first()) {
            return "its length changed from " + recorded.first() + " to " + now.first();
        }
        return recorded.second() != now.second() ? "its modification time changed" : "its change time changed";
    }
}
