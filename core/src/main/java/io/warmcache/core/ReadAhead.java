/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import java.util.Arrays;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * Finds out who reads one file from front to back, and has read for them what comes next ({@code docs/internals.md},
 * section 15). Several readers at once are told apart by where they are. Told of misses, of waits for pages that others
 * load, and of the first use of pages that were read ahead; never of other hits. All it knows is a guess, so a call
 * that would have to wait for another one does nothing. {@link #used} is called by those who own a word or hold a
 * pin, and throws nothing.
 */
final class ReadAhead {
    /** {@code off}, or the most KiB that are read ahead for one reader at once. */
    static final String OPTION = "core.readAhead";

    private static final System.Logger LOG = System.getLogger("io.warmcache");

    private static final long DEFAULT_KIB = 4096;

    /** Readers told apart; with more of them the one that has not been seen for the longest time is forgotten. */
    private static final int STREAMS = 8;

    /** How many percent of the frames pages may take that were read ahead and not used yet, of all files together. */
    static final String OPTION_SHARE = "core.readAheadShare";

    private static final int DEFAULT_PERCENT = 3;
    private static final int MOST_PERCENT = 50;

    /** Pages read ahead at first. Caches that are too small for twice as many do without. */
    static final int LEAST = 4;

    /** Misses in a row, each where the one before ended, that are no chance. */
    private static final int IN_A_ROW = 3;

    /** A reader that was not seen for so long gives way to another one of the file. A test sets it. */
    volatile long forsakenNanos = TimeUnit.MILLISECONDS.toNanos(100);

    private final CachedFile file;
    private final ReentrantLock lock = new ReentrantLock();

    /** Pages of this file that were evicted unused since the last look. */
    private final AtomicInteger wasted = new AtomicInteger();

    /** Nothing could be read ahead since the last look, for want of a frame that can be evicted at once. */
    private volatile boolean starved;

    /** Made at the first miss. */
    private Stream[] streams = {};

    /** What pages are reserved for; known with the first stream. */
    private int part;

    private long clock;

    /** One reader. */
    private static final class Stream {
        /** Where it was last, or what was asked for it ends. */
        long end = -1;

        /** Where it asked last: what is behind is not asked for by this reader any more. */
        long begin = -1;

        /** Coming here, it has used what it asked for with its present window; -1 if nothing was asked for it. */
        long grows = -1;

        int window;
        int inARow;
        long seen;

        /** When it asked last. */
        long asked;
    }

    ReadAhead(CachedFile file) {
        this.file = file;
    }

    /** The most pages to be read at once that the options of a cache allow. */
    static int most(Map<String, String> options, int pageShift) {
        String value = options.get(OPTION);
        boolean off = value == null ? "off".equals(options.get(Cache.OPTION_MAINTENANCE)) : value.equals("off");
        if (off) {
            return 0;
        }
        long kib = value == null
                ? DEFAULT_KIB
                : number(OPTION, value, 1 << 20, "\"off\", or the most KiB to be read ahead for one reader");
        return (int) ((kib << 10) >>> pageShift);
    }

    /** How many percent of the frames may hold what was read ahead and not used yet. */
    static int percent(Map<String, String> options) {
        String value = options.get(OPTION_SHARE);
        return value == null ? DEFAULT_PERCENT : number(OPTION_SHARE, value, MOST_PERCENT, "percent of the frames");
    }

    private static int number(String option, String value, int most, String meaning) {
        int number = -1;
        try {
            number = Integer.parseInt(value);
        } catch (NumberFormatException e) {
            LOG.log(System.Logger.Level.TRACE, "refused below", e);
        }
        if (number < 0 || number > most) {
            throw new IllegalArgumentException("the option " + option + " is \"" + value + "\": it must be " + meaning
                    + ", from 0 to " + most);
        }
        return number;
    }

    /** What pages of the file are reserved for, once something was read ahead. */
    int part() {
        return part;
    }

    /** The most pages of one window now; 0 if nothing is to be read ahead. */
    private int most() {
        int most = Math.min(file.cache.mostAhead, file.frames.aheadWindow());
        return most < 2 * LEAST ? 0 : most;
    }

    // ---- what is observed ------------------------------------------------------------------------------------------

    /** H1: a reader is about to read pages from the store. */
    void missed(long page, int count) {
        int most = most();
        if (most == 0 || !lock.tryLock()) {
            return;
        }
        try {
            Stream stream = at(page);
            if (stream == null) {
                stream = oldest();
                forsake(stream);
                stream.begin = page;
                stream.window = 0;
                stream.inARow = 0;
            } else if (page < stream.end) {
                // It was to be read, and nobody has come to it yet, or it has left again: the reader is there.
                if (wasted.get() > 0) {
                    stream.end = page + count; // so was what follows, probably
                    stream.grows = page;
                }
                next(stream, page, page + count, most);
                return;
            }
            stream.seen = ++clock;
            stream.end = page + count;
            stream.inARow++;
            if (stream.inARow >= IN_A_ROW) {
                if (stream.inARow == IN_A_ROW) { // later it is as large as it was found that it may be
                    stream.window = Math.max(stream.window, Math.min(most, count));
                }
                stream.grows = page;
                next(stream, page, page + count, most);
            }
        } finally {
            lock.unlock();
        }
    }

    /** H1: a reader waits for a page that somebody else loads. Throws nothing. */
    void awaited(long page) {
        if (file.cache.mostAhead == 0 || !lock.tryLock()) {
            return;
        }
        try {
            arrived(page);
        } catch (Throwable t) {
            starved = true; // nothing is read ahead, and nobody who uses a page is told
        } finally {
            lock.unlock();
        }
    }

    /** H3: the first use of a page that was read ahead. */
    void used(int frame, long page) {
        if (FrameTable.isMarker(file.frames.takeAhead(frame))) {
            awaited(page);
        }
    }

    /** A page that was read ahead was evicted without having been used. */
    void unused() {
        wasted.incrementAndGet();
        file.counters.readAheadUnused.incrementAndGet();
    }

    private void arrived(long page) {
        Stream stream = at(page);
        if (stream != null && page < stream.end) {
            int most = most();
            if (most > 0) {
                next(stream, page, page, most);
            }
        }
    }

    // ---- streams ---------------------------------------------------------------------------------------------------

    /** The stream that a page continues or is within; null if there is none. */
    private @Nullable Stream at(long page) {
        for (Stream stream : streams) {
            if (page <= stream.end && page >= stream.begin) {
                return stream;
            }
        }
        return null;
    }

    private Stream oldest() {
        if (streams.length == 0) {
            Stream[] made = new Stream[STREAMS];
            Arrays.setAll(made, i -> new Stream());
            part = file.frames.aheadPart();
            streams = made;
        }
        Stream oldest = streams[0];
        for (Stream stream : streams) {
            if (stream.seen < oldest.seen) {
                oldest = stream;
            }
        }
        return oldest;
    }

    /** H2: has more read for a reader that is at {@code page} and has what is before {@code behind}, if it needs it. */
    private void next(Stream stream, long page, long behind, int most) {
        if (stream.grows < 0) {
            return;
        }
        stream.seen = ++clock;
        stream.asked = System.nanoTime();
        stream.begin = page;
        boolean grows = page >= stream.grows;
        int before = stream.window;
        boolean halved = false;
        if (grows) {
            // Half as much if pages went unused: the reader comes too late for so many.
            halved = wasted.getAndSet(0) > 0 || starved;
            starved = false;
            stream.window = Math.clamp(halved ? before / 2 : 2L * before, LEAST, most);
        }
        int window = Math.min(stream.window, most);
        // What is in front of the reader is still that of the larger window.
        long reach = 2L * Math.max(Math.min(before, most), window);
        long from = stream.end;
        int run = file.bulkIo.batch();
        long due = Math.min(Math.min(window, behind + reach - from), file.pages() - from);
        if (due <= 0 || (!grows && (window <= run || due < run / 2))) {
            stream.window = before;
            starved |= halved;
            return; // the first use of the next run asks again
        }
        int wanted = (int) due;
        if (!file.frames.reserveAhead(part, wanted)
                && !(forsakeOthers(stream) && file.frames.reserveAhead(part, wanted))) {
            stream.window = window / (grows ? 4 : 2); // who misses then asks again, for half as much
            return;
        }
        for (int done = 0; done < wanted; done += run) {
            if (!submit(from + done, Math.min(run, wanted - done))) {
                file.frames.unreserveAhead(part, wanted - done);
                wanted = done;
            }
        }
        stream.end = from + wanted;
        if (grows && wanted > 0) {
            stream.grows = from;
        }
    }

    /** What was read ahead for readers that seem to have left no longer counts; false if there are none. */
    private boolean forsakeOthers(Stream asking) {
        boolean any = false;
        for (Stream stream : streams) {
            if (!stream.equals(asking) && stream.grows >= 0 && asking.asked - stream.asked >= forsakenNanos) {
                forsake(stream);
                any = true;
            }
        }
        return any;
    }

    /**
     * Takes the marks of pages that were read for a reader. Should it come to them all the same, it misses at their
     * end.
     */
    private void forsake(Stream stream) {
        if (stream.grows < 0) {
            return;
        }
        stream.grows = -1;
        for (long page = stream.begin; page < stream.end; page++) {
            long[] leaf = file.index.leaf(page);
            if (leaf != null) {
                long word = TranslationWord.acquire(leaf, RadixIndex.slot(page));
                if (TranslationWord.isResident(word) && file.frames.isAhead(TranslationWord.frame(word))) {
                    var _ = file.frames.takeAhead(TranslationWord.frame(word));
                }
            }
        }
    }

    private boolean submit(long first, int count) {
        try {
            return file.readers.submit(new Ahead(first, count));
        } catch (OutOfMemoryError e) {
            return false; // the caller may own a word, and be in the middle of something that must not fail
        }
    }

    /** A run to be read ahead, whose pages are reserved. The first use of the first one is to be told. */
    private final class Ahead implements Readers.Work {
        private final long first;
        private final int count;

        Ahead(long first, int count) {
            this.first = first;
            this.count = count;
        }

        @Override
        public void run() {
            int read = 0;
            try {
                long end = Math.min(first + count, file.pages());
                for (long page = first; page < end; ) {
                    int now = file.bulkIo.readAhead(page, end, first);
                    if (now == BulkIo.NO_FRAME) {
                        starved = true;
                        break;
                    }
                    read += now;
                    page += Math.max(1, now);
                }
            } catch (Throwable t) {
                // The page will be read, and the error thrown, when somebody asks for it.
                LOG.log(System.Logger.Level.DEBUG, "read-ahead failed", t);
            } finally {
                file.frames.unreserveAhead(part, count - read);
            }
        }

        @Override
        public void dropped() {
            file.frames.unreserveAhead(part, count);
        }
    }
}
