/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture;

import io.warmcache.CacheStats;
import io.warmcache.DropReason;
import io.warmcache.PageCache;
import io.warmcache.PageExplanation;
import io.warmcache.PagedFile;
import io.warmcache.ReadPin;
import io.warmcache.RecoveryReport;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/** Compares every page found in memory with a cold read of its store, before anything is written. */
final class ResidentCheck {
    private static final int ALIGNMENT = 4096;
    private static final int CHUNK = 1 << 20;
    private static final @Nullable OpenOption DIRECT = direct();

    private final PageCache cache;
    private final List<Slot> slots;
    private final LifePlan plan;
    private long pages;
    private long bytes;

    ResidentCheck(PageCache cache, List<Slot> slots, LifePlan plan) {
        this.cache = cache;
        this.slots = slots;
        this.plan = plan;
    }

    /**
     * Returns what was found.
     *
     * @throws WrongException if a byte served differs from the store's
     */
    String run() throws IOException {
        for (Slot slot : slots) {
            compare(slot);
        }
        StringBuilder leaks = new StringBuilder();
        if (plan.is("quiesce")) {
            quiesce(leaks);
        }
        RecoveryReport report = cache.recovery();
        StringBuilder text = new StringBuilder();
        text.append("warm=").append(report.warm());
        text.append("\tclean=").append(report.cleanStop());
        text.append("\tcold=").append(report.coldReason());
        text.append("\tfound=").append(report.found());
        text.append("\tkept=").append(report.kept());
        text.append("\tpages=").append(pages);
        text.append("\tbytes=").append(bytes);
        text.append("\twaitMillis=").append(report.ownerWait().toMillis());
        text.append("\tchecksumFailures=").append(cache.stats().validationFailures());
        for (Map.Entry<DropReason, Integer> each : report.dropped().entrySet()) {
            text.append("\tdrop.").append(each.getKey()).append('=').append(each.getValue());
        }
        for (RecoveryReport.FileRecovery each : report.files()) {
            text.append("\tgate.").append(each.verdict().replace('=', ' ')).append('=').append(each.kept());
        }
        return text.append(leaks).toString();
    }

    private void compare(Slot slot) throws IOException {
        PagedFile file = slot.file();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment store = coldRead(slot.path, arena);
            if (store.byteSize() != file.size()) {
                throw new WrongException(slot.spec.name() + " is " + store.byteSize()
                        + " bytes long, and the cache says " + file.size());
            }
            int pageSize = file.pageSize();
            MemorySegment served = arena.allocate(pageSize);
            for (long page = 0; page < file.pages(); page++) {
                PageExplanation.State state = file.explain(page).state();
                boolean resident =
                        state == PageExplanation.State.RESIDENT || state == PageExplanation.State.UNVERIFIED;
                if (resident || plan.is("readAll")) {
                    MemorySegment right = store.asSlice(
                            page * pageSize, Math.min(pageSize, store.byteSize() - page * pageSize));
                    compare(slot, file, page, served.asSlice(0, right.byteSize()), right);
                    if (resident) {
                        pages++;
                        bytes += right.byteSize();
                    }
                }
            }
        }
    }

    private static void compare(Slot slot, PagedFile file, long page, MemorySegment served, MemorySegment right)
            throws IOException {
        if (page % 8 == 0) {
            try (ReadPin pin = file.pin(page)) {
                MemorySegment.copy(pin.segment(), 0, served, 0, served.byteSize());
            }
        } else {
            int done = file.read(page * file.pageSize(), served);
            if (done != served.byteSize()) {
                throw new WrongException("page " + page + " of " + slot.spec.name() + ": " + done + " bytes of "
                        + served.byteSize());
            }
        }
        long first = served.mismatch(right);
        if (first >= 0) {
            throw new WrongException("page " + page + " of " + slot.spec.name() + " differs from the store at byte "
                    + first + ": served " + Long.toHexString(word(served, first)) + ", stored "
                    + Long.toHexString(word(right, first)) + "; " + file.explain(page));
        }
    }

    private static long word(MemorySegment segment, long at) {
        long word = 0;
        for (long i = Math.min(segment.byteSize(), (at | 7) + 1) - 1; i >= (at & ~7); i--) {
            word = word << 8 | (segment.get(ValueLayout.JAVA_BYTE, i) & 0xFF);
        }
        return word;
    }

    /** The whole file, past the operating system's page cache where the file system lets that be. */
    static MemorySegment coldRead(Path path, Arena arena) throws IOException {
        try (FileChannel channel = open(path)) {
            long size = channel.size();
            long room = (size + 2L * CHUNK) / CHUNK * CHUNK;
            MemorySegment all = arena.allocate(room, ALIGNMENT);
            long done = 0;
            while (done < size) {
                ByteBuffer part = all.asSlice(done, Math.min(CHUNK, room - done)).asByteBuffer();
                int n = channel.read(part, done);
                if (n < 0) {
                    throw new IOException(path + " became shorter while it was read");
                }
                done += n;
            }
            return all.asSlice(0, size);
        }
    }

    private static FileChannel open(Path path) throws IOException {
        if (DIRECT != null) {
            try {
                return FileChannel.open(path, StandardOpenOption.READ, DIRECT);
            } catch (UnsupportedOperationException | IOException e) {
                // not on this file system
            }
        }
        return FileChannel.open(path, StandardOpenOption.READ);
    }

    /** The JDK's option for {@code O_DIRECT}, whose class javac warns of. */
    private static @Nullable OpenOption direct() {
        try {
            for (Object each : Class.forName("com.sun.nio.file.ExtendedOpenOption").getEnumConstants()) {
                if (each.toString().equals("DIRECT") && each instanceof OpenOption option) {
                    return option;
                }
            }
        } catch (ClassNotFoundException e) {
            // another JDK
        }
        return null;
    }

    /** Waits for the end of the recovery, when every frame must be accounted for. */
    private void quiesce(StringBuilder leaks) {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
        int frames = Math.toIntExact(cache.capacity() / cache.config().pageSize());
        while (true) {
            CacheStats stats = cache.stats();
            boolean even = stats.residentFrames() + stats.freeFrames() == frames && stats.dirtyPages() == 0;
            if (even && cache.recovery().unvalidated() == 0) {
                return;
            }
            if (System.nanoTime() - deadline > 0) {
                leaks.append("\tleak=").append(frames).append(" frames, but ").append(stats.residentFrames());
                leaks.append(" resident and ").append(stats.freeFrames()).append(" free, ").append(stats.dirtyPages());
                leaks.append(" dirty pages, ").append(cache.recovery().unvalidated()).append(" not validated");
                return;
            }
            LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(2));
        }
    }
}
