/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.fuzz;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.SplittableRandom;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.json.JsonMapper;

/**
 * The process that feeds the inputs, so that what kills a JVM or hangs it kills or hangs this one. Before each input
 * it writes the input's number to a file that it has mapped: the parent reads there what it died of.
 */
final class Child {
    /** Before a tally on a line of its own. */
    static final String TALLY = "TALLY ";

    private static final long TALLY_NANOS = 2_000_000_000L;
    private static final Logger ROOT = Logger.getLogger("");

    private Child() {}

    /** The n-th input of a seed, whatever came before it. */
    static SplittableRandom random(long seed, long number) {
        return new SplittableRandom(seed * 0x9E3779B97F4A7C15L + number);
    }

    /** Arguments: target, directory, seed, first number, number after the last, file for the number. */
    public static void main(String[] arguments) throws Exception {
        Target.Kind kind = Target.Kind.valueOf(arguments[0]);
        Path directory = Path.of(arguments[1]);
        long seed = Long.parseLong(arguments[2]);
        long first = Long.parseLong(arguments[3]);
        long end = Long.parseLong(arguments[4]);
        formatLogsForNobody();
        JsonMapper json = JsonMapper.builder().build();
        int status = 0;
        try (Arena arena = Arena.ofShared()) {
            MemorySegment at = mapped(Path.of(arguments[5]), arena);
            at.set(ValueLayout.JAVA_LONG, 0, -1);
            Tally tally = new Tally();
            tally.next = first;
            try (Target target = kind.open(directory)) {
                long shown = System.nanoTime();
                long before = shown;
                for (long number = first; number < end && status == 0; number++) {
                    at.set(ValueLayout.JAVA_LONG, 0, number);
                    try {
                        tally.outcomes.merge(target.run(random(seed, number)), 1L, Long::sum);
                        tally.mutations++;
                    } catch (Throwable t) {
                        tally.failure = trace(t);
                        status = 1;
                    }
                    tally.next = number + 1;
                    long now = System.nanoTime();
                    if (now - shown > TALLY_NANOS || number + 1 == end || status != 0) {
                        shown = now;
                        tally.nanos = now - before;
                        tally.served = target.served();
                        System.out.println(TALLY + json.writeValueAsString(tally));
                    }
                }
            }
        }
        System.exit(status);
    }

    private static String trace(Throwable t) {
        StringWriter text = new StringWriter();
        try (PrintWriter out = new PrintWriter(text)) {
            t.printStackTrace(out);
        }
        return text.toString();
    }

    private static MemorySegment mapped(Path file, Arena arena) throws IOException {
        try (FileChannel channel = FileChannel.open(
                file, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            return channel.map(FileChannel.MapMode.READ_WRITE, 0, Long.BYTES, arena);
        }
    }

    /** Log messages are made, since making one may fail, and shown to nobody. */
    static void formatLogsForNobody() {
        for (Handler each : ROOT.getHandlers()) {
            ROOT.removeHandler(each);
        }
        ROOT.setLevel(Level.FINE);
        ROOT.addHandler(new Handler() {
            private int length;

            @Override
            public void publish(@Nullable LogRecord entry) {
                if (entry != null) {
                    length += String.valueOf(entry.getMessage()).length();
                }
            }

            @Override
            public void flush() {}

            @Override
            public void close() {
                length = 0;
            }
        });
    }
}
