/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core;

import static io.warmcache.core.TranslationWord.EMPTY;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.roaringbitmap.PeekableIntIterator;
import org.roaringbitmap.RoaringBitmap;

/** Reads the pages of one file that the hot list names, hottest class first, into free frames. */
final class HotRead extends WarmUpJob {
    private final List<RoaringBitmap> classes;

    // How far it is. Written by the thread that runs it, under this object's monitor.
    private int heat;
    private long next;

    HotRead(Images owner, CachedFile file, GuardedFile guard, List<RoaringBitmap> classes) {
        super(owner, file, guard);
        this.classes = classes;
    }

    /** What has not been read yet, by class. */
    List<RoaringBitmap> pending() {
        int c;
        long from;
        synchronized (this) {
            c = heat;
            from = next;
        }
        List<RoaringBitmap> rest = new ArrayList<>();
        for (int i = 0; i < classes.size(); i++) {
            RoaringBitmap pages = i < c ? new RoaringBitmap() : classes.get(i).clone();
            if (i == c) {
                pages.remove(0L, from);
            }
            rest.add(pages);
        }
        return rest;
    }

    private synchronized void reached(int c, long page) {
        heat = c;
        next = page;
    }

    @Override
    void run() throws IOException {
        for (int c = 0; c < classes.size(); c++) {
            PeekableIntIterator pages = classes.get(c).getIntIterator();
            while (pages.hasNext()) {
                if (!goesOn()) {
                    return;
                }
                long first = Integer.toUnsignedLong(pages.next());
                int count = 1;
                while (count < BATCH
                        && pages.hasNext()
                        && Integer.toUnsignedLong(pages.peekNext()) == first + count) {
                    pages.next();
                    count++;
                }
                int run = count;
                int[] read = new int[1];
                if (!use(() -> read[0] = warm(first, run))) {
                    return;
                }
                reached(c, first + count);
                pay(read[0]);
            }
        }
        reached(classes.size(), 0);
    }

    /** Returns how many pages were read. */
    private int warm(long first, int count) throws IOException {
        int read = 0;
        long end = Math.min(first + count, file.pages());
        for (long page = first; page < end; page++) {
            long[] leaf = file.index.leafOrCreate(page);
            long word = TranslationWord.acquire(leaf, RadixIndex.slot(page));
            if (TranslationWord.state(word) != EMPTY) {
                owner.present.increment();
            } else if (file.frames.freeCount() == 0) {
                owner.noFrame.add(end - page);
                break;
            } else {
                int loaded = file.bulkIo.warm(leaf, page, word, (int) (end - page));
                read += loaded;
                page += Math.max(0, loaded - 1);
            }
        }
        owner.reread.add(read);
        owner.bytes.add((long) read << file.pageShift);
        return read;
    }

    @Override
    void finish() {}
}
