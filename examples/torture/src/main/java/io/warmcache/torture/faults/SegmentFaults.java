/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.torture.faults;

import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/** Breaks that hit a cache's memory as a whole: one between two lives. */
final class SegmentFaults {
    private SegmentFaults() {}

    private static Strike whole(String what) {
        return new Strike(what, List.of(), "");
    }

    /** 1 to 64 bits of one copy of the header, or of both. */
    static Strike header(ShmRemains m, Random random) {
        int copies = 1 + random.nextInt(3);
        for (int copy = 0; copy < 2; copy++) {
            if ((copies >> copy & 1) != 0) {
                int bits = 1 + random.nextInt(64);
                for (int bit : Draw.distinct(random, bits, ShmRemains.HEADER_WORDS * 64)) {
                    m.flip((long) copy * ShmRemains.HEADER * 8 + bit);
                }
            }
        }
        return whole(copies == 3 ? "both copies of the header" : "one copy of the header");
    }

    /** 8 random bytes anywhere in the segment. */
    static Strike anywhere(ShmRemains m, Random random) {
        long at = 8 * random.nextLong(m.all.byteSize() / 8);
        m.all.set(ValueLayout.JAVA_LONG, at, random.nextLong());
        return whole("anywhere in the segment");
    }

    /** Zeroes, truncates or lengthens the segment's file. */
    static Strike shape(Path segment, Random random) throws IOException {
        try (FileChannel file = FileChannel.open(segment, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            long size = file.size();
            return switch (random.nextInt(6)) {
                case 0 -> {
                    zero(file, 0, size);
                    yield whole("zeroed");
                }
                case 1 -> {
                    long from = 4096 * random.nextLong(size / 4096);
                    zero(file, from, Math.min(size - from, 4096L * (1 + random.nextInt(64))));
                    yield whole("a part zeroed");
                }
                case 2 -> {
                    file.truncate(random.nextLong(size));
                    yield whole("truncated");
                }
                case 3 -> {
                    file.truncate(0);
                    yield whole("truncated to nothing");
                }
                case 4 -> {
                    long more = 1 + random.nextLong(1 << 20);
                    var _ = file.write(ByteBuffer.wrap(new byte[1]), size + more - 1);
                    yield whole("grown");
                }
                default -> {
                    file.truncate(random.nextLong(size));
                    var _ = file.write(ByteBuffer.wrap(new byte[1]), size - 1);
                    yield whole("truncated and grown again");
                }
            };
        }
    }

    private static void zero(FileChannel file, long from, long bytes) throws IOException {
        for (long at = from; at < from + bytes; ) {
            at += file.write(ByteBuffer.wrap(new byte[(int) Math.min(1 << 20, from + bytes - at)]), at);
        }
    }

    /** Zeroes a domain's memory, or tries to truncate or lengthen it, as somebody with its descriptor could. */
    static List<Strike> shapeOfDomain(Remains m, MemoryFaults faults, Random random) throws IOException {
        List<Strike> strikes = new ArrayList<>();
        switch (random.nextInt(4)) {
            case 0, 1 -> {
                boolean all = random.nextBoolean();
                for (MemoryFaults.Frame frame : faults.frames(m)) {
                    if (all || random.nextInt(4) == 0) {
                        for (int i = 0; i < m.pageSize(); i++) {
                            m.put((long) frame.number() * m.pageSize() + i, (byte) 0);
                        }
                        strikes.add(Strike.at(all ? "zeroed" : "a part zeroed", frame.page()));
                    }
                }
            }
            case 2 -> strikes.add(attempt(true, random));
            default -> strikes.add(attempt(false, random));
        }
        return strikes;
    }

    private static Strike attempt(boolean truncate, Random random) throws IOException {
        try (DirectoryStream<Path> open = Files.newDirectoryStream(Path.of("/proc/self/fd"))) {
            for (Path descriptor : open) {
                String target = Files.isSymbolicLink(descriptor)
                        ? Files.readSymbolicLink(descriptor).toString()
                        : "";
                if (target.startsWith("/memfd:")) {
                    try (FileChannel file = FileChannel.open(descriptor, StandardOpenOption.WRITE)) {
                        if (truncate) {
                            file.truncate(random.nextLong(file.size()));
                            return whole("truncated");
                        }
                        var _ = file.write(ByteBuffer.wrap(new byte[1]), file.size() + 4095);
                        return whole("grown");
                    } catch (IOException e) {
                        return Strike.harmless("truncated", "the kernel refuses it: the memory is sealed");
                    }
                }
            }
        }
        throw new IOException("the VMM has no memory file open");
    }
}
